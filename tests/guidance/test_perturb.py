"""The perturbation's ball and shapes."""

import pytest
import torch

from gifcli.errors import UsageError
from gifcli.guidance.perturb import noise_shape, perturb

G = torch.Generator().manual_seed(0)
F = torch.randn(4, 3, 5, 5, generator=G)


def test_it_is_the_formula_inside_of_the_ball() -> None:
    z, b = torch.rand(4, 3, 1, 1, generator=G), torch.randn(4, 3, 1, 1, generator=G)
    assert torch.allclose(perturb(F, z, b, 1e9), (1 + z) * F + b, atol=1e-6)


def test_no_element_leaves_the_ball() -> None:
    moved = perturb(F, torch.rand(F.shape, generator=G), 3 * torch.randn(F.shape, generator=G), 0.5)
    assert (moved - F).abs().max() <= 0.5 + 1e-6
    assert (moved - F).abs().max() > 0.49


def test_an_element_outside_of_the_ball_keeps_its_gradient() -> None:
    b = torch.full((1, 3, 1, 1), 9.0, requires_grad=True)
    perturb(F[:1], torch.zeros(1), b, 0.1).sum().backward()
    assert b.grad is not None
    assert b.grad.eq(25).all()


def test_the_shape_follows_the_granularity() -> None:
    assert noise_shape((4, 16, 16), "channel") == (4, 1, 1)
    assert noise_shape((197, 1024), "token") == (197, 1)
    assert noise_shape((768,), "vector") == (768,)
    assert noise_shape((4, 16, 16), "element") == (4, 16, 16)


@pytest.mark.parametrize(("shape", "name"), [((768,), "channel"), ((4, 8, 8), "token"), ((4, 8, 8), "pixel")])
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], name: str) -> None:
    with pytest.raises(UsageError, match=name):
        noise_shape(shape, name)
