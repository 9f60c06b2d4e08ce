"""Low-rank adaption (LoRA, arXiv 2106.09685) of a text-to-image denoiser's attention, in diffusers' own file format."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from gifcli.adapt.material import Material
from gifcli.compute.batches import pixels_to_tensor
from gifcli.compute.devices import choose_device
from gifcli.errors import ModelMissingError
from gifcli.recipe.recipe import Recipe

if TYPE_CHECKING:
    from gifcli.adapt import AdaptSettings
    from gifcli.priors.diffusers.prior import DiffusersPrior

FILE = "pytorch_lora_weights.safetensors"
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
RATE = 1e-4


class LoraLesson:
    """Noise is to be told from noisy latents of the images under their prompts; the checkpoint itself stays as it is."""

    def __init__(self, material: Material, recipe: Recipe, wanted: "AdaptSettings") -> None:
        from diffusers import DDPMScheduler

        self.prior = _prior(recipe)
        self.device = self.prior.device
        self.rate, self.recipe = wanted.rate or RATE, recipe
        self.size = self.prior.working_size(1, 1)
        places, pixels = material.pixels(self.size)
        self.names, self.count = [material.names[place] for place in places], len(places)
        self.latents = torch.cat([self._encode(image) for image in pixels])
        self.mirrored = (
            torch.cat([self._encode(image[:, ::-1].copy()) for image in pixels]) if _mirror(recipe) else None
        )
        self.scheduler: Any = DDPMScheduler.from_config(self.prior.denoiser.own.config)
        _add_adapter(self.prior.unet, wanted.rank, recipe.rng)

    def parameters(self) -> dict[str, Tensor]:
        """The factors A and B of each layer, in float32."""
        return {name: value for name, value in self.prior.unet.named_parameters() if value.requires_grad}

    def losses(self, rows: list[int], generator: torch.Generator) -> Tensor:
        """(b): mean squared error of what the denoiser predicts: noise, or velocity (arXiv 2202.00512)."""
        x = self._drawn(rows, generator)
        noise = torch.randn(x.shape, generator=generator).to(self.device)
        t = torch.randint(self.scheduler.config.num_train_timesteps, (len(rows),), generator=generator).to(self.device)
        told = self.prior.told(self.prior.texts.embed(self._prompts(rows, generator)), self.size)
        noisy = self.scheduler.add_noise(x, noise, t)
        dtype = next(self.prior.unet.parameters()).dtype
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            predicted = self._denoise(noisy.to(dtype), t, told)
        match self.scheduler.config.prediction_type:
            case "v_prediction":
                target = self.scheduler.get_velocity(x, noise, t)
            case "sample":
                target = x
            case _:
                target = noise
        return F.mse_loss(predicted.float(), target, reduction="none").flatten(1).mean(1)

    def weights(self) -> tuple[str, bytes]:
        """The adapter as diffusers saves it."""
        from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
        from peft.utils import get_peft_model_state_dict

        state = convert_state_dict_to_diffusers(get_peft_model_state_dict(self.prior.unet))
        tensors = {f"unet.{name}": value.detach().float().cpu().contiguous() for name, value in state.items()}
        return FILE, save(dict(sorted(tensors.items())), {"format": "pt"})

    def _encode(self, image: Any) -> Tensor:
        return self.prior.autoencoder.encode(pixels_to_tensor(image[None], str(self.device)))

    def _drawn(self, rows: list[int], generator: torch.Generator) -> Tensor:
        x = self.latents[rows]
        if self.mirrored is None:
            return x
        turned = (torch.rand(len(rows), generator=generator) < 0.5).to(self.device)
        return torch.where(turned[:, None, None, None], self.mirrored[rows], x)

    def _prompts(self, rows: list[int], generator: torch.Generator) -> list[str]:
        """The template over each image's class, its domain and adjective drawn anew."""
        prior = self.recipe.prior

        def draw(texts: list[str]) -> str:
            return texts[int(torch.randint(len(texts), (1,), generator=generator))] if texts else ""

        filled = [
            prior.prompt.format(label=self.names[row], domain=draw(prior.domains), adjective=draw(prior.adjectives))
            for row in rows
        ]
        return [" ".join(prompt.split()) for prompt in filled]

    def _denoise(self, noisy: Tensor, t: Tensor, told: Mapping[str, Tensor]) -> Tensor:
        states = told["encoder_hidden_states"]
        added = {name: told[name].to(noisy.dtype) for name in ("text_embeds", "time_ids") if name in told}
        more: dict[str, Any] = {"added_cond_kwargs": added} if added else {}
        if "timestep_cond" in told:
            more["timestep_cond"] = told["timestep_cond"].to(noisy.dtype)
        predicted: Tensor = self.prior.unet(noisy, t, states.to(noisy.dtype), **more).sample
        return predicted


def _prior(recipe: Recipe) -> "DiffusersPrior":
    """The checkpoint: in float32 on a CPU, where a resumed update is then the same; in bf16 on a GPU."""
    from gifcli.priors import make_prior
    from gifcli.tasks.arguments import prior_settings

    device = choose_device(recipe.run.device, recipe.run.dtype)
    dtype = "float32" if device.name == "cpu" and recipe.run.dtype == "auto" else device.dtype
    return cast("DiffusersPrior", make_prior(prior_settings(recipe), device.name, dtype))


def _mirror(recipe: Recipe) -> bool:
    return recipe.prior.mirror is True


def _add_adapter(unet: Any, rank: int, rng: int) -> None:
    """Factors of the given rank, whose product is 0 at first."""
    try:
        from diffusers.training_utils import cast_training_params
        from peft import LoraConfig
    except ImportError:
        raise ModelMissingError("adapt: needs the package peft; run: pip install 'gifcli[adapt]'") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng)
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ATTENTION))
    cast_training_params(unet, dtype=torch.float32)
