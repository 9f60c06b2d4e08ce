"""Noise levels: which scheduler, where an image starts in it, and what its numbers mean.

Every scheduler noises a latent as x_t = k (alpha x0 + sigma eps), alpha^2 + sigma^2 = 1; k = 1 where the variance is
preserved, and sqrt(1 + s^2) where it explodes (Euler; s = sigma / alpha). The denoiser always sees x_t / k.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gifcli.errors import UsageError

NAMES = ("own", "dpm++", "euler", "euler-a", "ddim", "lcm")


def make_scheduler(name: str, own: Any) -> Any:
    """A scheduler by name with the noise levels that the checkpoint was trained on; `own` is the checkpoint's.

    Raises:
        UsageError: no scheduler has that name.
    """
    import diffusers

    match name:
        case "own":
            return type(own).from_config(own.config)
        case "dpm++":
            options = {"algorithm_type": "dpmsolver++", "solver_order": 2}
            return diffusers.DPMSolverMultistepScheduler.from_config(own.config, **options)
        case "euler":
            return diffusers.EulerDiscreteScheduler.from_config(own.config)
        case "euler-a":
            return diffusers.EulerAncestralDiscreteScheduler.from_config(own.config)
        case "ddim":
            return diffusers.DDIMScheduler.from_config(own.config, clip_sample=False, set_alpha_to_one=False)
        case "lcm":
            return diffusers.LCMScheduler.from_config(own.config)
        case _:
            raise UsageError(f"prior.scheduler: expected one of {', '.join(NAMES)}; found {name!r}")


def start_at(scheduler: Any, steps: int, strength: float, device: torch.device) -> Tensor:
    """Sets a scheduler to `steps` steps, of which the last int(steps * strength) are to be done, at least one; -> their t."""
    if _takes(scheduler.set_timesteps, "strength"):  # LCM spreads all steps over what strength leaves of its schedule
        original = int(scheduler.config.original_inference_steps)
        share = max(strength, 1 / original)
        scheduler.set_timesteps(min(steps, int(original * share)), device, strength=share)
        spread: Tensor = scheduler.timesteps
        return spread
    scheduler.set_timesteps(steps, device=device)
    left_out = steps - min(steps, max(1, int(steps * strength)))
    timesteps: Tensor = scheduler.timesteps[left_out * scheduler.order :]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(left_out * scheduler.order)
    return timesteps


def step_options(scheduler: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    """What this scheduler's step takes besides: the generators of samplers that add noise as they go, and no eta."""
    options: dict[str, Any] = {"generator": generators} if _takes(scheduler.step, "generator") else {}
    return options | ({"eta": 0.0} if _takes(scheduler.step, "eta") else {})


@dataclass(frozen=True, slots=True)
class Level:
    """A noise level: x_t = k (alpha x0 + sigma eps); `kind` is what the denoiser predicts of it."""

    alpha: float
    sigma: float
    k: float
    kind: str

    def x0(self, x: Tensor, predicted: Tensor) -> Tensor:
        """The image that the denoiser sees in x_t, by its prediction."""
        seen = x / self.k
        match self.kind:
            case "epsilon":
                return (seen - self.sigma * predicted) / self.alpha
            case "v_prediction":
                return self.alpha * seen - self.sigma * predicted
            case _:
                return predicted

    def moved(self, x: Tensor, predicted: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and the prediction if that image were x0, under the same noise eps."""
        seen = x / self.k
        eps = (seen - self.alpha * self.x0(x, predicted)) / self.sigma
        at = self.k * (self.alpha * x0 + self.sigma * eps)
        match self.kind:
            case "epsilon":
                return at, predicted
            case "v_prediction":
                return at, self.alpha * eps - self.sigma * x0
            case _:
                return at, x0


def level(scheduler: Any, t: Tensor, step: int) -> Level:
    """The noise level of the `step`-th of all steps that a scheduler was set to, at its timestep t."""
    kind = str(scheduler.config.prediction_type)
    if type(scheduler).__name__.startswith("Euler"):
        s = float(scheduler.sigmas[step])
        k = (1 + s * s) ** 0.5
        return Level(1 / k, s / k, k, kind)
    alpha_bar = float(scheduler.alphas_cumprod[int(t)])
    return Level(alpha_bar**0.5, (1 - alpha_bar) ** 0.5, 1.0, kind)


def _takes(function: Any, name: str) -> bool:
    import inspect

    return name in inspect.signature(function).parameters
