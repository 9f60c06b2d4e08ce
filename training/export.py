"""Write autoencoder, denoiser and scheduler as float16 safetensors in diffusers layout.

    python training/export.py                          into src/gifcli/models/embedded/
    python training/export.py --out .work/embedded/export

Reads the denoiser's checkpoint (averaged weights) and the finished autoencoder. What a caller must know about the
condition goes into condition.json; the model card (README.md) is kept by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import diffusers
import torch
from condition import MICRO, SCALE, SIZE
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from gifcli.priors.projection import Projection

PROJECTION = "projection.safetensors"
PARTS = {"vae": "AutoencoderDC", "unet": "UNet2DConditionModel", "scheduler": "FlowMatchEulerDiscreteScheduler"}
INDEX = {"_class_name": "DiffusionPipeline", "_diffusers_version": diffusers.__version__} | {
    part: ["diffusers", name] for part, name in PARTS.items()
}
CONDITION = {
    "encoder": "embedded",
    "encoder_input_size": SIZE,
    "feature_scale": SCALE,
    "micro": ["source", "size"],
    "micro_scale": MICRO,
    "size_multiple": 32,  # AttnUpBlock2D cannot crop: latent sides must divide by 4
}


def export(vae: AutoencoderDC, unet: UNet2DConditionModel, projection: Projection, out: Path) -> None:
    """Write OUT/{vae,unet,scheduler}, model_index.json, condition.json and projection.safetensors.

    Each part replaces the old one when it is complete.
    """
    parts = {
        "vae": vae,
        "unet": unet,
        "scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0),
    }
    for name, part in parts.items():
        fresh = out / f"{name}.new"
        part.save_pretrained(fresh)
        for path in fresh.iterdir():
            path.chmod(0o644)
        shutil.rmtree(out / name, ignore_errors=True)
        fresh.rename(out / name)
    tensors = {"mean": projection.mean, "axes": projection.axes}
    save_file({name: tensor.half().cpu().contiguous() for name, tensor in tensors.items()}, out / PROJECTION)
    (out / PROJECTION).chmod(0o644)
    (out / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    (out / "condition.json").write_text(json.dumps(CONDITION, indent=2) + "\n")


def half(model: torch.nn.Module) -> torch.nn.Module:
    """The model in float16 on the CPU, contiguous, as it is saved."""
    return model.to("cpu", torch.float16, memory_format=torch.contiguous_format)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path(".work/embedded/denoiser.pt"))
    parser.add_argument("--crops", type=Path, default=Path(".work/embedded/crops"))
    parser.add_argument("--vae", type=Path, default=Path(".work/embedded/vae"))
    parser.add_argument("--out", type=Path, default=Path("src/gifcli/models/embedded"))
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=False)
    unet = UNet2DConditionModel.from_config(state["config"])
    unet.load_state_dict(state["average"])
    projection = Projection(**load_file(args.crops / PROJECTION))
    export(half(AutoencoderDC.from_pretrained(args.vae)), half(unet), projection, args.out)
    size = sum(p.stat().st_size for p in args.out.rglob("*.safetensors")) / 1e6
    print(f"{args.out}: step {state['step']}, {state['spent'] / 60:.0f} min of training, {size:.1f} MB")


if __name__ == "__main__":
    main()
