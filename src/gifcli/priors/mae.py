"""A masked autoencoder: an image is imagined from perturbed tokens (GIF-MAE, arXiv 2211.13976, section 4.3).

f is the encoder's token grid of the whole seed, nothing masked, divided by its standard deviation. The decoder was
trained on what is masked, so what it makes of visible tokens is rough: below strength 1, a share 1 - strength of what it
loses of the seed itself is given back to each image.
"""

import json
from collections import OrderedDict
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from gifcli.compute.batches import SeedBatch
from gifcli.encoders import Encoder
from gifcli.errors import UsageError
from gifcli.images.reading import bucket
from gifcli.models.broken import told_if_broken
from gifcli.models.checkpoint import Checkpoint
from gifcli.models.quiet import quiet
from gifcli.noise import NoiseSource
from gifcli.priors import Condition, PriorSettings, Steer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, by which the pixels are normalised unless preprocessor_config.json says otherwise."""
KEPT = 64
"""Seeds whose losses are kept."""
MAX_ASPECT = 2.0


class MaskedAutoencoderPrior:
    """ViTMAEForPreTraining (arXiv 2111.06377) of transformers."""

    granularities = frozenset({"token", "element"})

    def __init__(self, checkpoint: Checkpoint, settings: PriorSettings, device: str, dtype: str) -> None:
        self.name, self.revision, self.settings = settings.name, checkpoint.revision, settings
        self.checkpoint, self.device, self.dtype = checkpoint, torch.device(device), getattr(torch, dtype)
        self.model = _load(checkpoint, self.dtype).to(self.device)
        self.patch = int(self.model.config.patch_size)
        self.mean, self.std = (part.to(self.device) for part in _normalisation(checkpoint))
        norm = self.model.vit.layernorm
        self.scale = float((norm.weight.float().square().mean() + norm.bias.float().var(unbiased=False)).sqrt())
        self._losses: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Short side: `size`, else what the checkpoint was trained at; both sides multiples of a patch."""
        side = self.settings.size or self.checkpoint.side
        return bucket(width, height, side, self.patch, MAX_ASPECT)

    @torch.no_grad()
    def encode(self, seeds: SeedBatch) -> Tensor:
        """-> tokens (b 1+n d) of a deviation of about 1, the class token first."""
        return self._tokens(seeds.pixels)

    def condition(self, prompts: list[str], seeds: SeedBatch) -> Condition:
        """Nothing; the prompts go along for the record."""
        return Condition({}, prompts)

    def features(self, f: Tensor, seeds: SeedBatch, encoder: Encoder) -> Tensor:
        """-> (b d) unit norm, of the decoded pixels; differentiable in f."""
        return encoder.images(self._imagined(f.to(self.device), seeds))

    @torch.no_grad()
    def sample(
        self, f: Tensor, seeds: SeedBatch, condition: Condition, noise: NoiseSource, steer: Steer | None = None
    ) -> Tensor:
        """-> images (b 3 h w) in [-1, 1]; all that varies is in f."""
        if steer is not None:
            raise UsageError("guidance.where: expected before; a masked autoencoder does not denoise")
        return self._imagined(f.to(self.device), seeds).clamp(-1, 1)

    def _imagined(self, f: Tensor, seeds: SeedBatch) -> Tensor:
        images = self._decode(f, seeds.pixels)
        share = 1 - self.settings.strength
        return images if share == 0 else images + share * self._lost(seeds)

    def _lost(self, seeds: SeedBatch) -> Tensor:
        """What decoding loses of each seed, (b 3 h w); computed once a seed."""
        with self._lock, torch.no_grad():
            for i, key in enumerate(seeds.keys):
                known = self._losses.pop(key, None)
                if known is None or known.shape != seeds.pixels.shape[1:]:
                    pixels = seeds.pixels[i : i + 1].to(self.device)
                    known = (pixels - self._decode(self._tokens(pixels), pixels))[0]
                self._losses[key] = known
            rows = torch.stack([self._losses[key] for key in seeds.keys])
            while len(self._losses) > KEPT:
                self._losses.popitem(last=False)
        return rows

    def _tokens(self, pixels: Tensor) -> Tensor:
        """(b 3 h w) in [-1, 1] -> (b 1+n d), in the places they have in the image."""
        x = ((pixels.to(self.device, torch.float32) + 1) / 2 - self.mean) / self.std
        embedded = self.model.vit.embeddings
        count = (x.shape[-2] // self.patch) * (x.shape[-1] // self.patch)
        order = torch.arange(count, dtype=torch.float32, device=self.device).expand(
            len(x), -1
        )  # masks nothing, moves nothing
        hidden = self.model.vit(x.to(self.dtype), noise=order, interpolate_pos_encoding=_other_size(x, embedded))
        tokens: Tensor = hidden.last_hidden_state.float()
        return tokens / self.scale

    def _decode(self, f: Tensor, pixels: Tensor) -> Tensor:
        """(b 1+n d) -> (b 3 h w), about [-1, 1]; `pixels` are the seeds', for their size and their patches' contrast."""
        height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
        places = torch.arange(f.shape[1] - 1, device=self.device).expand(len(f), -1)
        patches = self._decoded(f * self.scale, places, (height, width))
        if self.model.config.norm_pix_loss:  # it says each patch in the patch's own mean and deviation
            seen = ((pixels.to(self.device, torch.float32) + 1) / 2 - self.mean) / self.std
            target = self.model.patchify(seen, interpolate_pos_encoding=True)
            patches = patches * (target.var(-1, keepdim=True) + 1e-6).sqrt() + target.mean(-1, keepdim=True)
        x = self.model.unpatchify(patches, (height, width))
        images: Tensor = (x * self.std + self.mean) * 2 - 1
        return images

    def _decoded(self, tokens: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
        """(b 1+n d) -> patches (b n p*p*3), with positions laid out in two dimensions for any size."""
        decoder = self.model.decoder
        x = decoder.decoder_embed(tokens.to(self.dtype))
        x = x + grid_positions(decoder.decoder_pos_embed, size[0] // self.patch, size[1] // self.patch)
        for layer in decoder.decoder_layers:
            out = layer(x)
            x = out[0] if isinstance(out, tuple) else out
        patches: Tensor = decoder.decoder_pred(decoder.decoder_norm(x))[:, 1:].float()
        return patches


def grid_positions(positions: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings (1 1+n d) of a square grid for one of rows x columns; the class token keeps its own."""
    count, width = positions.shape[1] - 1, positions.shape[2]
    side = int(count**0.5)
    if (rows, columns) == (side, side):
        return positions
    grid = positions[:, 1:].reshape(1, side, side, width).permute(0, 3, 1, 2).float()
    grid = torch.nn.functional.interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2).to(positions.dtype)], 1)


def _other_size(x: Tensor, embedded: Any) -> bool:
    return tuple(x.shape[-2:]) != tuple(embedded.image_size)


def _normalisation(checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the pixels in [0, 1], (1 3 1 1) each."""
    path = checkpoint.folder / "preprocessor_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    mean, std = config.get("image_mean", MEAN), config.get("image_std", STD)
    return torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)


def _load(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The model, frozen, with nothing masked."""
    from transformers import ViTMAEForPreTraining

    with told_if_broken(f"prior: {checkpoint.folder} is missing or broken", "get the model anew"), quiet():
        model: Any = ViTMAEForPreTraining.from_pretrained(
            str(checkpoint.folder), dtype=dtype, use_safetensors=True, local_files_only=True, mask_ratio=0.0
        )
    return model.eval().requires_grad_(False)
