"""Consistency scores the true label."""

import torch

from gifcli.guides.consistency import s_con


def test_it_is_the_probability_of_the_true_label_whatever_the_guide_believes() -> None:
    s = torch.tensor([[[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]], [[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]]])
    assert torch.allclose(s_con(s, torch.tensor([1, 2])), torch.tensor([[0.1, 0.3], [0.0, 0.5]]))


def test_a_seed_of_no_class_scores_zero_and_pulls_nowhere() -> None:
    s = torch.full((2, 3, 4), 0.25, requires_grad=True)
    scores = s_con(s, torch.tensor([-1, 3]))
    assert scores.tolist() == [[0.0] * 3, [0.25] * 3]
    scores.sum().backward()
    assert s.grad is not None
    assert s.grad[0].eq(0).all()
    assert s.grad[1, :, 3].eq(1).all()
