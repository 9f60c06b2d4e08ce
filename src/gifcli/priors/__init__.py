"""Priors: generative models that turn a perturbed latent into an image. One `match` lists them all."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.noise import NoiseSource

if TYPE_CHECKING:
    from gifcli.models.checkpoint import Checkpoint


class Steer(Protocol):
    """What nudges an image while it takes shape: `guidance.where` during or after."""

    def __call__(self, x0: Tensor, step: int, steps: int) -> Tensor:
        """Predicted x0 (b *shape), in standard deviations of the latent -> nudged, or x0 itself where nothing is to do.

        Called at each step 0..steps-1 of the denoising, and at step == steps with the finished latent. The sampler moves
        x_t with x0, under the same noise.
        """
        ...


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
    scheduler    of a diffusion prior, see `make_scheduler`
    tiny         the tiny autoencoder that guidance decodes with: a folder, a hub id, or "none"
    decoder      what images are decoded with: "vae" or "tiny"
    lora         a file, a folder or a hub id, or None; it is added `lora_scale` times
    noise_level  of an unCLIP prior's image embedding, in [0, 1000)
    """

    name: str
    steps: int
    strength: float
    guidance_scale: float
    size: int | None
    mirror: bool
    granularity: str = "channel"
    scheduler: str = "own"
    tiny: str = "none"
    decoder: str = "vae"
    lora: str | None = None
    lora_scale: float = 1.0
    noise_level: int = 0


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
            from gifcli.models import prior_checkpoint

            return _make_checkpoint_prior(prior_checkpoint(name), settings, device, dtype)


def _make_checkpoint_prior(checkpoint: "Checkpoint", settings: PriorSettings, device: str, dtype: str) -> Prior:
    match checkpoint.kind:
        case "mae":
            from gifcli.priors.mae import MaskedAutoencoderPrior

            return MaskedAutoencoderPrior(checkpoint, settings, device, dtype)
        case "unclip":
            from gifcli.priors.diffusers.unclip import UnclipPrior

            return UnclipPrior(checkpoint, settings, device, dtype)
        case _:
            from gifcli.priors.diffusers.prior import DiffusersPrior

            return DiffusersPrior(checkpoint, settings, device, dtype)
