"""The state of a run folder, verified: seals, shards against their done marks, frozen rules, unpacked images."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gifcli.dataset.sums import READERS, hash_file, hash_files
from gifcli.dataset.verification import Verification, unsealed
from gifcli.state.files import CACHE, EXPORT, LEDGER, RECIPE, RULES, UNPACKED
from gifcli.state.seals import is_text_whole, is_whole
from gifcli.state.shards import STATE, digest
from gifcli.wording import some

UNSEALED = frozenset(["events.jsonl", "lock", LEDGER])
"""State that is no sealed JSON; the last one is looked at by what it lists."""
FROZEN = "rules"


def check_state(state: Path, found: Verification) -> None:
    """Seals, shards against their done marks, rules, images unpacked from a source that is no folder."""
    for path in sorted(state.rglob("*.json")):
        found.files += 1
        if not is_whole(path.read_bytes()):
            found.differences[_name(state, path)] = "the seal does not fit what it says"
    _check_shards(state, found)
    _check_rules(state, found)
    _check_ledger(state, found)
    cache = unsealed(state / CACHE)
    unpacked = {f"{UNPACKED}/{name}": stamp[2] for name, stamp in cache.items()} if (state / UNPACKED).is_dir() else {}
    found.compare(state, unpacked, hash_files(state, unpacked), f"{STATE}/")
    found.files += len(unpacked)
    left = [path for path in sorted(state.rglob("*")) if path.is_file() and not _known(state, path, unpacked)]
    if left:
        found.notes.append(f"not looked at, as nothing says what they should be: {some([str(path) for path in left])}")


def _known(state: Path, path: Path, unpacked: Mapping[str, str]) -> bool:
    relative = path.relative_to(state).as_posix()
    inside = relative.startswith((f"{FROZEN}/", "stages/")) or relative in unpacked
    return inside or path.suffix == ".json" or relative in UNSEALED


def _check_shards(state: Path, found: Verification) -> None:
    tars = sorted((state / "stages").rglob("*.tar"))
    found.files += len(tars)
    marks = {path.with_suffix(".tar"): path for path in (state / "stages").rglob("*.json")}
    with ThreadPoolExecutor(READERS) as pool:
        hashes = dict(zip(tars, pool.map(hash_file, tars), strict=True))
    for path in tars:
        if path not in marks:
            found.differences[_name(state, path)] = "has no done mark"
        elif unsealed(marks[path]).get("sha256") != hashes[path]:
            found.differences[_name(state, path)] = "is not what its done mark says"
    for path in sorted(set(marks) - set(tars)):
        found.differences[_name(state, path)] = "is missing, though its done mark is there"


def _check_rules(state: Path, found: Verification) -> None:
    told = unsealed(state / RULES).get("digest")
    files = sorted((state / FROZEN).glob("*")) if (state / FROZEN).is_dir() else []
    found.files += len(files)
    if told is not None and told != digest(sorted((path.name, path.read_bytes().hex()) for path in files)):
        found.differences[_name(state, state / FROZEN)] = "the rules are not those that were frozen"


def check_recipe(folder: Path, found: Verification) -> None:
    path = folder / RECIPE
    if path.is_file():
        found.files += 1
        if not is_text_whole(path.read_bytes()):
            found.differences[RECIPE] = "was changed since gif wrote it"


def _check_ledger(state: Path, found: Verification) -> None:
    """The list of exported files, once the export is done."""
    export = unsealed(state / EXPORT)
    if export:
        found.files += 1
        if export.get("ledger") != hash_file(state / LEDGER):
            found.differences[_name(state, state / LEDGER)] = "is not the list that the export wrote"


def _name(state: Path, path: Path) -> str:
    return f"{STATE}/{path.relative_to(state).as_posix()}"
