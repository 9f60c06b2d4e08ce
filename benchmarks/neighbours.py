"""How long the search for near images takes, and how much memory, as runs grow.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/neighbours.py 20000 100000

Made-up sketches and hashes: five samples a seed, so no image is a copy and every pair must be looked at. The figures are CPU
seconds of this process, and megabytes that its memory grew by.
"""

import argparse
import resource
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from gifcli.checks import Columns, Table
from gifcli.checks.duplicate import DuplicateCheck
from gifcli.checks.leak import LeakCheck
from gifcli.checks.neighbours import nearest

SIBLINGS, OTHERS = 5, 10_000


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def made_up(count: int) -> tuple[Table, np.ndarray]:
    """A table of `count` samples, and the place of each one's seed."""
    random = np.random.default_rng(0)
    seeds = count // SIBLINGS
    sketches = unit(random.standard_normal((seeds, 64)))
    own = np.repeat(np.arange(seeds), SIBLINGS)
    keys = np.array([f"{i:016x}" for i in range(seeds)])
    hashes = random.integers(0, 2**63, count + seeds, dtype=np.uint64)
    samples: Columns = {
        "seed": keys[own],
        "k": np.tile(np.arange(SIBLINGS), seeds),
        "attempt": np.zeros(len(own), int),
        "sketch": unit(sketches[own] + 0.05 * random.standard_normal((len(own), 64))),
        "phash": hashes[: len(own)],
    }
    rest = {"key": keys, "sketch": sketches, "phash": hashes[len(own) :]}
    return Table(samples, rest, {name: column[:OTHERS] for name, column in rest.items()}), own


def timed(name: str, work: Callable[[], object]) -> None:
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    work()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    print(f"  {name:40} {time.process_time() - start:7.1f} s {grown:7.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=int, nargs="*", default=[20_000, 100_000])
    rules = SimpleNamespace(quantiles={})
    for count in parser.parse_args().samples:
        table, own = made_up(count)
        print(f"{count} samples of {count // SIBLINGS} seeds")
        timed("duplicate (samples and seeds)", lambda t=table: DuplicateCheck(rules).judge(t))
        timed("nn_set (nearest other seed)", lambda t=table, o=own: nearest(t.samples, t.seeds, o))
        timed(f"leak (against {len(table.others['key'])} images)", lambda t=table: LeakCheck(rules).judge(t))


if __name__ == "__main__":
    main()
