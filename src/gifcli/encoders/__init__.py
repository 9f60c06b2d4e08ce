"""Encoders: images (and texts) -> unit features. Each owns its resize and normalisation."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from gifcli.models import hub


class Encoder(Protocol):
    """Images to features."""

    name: str
    dim: int
    input_size: int

    def images(self, images: Tensor, size: int | None = None) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b d) float32, unit norm, differentiable.

        `size` is the side in pixels at which the encoder looks, None = its own; a smaller one is cheaper (guidance).
        """
        ...


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """An encoder that also embeds texts into the same space."""

    def texts(self, texts: list[str]) -> Tensor:
        """-> (n d) float32, unit norm."""
        ...


def make_encoder(name: str, device: str = "cpu", dtype: str = "float32") -> Encoder:
    """Loads an encoder: `embedded`, an open_clip model as `NAME:PRETRAINED` (a tag or a local file), or the image encoder
    of an unCLIP checkpoint by its folder, hub id or short name.

    Raises:
        ModelMissingError: its files are not on this machine, or are broken.
    """
    import torch

    match name:
        case "embedded":
            from gifcli.encoders.embedded import EmbeddedEncoder

            return EmbeddedEncoder(device, getattr(torch, dtype))
        case _ if ":" not in name and hub.is_model_name(name):
            from gifcli.encoders.unclip import UnclipEncoder
            from gifcli.models.checkpoint import read_checkpoint

            checkpoint = read_checkpoint(hub.locate(name, "encoder"), "encoder")
            return UnclipEncoder(checkpoint, name, device, getattr(torch, dtype))
        case _:
            from gifcli.encoders.clip import ClipEncoder

            return ClipEncoder(name, device, getattr(torch, dtype))
