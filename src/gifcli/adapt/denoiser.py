"""Fine-tuning of the embedded prior's whole denoiser, which is small, with the objective that it was trained by."""

from typing import cast

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from gifcli.adapt.material import Material
from gifcli.compute.batches import pixels_to_tensor
from gifcli.compute.devices import choose_device
from gifcli.priors import make_prior
from gifcli.priors.latent_diffusion import LatentDiffusionPrior
from gifcli.priors.projection import layout
from gifcli.recipe.recipe import Recipe
from gifcli.records import Array

FILE = "denoiser.safetensors"
RATE = 3e-5
MOVED = 0.3
"""Largest length by which an image's feature is moved before it is told, as in training."""
UNTOLD = 0.12
"""Share of the images of which nothing is told, for classifier-free guidance (arXiv 2207.12598)."""


class DenoiserLesson:
    """Rectified flow (arXiv 2209.03003): the velocity noise - x is to be told from (1 - t) x + t noise."""

    def __init__(self, material: Material, recipe: Recipe, rate: float | None = None) -> None:
        from gifcli.tasks.arguments import prior_settings

        device = choose_device(recipe.run.device, "float32")
        made = make_prior(prior_settings(recipe), device.name, "float32")
        self.prior, self.device = cast("LatentDiffusionPrior", made), torch.device(device.name)
        self.rate = rate or RATE
        side = material.short_side()
        self.size = self.prior.working_size(side, side)
        _, pixels = material.pixels(self.size)
        self.count = len(pixels)
        turned = [image[:, ::-1].copy() for image in pixels] if recipe.prior.mirror is True else []
        self.latents, self.maps = self._encoded([*pixels, *turned])
        self.prior.unet.requires_grad_(True)

    def parameters(self) -> dict[str, Tensor]:
        """All of the denoiser."""
        return dict(self.prior.unet.named_parameters())

    def losses(self, rows: list[int], generator: torch.Generator) -> Tensor:
        """(b): mean squared error of the velocity, for times that are logit-normal (arXiv 2403.03206)."""
        places = self._turned(rows, generator)
        x, maps = self.latents[places], self.maps[places]
        t = torch.sigmoid(torch.randn(len(rows), generator=generator)).to(self.device)
        noise = torch.randn(x.shape, generator=generator).to(self.device)
        labels, cells = self._told(maps, x, generator)
        s = t[:, None, None, None]
        told = torch.cat([(1 - s) * x + s * noise, cells], 1)
        predicted = self.prior.unet(told, t * 1000, None, class_labels=labels).sample
        return F.mse_loss(predicted, noise - x, reduction="none").flatten(1).mean(1)

    def weights(self) -> tuple[str, bytes]:
        """The whole denoiser in float16, as the embedded one ships."""
        state = self.prior.unet.state_dict()
        return FILE, save({name: value.half().cpu().contiguous() for name, value in sorted(state.items())})

    def _encoded(self, images: list[Array]) -> tuple[Tensor, Tensor]:
        """Latents (n c h w) and feature maps (n d 4 4), one image at a time."""
        pixels = [pixels_to_tensor(image[None], str(self.device)) for image in images]
        latents = torch.cat([self.prior.latents_of(one) for one in pixels])
        return latents, torch.cat([self.prior.maps_of(one) for one in pixels])

    def _turned(self, rows: list[int], generator: torch.Generator) -> list[int]:
        """Every other image by chance as its mirror image, where there are those."""
        if len(self.latents) == self.count:
            return rows
        turned = torch.rand(len(rows), generator=generator) < 0.5
        return [row + self.count * int(turn) for row, turn in zip(rows, turned, strict=True)]

    def _told(self, maps: Tensor, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the denoiser is told: the moved feature, and in some cells what lies there; now and then nothing."""
        feature = maps.mean((2, 3))
        length = MOVED * torch.rand(len(x), 1, generator=generator)
        direction = F.normalize(torch.randn(feature.shape, generator=generator), dim=-1)
        moved = F.normalize(feature + (length * direction).to(self.device), dim=-1)
        some = (torch.rand(len(x), 1, generator=generator) >= UNTOLD).float().to(self.device)
        share = torch.rand(len(x), 1, 1, 1, generator=generator)
        known = (torch.rand(len(x), 1, *maps.shape[2:], generator=generator) < share).float().to(self.device)
        told = self.prior.projection(maps) + self.prior.projection.shift(moved - feature)
        cells = layout(told, known * some[:, :, None, None], *x.shape[-2:])
        labels = self.prior.labels_of(moved, self.size[1], self.size[0])[: len(x)]
        labels = torch.cat([labels[:, : feature.shape[1]] * some, labels[:, feature.shape[1] :]], 1)
        return labels, cells
