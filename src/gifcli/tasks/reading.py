"""What stages before this one left in the run folder."""

from collections.abc import Iterator

from gifcli.records import Noise, Seed
from gifcli.rules.rules import Rules, load
from gifcli.state import packing
from gifcli.state.shards import ShardId, ShardStore


def load_rules(store: ShardStore) -> Rules:
    """The run's frozen rules."""
    return load(store.state / "rules")


def read_seeds(store: ShardStore, n: int, suffixes: tuple[str, ...] = ("",)) -> dict[str, Seed]:
    """The seeds of shard n by key."""
    return {seed.key: seed for seed in packing.unpack_seeds(store.read("extract", ShardId(n), suffixes))}


def read_noises(store: ShardStore, shard: ShardId) -> Iterator[Noise]:
    """The perturbations of all siblings in (n, round, attempt), whichever part they lie in."""
    for part in store.parts("optimize", shard):
        yield from packing.unpack_noises(store.read("optimize", part))
