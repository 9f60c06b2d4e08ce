"""advice.yaml: how to train on the dataset, each line with what it rests on. Advice, never a law. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gifcli.evaluate.sampler import sampler_code

ADVICE = "advice.yaml"
ADAINF = "AdaInf's rule (Wang et al., ICLR 2024, arXiv 2403.12448), found for contrastive learning: a heuristic here"
FEW = 30
"""Below so many test images, a table comes with a warning and gives no advice."""
HEADER = """# How to train on this dataset. Advice, not a law: `by: measured` was measured on this dataset with a small model,
# `by: rule` is a rule of thumb from the literature. Measure with your own model before you rely on either.
"""


@dataclass(frozen=True, slots=True)
class Mix:
    """How originals and generated images are mixed. share: of generated images among those drawn; replicate: of each original."""

    share: float
    replicate: int
    augmentation: str


def adainf(originals: int, generated: int) -> Mix:
    """The rule: r = generated / originals; r < 1: each original once, usual augmentation; else max(1, r / 2) times, rounded,
    with augmentation the weaker, the larger r is (arXiv 2403.12448, sections 3 and 4: 20 generated to 1 took 10 times).
    """
    r = generated / originals
    replicate = 1 if r < 1 else max(1, int(r / 2 + 0.5))
    return Mix(generated / (generated + replicate * originals), replicate, "classical" if weakened(r) < 0.5 else "weak")


def weakened(r: float) -> float:
    """How far classical augmentation is weakened at r generated images to an original: 0 up to r = 1, 1 from r = 20 on."""
    return min(1.0, max(0.0, (r - 1) / 19))


def measured(entry: Mapping[str, Any]) -> Mix:
    """The arm that inner validation prefers, unless the test set contradicts: then, and where it prefers none, originals alone."""
    arms = {arm["name"]: arm for arm in entry["arms"]}
    chosen, baseline = arms[entry["chosen"]], arms[entry["baseline"]]
    doubtful = chosen["inner"] is not None and chosen["inner"] <= baseline["inner"]
    if entry["verdict"] == "hurts" or (doubtful and entry["verdict"] != "helps"):
        return Mix(0.0, 1, baseline["augmentation"])
    share = chosen["share"] / 100
    ratio = entry["generated"] / entry["originals"]
    return Mix(share, max(1, int(ratio * (1 - share) / share + 0.5)), chosen["augmentation"])


def make_advice(
    name: str, originals: int, generated: int, layout: str, evaluations: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The document. `name` of the run folder, `layout` of its dataset (imagefolder, ...); `evaluations` as in evaluation.json."""
    trusted = [each for each in evaluations if each["test_images"] >= FEW]
    entry = min(trusted, key=lambda each: each["learner"] == "probe", default=None)  # pixels before features
    r = generated / originals
    mix = adainf(originals, generated) if entry is None else measured(entry)
    small = (
        f"; gif eval's table is of fewer than {FEW} test images and was not taken"
        if evaluations and not trusted
        else ""
    )
    by = {"by": "rule", "source": ADAINF + small} if entry is None else {"by": "measured", "source": _source(entry)}
    rule = {"by": "rule", "source": ADAINF}
    weak = weakened(r if mix.share else 0.0)
    return {
        "counts": {"originals": originals, "generated": generated, "generated_per_original": round(r, 3)},
        "synthetic_share": {"value": round(mix.share, 3), "meaning": "of the images drawn in training", **by},
        "replicate_originals": {"value": mix.replicate, "meaning": "where images are concatenated, not drawn", **by},
        "augmentation": {
            "value": mix.augmentation,
            "choices": "none, weak (mirror, shift), classical (and TrivialAugment)",
            **by,
        },
        "crop_scale_min": {
            "value": round(0.08 + 0.12 * weak, 3),
            "meaning": "of RandomResizedCrop, if you use it",
            **rule,
        },
        "color_jitter_probability": {"value": round(0.8 - 0.4 * weak, 3), "meaning": "if you use it", **rule},
        "weights": {
            "column": "weight",
            "meaning": "how often an image is drawn among those of its kind; 1 unless you change it",
            "by": "manifest.parquet",
        },
        "controls": {
            "try": ["originals alone, weak augmentation", "originals alone, classical augmentation"],
            "why": "naive mixing can hurt: SimCLR on CIFAR-10 had 91.56 without, 91.38 with generated images mixed in as they are,"
            " 93.42 reweighted",
            "source": ADAINF,
        },
        "shares_used_elsewhere": {
            "GIF (arXiv 2211.13976), plain concatenation": "0.83 to 0.95",
            "DA-Fusion (arXiv 2302.07944)": "0.50",
            "SaSPA (NeurIPS 2024)": "0.40",
            "Diff-Mix, DISEF, DataDream (as loss weight)": "0.10 to 0.20",
        },
        "pytorch": sampler_code(name, layout, mix.share, mix.augmentation),
    }


def render_advice(advice: Mapping[str, Any]) -> bytes:
    """As a file; the same bytes for the same advice."""
    text = yaml.dump(dict(advice), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return (HEADER + text).encode()


def write_advice(folder: Path, advice: Mapping[str, Any]) -> str:
    """Writes `advice.yaml` into a folder where it differs -> its name."""
    from gifcli.state.shards import write_atomic

    path, data = folder / ADVICE, render_advice(advice)
    if not path.is_file() or path.read_bytes() != data:
        write_atomic(path, data)
    return ADVICE


def _source(entry: Mapping[str, Any]) -> str:
    arms = {arm["name"]: arm for arm in entry["arms"]}
    chosen, baseline = arms[entry["chosen"]], arms[entry["baseline"]]
    return (
        f"gif eval, {entry['learner']} on {entry['test']}: {chosen['accuracy']:.1f}% with {chosen['name']}, "
        f"{baseline['accuracy']:.1f}% with {baseline['name']}; {entry['verdict']}"
    )


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, to be copied."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
