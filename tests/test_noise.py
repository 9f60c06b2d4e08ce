import hashlib

import torch

from gifcli.noise import NoiseSource, Slot, generator

SLOTS = [Slot(seed, k, attempt) for seed in ("00ff", "a1b2") for k in (0, 1, 11) for attempt in (0, 1)]


def test_the_same_numbers_whatever_the_batch() -> None:
    whole = NoiseSource(7, SLOTS)
    for shape in [(3,), (4, 2, 2)]:
        alone = torch.cat([NoiseSource(7, [slot]).normal("b", shape) for slot in SLOTS])
        assert torch.equal(whole.normal("b", shape), alone)
        backwards = NoiseSource(7, SLOTS[::-1]).uniform("z", shape)
        assert torch.equal(whole.uniform("z", shape), backwards.flip(0))


def test_every_part_of_the_name_matters() -> None:
    slot = Slot("ab", 1, 2)
    others = [Slot("ab", 2, 2), Slot("ab", 1, 1), Slot("ab1", 1, 2), Slot("b", 1, 2), Slot("ab", 12, 2)]
    names = [(0, slot, "z"), (1, slot, "z"), (0, slot, "b"), *((0, other, "z") for other in others)]
    drawn = [torch.rand(4, generator=generator(*name)) for name in names]
    assert len({tuple(values.tolist()) for values in drawn}) == len(names)


def test_the_numbers_are_those_of_ever() -> None:
    """A changed digest means that every run that was made before is no longer continued with its own noise."""
    noise = NoiseSource(0, SLOTS)
    levels = torch.cat([noise.normal("b", (8,)), noise.uniform("z", (8,))]).mul(1000).round().to(torch.int32)
    assert (
        hashlib.sha256(levels.numpy().tobytes()).hexdigest()
        == "faf90055ed2b4bee71c9531aa52eb4c59643b6013ad82e7abb75b667f1994146"
    )


def test_the_numbers_have_their_distributions() -> None:
    noise = NoiseSource(3, [Slot("ab", k, 0) for k in range(64)])
    normal, uniform = noise.normal("b", (500,)), noise.uniform("z", (500,))
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03
    assert abs(uniform.mean() - 0.5) < 0.01
    assert 0 <= uniform.min() < uniform.max() < 1
    assert normal.dtype == uniform.dtype == torch.float32


def test_drawing_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    NoiseSource(0, SLOTS).normal("b", (3,))
    assert torch.equal(torch.random.get_rng_state(), state)
