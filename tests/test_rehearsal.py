"""`--dry-run` plans and measures, and touches nothing."""

from pathlib import Path

import pytest

from gifcli.errors import UsageError
from gifcli.rehearsal import rehearse
from gifcli.session import Silent
from runs import tiny


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


@pytest.mark.slow
def test_a_new_run_is_forecast_without_a_trace(photos: Path, tmp_path: Path) -> None:
    before = tree(photos)
    forecast = rehearse(photos, tmp_path / "out", tiny(ratio=3.0), Silent())
    assert tree(photos) == before
    assert not (tmp_path / "out").exists()
    assert (forecast.originals, forecast.generated, forecast.there) == (12, 36, 0)
    assert forecast.per_class == {"brick": 16, "cat": 16, "coffee": 16}
    assert set(forecast.seconds_an_image) == {"extract", "optimize", "generate", "filter"}
    assert all(seconds > 0 for seconds in forecast.seconds_an_image.values())
    least = sum(seconds for stage, seconds in forecast.seconds_an_image.items() if stage != "extract") * 36
    assert forecast.seconds >= least * 0.99
    assert forecast.disk_bytes > sum(path.stat().st_size for path in photos.rglob("*.*"))


@pytest.mark.slow
def test_what_an_earlier_run_made_is_not_counted_again(photos: Path, finished: Path) -> None:
    before = tree(finished)
    forecast = rehearse(photos, finished, tiny(), Silent())
    assert tree(finished) == before
    assert forecast.there > 0
    assert forecast.generated - forecast.there < forecast.generated


@pytest.mark.slow
def test_the_limit_holds_and_names_may_repeat_in_subfolders(own_photos: Path, tmp_path: Path) -> None:
    for path in sorted((own_photos / "cat").glob("*.png")):
        (own_photos / "cat" / path.stem).mkdir()
        path.rename(own_photos / "cat" / path.stem / "photo.png")
    recipe = tiny(ratio=1.0)
    recipe = recipe.model_copy(update={"input": recipe.input.model_copy(update={"limit": 2})})
    forecast = rehearse(own_photos, tmp_path / "out", recipe, Silent())
    assert (forecast.originals, forecast.generated) == (6, 6)
    assert forecast.per_class == {"brick": 4, "cat": 4, "coffee": 4}


def test_an_output_inside_the_source_is_refused_here_too(photos: Path) -> None:
    with pytest.raises(UsageError, match="lies in the source"):
        rehearse(photos, photos / "out", tiny(), Silent())
