"""Source folders as people have them: layouts, names, links, twins, broken files."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from gifcli.errors import InputError, UsageError
from gifcli.images.reading import read
from gifcli.sources.source import Scan, refuse_overlap, scan

CAT = Image.fromarray(data.chelsea()).resize((48, 32))


def save(root: Path, *paths: str | bytes) -> None:
    """Writes a different small photograph to each path."""
    for path in paths:
        target = root / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shift = int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:2], "big")
        Image.fromarray(np.roll(np.asarray(CAT), (shift % 32, shift % 47), (0, 1))).save(target, "JPEG")


def paths(found: Scan) -> list[str]:
    return [source.path for source in found.sources]


def reasons(found: Scan) -> dict[str, str]:
    return {failure.path: failure.reason for failure in found.failures}


@contextmanager
def somebody_else() -> Iterator[Path]:
    """A folder, entered without root's right to read everything."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def no_privileges() -> Iterator[None]:
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_class_folders(tmp_path):
    save(tmp_path, "dog/1.jpg", "cat/deep/er/2.JPG", "cat/1.jpeg", "cat/3.JFIF")
    found = scan(tmp_path)
    assert paths(found) == ["cat/1.jpeg", "cat/3.JFIF", "cat/deep/er/2.JPG", "dog/1.jpg"]
    assert found.classes == {"cat": "cat", "dog": "dog"}
    assert (found.splits, found.flat, found.failures, found.warnings) == (["train"], False, [], [])
    first = found.sources[0]
    content = (tmp_path / first.path).read_bytes()
    assert first.sha256 == hashlib.sha256(content).hexdigest()
    assert first.size == len(content)
    assert first.key == hashlib.sha256(f"{first.sha256}\0cat\0train".encode()).hexdigest()[:16]


def test_flat_folder_is_one_class_named_after_it(tmp_path):
    save(tmp_path / "My_cats", "b.jpg", "a.jpg")
    found = scan(tmp_path / "My_cats")
    assert found.flat
    assert found.classes == {"My_cats": "My cats"}
    assert [(s.path, s.label) for s in found.sources] == [("a.jpg", "My_cats"), ("b.jpg", "My_cats")]


def test_flat_folder_named_by_where_it_is(tmp_path, monkeypatch):
    save(tmp_path / "cats", "a.jpg")
    monkeypatch.chdir(tmp_path / "cats")
    assert list(scan(Path()).classes) == ["cats"]


@pytest.mark.parametrize("other", ["val", "valid", "validation", "dev", "test"])
def test_splits(tmp_path, other):
    save(tmp_path, f"{other}/cat/a.jpg", "train/dog/b.jpg", "train/cat/x/c.jpg")
    (tmp_path / other / "dog").mkdir()
    found = scan(tmp_path)
    assert [(s.split, s.label, s.path) for s in found.sources] == [
        ("train", "cat", "train/cat/x/c.jpg"),
        ("train", "dog", "train/dog/b.jpg"),
        (other, "cat", f"{other}/cat/a.jpg"),
    ]
    assert found.splits == ["train", other]
    assert list(found.classes) == ["cat", "dog"]


def test_capitalised_splits_are_splits(tmp_path):
    save(tmp_path, "Train/cat/a.jpg", "Test/cat/b.jpg")
    assert [(s.split, s.path) for s in scan(tmp_path).sources] == [
        ("train", "Train/cat/a.jpg"),
        ("test", "Test/cat/b.jpg"),
    ]


def test_train_beside_other_classes_is_a_class(tmp_path):
    save(tmp_path, "train/a.jpg", "bus/b.jpg")
    found = scan(tmp_path)
    assert list(found.classes) == ["bus", "train"]
    assert "taken as classes" in found.warnings[0]


def test_class_outside_train_only_is_not_used(tmp_path):
    save(tmp_path, "train/cat/a.jpg", "test/dog/b.jpg")
    found = scan(tmp_path)
    assert paths(found) == ["train/cat/a.jpg"]
    assert reasons(found) == {"test/dog/b.jpg": "the class dog does not occur in train"}
    assert "dog" in found.warnings[0]


def test_images_beside_class_folders_are_failures(tmp_path):
    save(tmp_path, "cat/a.jpg", "stray.jpg")
    assert reasons(scan(tmp_path)) == {"stray.jpg": "no class folder holds it"}
    save(tmp_path, "train/cat/a.jpg", "train/stray.jpg", "stray.jpg")
    (tmp_path / "cat").rename(tmp_path / "test")
    assert set(reasons(scan(tmp_path))) == {"stray.jpg", "train/stray.jpg", "test/a.jpg"}


@pytest.mark.parametrize("layout", ["", "train"])
def test_empty_class_is_refused_by_name(tmp_path, layout):
    save(tmp_path / layout, "cat/a.jpg")
    (tmp_path / layout / "dog").mkdir()
    with pytest.raises(InputError, match="none that can be used in dog"):
        scan(tmp_path)
    (tmp_path / layout / "dog" / "zero.jpg").touch()
    with pytest.raises(InputError, match=r"dog .*zero\.jpg: empty"):
        scan(tmp_path)


def test_nothing_to_work_on(tmp_path):
    for root, message in [
        (tmp_path / "missing", "found nothing of that name"),
        (tmp_path, "no images to work on; expected SOURCE/<class>.*found 0 folders"),
    ]:
        with pytest.raises(InputError, match=message):
            scan(root)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="found a file"):
        scan(tmp_path / "file")
    save(tmp_path / "flat-splits", "train/a.jpg", "test/b.jpg")
    with pytest.raises(InputError, match=r"SOURCE/train/<class>.*no class folder"):
        scan(tmp_path / "flat-splits")


def test_other_files_are_skipped(tmp_path):
    save(tmp_path, "cat/a.jpg", "cat/.hidden.jpg", "cat/._a.jpg", ".git/b.jpg", "__MACOSX/cat/c.jpg")
    for name in ["Thumbs.db", "desktop.ini", ".DS_Store", "labels.json", "notes.TXT", "classes.csv", "README.md"]:
        (tmp_path / "cat" / name).write_text("x")
        (tmp_path / name).write_text("x")
    found = scan(tmp_path)
    assert (paths(found), found.failures, found.warnings) == (["cat/a.jpg"], [], [])


def test_odd_suffixes_are_told_by_the_first_bytes(tmp_path):
    save(tmp_path, "cat/a.jpg", "cat/no_suffix", "cat/photo.jpg?w=640")
    (tmp_path / "cat" / "weights.xyz").write_bytes(b"\0" * 64)
    (tmp_path / "cat" / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    found = scan(tmp_path)
    assert paths(found) == ["cat/a.jpg", "cat/no_suffix", "cat/photo.jpg?w=640"]
    assert reasons(found) == {"cat/phone.HEIC": ".heic files are not supported; convert it to JPEG or PNG"}
    assert found.warnings == ["skipped 1 file without an image, by suffix: .xyz (1)"]


def test_zero_bytes_pipes_and_dead_links_are_failures(tmp_path):
    save(tmp_path, "cat/a.jpg")
    (tmp_path / "cat" / "zero.png").touch()
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "dead.jpg").symlink_to("nowhere.jpg")
    assert reasons(scan(tmp_path)) == {
        "cat/dead.jpg": "a symbolic link to nothing",
        "cat/pipe.jpg": "not a regular file",
        "cat/zero.png": "empty: the file has no bytes",
    }


def test_unreadable_files_and_folders_are_failures():
    with somebody_else() as root:
        save(root, "cat/a.jpg", "cat/secret.jpg", "cat/closed/b.jpg", "cat/unknown")
        (root / "cat" / "secret.jpg").chmod(0)
        (root / "cat" / "unknown").chmod(0)
        (root / "cat" / "closed").chmod(0)
        with no_privileges():
            found = scan(root)
        (root / "cat" / "closed").chmod(0o755)
    assert paths(found) == ["cat/a.jpg"]
    assert set(reasons(found)) == {"cat/closed", "cat/secret.jpg", "cat/unknown"}
    assert set(reasons(found).values()) == {"permission denied"}


def test_names_stay_apart_and_readable(tmp_path):
    names = [
        "caf\u00e9.jpg",
        "cafe\u0301.jpg",
        "\U0001f431\u200d\U0001f464.jpg",
        "two words.jpg",
        "-rf.jpg",
        "a.b.jpg",
        "a.jpg",
        "a.png",
    ]
    save(tmp_path, *(f"-c\u00e4t \U0001f63a/{name}" for name in names), "line\nbreak/x\ny.jpg")
    found = scan(tmp_path)
    assert paths(found) == [*sorted(f"-c\u00e4t \U0001f63a/{name}" for name in names), "line\nbreak/x\ny.jpg"]
    assert len({source.key for source in found.sources}) == len(names) + 1
    assert all(read(tmp_path / source.path).pixels.shape == (32, 48, 3) for source in found.sources)
    assert json.loads(json.dumps(found.files)).keys() == found.files.keys()


def test_classes_that_differ_in_unicode_form_are_kept_apart_with_a_warning(tmp_path):
    save(tmp_path, "caf\u00e9/a.jpg", "cafe\u0301/b.jpg", "Bar/a.jpg", "bar/b.jpg")
    found = scan(tmp_path)
    assert len(found.classes) == 4
    assert [w for w in found.warnings if "'Bar', 'bar' read the same" in w]
    assert [w for w in found.warnings if r"'cafe\u0301', 'caf\xe9' read the same" in w]


def test_names_that_are_not_utf8_are_failures_with_a_printable_name(tmp_path):
    save(tmp_path, "cat/a.jpg", b"cat/b\xff\n.jpg", b"caf\xe9/c.jpg")
    found = scan(tmp_path)
    assert paths(found) == ["cat/a.jpg"]
    assert list(found.classes) == ["cat"]
    assert set(reasons(found)) == {r"caf\xe9/c.jpg", r"cat/b\xff\n.jpg"}
    assert "not valid UTF-8" in reasons(found)[r"caf\xe9/c.jpg"]


def test_links_are_followed(tmp_path):
    save(tmp_path / "elsewhere", "more/b.jpg", "c.jpg")
    save(tmp_path / "photos", "cat/a.jpg")
    (tmp_path / "photos" / "cat" / "folder").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "photos" / "cat" / "c.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    (tmp_path / "linked").symlink_to("photos")
    assert paths(scan(tmp_path / "linked")) == ["cat/a.jpg", "cat/c.jpg", "cat/folder/b.jpg"]


@pytest.mark.parametrize(
    ("link", "target", "named"),
    [
        ("cat/loop", ".", "cat/loop"),
        ("cat/up", "..", "cat/up"),
        ("cat/out", "../..", "cat/out"),
        ("cat/self.jpg", "self.jpg", "cat/self.jpg"),
        ("cat/there", "../dog", "(cat/there/back|dog/back/there)"),
    ],
)
def test_link_loops_are_refused_by_name(tmp_path, link, target, named):
    root = tmp_path / "photos"
    save(root, "cat/a.jpg", "dog/b.jpg")
    (root / "dog" / "back").symlink_to("../cat")
    (root / link).symlink_to(target)
    with pytest.raises(InputError, match=f"{named}.*leads back.*remove the link"):
        scan(root)


def test_duplicates_are_used_once(tmp_path):
    save(tmp_path, "cat/b.jpg", "dog/x.jpg")
    (tmp_path / "cat" / "a.jpg").write_bytes((tmp_path / "cat" / "b.jpg").read_bytes())
    found = scan(tmp_path)
    assert paths(found) == ["cat/a.jpg", "dog/x.jpg"]
    assert found.warnings == ["1 file repeats another of the same class, used once: cat/b.jpg = cat/a.jpg"]


def test_one_content_under_two_labels_and_leaks_are_named(tmp_path):
    save(tmp_path, "train/cat/a.jpg", "train/dog/x.jpg", "test/cat/y.jpg")
    content = (tmp_path / "train/cat/a.jpg").read_bytes()
    (tmp_path / "train/dog/a.jpg").write_bytes(content)
    (tmp_path / "test/cat/leak.jpg").write_bytes(content)
    found = scan(tmp_path)
    assert len(found.sources) == 5
    assert found.warnings == [
        "the same content lies under two labels: train/cat/a.jpg = train/dog/a.jpg",
        "the same content lies both in train and in another split (a leak): train/cat/a.jpg = test/cat/leak.jpg",
    ]


def test_unchanged_files_are_not_hashed_again(tmp_path):
    save(tmp_path, "cat/a.jpg", "cat/b.jpg")
    first = scan(tmp_path)
    forged = {
        path: (size, mtime, "0" * 64 if path == "cat/a.jpg" else "1" * 64)
        for path, (size, mtime, _) in first.files.items()
    }
    save(tmp_path / "cat", "b.jpg")
    again = scan(tmp_path, known=forged)
    assert again.files["cat/a.jpg"][2] == "0" * 64
    assert again.files["cat/b.jpg"][2] == hashlib.sha256((tmp_path / "cat/b.jpg").read_bytes()).hexdigest()


def test_scan_and_read_leave_the_source_as_it_is(tmp_path):
    save(tmp_path, "cat/a.jpg", "cat/b.jpg", "dog/c.jpg", "stray.jpg")
    (tmp_path / "cat" / "zero.jpg").touch()

    def state() -> list[tuple[str, int, bytes]]:
        files = sorted(p for p in tmp_path.rglob("*"))
        return [(str(p), p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in files]

    before = state()
    for source in scan(tmp_path).sources:
        read(tmp_path / source.path, near=lambda *_: (8, 8))
    assert state() == before


def test_an_earlier_output_is_no_source(tmp_path):
    save(tmp_path, "cat/a.jpg", "photos-5x/train/cat/b.jpg")
    (tmp_path / "photos-5x" / ".gifcli").mkdir()
    with pytest.raises(InputError, match=r"photos-5x: .*output of an earlier run.*photos-5x/train"):
        scan(tmp_path)


@pytest.mark.parametrize("output", ["photos", "photos/out", "photos/a/../b/c", ".", "link/out", "photos/../photos"])
def test_output_that_overlaps_the_source_is_refused(tmp_path, output):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    with pytest.raises(UsageError, match="choose a folder outside it with -o"):
        refuse_overlap(tmp_path / "photos", tmp_path / output)
    with pytest.raises(UsageError):
        refuse_overlap(tmp_path / "link", tmp_path / output)


def test_output_beside_the_source_is_fine(tmp_path):
    (tmp_path / "photos").mkdir()
    refuse_overlap(tmp_path / "photos", tmp_path / "photos-5x")
    refuse_overlap(tmp_path / "photos", tmp_path / "photos" / ".." / "out" / "deep")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="cannot be resolved"):
        refuse_overlap(tmp_path / "photos", tmp_path / "loop" / "out")
