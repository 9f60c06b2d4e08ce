"""From a run's seeds to its rules: induced once at the end of extract, frozen from then on."""

from typing import Any

import numpy as np

from gifcli.records import Array, Seed
from gifcli.rules.rules import Rules, dump
from gifcli.state import packing
from gifcli.state.files import RULES
from gifcli.state.resolving import with_mirror
from gifcli.state.run import Run
from gifcli.state.shards import ShardId, digest, write_atomic

HEADS = (".json", ".feature.npy", ".mirrored.npy")


def ensure_rules(run: Run) -> None:
    """Induces and stores the rules where there are none yet, and resolves what depends on them."""
    state = run.store.load(RULES)
    if state is None:
        rules = _induce(run)
        files = dump(rules)
        for name, data in files.items():
            write_atomic(run.store.state / "rules" / name, data)
        state = {
            "accuracy": rules.accuracy,
            "classes": rules.classes,
            "classifier": rules.classifier,
            "digest": digest(sorted((name, data.hex()) for name, data in files.items())),
            "mirror_safe": rules.mirror_safe,
            "notes": rules.notes,
            "seeded": [label for label in rules.classes if rules.summary[label]["count"]],
        }
        run.store.save(RULES, state)
        _report(run, state)
    if run.recipe.prior.mirror == "auto":
        run.set_recipe(with_mirror(run.recipe, mirror=state["mirror_safe"]))


def _induce(run: Run) -> Rules:
    """The rules of all extracted seeds that are still in the source, in plan order."""
    from gifcli.rules.induce import induce

    present = run.present
    shards = (packing.unpack_seeds(run.store.read("extract", ShardId(n), HEADS)) for n in range(len(run.plan.shards)))
    seeds = [seed for shard in shards for seed in shard if seed.key in present]
    classes = list(run.scan.classes)
    place = {label: i for i, label in enumerate(classes)}
    return induce(
        np.stack([seed.feature for seed in seeds]),
        np.array([place[seed.label] for seed in seeds]),
        classes,
        [f"{present[seed.key].path} ({seed.key})" for seed in seeds],
        kind=run.recipe.classifier.kind,
        text=_text_features(run),
        max_clusters=run.recipe.classifier.max_clusters,
        mirrored=np.stack([seed.mirrored for seed in seeds]),
        measures=_measures(seeds),
    )


def _measures(seeds: list[Seed]) -> dict[str, Array]:
    """What was measured of each seed by itself, and how many bits its hash is apart from the nearest other one."""
    from gifcli.checks.neighbours import nearest_bits

    names = [name for name in seeds[0].measures if all(name in seed.measures for seed in seeds)]
    own = {name: np.array([seed.measures[name] for seed in seeds]) for name in names}
    return own | {"nearest_bits": nearest_bits(np.array([seed.phash for seed in seeds], np.uint64))}


def _text_features(run: Run) -> Any:
    """(C d) text features of the readable class names, or None where the encoder has no text."""
    if run.recipe.encoder.name == "embedded":
        return None
    from gifcli.encoders import TextEncoder, make_encoder

    encoder = make_encoder(run.recipe.encoder.name)
    return encoder.texts(list(run.scan.classes.values())).numpy() if isinstance(encoder, TextEncoder) else None


def _report(run: Run, state: dict[str, Any]) -> None:
    """Prints how well each classifier knows the seeds, which one is taken, and what to beware of."""
    figures = [f"{kind} {value:.1%}" for kind, value in state["accuracy"].items() if kind != "mirrored"]
    if figures:
        run.reporter.say(f"guide: accuracy on your seeds: {', '.join(figures)}; taking {state['classifier']}")
    if run.recipe.prior.mirror == "auto":
        mirrored = (
            "keep their class: mirroring is on" if state["mirror_safe"] else "may lose their class: mirroring is off"
        )
        run.reporter.say(f"guide: mirrored seeds {mirrored} (prior.mirror: auto)")
    for note in state["notes"]:
        run.reporter.warn(note)
