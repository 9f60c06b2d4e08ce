"""`gif verify`: hashes everything again and compares it with SHA256SUMS, the manifest, the done marks and the seals.

Looked at: every file that an export wrote, every image inside tars and Parquet files, and in a run folder every shard and
every file of its state. Not looked at: the event log and the lock, which say nothing of the data, and the source. Files that
somebody added are named, and are no difference.
"""

import hashlib
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from gifcli.dataset.delivery import UNFINISHED
from gifcli.dataset.sums import NAME, hash_file, hash_files, interrupted, read_sums
from gifcli.dataset.verification import Verification, unsealed
from gifcli.dataset.verify_state import check_recipe, check_state
from gifcli.errors import CheckError, UsageError
from gifcli.formats.containers import split_name
from gifcli.state.files import EXPORT, MANIFEST, RECIPE
from gifcli.state.shards import STATE
from gifcli.wording import some


def verify(folder: Path) -> Verification:
    """Looks at a run folder, or at a dataset that was exported elsewhere; changes nothing.

    Raises:
        UsageError: it is neither.
    """
    state = folder / STATE
    if not state.is_dir() and not (folder / NAME).is_file():
        if (folder / UNFINISHED).is_file():
            raise UsageError(f"{folder}: exporting to it was interrupted; run the same gif export again")
        raise UsageError(
            f"{folder}: expected a run folder or an exported dataset of gif (with {STATE} or {NAME} in it)"
        )
    found = Verification(str(folder))
    if state.is_dir():
        check_state(state, found)
        check_recipe(folder, found)
    if (folder / NAME).is_file():
        hashes = _check_files(folder, found)
        _check_images(folder, hashes, found)
    elif interrupted(folder):
        found.unfinished = True
        found.notes.append("the dataset was not looked at: writing it was interrupted")
    else:
        found.notes.append("the dataset is not exported yet: only the state was looked at")
    return found


def assert_whole(found: Verification) -> None:
    """Says whether all is as it was written.

    Raises:
        CheckError: something differs, or the dataset is not finished.
    """
    if found.differences:
        raise CheckError(
            f"{found.dataset}: not as gif wrote it, differences: {len(found.differences)}; "
            f"in a run folder, gif export {found.dataset} --redo writes the dataset again and gif expand --redo STAGE what its "
            "state holds; elsewhere, export it again from its run"
        )
    if found.unfinished:
        raise CheckError(
            f"{found.dataset}: its dataset is not whole, as writing it was interrupted; finish it: gif export {found.dataset}"
        )


def _check_files(folder: Path, found: Verification) -> dict[str, str]:
    """Every file that the export listed -> what each hashes to."""
    found.files += 1
    try:
        sums = read_sums(folder) or {}
    except CheckError as error:
        found.differences[NAME] = str(error)
        return {}
    export = unsealed(folder / STATE / EXPORT)
    if export and export.get("sums") != hash_file(folder / NAME):
        found.differences[NAME] = "is not the one that the export wrote"
    found.files += len(sums)
    hashes = hash_files(folder, sums)
    found.compare(folder, sums, hashes)
    if added := _added(folder, sums):
        found.notes.append(f"files that gif did not write, and nothing vouches for: {some(added)}")
    return hashes


def _added(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Files of a dataset that its export did not list, but for those that stand beside it in a run folder."""
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    beside = {STATE, NAME, RECIPE}
    return [path.as_posix() for path in files if path.as_posix() not in sums and path.parts[0] not in beside]


def _check_images(folder: Path, hashes: Mapping[str, str], found: Verification) -> None:
    """Every image that the manifest lists, wherever it lies; `hashes` are those of files, known already."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / MANIFEST, columns=["file", "sha256"])
    except (OSError, pa.ArrowException, ValueError) as error:
        found.differences.setdefault(MANIFEST, f"cannot be read: {str(error).splitlines()[0]}")
        return
    wanted: defaultdict[str, dict[str | None, str]] = defaultdict(dict)
    for file, sha256 in zip(table["file"].to_pylist(), table["sha256"].to_pylist(), strict=True):
        if file is not None:
            path, member = split_name(file)
            wanted[path][member] = sha256
    for name, members in wanted.items():
        found.images += len(members)
        if name not in found.differences:
            _check_members(folder / name, name, members, hashes, found)


def _check_members(
    path: Path, name: str, members: Mapping[str | None, str], hashes: Mapping[str, str], found: Verification
) -> None:
    inside: dict[str | None, str] = {None: hashes.get(name) or hash_file(path)}
    if None not in members:
        try:
            inside = dict(_inside(path))
        except (OSError, tarfile.TarError, ValueError) as error:
            found.differences[name] = f"cannot be read: {str(error).splitlines()[0]}"
            return
    for member, sha256 in members.items():
        if inside.get(member) != sha256:
            what = "is not what the manifest says" if member in inside else "is missing"
            found.differences[name if member is None else f"{name}#{member}"] = what


def _inside(path: Path) -> Iterator[tuple[str | None, str]]:
    """(member or row, sha256) of every image in a tar or a Parquet file."""
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None and member.name.endswith(".jpg"):
                    yield member.name, hashlib.sha256(content.read()).hexdigest()
        return
    import pyarrow.parquet as pq

    row = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(64, columns=["image"]):
            for image in batch.column(0).to_pylist():
                yield str(row), hashlib.sha256(image["bytes"]).hexdigest()
                row += 1
