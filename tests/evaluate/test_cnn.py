import numpy as np
import pytest
from skimage import data

from gifcli.errors import UsageError
from gifcli.evaluate.arms import Arm
from gifcli.evaluate.cnn import Network
from gifcli.evaluate.network import small_network, timm_network, timm_size
from gifcli.evaluate.pool import pool_of
from gifcli.evaluate.training import Job, train_all


def crops(picture, count, start):
    return [picture[start + 9 * i : start + 9 * i + 32, 40 + 11 * i : 72 + 11 * i] for i in range(count)]


TRAIN = np.stack([*crops(data.coffee(), 8, 0), *crops(data.chelsea(), 8, 0)])
TEST = np.stack([*crops(data.coffee(), 5, 90), *crops(data.chelsea(), 5, 90)])


def test_it_learns_two_kinds_of_pictures_and_repeats_itself_side_by_side():
    pool = pool_of(TRAIN, [0] * 8 + [1] * 8, TRAIN[:0], [])
    learner = Network(steps=20, batch=16)
    jobs = [Job(pool, Arm(0.0, "classical" if rng else "weak"), rng, {"test": TEST}) for rng in (0, 0, 1)]
    one, again, other = (found["test"] for found in train_all(learner, jobs, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert one.sum(1) == pytest.approx(1, abs=1e-5)
    assert (one.argmax(1) == np.repeat([0, 1], 5)).mean() >= 0.8


def test_networks_have_the_size_they_say():
    assert 0.25e6 < sum(p.numel() for p in small_network(30).parameters()) < 0.4e6
    assert timm_network("resnet10t", 3).num_classes == 3
    assert timm_size("resnet10t") is None
    assert timm_size("vit_tiny_patch16_224") == 224
    with pytest.raises(UsageError, match="timm:resnet1000: expected an architecture of timm, such as resnet"):
        timm_network("resnet1000", 3)
