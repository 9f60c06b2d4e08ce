"""extract: images -> seeds. Checked pixels, the prior's latent, the guide's feature."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from gifcli.checks.fingerprints import perceptual_hash
from gifcli.checks.resaved import saved_again
from gifcli.checks.seed_measures import SEED_MEASURES
from gifcli.compute.batches import SeedBatch, pixels_to_tensor
from gifcli.compute.batching import BatchLimit, batched
from gifcli.records import Array, Seed, Source
from gifcli.stages import Tools


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source with its pixels (h w 3) uint8 at the working size, the full size of its image, and notes on reading it."""

    source: Source
    pixels: Array
    width: int
    height: int
    notes: list[str] = field(default_factory=list)


def extract(prepared: Sequence[Prepared], tools: Tools) -> Iterator[Seed]:
    """Encodes prepared images, in batches of one working size; seeds come out in the order of `prepared`."""
    sizes: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, image in enumerate(prepared):
        sizes[image.pixels.shape].append(place)
    seeds: dict[int, Seed] = {}
    limit = tools.limit or BatchLimit(tools.batch_size)
    for places in sizes.values():
        for batch, encoded in batched(places, limit, lambda batch, _: _encode([prepared[i] for i in batch], tools)):
            seeds |= dict(zip(batch, encoded, strict=True))
    yield from (seeds[place] for place in sorted(seeds))


@torch.inference_mode()
def _encode(images: list[Prepared], tools: Tools) -> list[Seed]:
    order = {label: i for i, label in enumerate(tools.classes)}
    pixels = torch.cat([pixels_to_tensor(image.pixels[None], tools.device) for image in images])
    features = tools.encoder.images(pixels)
    mirrored = tools.encoder.images(pixels.flip(-1)).cpu().numpy()
    batch = SeedBatch(
        keys=[image.source.key for image in images],
        labels=torch.tensor([order.get(image.source.label, -1) for image in images], device=tools.device),
        names=[tools.classes.get(image.source.label, image.source.label) for image in images],
        pixels=pixels,
        features=features,
    )
    latents = tools.prior.encode(batch).float().cpu().numpy()
    measures = {name: measure(pixels).tolist() for name, measure in SEED_MEASURES.items()}
    plain = np.stack([image.pixels for image in images])
    again = tools.encoder.images(pixels_to_tensor(saved_again(plain), tools.device))
    measures["resaved"] = (features * again).sum(1).tolist()
    hashes = perceptual_hash(plain)
    return [
        Seed(
            key=image.source.key,
            label=image.source.label,
            split=image.source.split,
            path=image.source.path,
            sha256=image.source.sha256,
            width=image.width,
            height=image.height,
            pixels=image.pixels,
            latent=latents[i],
            feature=features[i].float().cpu().numpy(),
            mirrored=mirrored[i],
            measures={name: values[i] for name, values in measures.items()},
            phash=int(hashes[i]),
        )
        for i, image in enumerate(images)
    ]
