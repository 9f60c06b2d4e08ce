"""A run's report: what its manifest, its state and its shards say, as one page. Needs neither the source nor a model."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from gifcli.dataset.sums import amending
from gifcli.errors import BusyError, InputError, UsageError
from gifcli.formats import DatasetInfo
from gifcli.formats.manifest import read_loras
from gifcli.recipe.recipe import read_recipe
from gifcli.report import ClassReport, Guide, Report
from gifcli.report.page import write_page
from gifcli.reporting.findings import attempts, checks_used, evaluations, histograms, nearness_lines, scores, similarity
from gifcli.reporting.likeness import compare
from gifcli.reporting.remarks import caps, goal, models_used, recipe_facts, warnings
from gifcli.reporting.specimens import Layout, Specimens, layout
from gifcli.reporting.tally import Tally, siblings, tally
from gifcli.state.files import FACTS, MANIFEST, PLAN, RECIPE, RULES
from gifcli.state.plan import Plan
from gifcli.state.resolving import source_of
from gifcli.state.run import Run
from gifcli.state.shards import STATE, TEMPORARY, ShardStore, free_room

PAGE = Path("report", "index.html")


def write_run_report(run: Run, info: DatasetInfo, dest: Path) -> None:
    """Writes `dest`/report/index.html about the manifest there; of the run's own dataset, notes what only an open run knows."""
    facts = {
        "classes": [[label, name] for label, name in info.classes.items()],
        "licence": info.licence,
        "missing": info.missing,
        "models": [[model.name, model.licence, model.revision] for model in (info.prior, info.encoder)],
        "source": info.source,
        "warnings": run.scan.warnings,
    }
    if dest == run.root:
        run.store.save(FACTS, facts)
    write_page(dest / PAGE, report_of(run.root, dest / MANIFEST, facts))


def remake(root: Path, target: Path | None = None, wait_lock: float = 0.0) -> Path:
    """Makes the report of a run folder anew, from what lies there; -> where it is.

    The run's own is made under its lock, which is waited for so many seconds; one at `target` takes no lock.

    Raises:
        UsageError: that is no run folder, or its dataset is not written yet.
        InputError: a file of it went away meanwhile.
        BusyError: another gif was writing to the run for all of `wait_lock` seconds.
    """
    source_of(root)
    if target is not None:
        return rewrite_page(root, target)
    store = ShardStore(root)
    with _locked(store, wait_lock):
        made = rewrite_page(root, store.state / (PAGE.name + TEMPORARY))
        with amending(root, f"{PAGE.parts[0]}/"), free_room():
            (root / PAGE).parent.mkdir(exist_ok=True)
            made.replace(root / PAGE)
    return root / PAGE


@contextmanager
def _locked(store: ShardStore, wait: float) -> Iterator[None]:
    """The run's lock; the error where it is held says how to do without."""
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock(wait))
        except BusyError as error:
            raise BusyError(f"{error}; or write the page elsewhere, which takes no lock: -o FILE") from None
        yield


def rewrite_page(root: Path, path: Path) -> Path:
    """Writes the page of a run's dataset, as it lies there, to `path`; see `remake`."""
    if not (root / STATE / FACTS).is_file() or not (root / MANIFEST).is_file():
        raise UsageError(
            f"{root}: its dataset is not written yet, so there is nothing to report; first: gif export {root}"
        )
    with free_room():
        try:
            write_page(path, report_of(root, root / MANIFEST, ShardStore(root).load(FACTS)))
        except FileNotFoundError as error:
            raise InputError(f"{error.filename} went away while the report was made; run gif report again") from error
    return path


def report_of(root: Path, manifest: Path, facts: Mapping[str, Any]) -> Report:
    """What the page says of a run, and of the dataset with that manifest; its pictures are read when they are drawn."""
    store = ShardStore(root)
    facts = {**facts, "classes": dict(facts["classes"])}
    recipe = read_recipe(root / RECIPE, {})
    rules = store.load(RULES)
    room = layout(len(facts["classes"]))
    counted = tally(manifest, room.seeds)
    plan = Plan.from_state(store.load(PLAN))
    places = {source.key: n for n, shard in enumerate(plan.shards) for source in shard}
    rejected = Counter[str]()
    for verdicts in counted.attempts.values():
        rejected.update({check: count for check, count in verdicts.items() if check})
    likeness = compare(store, places, counted)
    return Report(
        title=root.resolve().name,
        goal=goal(recipe),
        classes=_classes(store, manifest, facts, counted, plan),
        attempts=attempts(counted),
        checks={**{name: rejected[name] for name in checks_used(recipe)}, **rejected},
        guide=Guide(rules["classifier"], rules["accuracy"]) if rules["accuracy"] else None,
        scores=scores(counted),
        likeness=likeness,
        similarity=similarity(root, counted),
        nearness=nearness_lines(store),
        safety=histograms(
            {
                "kept images": [row.safety for row in counted.kept.rows],
                "originals": [row.safety for row in counted.seeds.rows],
            }
        ),
        evaluations=evaluations(root),
        models=models_used(facts, read_loras(manifest)),
        facts=recipe_facts(recipe),
        warnings=[*facts["warnings"], *rules["notes"], *warnings(root, facts)],
        caps=caps(room, facts, counted),
    )


def _classes(
    store: ShardStore, manifest: Path, facts: Mapping[str, Any], counted: Tally, plan: Plan
) -> list[ClassReport]:
    """All classes in label order; those with the most rejected images have pictures where there is no room for all."""
    labels = list(facts["classes"])
    room = layout(len(labels))
    chosen = {label: seeds for label in _pictured(labels, counted, room) if (seeds := counted.chosen(label))}
    specimens = Specimens(
        store,
        {source.key: n for n, shard in enumerate(plan.shards) for source in shard},
        {source.key: source.path for source in plan.sources},
        siblings(manifest, {seed for seeds in chosen.values() for seed in seeds}),
        room.samples,
    )
    return [
        ClassReport(
            label,
            facts["classes"][label],
            counted.original[label],
            counted.generated[label],
            facts["missing"].get(label, 0),
            counted.made[label].total(),
            counted.made[label][""],
            partial(specimens.strips, chosen[label]) if label in chosen else None,
        )
        for label in labels
    ]


def _pictured(labels: Sequence[str], counted: Tally, room: Layout) -> list[str]:
    """The classes whose pictures are shown: those of which the least was kept."""

    def kept(label: str) -> float:
        made = counted.made[label]
        return made[""] / made.total() if made else 1.0

    return sorted(labels, key=kept)[: room.classes]
