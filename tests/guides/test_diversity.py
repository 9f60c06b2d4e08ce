"""Diversity pushes siblings apart, all of them together."""

import torch
from torch.nn.functional import normalize

from gifcli.guides.diversity import s_div


def test_equal_siblings_score_zero_and_opposite_ones_two() -> None:
    v = normalize(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert torch.allclose(s_div(v.expand(4, 8)[None]), torch.zeros(1, 4), atol=1e-6)
    assert torch.allclose(s_div(torch.stack([v[0], -v[0]])[None]), torch.full((1, 2), 2.0))


def test_it_is_one_minus_the_cosine_to_the_mean_of_the_others() -> None:
    v = normalize(torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    others = v[1, [0, 1, 3, 4]].mean(0)
    wanted = 1 - v[1, 2] @ others / others.norm()
    assert torch.allclose(s_div(v)[1, 2], wanted, atol=1e-6)


def test_a_lone_sibling_scores_zero() -> None:
    assert s_div(torch.ones(3, 1, 8)).tolist() == [[0.0]] * 3


def test_it_has_force() -> None:
    """Siblings half a degree apart separate when its gradient is followed."""
    g = torch.Generator().manual_seed(2)
    v = normalize(torch.ones(1, 3, 8) + 0.01 * torch.randn(1, 3, 8, generator=g), dim=-1)
    start = s_div(v).mean()
    for _ in range(20):
        v = v.detach().requires_grad_()
        s_div(v).sum().backward()
        assert v.grad is not None
        v = normalize(v + 0.3 * v.grad, dim=-1)
    assert s_div(v).mean() > 0.1 > 100 * start
