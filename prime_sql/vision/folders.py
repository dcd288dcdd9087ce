"""The files of a folder or a glob, each once, with the split and the label that its path gives."""

from __future__ import annotations

import glob
import heapq
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from prime_sql.engine.errors import InputError, did_you_mean, shorten, warn
from prime_sql.engine.sources import CSV, DATABASE, JSON, PARQUET

# The names that folders of splits have, in the layouts of ImageNet, torchvision and Hugging Face.
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
# Systems write these beside anything; nobody misses them.
_OF_THE_SYSTEM = {".DS_Store", ".localized", ".directory", ".nomedia"}


@dataclass
class Listing:
    """The files of a folder, of a glob, or one file.

    Attributes
    ----------
    base
        The folder that paths start from.
    rows
        image_id, uri, split and label of each file.
    under
        What the URIs of all files of the folder begin with; empty for one file.
    hidden
        Names of hidden files and folders, which are left out.
    links
        Pairs of a path that leads to a folder a second time, and the one it is listed under.
    again
        How many files are reached through `links`.
    """

    base: Path = field(default_factory=Path)
    rows: list[dict[str, str | None]] = field(default_factory=list)
    under: tuple[str, ...] = ()
    hidden: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    again: int = 0

    def is_second_way(self, uri: str) -> bool:
        """Return whether a URI leads through a link to a file that is listed under another."""
        return any(_is_in(uri, link) or _is_in(uri, _uri(Path(link))) for link, _ in self.links)

    def tell(self, name: str) -> None:
        """Warn of what is not listed."""
        if self.hidden:
            count = len(self.hidden)
            what = "1 hidden file or folder was" if count == 1 else (
                f"{count:,} hidden files and folders were"
            )  # fmt: skip
            warn(f"{name}: {what} left out, such as {shorten(self.hidden[0])}")
        if self.again:
            files = "1 file is" if self.again == 1 else f"{self.again:,} files are"
            link, first = (
                shorten(Path(path).relative_to(self.base).as_posix()) for path in self.links[0]
            )
            warn(
                f"{name}: {files} reached twice, as {link} leads to {first}; "
                "each counts once, where its own folder is, or else where it is nearest"
            )


def is_of_files(name: str) -> bool:
    """Tell a folder, a glob of images or one image from a table.

    Raises
    ------
    InputError
        When it can only be a file or folder, and there is none.
    """
    lower = name.lower()
    if "://" in name and not lower.startswith("file://"):
        return False
    if os.path.isdir(name):  # noqa: PTH112  # Path.is_dir raises where a name is too long
        return True
    if lower.endswith((*PARQUET, *CSV, *JSON, *DATABASE)):
        return False
    if glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110
        if not glob.glob(name, recursive=True):
            raise InputError(f"no file matches {name}")
        return True
    if os.path.isfile(name):  # noqa: PTH113
        return True
    if "/" in name and ":" not in name:  # not the name of a table
        path = Path(name)
        near = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"there is no file or folder {name}.{did_you_mean(path.name, near)}")
    return False


def list_files(name: str) -> Listing:
    """Return the files of a folder or glob, sorted by path, without hidden ones."""
    listing = Listing()
    if os.path.isdir(name):  # noqa: PTH112
        base, files = Path(name), _walk(name, listing)
    elif glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110
        fixed = []
        for part in Path(name).parts[:-1]:
            if glob.has_magic(part):
                break
            fixed.append(part)
        base, files = Path(*fixed), _matching(name, listing)
    else:
        base, files = Path(name).parent, [Path(name)]
    relative = [file.relative_to(base) for file in files]
    listing.base = place = from_the_root(base)
    if files != [Path(name)]:
        listing.under = tuple(f"{text.rstrip('/')}/" for text in (str(place), place.as_uri()))
    listing.links = [
        (str(place / Path(link).relative_to(base)), str(place / Path(first).relative_to(base)))
        for link, first in listing.links
    ]
    folders = {path.parts[0] for path in relative if len(path.parts) > 1}
    in_splits = bool(folders) and folders <= SPLITS
    listing.rows = [_row(path, place, in_splits) for path in relative]
    return listing


def _row(path: Path, base: Path, in_splits: bool) -> dict[str, str | None]:
    parents = list(path.parts[:-1])
    split = parents.pop(0) if in_splits and parents else None
    return {
        "image_id": _printable(path.as_posix()),
        "uri": _uri(base / path),
        "split": split and _printable(split),
        "label": _printable(parents[0]) if parents else None,
    }


def _walk(name: str, listing: Listing) -> list[Path]:
    """Return the files of a folder, also of folders that links lead to, each folder once.

    A folder counts where it really is, if that is inside; else at the link that is nearest to the
    top. In the order of names, a link in one class folder would come before another class.
    """
    files: list[Path] = []
    inside: Counter[str] = Counter()  # files, by their real folder
    first: dict[str, str] = {}  # the path that a real folder is listed under
    waiting = [(False, 0, name)]
    while waiting:
        is_linked, depth, place = heapq.heappop(waiting)
        real = os.path.realpath(place)
        if real in first:
            listing.links.append((place, first[real]))
            continue
        first[real] = place
        try:
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            files.append(Path(place))  # a folder that cannot be read is a problem of its own
            continue
        for entry in found:
            if entry.name.startswith("."):
                listing.hidden += [entry.name] if entry.name not in _OF_THE_SYSTEM else []
            elif _is_folder(entry):
                heapq.heappush(waiting, (is_linked or entry.is_symlink(), depth + 1, entry.path))
            else:
                files.append(Path(entry.path))
                inside[real] += 1
    listing.again = _told(listing, inside)
    return sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matching(pattern: str, listing: Listing) -> list[Path]:
    """Return the files that a pattern matches, each folder once, as in `_walk`."""
    matches = glob.glob(pattern, recursive=True)
    hidden = {*glob.glob(pattern, recursive=True, include_hidden=True)} - {*matches}
    listing.hidden = sorted({Path(path).name for path in hidden} - _OF_THE_SYSTEM)
    by_folder: dict[Path, list[Path]] = {}
    for file in sorted({Path(match) for match in matches}):
        if file.is_file():
            by_folder.setdefault(file.parent, []).append(file)
    reals = {folder: os.path.realpath(folder) for folder in by_folder}
    first: dict[str, str] = {}
    files: list[Path] = []
    inside: Counter[str] = Counter()
    # Where a folder really is, its path has no link in it, of which the part before the first
    # folder of the pattern is the same for all.
    for folder in sorted(by_folder, key=lambda f: (_links_in(f), len(f.parts), f)):
        real = reals[folder]
        if real in first:
            listing.links.append((str(folder), first[real]))
            continue
        first[real] = str(folder)
        files += by_folder[folder]
        inside[real] += len(by_folder[folder])
    listing.again = _told(listing, inside)
    return sorted(files)


def _links_in(folder: Path) -> int:
    return sum(part.is_symlink() for part in [folder, *folder.parents])


def _told(listing: Listing, inside: Counter[str]) -> int:
    """Return how many files the links lead to again; forget links that lead to none."""
    reached: dict[str, int] = {}
    for link, _ in listing.links:
        real = os.path.realpath(link)
        reached[link] = sum(n for place, n in inside.items() if _is_in(place, real))
    listing.links = [pair for pair in listing.links if reached[pair[0]]]
    # Two links to one folder reach the same files, and so does one to the folder above.
    again = {os.path.realpath(link) for link, _ in listing.links}
    return sum(n for place, n in inside.items() if any(_is_in(place, real) for real in again))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip(os.sep)}{os.sep}")


def from_the_root(folder: Path) -> Path:
    """Return an absolute path that is the same wherever it is written from."""
    return folder.resolve() if ".." in folder.parts else folder.absolute()


def _uri(file: Path) -> str:
    name = str(file)
    # A name that is not UTF-8 is not text.
    return name if _printable(name) == name else file.as_uri()


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
