"""A seed saved once more is no new image; a crop of it is."""

import io

import numpy as np
import pytest
from PIL import Image

from gifcli.checks import Table
from gifcli.checks.copies import CopySettings
from gifcli.checks.unchanged import UnchangedCheck


def resaved(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return np.array(Image.open(buffer))


def cropped(pixels):
    return np.array(Image.fromarray(pixels).crop((20, 20, 140, 140)).resize((160, 160), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("label", ["brick", "cat", "coffee", "grass", "gravel"])
def test_rejects_copies_only(rules, seeds, make_pair, label):
    seed = next(seed for seed in seeds if seed.label == label)
    check = UnchangedCheck(rules)
    columns = check.measure(*make_pair([seed.pixels, resaved(seed.pixels), cropped(seed.pixels)], [seed] * 3))
    same, saved, crop = check.judge(Table(columns, {}))
    assert same == f"unchanged: similarity 1.000 > {check.limits.max_similarity:.3f}"
    assert saved is not None
    assert crop is None
    assert UnchangedCheck(rules, CopySettings(max_similarity=1.1)).judge(Table(columns, {})) == [None] * 3


def test_another_piece_of_a_texture_is_no_copy(rules, seeds, make_pair):
    """Turned gravel is gravel to the encoder, and another picture to the eye."""
    gravel = next(seed for seed in seeds if seed.label == "gravel")
    columns = UnchangedCheck(rules).measure(*make_pair([np.rot90(gravel.pixels, 2).copy()], [gravel]))
    alike = {**columns, "nn_seed": np.array([0.99])}
    assert UnchangedCheck(rules).judge(Table(alike, {})) == [None]
    assert UnchangedCheck(rules, CopySettings(max_similarity=0.97)).judge(Table(alike, {}))[0] is not None
