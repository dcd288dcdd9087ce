"""How much memory a search may take, and where it keeps what does not fit.

Both are settings of DuckDB, which counts only its own buffers. Python, its packages and what the
engine allocates outside its buffers come on top, so the engine gets the limit minus a share for
them.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from prime_sql.engine import places
from prime_sql.engine.errors import LimitError, OptionError, shorten
from prime_sql.engine.queries import literal

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

# What Python and its packages take, by measurement; at most half of a small limit.
_PYTHON = 200_000_000
_LEAST = 100_000_000
# DuckDB's documentation asks for at least this much per thread.
_EACH_THREAD = 125_000_000
# DuckDB limits itself to this share of the memory (of the container's, if it runs in one).
_DEFAULT_SHARE = 0.8

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?)b|(%)|bytes)\s*", re.IGNORECASE)
_FOLDER = "prime_sql-"


@dataclass(frozen=True)
class Limits:
    """What the user allows a search; see `search`.

    Attributes
    ----------
    memory
        Bytes for the whole process, or None.
    temp_dir
        A folder for temporary files, or None.
    """

    memory: int | None = None
    temp_dir: Path | None = None

    @staticmethod
    def of(memory_limit: str | None, temp_dir: str | os.PathLike[str] | None) -> Limits:
        """Return the limits, checked.

        Raises
        ------
        OptionError
            When `memory_limit` is not a size, or `temp_dir` is not a folder that can be written to.
        """
        memory = None if memory_limit is None else _memory(memory_limit)
        if temp_dir is None:
            return Limits(memory)
        places.check_name(temp_dir, "temp_dir must be a folder, not", OptionError)
        folder = Path(temp_dir)
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist; make it first"
            raise OptionError(f"temp_dir must be a folder, but {places.shown(folder)} {what}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OptionError(f"temp_dir {folder} cannot be written to; name another folder")
        return Limits(memory, folder.absolute())

    def settings(self, threads: int) -> dict[str, str]:
        """Return DuckDB's settings for these limits, given its number of threads."""
        if self.memory is None:
            return {}
        engine = max(self.memory - _PYTHON, self.memory // 2)
        return {
            "memory_limit": f"{engine // 1000}KB",
            "threads": str(max(1, min(threads, engine // _EACH_THREAD))),
            # Otherwise everything a step writes waits for what comes before it.
            "preserve_insertion_order": "false",
        }


NO_LIMITS = Limits()


def _memory(text: str) -> int:
    example = "give it as 500MB, 2GiB or 75%"
    given = isinstance(text, str) and _SIZE.fullmatch(text)
    if not given or given[0].strip().lower().endswith("bytes"):
        raise OptionError(f"memory_limit is not a size: {shorten(text)}; {example}")
    if given[4]:
        share = float(given[1])
        if not 0 < share <= 100:
            raise OptionError(f"memory_limit must be between 0% and 100%, got {text!r}")
        with duckdb.connect() as fresh:
            return int(engine_memory(fresh) / _DEFAULT_SHARE * share / 100)
    size = _bytes(given)
    if size < _LEAST:
        raise OptionError(
            f"memory_limit must be at least 100MB, got {text!r}: Python and its packages alone "
            "take more than that"
        )
    return size


def _bytes(given: re.Match[str]) -> int:
    if given[2] is None:
        return int(float(given[1]))
    return int(float(given[1]) * (1024 if given[3] else 1000) ** (" kmgtp".index(given[2].lower())))


def engine_memory(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the bytes that DuckDB allows itself."""
    row = connection.execute("select current_setting('memory_limit')").fetchone()
    given = row and _SIZE.fullmatch(row[0])
    assert given, row
    return _bytes(given)


@contextmanager
def held(backend: Backend, limits: Limits, *, owned: bool) -> Iterator[None]:
    """Apply the limits in the block; permanently on a connection of our own.

    Raises
    ------
    OptionError
        When the user's connection would have to change its folder, which DuckDB cannot undo.
    LimitError
        When the engine cannot change it.
    """
    if limits.temp_dir is not None and not owned:
        raise OptionError(
            "temp_dir cannot be set for a connection that is already open, as DuckDB cannot change "
            "it back; open it with ibis.duckdb.connect(…, temp_directory=…)"
        )
    before = apply(backend, limits)
    try:
        yield
    finally:
        if not owned:
            for name, value in before.items():
                _set_back(backend, name, value)


@contextmanager
def set_to(backend: Backend, name: str, value: str | None) -> Iterator[None]:
    """Change a setting of DuckDB in the block; None leaves it as it is."""
    if value is None:
        yield
        return
    ((before,),) = backend.raw_sql(f"select current_setting('{name}')").fetchall()
    backend.raw_sql(f"set {name} = {literal(value)}")
    try:
        yield
    finally:
        _set_back(backend, name, str(before))


def _set_back(backend: Backend, name: str, value: str) -> None:
    if name not in ("memory_limit", "checkpoint_threshold"):
        backend.raw_sql(f"set {name} = {literal(value)}")
        return
    # DuckDB reports the size to one decimal only, cut off: 3GB is 2.7 GiB.
    backend.raw_sql(f"reset {name}")
    row = backend.raw_sql(f"select current_setting('{name}')").fetchone()
    if row == (value,):
        return  # it was the default
    number, unit = value.split()
    unlimited = unit == "PiB"
    text = "-1" if unlimited else f"{float(number) + 0.05} {unit}"
    backend.raw_sql(f"set {name} = {literal(text)}")


def apply(backend: Backend, limits: Limits) -> dict[str, str]:
    """Set the limits; return what was set before."""
    if limits == NO_LIMITS:
        return {}
    names = ("memory_limit", "threads", "preserve_insertion_order", "temp_directory")
    row = backend.raw_sql(
        "select " + ", ".join(f"current_setting('{name}')::varchar" for name in names)
    ).fetchone()
    now = dict(zip(names, row or (), strict=True))
    wanted = limits.settings(int(now["threads"]))
    folder = _folder(limits, now["temp_directory"], backend)
    if folder is not None:
        wanted["temp_directory"] = str(folder)
    for name, value in wanted.items():
        try:
            backend.raw_sql(f"set {name} = {literal(value)}")
        except duckdb.Error as error:
            text = str(error).strip().splitlines()[0]
            raise LimitError(
                f"cannot set {name} to {value}: {text}. If the database is already open in this "
                "process, close that connection or run first"
            ) from error
    return {name: now[name] for name in wanted}


def _folder(limits: Limits, now: str, backend: Backend) -> Path | None:
    """Return the folder for temporary files, or None to leave it.

    It is used by nobody else, because two processes would write to files of the same names. DuckDB
    makes it when needed, and removes it with the database.
    """
    parent = limits.temp_dir
    if parent is None:
        if limits.memory is None or now != ".tmp":
            return None  # beside the database
        parent = Path(tempfile.gettempdir())  # in memory, DuckDB uses the working folder
    if Path(now).parent == parent and Path(now).name.startswith(_FOLDER):
        return None
    return parent / f"{_FOLDER}{uuid.uuid4().hex[:12]}"


def explain(error: duckdb.Error, step: str) -> LimitError | None:
    """Return what the user can do if memory or a disk ran out, else None."""
    text = str(error)
    # Only the step: a run that was stored earlier, and is being queried now, stays.
    kept = "The step wrote nothing to the database; what it held before is still there."
    if "No space left" in text or "max_temp_directory_size" in text:
        return LimitError(
            f"step {step} failed: a disk is full: {_first(text)}. {kept} Free some space, give "
            "another folder with --temp-dir (temp_dir), or raise --memory-limit (memory_limit), so "
            "that less has to be kept there"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return LimitError(
            f"step {step} failed: the memory limit is too small: {_first(text)}. {kept} Raise "
            "--memory-limit (memory_limit), or count less: a smaller max_tags, or a larger "
            "min_images or min_tag_images"
        )
    return None


def _first(text: str) -> str:
    return text.strip().splitlines()[0].rstrip(".")
