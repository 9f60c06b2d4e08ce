"""The classical prior: an image is imagined anew by differentiable augmentations, at its own resolution, without a model.

Its latent f holds the augmentations' parameters. f = 0 is the seed itself, so in f' = (1 + z) f + b only b acts.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.errors import UsageError
from gifcli.models import CLASSICAL
from gifcli.noise import NoiseSource
from gifcli.priors import Condition, PriorSettings, Steer
from gifcli.priors.classical.colour import recolour, shoulder
from gifcli.priors.classical.detail import add_grain, hide, refocus
from gifcli.priors.classical.parameters import TOTAL, Parameters, split
from gifcli.priors.classical.warp import warp

LONG_SIDE = 1024
LONGEST = 4096
SHORT_SIDE = 32
CHUNK_PIXELS = {"cpu": 262_144, "cuda": 8_000_000}
"""Pixels rendered at once: what a CPU's cache holds (1.3 times as fast as a large batch), or what fills a GPU."""


class ClassicalPrior:
    """Warps, recolours, blurs, grains and hides parts of the seed; see `Parameters` for what one unit of each means."""

    granularities = frozenset({"vector", "element"})
    name = CLASSICAL.name
    revision = CLASSICAL.revision  # to be raised whenever the same parameters render otherwise

    def __init__(self, settings: PriorSettings, device: str = "cpu") -> None:
        self.settings = settings
        self.device = torch.device(device)

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """The image's own size, its long side at most 1024; or `settings.size` as the short side. At least 32."""
        short, long = min(width, height), max(width, height)
        scale = self.settings.size / short if self.settings.size else min(1.0, LONG_SIDE / long)
        scale = min(scale, LONGEST / long)
        return max(SHORT_SIDE, round(width * scale)), max(SHORT_SIDE, round(height * scale))

    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> zeros (b 56): the seed itself."""
        return torch.zeros(len(seeds), TOTAL, device=self.device)

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """Nothing; the prompts go along for the record."""
        return Condition({}, prompts)

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm, of a rendering as small as the encoder's input, without grain; differentiable in f."""
        small = self._preview(seeds, encoder.input_size)
        return encoder.images(self._render(small, self._parameters(f), "bilinear") * 2 - 1)

    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> images (b 3 h w) in [-1, 1] at the seeds' working size; the condition has no say."""
        if steer is not None:
            raise UsageError("guidance.where: `during` needs a prior that denoises; the classical prior takes `before`")
        rows = max(1, CHUNK_PIXELS[self.device.type] // (seeds.pixels.shape[-2] * seeds.pixels.shape[-1]))
        chunks = [range(i, min(i + rows, len(seeds))) for i in range(0, len(seeds), rows)]
        return torch.cat([self._sample(f, seeds.pixels, noise, chunk) for chunk in chunks])

    @torch.no_grad()
    def _sample(self, f: Tensor, pixels: Tensor, noise: NoiseSource, rows: range) -> Tensor:
        p = self._parameters(f[rows.start : rows.stop])
        images = self._render(pixels[rows.start : rows.stop].to(self.device), p, "bicubic")
        slots = NoiseSource(noise.rng, noise.slots[rows.start : rows.stop])
        return (add_grain(images, p, slots) * 2 - 1).clamp(-1, 1)

    def _parameters(self, f: Tensor) -> Parameters:
        return split(f.to(self.device, torch.float32) * self.settings.strength)

    def _render(self, pixels: Tensor, p: Parameters, mode: str) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b 3 h w) in [0, 1]."""
        seen = warp((pixels + 1) / 2, p, mirror=self.settings.mirror, mode=mode)
        return hide(shoulder(refocus(recolour(seen, p), p)), p)

    def _preview(self, seeds: SeedBatch, short: int) -> Tensor:
        """The seeds' pixels with a short side of `short` at most; a seed that comes several times is scaled once."""
        first = {key: row for row, key in reversed(list(enumerate(seeds.keys)))}
        place = {key: i for i, key in enumerate(first)}
        pixels = seeds.pixels[list(first.values())].to(self.device)
        h, w = pixels.shape[-2:]
        if (scale := short / min(h, w)) < 1:
            shape = round(h * scale), round(w * scale)
            pixels = F.interpolate(pixels, shape, mode="bilinear", align_corners=False, antialias=True)
        return pixels[[place[key] for key in seeds.keys]]
