import numpy as np
import pytest

from gifcli.evaluate.calibration import expected_calibration_error


def test_ece_is_the_gap_between_confidence_and_accuracy():
    labels = np.array([0, 0, 0, 1] * 25)
    sure = np.tile([0.99, 0.01], (100, 1))
    fair = np.tile([0.75, 0.25], (100, 1))
    assert expected_calibration_error(sure, labels) == pytest.approx(24)
    assert expected_calibration_error(fair, labels) == pytest.approx(0, abs=1e-9)


def test_bins_do_not_cancel_each_other_out():
    """Half too sure, half not sure enough: on the average right, in each bin wrong."""
    p = np.array([[0.95, 0.05]] * 50 + [[0.55, 0.45]] * 50)
    labels = np.array([0] * 30 + [1] * 20 + [0] * 45 + [1] * 5)
    assert expected_calibration_error(p, labels) == pytest.approx(35)
