"""What is far from its class is rejected; the seeds are not."""

import numpy as np
import pytest
from skimage import data

from gifcli.checks import Table
from gifcli.checks.drift import DriftCheck


def test_rejects_what_is_far_from_its_class(rules, seeds, make_pair):
    strange = np.ascontiguousarray(data.astronaut()[100:260, 100:260])
    check = DriftCheck(rules)
    columns = check.measure(*make_pair([strange, seeds[0].pixels], [seeds[0]] * 2))
    far, near = check.judge(Table(columns, {}))
    assert far.startswith("drift: distance")
    assert near is None


def test_distance_is_one_minus_the_cosine_to_the_nearest_prototype(rules, seeds, make_pair):
    check = DriftCheck(rules, max_distance=0.0)
    columns = check.measure(*make_pair([seeds[0].pixels], [seeds[0]]))
    own = rules.prototypes[rules.owners == 0] @ seeds[0].feature
    assert columns["drift"][0] == pytest.approx(1 - own.max(), abs=1e-4)
    assert check.judge(Table(columns, {})) == [f"drift: distance {columns['drift'][0]:.3f} > 0.000"]
