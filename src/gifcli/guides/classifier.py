"""Classifiers made of the induced rules: unit features (n d) -> class probabilities (n C), differentiable."""

import torch
from torch import Tensor

from gifcli.guides import Classifier, Prototypes
from gifcli.rules.rules import Array, Rules

TEXT_TAU = 100.0
"""CLIP's own temperature (arXiv 2103.00020)."""


class PrototypeClassifier:
    """s = softmax(tau * max over the class's prototypes of v . P); a class without prototypes counts as opposite."""

    def __init__(self, prototypes: Tensor, owners: Tensor, tau: float, classes: int) -> None:
        self.prototypes, self.owners, self.tau, self.classes = prototypes, owners, tau, classes

    def __call__(self, v: Tensor) -> Tensor:
        """(n d) unit norm -> (n C)."""
        each = v @ self.prototypes.T
        nearest = each.new_full((len(v), self.classes), -1.0)
        nearest = nearest.scatter_reduce(1, self.owners.expand(len(v), -1), each, "amax", include_self=False)
        return torch.softmax(self.tau * nearest, -1)


class TextClassifier:
    """s = softmax(100 * v . T), T = text features of the class names."""

    def __init__(self, text: Tensor) -> None:
        self.text = text

    def __call__(self, v: Tensor) -> Tensor:
        """(n d) unit norm -> (n C)."""
        return torch.softmax(TEXT_TAU * v @ self.text.T, -1)


def make_classifier(rules: Rules, device: str = "cpu") -> Classifier:
    """The classifier that the rules chose, with its tensors on `device`."""
    if rules.classifier == "text" and rules.text is not None:
        return TextClassifier(_tensor(rules.text, device))
    owners = torch.tensor(rules.owners, device=device)
    return PrototypeClassifier(_tensor(rules.prototypes, device), owners, rules.tau, len(rules.classes))


def class_prototypes(rules: Rules, device: str = "cpu") -> Prototypes:
    """The prototypes of the rules, with their class means: those of the clusters, weighted by size."""
    sizes = [size for label in rules.classes for size in rules.summary[label]["clusters"]]
    groups, owners = _tensor(rules.prototypes, device), torch.tensor(rules.owners, device=device)
    sums = groups.new_zeros(len(rules.classes), groups.shape[1])
    sums.index_add_(0, owners, groups * torch.tensor(sizes, device=device, dtype=groups.dtype)[:, None])
    return Prototypes(torch.nn.functional.normalize(sums, dim=-1), groups, owners)


def _tensor(array: Array, device: str) -> Tensor:
    return torch.tensor(array, dtype=torch.float32, device=device)
