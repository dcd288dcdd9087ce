"""Whole files: written completely, several together, or not at all."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from prime_sql.engine import places
from prime_sql.engine.errors import OptionError, WarehouseError
from prime_sql.engine.places import shown

if TYPE_CHECKING:
    import polars as pl

from prime_sql.engine.rows import Format, render

_LONGEST = 200  # bytes of a file's name; most systems admit 255


def check_file(path: Path) -> Path:
    """Return `path` if `write` knows its ending and its folder exists.

    Raises
    ------
    OptionError
        Otherwise; checked before the work, so that none is lost.
    """
    if path.suffix.lower() not in (".parquet", ".csv", ".json"):
        raise OptionError(
            f"cannot write {shown(path)}: name a file that ends in .parquet, .csv or .json"
        )
    return check_place(path)


def check_place(path: Path, *, append: bool = False) -> Path:
    """Return `path` if a file can be written there; with `append`, if text can be added to it.

    Raises
    ------
    OptionError
        Otherwise; checked before the work, so that none is lost.
    """
    places.check_name(path, "cannot write", OptionError)
    if not path.absolute().parent.is_dir():
        raise OptionError(
            f"cannot write {shown(path)}: the folder {shown(path.parent)} does not exist"
        )
    if path.is_dir():
        raise OptionError(f"cannot write {shown(path)}: it is a folder")
    try:
        _try_out(places.real(path), append)
    except OSError as error:
        raise OptionError(
            f"cannot write {shown(path)}: {error.strerror or error}; name a file in a folder that "
            "you may write to"
        ) from error
    return path


def _try_out(place: Path, append: bool) -> None:
    """Write nothing, in the way in which a file will be written: permissions alone say too little.

    A disk may be for reading only, or let nobody make files.
    """
    if places.special(place) or (append and place.exists()):
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    partial = beside(place)
    try:
        partial.open("xb").close()
    finally:
        partial.unlink(missing_ok=True)


def check_apart(
    writes: Mapping[str, str | Path | None], reads: Mapping[str, str | Path | None]
) -> None:
    """Refuse to write two things to one file, or to write over what is read.

    Parameters
    ----------
    writes, reads
        Files by the option or argument that names them; None for one that is not given.

    Raises
    ------
    OptionError
        When two are the same file, however they are written.
    """
    taken = {place: name for name, place in _places(reads)}
    for name, place in _places(writes):
        if place in taken:
            raise OptionError(
                f"{taken[place]} and {name} are the same file, {shown(place)}: one would replace "
                "the other; name two"
            )
        taken[place] = name


def _places(files: Mapping[str, str | Path | None]) -> Iterator[tuple[str, Path]]:
    for name, file in files.items():
        # Several may write to one device, such as /dev/stdout.
        if file is not None and not places.trouble(file) and not places.special(file):
            yield name, places.real(file)


def write(rows: pl.DataFrame, path: Path) -> None:
    """Write the rows to a ``.parquet``, ``.csv`` or ``.json`` file, whole or not at all."""
    with Files() as files:
        files.write(rows, path)
        files.publish()


def write_text(text: str, path: Path) -> None:
    """Write a text, whole or not at all: yesterday's file stays until today's is complete."""
    with Files() as files:
        files.write(text, path)
        files.publish()


def append_text(text: str, path: Path) -> None:
    """Append a text to a file, after an empty line; the file is made if it is missing.

    Raises
    ------
    WarehouseError
        When it cannot be written to the folder or the disk.
    """
    with _writing(path), path.open("ab") as file:
        _put(f"\n{text}" if file.tell() else text, file, "")


class Files:
    """Files that appear whole, and together: written beside their places, then renamed.

    Leaving the block without `publish` leaves every place as it was.

    Attributes
    ----------
    lost
        Places that hold a new file although publishing failed, each with the path of its old file.
    """

    def __init__(self) -> None:
        self._partial: dict[Path, Path] = {}  # by the file's place
        self.lost: dict[Path, Path | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for partial in self._partial.values():
            partial.unlink(missing_ok=True)

    def write(self, content: pl.DataFrame | str, path: Path) -> None:
        """Write rows (in the format of the ending) or a text beside `path`.

        Raises
        ------
        WarehouseError
            When it cannot be written to the folder or the disk.
        """
        with _writing(path):
            place = places.real(path)  # what a symbolic link points to, so that it stays a link
            if place.exists() and not place.is_file() and not place.is_dir():
                # A pipe or a device has no place beside it, and must not become a file.
                with place.open("wb") as file:
                    _put(content, file, path.suffix.lower())
                return
            partial = self._partial[place] = beside(place)
            with partial.open("wb") as file:
                _put(content, file, path.suffix.lower())
                file.flush()
                os.fsync(file.fileno())  # or a crash may leave the new name on an empty file
            if place.is_file():
                shutil.copymode(place, partial)

    def publish(self) -> None:
        """Give all files their names.

        Raises
        ------
        WarehouseError
            When a file cannot take its place; then every place is as it was.
        """
        with self.published():
            pass

    @contextmanager
    def published(self) -> Iterator[None]:
        """Give all files their names, and take them back if the block fails.

        Raises
        ------
        WarehouseError
            When a file cannot take its place; then every place is as it was.
        """
        for place in self._partial:
            if place.is_dir():
                raise WarehouseError(f"cannot write {place}: it is a folder")
        old: dict[Path, Path | None] = {}
        try:
            for place, partial in self._partial.items():
                with _writing(place):
                    old[place] = _kept(place)
                    partial.replace(place)
                    _sync_folder(place.parent)
            yield
        except BaseException:
            for place, kept in old.items():
                if not self._partial[place].exists():
                    self._put_back(place, kept)
            raise
        finally:
            for place, kept in old.items():
                if kept is not None and place not in self.lost:
                    kept.unlink(missing_ok=True)
        self._partial.clear()

    def _put_back(self, place: Path, kept: Path | None) -> None:
        try:
            if kept is None:
                place.unlink()
            else:
                kept.replace(place)
            _sync_folder(place.parent)
        except OSError:
            self.lost[place] = kept


def beside(place: Path) -> Path:
    """Return a name in the folder of `place` for a file that takes its name once complete.

    What killed processes left there is removed.
    """
    name = place.name
    if len(os.fsencode(name)) > _LONGEST:  # with more behind it, too long for the system
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    for leftover in place.parent.glob(f".{glob.escape(name)}.*.partial*"):
        process = leftover.name.removeprefix(f".{name}.").partition("-")[0]
        if process.isdecimal() and not _is_running(int(process)):
            leftover.unlink(missing_ok=True)
    return place.with_name(f".{name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")


def _kept(place: Path) -> Path | None:
    """Keep the file at `place` under a second name; None if there is none."""
    if not place.is_file():
        return None
    kept = beside(place)
    try:
        kept.hardlink_to(place)
    except (OSError, NotImplementedError):  # not every file system has links
        shutil.copy2(place, kept)
    return kept


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except OSError as error:
        raise WarehouseError(f"cannot write {path}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise WarehouseError(f"cannot write {path}: {error}") from error


def _put(content: pl.DataFrame | str, file: IO[bytes], ending: str) -> None:
    if not isinstance(content, str):
        if ending == ".parquet":
            content.write_parquet(file)
            return
        content = render(content, Format(ending[1:])) + "\n"
    # What UTF-8 has no bytes for, such as half of a surrogate pair in a file's name.
    file.write(content.encode("utf-8", errors="backslashreplace"))


def _sync_folder(folder: Path) -> None:
    """Make the new names survive a crash, if the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system syncs folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
