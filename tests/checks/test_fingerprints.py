"""Sketches keep cosines; hashes are imagehash's own, bit by bit."""

import imagehash
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gifcli.checks.fingerprints import perceptual_hash, sketch


def test_sketches_keep_cosines(seeds):
    features = torch.from_numpy(np.stack([seed.feature for seed in seeds]))
    kept = torch.from_numpy(sketch(features).astype(np.float32))
    assert sketch(features).dtype == np.float16
    assert torch.allclose(kept @ kept.T, features @ features.T, atol=0.35)
    near = F.normalize(features + 0.2 * torch.randn(features.shape, generator=torch.manual_seed(0)) / 36, dim=1)
    exact, estimate = (features * near).sum(1), (kept * torch.from_numpy(sketch(near).astype(np.float32))).sum(1)
    assert exact.min() > 0.97
    assert (exact - estimate).abs().max() < 0.02


def test_hash_is_that_of_imagehash(seeds):
    pixels = np.stack([seed.pixels for seed in seeds[:2]])
    expected = [int(str(imagehash.phash(Image.fromarray(image))), 16) for image in pixels]
    assert perceptual_hash(pixels).tolist() == expected
    assert perceptual_hash(pixels).dtype == np.uint64
