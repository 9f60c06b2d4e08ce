"""What is learned from: the train images of a folder, without those that `--holdout` sets aside."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gifcli.errors import InputError
from gifcli.images.reading import Picture, Size, fit, read
from gifcli.recipe.recipe import Recipe
from gifcli.records import Array, Source
from gifcli.sources import holdout
from gifcli.sources.source import scan
from gifcli.state.opening import limited

READERS = 4
LOOKED_AT = 32
"""Images whose size is looked at to choose the one that is learned at."""


@dataclass(frozen=True, slots=True)
class Material:
    """The images of a folder.

    keys   identities of the images, in scan order      names  class name of each, as a person reads it
    """

    folder: Path
    sources: list[Source]
    names: list[str]
    warnings: list[str]

    @property
    def keys(self) -> list[str]:
        """What is learned from, as the seeds of a run are named."""
        return [source.key for source in self.sources]

    def short_side(self) -> int:
        """The median short side in pixels of some of the images."""
        step = max(1, len(self.sources) // LOOKED_AT)
        found = [self._read(place) for place in range(0, len(self.sources), step)]
        sides = sorted(min(picture.width, picture.height) for picture in found if picture)
        return sides[len(sides) // 2] if sides else 0

    def pixels(self, size: Size) -> tuple[list[int], list[Array]]:
        """Places and pixels (h w 3) uint8 of the images that can be read, each cropped and resized to `size` (w, h).

        Raises:
            InputError: none can be read.
        """
        with ThreadPoolExecutor(READERS) as pool:
            found = list(pool.map(lambda place: self._fitted(place, size), range(len(self.sources))))
        places = [place for place, pixels in enumerate(found) if pixels is not None]
        if not places:
            raise InputError(f"{self.folder}: none of its images could be read")
        return places, [pixels for pixels in found if pixels is not None]

    def _fitted(self, place: int, size: Size) -> Array | None:
        picture = self._read(place, lambda _w, _h: size)
        return None if picture is None else fit(picture.pixels, *size)

    def _read(self, place: int, near: Callable[[int, int], Size] | None = None) -> Picture | None:
        try:
            return read(self.folder / self.sources[place].path, near=near)
        except InputError:
            return None


def read_material(folder: Path, recipe: Recipe) -> Material:
    """Scans a folder as a run does; what a fresh run with the same `--holdout` and `--limit` leaves out is not learned from.

    Raises:
        InputError: the source cannot be used.
    """
    classes, labels = (Path(path) if path else None for path in (recipe.input.classes, recipe.input.labels))
    found = scan(folder, classes_file=classes, labels_file=labels)
    aside = holdout.choose(found.sources, recipe.input.holdout, (), ())
    train = [source for source in holdout.split_off(found.sources, aside) if source.split == "train"]
    train = limited(train, recipe.input.limit)
    return Material(folder, train, [found.classes[source.label] for source in train], found.warnings)
