"""Priors: generative models that turn a perturbed latent into an image. One `match` lists them all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from gifcli.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.noise import NoiseSource

Steer = Callable[[Tensor, Tensor], Tensor]
"""(latent x_t, predicted x0) -> nudged x_t; called inside the denoising loop (`guidance.where: during`)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a prior is conditioned on besides the latent; each tensor has one row (b ...) a seed. Often empty."""

    tensors: dict[str, Tensor]
    prompts: list[str]

    def take(self, indices: list[int]) -> "Condition":
        """Rows at the given places, in that order."""
        rows = {name: tensor[indices] for name, tensor in self.tensors.items()}
        return Condition(rows, [self.prompts[i] for i in indices])


class Prior(Protocol):
    """A generative model behind one seam. eps and the noise scale are in units of the latent's standard deviation,
    so `encode` returns latents whose elements have a standard deviation of about 1 (or parameters, with 0 = identity).
    """

    granularities: frozenset[str]
    name: str
    revision: str

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) in pixels at which this prior works on an image of that size."""
        ...

    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> f (b *shape) float32."""
        ...

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """Text, image feature, or nothing; computed once a seed."""
        ...

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm; differentiable in f, and cheap: no more pixels than `encoder.input_size` asks for."""
        ...

    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> final images (b 3 h w) in [-1, 1] at the seeds' working size."""
        ...


@dataclass(frozen=True, slots=True)
class PriorSettings:
    """How a prior is made.

    strength     in [0, 1]          size    short side in pixels, None = the prior's own choice
    granularity  what shares one z and one b; a prior may choose by it what its latent is
    """

    name: str
    steps: int
    strength: float
    guidance_scale: float
    size: int | None
    mirror: bool
    granularity: str = "channel"


def make_prior(settings: PriorSettings, device: str = "cpu", dtype: str = "float32") -> Prior:
    """Loads a prior.

    Raises:
        ModelMissingError: its files are not on this machine, or are broken.
        UsageError: no prior has that name.
    """
    match settings.name:
        case "classical":
            from gifcli.priors.classical import ClassicalPrior

            return ClassicalPrior(settings, device)
        case "embedded":
            from gifcli.models import EMBEDDED_FOLDER
            from gifcli.priors.latent_diffusion import LatentDiffusionPrior

            return LatentDiffusionPrior(EMBEDDED_FOLDER, settings, device, dtype)
        case name:
            from gifcli.errors import UsageError

            raise UsageError(f"prior: expected classical or embedded; found {name!r}")
