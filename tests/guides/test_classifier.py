"""Classifiers made of rules, against the formula written out."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import normalize

from gifcli.guides import make_guide
from gifcli.guides.classifier import PrototypeClassifier, TextClassifier, make_classifier
from gifcli.rules.induce import induce
from gifcli.rules.rules import Rules

G = torch.Generator().manual_seed(0)
P = normalize(torch.randn(5, 16, generator=G), dim=-1)
OWNERS = torch.tensor([0, 0, 1, 2, 2])
V = normalize(torch.randn(7, 16, generator=G), dim=-1)


def test_the_nearest_prototype_of_each_class_counts() -> None:
    s = PrototypeClassifier(P, OWNERS, 20.0, 3)(V)
    for v, row in zip(V, s, strict=True):
        nearest = torch.stack([max(v @ p for p, o in zip(P, OWNERS, strict=True) if o == c) for c in range(3)])
        assert torch.allclose(row, torch.softmax(20 * nearest, 0), atol=1e-6)


def test_a_class_without_prototypes_is_never_believed() -> None:
    assert PrototypeClassifier(P, OWNERS, 50.0, 4)(V)[:, 3].max() < 1e-6


def test_gradients_reach_the_features() -> None:
    v = V.clone().requires_grad_()
    PrototypeClassifier(P, OWNERS, 20.0, 3)(v)[:, 0].sum().backward()
    assert v.grad is not None
    assert v.grad.norm(dim=-1).min() > 0


def test_the_rules_choose() -> None:
    rules = _rules()
    assert isinstance(make_classifier(rules), PrototypeClassifier)
    chosen = make_classifier(replace(rules, classifier="text", text=P[:3].numpy()))
    assert isinstance(chosen, TextClassifier)
    assert torch.allclose(chosen(V), torch.softmax(100 * V @ P[:3].T, -1))
    assert make_guide("consistency", chosen) is not None


def test_one_class_is_certain() -> None:
    features = V.numpy()
    rules = induce(features, np.zeros(7, int), ["only"], [str(i) for i in range(7)])
    assert make_classifier(rules)(V).tolist() == [[1.0]] * 7


def _rules() -> Rules:
    features = np.concatenate([P.numpy(), P.numpy()])
    return induce(features, np.tile(OWNERS.numpy(), 2), ["a", "b", "c"], [str(i) for i in range(10)])
