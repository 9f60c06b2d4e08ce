"""What is said of a run's dataset as a whole: counts, models, recipe, limits, what was measured."""

from gifcli.evaluate.record import measured_text
from gifcli.formats import Count, DatasetInfo, Model
from gifcli.models import encoder_card, prior_card, revision
from gifcli.recipe.published import published
from gifcli.recipe.recipe import dump_recipe
from gifcli.state.files import RULES
from gifcli.state.resolving import source_of
from gifcli.state.run import Run
from gifcli.summary import Summary, summarise
from gifcli.wording import number_of


def describe(run: Run, counts: dict[str, dict[str, Count]]) -> DatasetInfo:
    """`counts`: split -> label -> images, filled by the time the card is written."""
    from gifcli.reporting.findings import nearness_lines

    summary = summarise(run)
    prior = prior_card(run.recipe.prior.name)
    encoder = encoder_card(run.recipe.encoder.name)
    return DatasetInfo(
        name=run.root.resolve().name,
        source=source_of(run.root).name,
        classes=run.scan.classes,
        counts=counts,
        kept=summary.judged - sum(summary.rejected.values()),
        rejected=summary.rejected,
        recipe=dump_recipe(published(run.recipe), "run"),  # where it ran changes nothing
        prior=Model(prior.name, prior.revision, prior.licence),
        encoder=Model(encoder.name, revision(encoder.files), encoder.licence),
        licence=run.recipe.export.licence,
        missing=summary.shortfall,
        limits=_limits(run, summary),
        to=run.recipe.export.to,
        joined=run.scan.joined,
        measured=measured_text(run.root),
        nearness=tuple(nearness_lines(run.store)),
    )


def _limits(run: Run, summary: Summary) -> tuple[str, ...]:
    notes = (run.store.load(RULES) or {"notes": []})["notes"]
    return (
        "Generated images are variations of the originals: they inherit whatever the originals are biased towards.",
        "Whether they help a model is to be measured on real images that were held out, never on generated ones.",
        *(note[0].upper() + note[1:] + "." for note in notes),
        *([f"{number_of(summary.failures, 'source file')} could not be used."] if summary.failures else []),
    )
