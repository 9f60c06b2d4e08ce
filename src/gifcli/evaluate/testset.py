"""The images that an evaluation is measured on: seen by nobody before, and looked at once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gifcli.errors import InputError, UsageError
from gifcli.images.reading import bucket, fit, read
from gifcli.records import Array, Source
from gifcli.sources import holdout
from gifcli.sources.source import scan
from gifcli.state.run import Run
from gifcli.wording import are, number_of

READERS = 2
MULTIPLE = 8
"""Sides of encoded images are multiples of this, in pixels, as priors want them."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """Images of a folder with their labels (n) in the run's class order; `phrase` says where they come from."""

    folder: Path
    sources: list[Source]
    labels: Array
    phrase: str

    __test__ = False  # for pytest, which takes the name for a test


def find_test_set(run: Run, folder: Path | None) -> TestSet:
    """The test folder that was given, else what `--holdout` set aside, else the source's own test split.

    Images of the run's own training set are left out of a given folder, and so are classes that the run does not have.

    Raises:
        UsageError: there is none of the three.
        InputError: nothing in the folder can be used.
    """
    if folder is not None:
        return _given(run, folder)
    for name, phrase in ((holdout.SPLIT, "set aside by --holdout"), ("test", "of the source's test split")):
        sources = [source for source in run.scan.sources if source.split == name]
        if sources:
            return _test_set(run, run.source, sources, phrase)
    raise UsageError(
        f"{run.root}: expected test images that the run has never seen, found none; give a folder with --test DIR, or make "
        f"a run that sets some aside: gif expand {run.source} -o OTHER --holdout 20%"
    )


def read_images(test: TestSet, short: int, warn: Callable[[str], None]) -> tuple[TestSet, list[Array]]:
    """The images that can be decoded, with their pixels (h w 3) uint8: a short side of about `short`, framed as seeds are.

    Raises:
        InputError: none can.
    """

    def one(source: Source) -> Array | None:
        near = partial(bucket, short=short, multiple=MULTIPLE)
        try:
            picture = read(test.folder / source.path, near=near)
        except InputError as error:
            warn(f"{test.folder / source.path} is left out of the test: {error}")
            return None
        return fit(picture.pixels, *near(picture.width, picture.height))

    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(one, test.sources))
    kept = [i for i, image in enumerate(found) if image is not None]
    if not kept:
        raise InputError(
            f"{test.folder}: none of {number_of(len(found), 'test image')} can be read; give others with --test"
        )
    phrase = " ".join([number_of(len(kept), "image"), *test.phrase.split(" ")[2:]])
    usable = TestSet(test.folder, [test.sources[i] for i in kept], test.labels[kept], phrase)
    return usable, [image for image in found if image is not None]


def squares(images: list[Array], size: int) -> Array:
    """(n size size 3): the centre square of each, resized."""
    return np.stack([fit(image, size, size) for image in images])


def _given(run: Run, folder: Path) -> TestSet:
    found = scan(folder)
    named = [source for source in found.sources if source.split == "test"] or found.sources
    trained = {source.sha256 for source in run.seeds()}
    seen = sum(source.sha256 in trained for source in named)
    foreign = {source.label for source in named} - set(run.scan.classes)
    if seen:
        run.reporter.warn(
            f"{folder}: {number_of(seen, 'image')} {are(seen)} in the run's training set too, and left out of the test"
        )
    if foreign:
        run.reporter.warn(f"{folder}: the run has no class {', '.join(sorted(foreign))}; left out of the test")
    used = [source for source in named if source.sha256 not in trained and source.label not in foreign]
    if not used:
        raise InputError(
            f"{folder}: expected images of {', '.join(list(run.scan.classes)[:3])} that the run was not trained on, "
            f"found none; give another folder with --test"
        )
    return _test_set(run, folder, used, f"of {folder.name}")


def _test_set(run: Run, folder: Path, sources: list[Source], phrase: str) -> TestSet:
    order = {label: i for i, label in enumerate(run.scan.classes)}
    labels = np.array([order[source.label] for source in sources], np.int64)
    missing = len(order) - len(Counter(labels.tolist()))
    if missing:
        run.reporter.warn(f"classes without a test image, of which the test says nothing: {missing} of {len(order)}")
    return TestSet(folder, sources, labels, f"{number_of(len(sources), 'image')} {phrase}")
