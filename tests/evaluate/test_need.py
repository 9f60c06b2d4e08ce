import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gifcli.evaluate.need import allot, seed_needs, tracin
from gifcli.evaluate.pool import pool_of
from gifcli.evaluate.probe import Probe


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def test_tracin_is_the_product_of_the_gradients():
    random = np.random.default_rng(0)
    x, held = random.standard_normal((3, 5)).astype(np.float32), random.standard_normal((4, 5)).astype(np.float32)
    y, held_y = np.array([0, 1, 2]), np.array([2, 2, 0, 1])
    weight = torch.from_numpy(random.standard_normal((5, 3)).astype(np.float32)).requires_grad_()

    def gradient(features, labels):
        loss = F.cross_entropy(torch.from_numpy(features) @ weight, torch.from_numpy(labels))
        return torch.autograd.grad(loss, weight)[0]

    def residual(features, labels):
        p = (torch.from_numpy(features) @ weight).softmax(1).detach().numpy()
        p[np.arange(len(labels)), labels] -= 1
        return p

    whole = gradient(held, held_y)
    expected = [float((gradient(x[i : i + 1], y[i : i + 1]) * whole).sum()) for i in range(3)]
    assert tracin(x, residual(x, y), held, residual(held, held_y)) == pytest.approx(expected, rel=1e-4)


def test_weak_classes_and_rare_ones_get_more():
    """Classes 0 and 1 are far from all others; 2 (of few seeds) and 3 lie nearly together."""
    random = np.random.default_rng(1)
    centres = np.eye(4, 16) * 3
    centres[3] = centres[2] + 0.1
    labels = np.repeat([0, 1, 2, 3], [12, 12, 4, 12])
    x = unit(centres[labels] + 0.3 * random.standard_normal((40, 16)))
    children = np.repeat(np.arange(40), 2)
    made = unit(x[children] + 0.05 * random.standard_normal((80, 16)))
    parts = seed_needs(pool_of(x, labels.tolist(), made, children.tolist()), 4, 4, Probe(steps=40))
    assert parts.sum() == pytest.approx(1)
    assert parts.min() > 0
    by_class = [parts[labels == label].sum() for label in range(4)]
    assert by_class[2] > by_class[3] > max(by_class[:2])
    assert by_class[2] > 3 * max(by_class[:2])


def test_the_budget_is_spent_whole_and_nobody_gets_too_much():
    needs = np.array([0.7, 0.1, 0.1, 0.1])
    counts = allot(20, needs, [1, 1, 1, 1], most=8)
    assert sum(counts) == 20
    assert counts[0] == 7
    assert max(counts) - min(counts[1:]) <= 3
    assert allot(100, needs, [0, 0, 0, 0], most=5) == [5, 5, 5, 5]
    assert sum(allot(1, needs, [0, 0, 0, 0], most=5)) == 1
    assert allot(0, needs, [0, 0, 0, 0], most=5) == [0, 0, 0, 0]
