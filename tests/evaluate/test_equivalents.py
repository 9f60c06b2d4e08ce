import pytest

from gifcli.evaluate.equivalents import MOST, fit_curve, large_enough

SHARES = [0.35, 0.6, 1.0]


def test_a_power_law_is_found_again_and_read_backwards():
    curve = fit_curve(SHARES, [40 * n**-0.5 for n in SHARES])
    assert curve is not None
    assert (curve.a, curve.b) == (pytest.approx(40), pytest.approx(0.5))
    assert curve.more_real(40) == pytest.approx(0)
    assert curve.more_real(40 / 2**0.5) == pytest.approx(100)
    assert curve.more_real(50) == pytest.approx(-36)
    assert curve.more_real(1) == MOST


def test_no_curve_where_more_originals_do_not_help():
    assert fit_curve(SHARES, [40, 41, 40]) is None
    assert fit_curve(SHARES, [30, 35, 40]) is None


def test_small_folders_bear_no_curve():
    assert large_enough([10, 12, 3], 50)
    assert not large_enough([9, 9, 30], 500)
    assert not large_enough([100, 100], 49)
