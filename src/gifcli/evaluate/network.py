"""A small residual network for images of about 64 pixels, and any architecture that timm knows."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gifcli.errors import UsageError

WIDTH = 16


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., arXiv 1512.03385), halving the side."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outside) for _ in range(2)])
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(inside, outside, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(b inside s s) -> (b outside s/2 s/2)."""
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(inner)) + self.shortcut(x))


def small_network(classes: int, width: int = WIDTH) -> nn.Module:
    """0.3 million parameters at width 16; images (b 3 s s) -> scores (b classes)."""
    return nn.Sequential(
        nn.Conv2d(3, width, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Block(width, 2 * width),
        Block(2 * width, 4 * width),
        Block(4 * width, 8 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )


def timm_network(name: str, classes: int) -> Any:
    """An architecture of timm, from scratch: nothing is downloaded.

    Raises:
        UsageError: timm has none of that name.
    """
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"{name[:6]}*")[:4]) or "resnet18, convnext_atto, ..."
        raise UsageError(f"--learner timm:{name}: expected an architecture of timm, such as {near}")
    return timm.create_model(name, pretrained=False, num_classes=classes)


def timm_size(name: str) -> int | None:
    """The side in pixels that the architecture insists on, or None where any will do."""
    import timm

    config: Any = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    return int(config.input_size[-1]) if config is not None and config.fixed_input_size else None
