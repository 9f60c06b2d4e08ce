"""Walks a source folder: which files are images, which cannot be used and why. Reads names and sizes, no pixels."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gifcli.errors import InputError
from gifcli.records import Failure

Identity = tuple[int, int]

_IMAGES = """
.apng .avif .avifs .bmp .dib .gif .j2k .jfif .jif .jp2 .jpe .jpeg .jpg .jpx .mpo .pbm .pfm .pgm .png .pnm .ppm .qoi
.tif .tiff .webp"""
_UNSUPPORTED = """
.arw .cr2 .cr3 .dng .eps .exr .hdr .heic .heif .hif .jxl .nef .orf .pcx .psd .raf .raw .rw2 .svg .tga .xcf"""
_OTHERS = """
.7z .bak .bin .cfg .ckpt .crdownload .csv .db .doc .docx .gz .h5 .html .htm .ini .ipynb .json .jsonl .lock .log .mat .md
.mov .mp4 .npy .npz .onnx .parquet .part .pdf .pkl .pt .pth .py .rst .rtf .sh .sqlite .swp .tar .tmp .toml .tsv .txt
.xls .xlsx .xml .xmp .yaml .yml .zip"""
IMAGES, UNSUPPORTED, OTHERS = (frozenset(text.split()) for text in (_IMAGES, _UNSUPPORTED, _OTHERS))
SKIPPED = frozenset(
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"]
)
MAGICS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"qoif")
RUN_FOLDER = ".gifcli"


@dataclass(frozen=True, slots=True)
class Found:
    """An image file: POSIX path relative to the root, size in bytes, time of the last change in nanoseconds."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies below a root: folders (relative POSIX paths), image files, unusable files, other suffixes by count."""

    folders: list[str] = field(default_factory=list)
    images: list[Found] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def walk(root: Path) -> Tree:
    """Everything below `root`, in no particular order; links are followed.

    Raises:
        InputError: the root is not a folder or is a run folder, or a symbolic link leads back to where it lies.

    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing of that name"
        raise InputError(f"{root}: expected a folder of images, found {found}; check the path")
    tree = Tree()
    pending = [("", frozenset(_folders_above(root)))]
    while pending:
        folder, chain = pending.pop()
        for entry in _entries(root, folder, tree):
            relative = f"{folder}/{entry.name}" if folder else entry.name
            inside = _visit(entry, relative, chain, tree)
            if inside is not None:
                pending.append((relative, chain | {inside}))
    return tree


def printable(path: str) -> str:
    """The path with what no terminal or JSON reader can show (bytes that are not UTF-8, control characters) escaped."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() or c == "\u200d" else c.encode("unicode_escape").decode() for c in text)


def starts_like_image(start: bytes) -> bool:
    """Whether the first 16 bytes of a file are those of an image format that is read here."""
    return start.startswith(MAGICS) or start[8:12] == b"WEBP" or start[4:12] in (b"ftypavif", b"ftypavis")


def is_unicode(path: str) -> bool:
    """Whether the name is valid UTF-8, so that it can be written into JSON, Parquet and YAML."""
    return not any("\ud800" <= c <= "\udfff" for c in path)


def _folders_above(root: Path) -> Iterator[Identity]:
    """The root and the folders it lies in: a link to any of them leads back here."""
    real = root.resolve()
    for folder in (real, *real.parents):
        try:
            status = folder.stat()
        except OSError:
            return
        yield status.st_dev, status.st_ino


def _entries(root: Path, folder: str, tree: Tree) -> list[os.DirEntry[str]]:
    """What a folder holds, without hidden and system files; an unreadable folder is a failure."""
    try:
        with os.scandir(os.path.join(root, folder)) as scanned:  # noqa: PTH118 - Path would drop a name's "."
            entries = list(scanned)
    except OSError as error:
        tree.failures.append(Failure(printable(folder or "."), _reason(error)))
        return []
    if any(entry.name == RUN_FOLDER for entry in entries):
        place = printable(os.path.join(root, folder))  # noqa: PTH118
        raise InputError(
            f"{place}: expected source images, found the output of an earlier run; move it out of the source,"
            f" or take {place}/train as the source"
        )
    return [e for e in entries if not e.name.startswith(".") and e.name.casefold() not in SKIPPED]


def _visit(entry: os.DirEntry[str], relative: str, chain: frozenset[Identity], tree: Tree) -> Identity | None:
    """Files a directory entry in the tree; the identity of a folder that is to be entered, else None."""
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(_loop(relative)) from None
        if _suffix(relative) not in OTHERS:
            tree.failures.append(Failure(printable(relative), _reason(error)))
        return None
    if not stat.S_ISDIR(status.st_mode):
        _file(entry, relative, status, tree)
        return None
    identity = (status.st_dev, status.st_ino)
    if identity in chain:
        raise InputError(_loop(relative))
    if is_unicode(relative):
        tree.folders.append(relative)
    return identity


def _file(entry: os.DirEntry[str], relative: str, status: os.stat_result, tree: Tree) -> None:
    """Files one file: an image, a failure, or something else."""
    suffix = _suffix(relative)
    if suffix in OTHERS:
        return
    reason = _unusable(entry, relative, status, suffix)
    if reason == "":
        tree.images.append(Found(relative, status.st_size, status.st_mtime_ns))
    elif reason is None:
        tree.others[printable(suffix) or "none"] += 1
    else:
        tree.failures.append(Failure(printable(relative), reason))


def _unusable(entry: os.DirEntry[str], relative: str, status: os.stat_result, suffix: str) -> str | None:
    """Why an image file cannot be used, "" if it can, None if it is no image (told by its suffix, else its start)."""
    if suffix in UNSUPPORTED:
        return f"{suffix} files are not supported; convert it to JPEG or PNG"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file" if suffix in IMAGES else None
    if suffix not in IMAGES:
        try:
            with open(entry.path, "rb") as file:  # noqa: PTH123 - a DirEntry is not a Path
                start = file.read(16)
        except OSError as error:
            return _reason(error)
        if not starts_like_image(start):
            return None
    if not is_unicode(relative):
        return "the name is not valid UTF-8; rename the file or its folder"
    return "" if status.st_size else "empty: the file has no bytes"


def _suffix(relative: str) -> str:
    return os.path.splitext(relative)[1].strip().lower()  # noqa: PTH122 - ten times as fast as a Path


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "a symbolic link to nothing"
    return (error.strerror or str(error)).lower()


def _loop(relative: str) -> str:
    return f"{printable(relative)}: a symbolic link that leads back to where it lies; remove the link"
