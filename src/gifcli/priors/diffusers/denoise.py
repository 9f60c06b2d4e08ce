"""The denoising loop: a noisy latent becomes a finished one, a batch at a time, each row under its own noise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gifcli.noise import NoiseSource
from gifcli.priors import Steer
from gifcli.priors.diffusers.schedule import level, make_scheduler, start_at, step_options

Told = Mapping[str, Tensor]
"""Keyword arguments of the denoiser, one row a sample."""

PURPOSE = "latent"
"""What a sample's noise is drawn for: the start first, then whatever the scheduler adds on the way."""


@dataclass(frozen=True, slots=True)
class Denoiser:
    """A UNet, its noise levels and how it is asked.

    own        the checkpoint's scheduler                   scheduler  the name of the one to use
    steps      for the whole way                            strength   share of the way that is gone, in [0, 1]
    scale      of classifier-free guidance; 1 = off
    """

    unet: Any
    own: Any
    scheduler: str
    steps: int
    strength: float
    scale: float

    def __call__(
        self,
        x0: Tensor | None,
        shape: tuple[int, ...],
        told: tuple[Told, Told | None],
        noise: NoiseSource,
        steer: Steer | None,
    ) -> Tensor:
        """-> finished latents (b *shape), float32.

        x0    latents (b *shape) to start from at noise level `strength`, or None: from noise alone
        told  what the denoiser is told, and what it is told where it is told nothing (None without guidance)
        """
        device = next(self.unet.parameters()).device
        scheduler = make_scheduler(self.scheduler, self.own)
        timesteps = start_at(scheduler, self.steps, self.strength, device)
        generators = noise.generators(PURPOSE)
        drawn = torch.cat([torch.randn(1, *shape, generator=each) for each in generators]).to(device)
        # start
        x = drawn * float(scheduler.init_noise_sigma) if x0 is None else scheduler.add_noise(x0, drawn, timesteps[:1])
        options = step_options(scheduler, generators)
        first = getattr(scheduler, "begin_index", None) or 0
        # denoise
        for i, t in enumerate(timesteps):
            predicted = self._predict(scheduler.scale_model_input(x, t), t, told)
            if steer is not None:
                nudge = partial(steer, step=i, steps=len(timesteps))
                x, predicted = _steered(scheduler, (t, first + i), (x, predicted), nudge)
            x = scheduler.step(predicted, t, x, **options).prev_sample
        return x if steer is None else steer(x, len(timesteps), len(timesteps))

    def _predict(self, x: Tensor, t: Tensor, told: tuple[Told, Told | None]) -> Tensor:
        """Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): e_0 + scale (e_c - e_0)."""
        given, nothing = told
        if nothing is None:
            return self._ask(x, t, given)
        both = {name: torch.cat([nothing[name], given[name]]) for name in given}
        free, guided = self._ask(torch.cat([x, x]), t, both).chunk(2)
        return free + self.scale * (guided - free)

    def _ask(self, x: Tensor, t: Tensor, told: Told) -> Tensor:
        dtype = next(self.unet.parameters()).dtype
        arguments = {name: part.to(dtype) for name, part in told.items()}
        added = {name: arguments.pop(name) for name in ("text_embeds", "time_ids") if name in arguments}
        out: Tensor = self.unet(x.to(dtype), t, **arguments, added_cond_kwargs=added or None).sample
        return out.float()


def _steered(
    scheduler: Any, place: tuple[Tensor, int], state: tuple[Tensor, Tensor], nudge: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """x_t and the prediction after the predicted x0 was nudged; the same ones where it was not."""
    x, predicted = state
    here = level(scheduler, *place)
    x0 = here.x0(x, predicted)
    moved = nudge(x0)
    return state if moved is x0 else here.moved(x, predicted, moved)


def guidance_embedding(scale: float, rows: int, width: int) -> Tensor:
    """How strongly a distilled denoiser (LCM, arXiv 2310.04378) is to guide itself: sinusoids of scale - 1, (rows width)."""
    w = torch.full((rows,), (scale - 1) * 1000.0)
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * -(torch.log(torch.tensor(10000.0)) / (half - 1)))
    angles = w[:, None] * frequencies[None]
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))
