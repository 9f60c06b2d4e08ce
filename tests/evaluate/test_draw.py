import numpy as np
import pytest

from gifcli.evaluate.draw import draw
from gifcli.evaluate.pool import pool_of


def pool(weights=None):
    made = pool_of(np.zeros((10, 1), np.float32), [0] * 10, np.zeros((30, 1), np.float32), [i % 10 for i in range(30)])
    if weights is not None:
        made.weights[10:] = weights
    return made


@pytest.mark.parametrize("share", [0.0, 0.1, 0.33, 0.83])
def test_the_share_is_met_in_all_and_nearly_in_every_step(share):
    steps = list(draw(pool(), share, 16, 50, 0))
    counts = [(rows >= 10).sum() for rows in steps]
    assert sum(counts) == round(share * 16 * 50)
    assert max(counts) - min(counts) <= 1
    assert all(len(rows) == 16 and (np.diff((rows >= 10).astype(int)) <= 0).all() for rows in steps)


def test_every_epoch_holds_each_example_once():
    rows = np.concatenate(list(draw(pool(), 0.5, 20, 3, 0)))
    assert sorted(rows[rows < 10]) == sorted([*range(10)] * 3)
    assert sorted(rows[rows >= 10]) == list(range(10, 40))


def test_originals_come_in_one_order_whatever_the_share():
    first = [np.concatenate([rows[rows < 10] for rows in draw(pool(), share, 16, 40, 7)])[:100] for share in (0.0, 0.5)]
    assert first[0].tolist() == first[1].tolist()


def test_heavier_examples_are_drawn_more_often():
    weights = np.where(np.arange(30) < 15, 3.0, 1.0)
    rows = np.concatenate(list(draw(pool(weights), 1.0, 100, 30, 0))) - 10
    assert (rows < 15).mean() == pytest.approx(0.75, abs=0.03)
