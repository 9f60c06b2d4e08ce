"""Entropy against scipy's, and its gradient where probabilities vanish."""

import torch
from scipy.stats import entropy as trusted

from gifcli.guides.entropy import entropy, s_ent


def test_it_equals_scipy() -> None:
    p = torch.softmax(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), -1)
    assert torch.allclose(entropy(p), torch.from_numpy(trusted(p.numpy(), axis=-1)), atol=1e-6)


def test_a_vague_image_of_a_clear_seed_scores_high() -> None:
    s, s_new = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.5, 0.5], [1.0, 0.0]]])
    assert torch.allclose(s_ent(s_new, s), torch.tensor([[0.693147, 0.0]]), atol=1e-6)


def test_the_gradient_is_finite_where_probabilities_underflow() -> None:
    logits = torch.tensor([0.0, -500.0, -80.0], requires_grad=True)
    entropy(torch.softmax(logits, -1)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
