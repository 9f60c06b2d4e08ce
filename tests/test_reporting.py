from pathlib import Path

import numpy as np
from PIL import Image

from gifcli import exporting, session
from runs import tiny


def page(root: Path) -> str:
    return (root / "report" / "index.html").read_text(encoding="utf-8")


def test_the_report_shows_every_class_with_its_goal_and_guide(reference: Path) -> None:
    text = page(reference)
    for word in ("brick", "cat", "coffee", "2x", "classical", "consistency", "diversity"):
        assert word in text
    assert {path.stem for path in (reference / "report").glob("*.jpg")} == {"brick", "cat", "coffee"}
    with Image.open(reference / "report" / "cat.jpg") as sheet:
        assert np.asarray(sheet).std() > 10


def test_goals_are_said_as_they_were_asked_for(photos: Path, finished: Path) -> None:
    for changed, words in (({"ratio": None, "per_class": 6}, "6 images a class"), ({"balance": True}, "2x balanced")):
        with session.opened(photos, finished, tiny(**changed), session.Access()) as run:
            assert exporting.export(run)
        assert words in page(finished)


def test_warnings_and_a_shortfall_are_in_the_report(photos: Path, tmp_path: Path) -> None:
    recipe = tiny(ratio=1, input__limit=2, max_attempts=1, checks__unchanged__max_similarity=-1)
    session.expand(photos, tmp_path / "out", recipe)
    assert "unchanged" in page(tmp_path / "out")
