"""Rendering with f = 0 is the identity; each parameter acts, differentiably, within range, and keeps what is seen."""

import pytest
import torch
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from gifcli.compute.batches import SeedBatch, pixels_to_tensor, tensor_to_pixels
from gifcli.encoders.embedded import EmbeddedEncoder
from gifcli.errors import UsageError
from gifcli.guidance.ascent import AtSize
from gifcli.noise import NoiseSource, Slot
from gifcli.priors import Condition, PriorSettings, classical, make_prior
from gifcli.priors.classical import ClassicalPrior
from gifcli.priors.classical.colour import shoulder
from gifcli.priors.classical.parameters import COUNTS, TOTAL, split
from gifcli.priors.classical.warp import homography, warp

NAMES = ("cat", "coffee", "astronaut", "rocket", "immunohistochemistry")
GEOMETRY = ("rotation", "shift", "zoom", "stretch", "shear", "perspective", "elastic")
NOTHING = Condition({}, [])


def prior_of(*, mirror: bool = True, size: int | None = None, strength: float = 1.0) -> ClassicalPrior:
    return ClassicalPrior(PriorSettings("classical", 1, strength, 1.0, size, mirror))


def pictures(*names: str, size: tuple[int, int] = (96, 128)) -> Tensor:
    return torch.cat(
        [F.interpolate(pixels_to_tensor(getattr(data, name)()[None]), size, mode="area") for name in names]
    )


def batch(pixels: Tensor) -> SeedBatch:
    n = len(pixels)
    return SeedBatch(
        [f"s{i}" for i in range(n)], torch.zeros(n, dtype=torch.long), ["x"] * n, pixels, torch.zeros(n, 4)
    )


def noise(n: int, first: int = 0) -> NoiseSource:
    return NoiseSource(0, [Slot(f"s{i}", 0, 0) for i in range(first, first + n)])


def drawn(n: int) -> Tensor:
    return noise(n).normal("b", (TOTAL,)).clamp(-2, 2)


def only(value: float, *names: str) -> Tensor:
    """A latent with the named parameters at `value`, the others 0; a patch needs a size to be seen."""
    f = torch.zeros(1, TOTAL)
    for name, parameter in zip(COUNTS, f.split(list(COUNTS.values()), dim=1), strict=True):
        if name in names:
            parameter[:] = value
    return f


@pytest.mark.parametrize(
    ("source", "size", "expected"),
    [
        ((640, 480), None, (640, 480)),
        ((4000, 3000), None, (1024, 768)),
        ((3000, 4000), 224, (224, 299)),
        ((4000, 100), None, (1024, 32)),
        ((1, 1), None, (32, 32)),
    ],
)
def test_working_size(source, size, expected):
    assert prior_of(size=size).working_size(*source) == expected


def test_zero_is_the_seed():
    seeds = batch(pictures(*NAMES))
    prior = make_prior(PriorSettings("classical", 1, 1.0, 1.0, None, mirror=True))
    images = prior.sample(prior.encode(seeds), seeds, NOTHING, noise(len(seeds)))
    assert (images - seeds.pixels).abs().max() < 1.5 / 127.5


@pytest.mark.parametrize("name", COUNTS)
def test_each_parameter_shows(name):
    seeds = batch(pictures("coffee"))
    sign = -1.5 if name == "mirror" else 1.5
    change = (prior_of().sample(only(sign, name), seeds, NOTHING, noise(1)) - seeds.pixels).abs().mean()
    assert change > 1 / 127.5


def test_features_are_differentiable_in_all_that_is_smooth():
    encoder, seeds = EmbeddedEncoder(), batch(pictures("cat"))
    f = only(0.8, *COUNTS).requires_grad_()
    features = prior_of().features(f, seeds, AtSize(encoder, 96, encoder.name, encoder.dim))
    assert features.norm(dim=1).item() == pytest.approx(1, abs=1e-5)
    (gradient,) = torch.autograd.grad((features @ encoder.images(seeds.pixels).T).sum(), f)
    for name, part in zip(COUNTS, gradient.split(list(COUNTS.values()), dim=1), strict=True):
        assert torch.isfinite(part).all()
        assert bool((part != 0).all()) == (name not in ("mirror", "grain")), name


def test_gradient_agrees_with_differences():
    pixels = F.avg_pool2d(pictures("cat", size=(192, 192)), 4).double()
    f, direction = drawn(1).double(), torch.linspace(-1, 1, TOTAL).double()[None]
    weights = torch.linspace(-1, 1, 48).double()

    def value(at: Tensor) -> Tensor:
        return (prior_of(mirror=False)._render(pixels, split(at), "bilinear") * weights).sum()

    f.requires_grad_()
    (gradient,) = torch.autograd.grad(value(f), f)
    step = 1e-5
    difference = (value(f + step * direction) - value(f - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-3)


def test_a_small_rendering_is_seen_as_the_full_one():
    encoder, seeds, f = EmbeddedEncoder(), batch(pictures(*NAMES, size=(300, 400))), drawn(len(NAMES))
    with torch.no_grad():
        small = prior_of().features(f, seeds, encoder)
        full = encoder.images(prior_of().sample(f, seeds, NOTHING, noise(len(NAMES))))
    assert (small * full).sum(1).min() > 0.7
    assert (small @ full.T).argmax(1).tolist() == list(range(len(NAMES)))


def test_samples_are_new_and_keep_what_is_seen():
    encoder = EmbeddedEncoder()
    pixels = pictures(*NAMES, size=(160, 200))
    k = 6
    seeds = batch(pixels.repeat_interleave(k, 0))
    with torch.no_grad():
        similarity = encoder.images(prior_of().sample(drawn(len(seeds)), seeds, NOTHING, noise(len(seeds)))) @ (
            encoder.images(pixels).T
        )
    own = torch.arange(len(NAMES)).repeat_interleave(k)
    assert similarity.gather(1, own[:, None]).max() < 0.96
    assert (similarity.argmax(1) == own).float().mean() > 0.9


def test_rows_do_not_depend_on_their_batch(monkeypatch):
    seeds, f = batch(pictures(*NAMES)), drawn(len(NAMES))
    together = prior_of().sample(f, seeds, NOTHING, noise(len(NAMES)))
    assert torch.equal(together, prior_of().sample(f, seeds, NOTHING, noise(len(NAMES))))
    alone = torch.cat(
        [prior_of().sample(f[i : i + 1], seeds.take([i]), NOTHING, noise(1, i)) for i in range(len(NAMES))]
    )
    assert torch.allclose(together, alone, atol=1e-4)
    monkeypatch.setitem(classical.CHUNK_PIXELS, "cpu", 2 * 96 * 128)
    assert torch.allclose(together, prior_of().sample(f, seeds, NOTHING, noise(len(NAMES))), atol=1e-4)


def test_previews_follow_keys():
    encoder, seeds = EmbeddedEncoder(), batch(pictures("cat", "coffee"))
    f = prior_of().encode(seeds)
    both, turned = (
        prior_of().features(f, seeds.take(order), AtSize(encoder, 96, encoder.name, encoder.dim))
        for order in ([0, 1], [1, 0])
    )
    assert torch.allclose(both, turned.flip(0), atol=1e-4)


@pytest.mark.parametrize("value", [-2.0, 2.0])
def test_edges_are_reflected_not_black(value):
    bright = 0.5 + 0.5 * (pictures("coffee") + 1) / 2
    assert warp(bright, split(only(value, *GEOMETRY)), mirror=False, mode="bicubic").min() > 0.4


@pytest.mark.parametrize("name", ["exposure", "contrast", "saturation", "light", "balance", "detail"])
def test_strong_colour_is_not_clipped_flat(name):
    seeds = batch(pictures("coffee", size=(200, 300)))
    for value in (-2.0, 2.0):
        images = tensor_to_pixels(prior_of().sample(only(value, name), seeds, NOTHING, noise(1)))
        assert (images == 255).mean() < (tensor_to_pixels(seeds.pixels) == 255).mean() + 0.01
        assert (images == 0).mean() < (tensor_to_pixels(seeds.pixels) == 0).mean() + 0.01


def test_shoulder_bends_only_what_is_outside():
    inside = torch.rand(1, 3, 8, 8)
    assert torch.allclose(shoulder(inside), inside)
    ramp = torch.linspace(-0.3, 1.5, 100)[None, None, None]
    bent = shoulder(ramp)
    assert bent.min().item() == pytest.approx(0, abs=1e-6)
    assert bent.max().item() == pytest.approx(1, abs=1e-6)
    assert (bent.diff() > 0).all()
    assert torch.equal(bent[(ramp > 0.25) & (ramp < 0.75)], ramp[(ramp > 0.25) & (ramp < 0.75)])


def test_rotation_keeps_right_angles_in_pixels():
    for aspect in (0.5, 2.0):
        to_pixels = torch.diag(torch.tensor([aspect, 1.0]))
        turn = to_pixels @ homography(split(only(1.0, "rotation")), aspect)[0, :2, :2] @ to_pixels.inverse()
        assert torch.allclose(turn @ turn.T, torch.eye(2), atol=1e-5)


def test_mirrors_only_where_allowed():
    seeds, f = batch(pictures("coffee")), only(-0.5, "mirror")
    mirrored = prior_of(mirror=True).sample(f, seeds, NOTHING, noise(1))
    assert (mirrored - seeds.pixels.flip(-1)).abs().max() < 1.5 / 127.5
    kept = prior_of(mirror=False).sample(f, seeds, NOTHING, noise(1))
    assert (kept - seeds.pixels).abs().max() < 1.5 / 127.5


def test_strength_scales_all():
    seeds, f = batch(pictures("coffee")), drawn(1)
    half = prior_of(strength=0.5).sample(f, seeds, NOTHING, noise(1))
    assert torch.allclose(half, prior_of().sample(f / 2, seeds, NOTHING, noise(1)), atol=1e-5)


def test_smallest_and_narrow_images_work():
    for size in ((32, 32), (32, 1024), (1024, 32)):
        assert prior_of().sample(drawn(1), batch(pictures("cat", size=size)), NOTHING, noise(1)).shape[-2:] == size


def test_steering_is_refused():
    seeds = batch(pictures("cat"))
    with pytest.raises(UsageError, match="before"):
        prior_of().sample(drawn(1), seeds, NOTHING, noise(1), steer=lambda x, _: x)
