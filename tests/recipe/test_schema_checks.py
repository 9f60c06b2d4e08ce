import pytest

from gifcli.errors import RecipeError
from gifcli.recipe.recipe import load_recipe


def test_a_band_has_its_ends_in_order() -> None:
    assert load_recipe("", {"checks.band.min_ssim": 0.2, "checks.band.max_ssim": 0.9}, "x").checks.band.max_ssim == 0.9
    with pytest.raises(RecipeError, match="expected min_psnr below max_psnr, found 30 and 20"):
        load_recipe("", {"checks.band.min_psnr": 30, "checks.band.max_psnr": 20}, "x")


def test_safety_is_on_off_or_auto() -> None:
    assert [
        load_recipe("", {"checks.safety.enabled": v}, "x").checks.safety.enabled for v in (True, False, "auto")
    ] == [
        True,
        False,
        "auto",
    ]
    with pytest.raises(RecipeError, match=r"checks\.safety\.enabled"):
        load_recipe("", {"checks.safety.enabled": "perhaps"}, "x")
