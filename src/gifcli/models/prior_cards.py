"""What each kind of prior can do and takes, and its default settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LOOKS_AT = 128
"""Side in pixels at which guidance shows images to an encoder, unless a card says otherwise."""


@dataclass(frozen=True, slots=True)
class PriorCard:
    """A prior's facts and defaults. eps, lr and noise_scale are in standard deviations of the latent.

    takes      the settings of `prior.` that change what it makes; others are refused
    wheres     where guidance may act: "before", "during", "after"
    scheduler  of a diffusion prior         tiny     the tiny autoencoder that guidance decodes with, or "none"
    encoder    what guides and checks look through, unless another is asked for
    looks_at   side in pixels at which guidance shows images to the embedded encoder; others get LOOKS_AT
    keep_norm  whether guidance leaves the noise no longer than it was drawn, as where its length is how much an image changes
    scales     (eps, lr, noise_scale) of granularities where they differ from the card's own; there the norm is free
    """

    name: str
    licence: str
    granularity: str
    strength: float
    steps: int
    guidance_scale: float
    eps: float
    lr: float
    noise_scale: float
    batch_size: int
    takes: frozenset[str]
    revision: str = ""
    wheres: tuple[str, ...] = ("before",)
    scheduler: str = "own"
    tiny: str = "none"
    encoder: str = "embedded"
    looks_at: int = LOOKS_AT
    keep_norm: bool = False
    scales: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def at(self, granularity: str) -> "PriorCard":
        """The card for another granularity: its latent is another one, and so are the scales in it."""
        eps, lr, noise_scale = self.scales.get(granularity, (self.eps, self.lr, self.noise_scale))
        keep_norm = self.keep_norm and granularity not in self.scales
        return replace(self, granularity=granularity, eps=eps, lr=lr, noise_scale=noise_scale, keep_norm=keep_norm)


CLASSICAL = PriorCard(
    name="classical",
    licence="Apache-2.0 (part of gifcli)",
    granularity="vector",
    strength=1.0,
    steps=1,
    guidance_scale=1.0,
    eps=2.0,
    lr=0.25,
    noise_scale=0.8,
    batch_size=16,
    takes=frozenset({"strength", "mirror"}),
    revision="1",
    keep_norm=True,
)


EMBEDDED = PriorCard(
    name="embedded",
    licence="weights: research use, trained on ImageNet-derived data (see its model card); code: Apache-2.0",
    granularity="view",
    strength=0.3,
    steps=10,
    guidance_scale=1.0,
    eps=CLASSICAL.eps,
    lr=CLASSICAL.lr,
    noise_scale=CLASSICAL.noise_scale,
    batch_size=32,
    takes=frozenset({"strength", "steps", "guidance_scale", "mirror", "lora", "lora_scale"}),
    looks_at=96,
    keep_norm=CLASSICAL.keep_norm,
    scales=dict.fromkeys(("channel", "element"), (0.8, 0.1, 0.3)) | {"vector": (0.8, 0.1, 0.5)},
)


DENOISING = frozenset(
    {"strength", "steps", "guidance_scale", "scheduler", "decoder", "prompt", "domains", "adjectives"}
)

DIFFUSION = PriorCard(
    name="",
    licence="",
    granularity="channel",
    strength=0.5,
    steps=25,
    guidance_scale=7.5,
    eps=0.8,
    lr=0.1,
    noise_scale=0.3,
    batch_size=8,
    takes=DENOISING | {"lora", "lora_scale", "tiny"},
    wheres=("before", "during", "after"),
    scheduler="dpm++",
)
"""Stable Diffusion of any version, without distillation (DPM-Solver++, arXiv 2211.01095, in 25 steps)."""

PACES = {
    "full": DIFFUSION,
    "turbo": replace(DIFFUSION, steps=4, guidance_scale=1.0, scheduler="own"),
    "lcm": replace(DIFFUSION, steps=8, guidance_scale=8.0, scheduler="lcm"),
    "lcm-lora": replace(DIFFUSION, steps=8, guidance_scale=1.5, scheduler="lcm"),
}
"""Defaults by how many steps a denoiser was distilled to: none, adversarially (SD-Turbo), or to consistency (LCM)."""

MAE = replace(
    DIFFUSION,
    granularity="token",
    steps=1,
    guidance_scale=1.0,
    takes=frozenset({"strength"}),
    wheres=("before",),
    scheduler="own",
)
