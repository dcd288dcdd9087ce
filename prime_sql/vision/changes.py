"""What has happened to files since they were loaded: changed, or gone.

Size and time say which files may have changed, and their SHA-256 which ones have.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from prime_sql.engine import queries
from prime_sql.engine.errors import InputError, shorten, warn
from prime_sql.engine.session import Session
from prime_sql.vision.folders import Listing
from prime_sql.vision.pictures import local_path

_CHUNK = 512  # files that are read between two commits
# A file may be written again without another time: within this many nanoseconds, the first of
# systems that count whole seconds (or two of them), the other of those that count a clock's ticks.
_WHOLE_SECONDS, _TICKS = 2_000_000_000, 50_000_000
_IDS = pa.schema([("image_id", pa.string())])
_FILES = pa.schema(
    [("image_id", pa.string()), ("file_size", pa.int64()), ("modified_ns", pa.int64())]
)
# Tables of the steps that bear their usual names, whoever filled them.
_RESULTS = ("predictions", "tags", "tagged_images", "embeddings")


@dataclass
class Changes:
    """What a look at the disk has found.

    Attributes
    ----------
    compared
        How many images of the database the disk was asked about.
    gone
        Those that have no file there any more, or only a second way to that of another.
    changed
        Those whose files have another content.
    unreadable
        Those whose files may have changed, but cannot be read.
    """

    compared: int = 0
    gone: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def are_most_gone(self) -> bool:
        """Whether so many are gone that perhaps it is the disk that is."""
        return 2 * len(self.gone) > self.compared


@dataclass(frozen=True)
class _Suspect:
    image_id: str
    path: str
    sha256: str
    size: int
    modified: int | None


def find(
    session: Session,
    listing: Listing | None,
    *,
    threads: int,
    on_checked: Callable[[int, int], object],
    read_changed: bool,
    writes: bool,
) -> Changes:
    """Compare images with their files; make the session's ``gone`` and ``changed_files``.

    Parameters
    ----------
    session
        With the relation ``listed``.
    listing
        The folder whose images are compared, in addition to those that are listed.
    threads
        How many files to read at once.
    on_checked
        Called with how many of the files that may have changed are read, and how many there are.
    read_changed
        Whether to find changed files; False if all are read anyway.
    writes
        Whether to note files that were only touched.
    """
    under = () if listing is None else listing.under
    sql = queries.find("vision/changes/known").render(session.dialect, under=under)
    known = session.fetch("known", sql)
    found, suspects = Changes(), []
    for image_id, uri, sha256, size, modified, is_listed in zip(
        *(column.to_pylist() for column in known.columns), strict=True
    ):
        path = local_path(uri)
        if path is None:
            continue
        found.compared += 1
        try:
            status = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            found.gone.append(image_id)
            continue
        except (OSError, ValueError):  # not known: a folder on the way may not be read
            continue
        if not is_listed:
            if listing is not None and listing.is_second_way(uri):
                found.gone.append(image_id)
        elif read_changed and (size, modified) != (status.st_size, status.st_mtime_ns):
            suspects.append(_Suspect(image_id, path, sha256, status.st_size, settled_time(status)))
    _read(session, suspects, found, threads, on_checked, writes=writes)
    for name, ids in (("gone", found.gone), ("changed_files", found.changed)):
        session.create_from(name, ibis.memtable(pa.table([pa.array(ids, pa.string())], _IDS)))
    return found


def settled_time(status: os.stat_result) -> int | None:
    """Return when a file was modified, in nanoseconds; None if that is too recent to tell.

    Whoever writes it again within a tick of the file system's clock leaves the same time.
    """
    modified = status.st_mtime_ns
    least = _WHOLE_SECONDS if modified % 1_000_000_000 == 0 else _TICKS
    return modified if modified + least < time.time_ns() else None


def _read(
    session: Session,
    suspects: Sequence[_Suspect],
    found: Changes,
    threads: int,
    on_checked: Callable[[int, int], object],
    *,
    writes: bool,
) -> None:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="image_files")
    try:
        for first in range(0, len(suspects), _CHUNK):
            part = suspects[first : first + _CHUNK]
            touched: list[dict[str, Any]] = []
            for suspect, digest in zip(part, pool.map(_digest, part), strict=True):
                if digest is None:
                    found.unreadable.append(suspect.image_id)
                elif digest != suspect.sha256:
                    found.changed.append(suspect.image_id)
                else:
                    touched.append(
                        {
                            "image_id": suspect.image_id,
                            "file_size": suspect.size,
                            "modified_ns": suspect.modified,
                        }
                    )
            if writes and touched:
                rows = pa.Table.from_pylist(touched, schema=_FILES)
                session.create_from("touched", ibis.memtable(rows))
                with session.transaction():
                    script = queries.find("vision/changes/touched").render(session.dialect)
                    session.script("images", script)
                session.drop("touched")
            on_checked(min(first + _CHUNK, len(suspects)), len(suspects))
    finally:
        pool.shutdown(cancel_futures=True)


def _digest(suspect: _Suspect) -> str | None:
    try:
        with Path(suspect.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


# What is gone -------------------------------------------------------------------------------------


def check(found: Changes, where: str, *, prune: bool, in_any_case: bool) -> None:
    """Refuse to drop most of the images, unless in any case, and warn of what stays.

    Raises
    ------
    InputError
        When more than half of the images are gone: perhaps it is the disk that is missing.
    """
    gone = len(found.gone)
    if gone:
        of = f"{gone:,} of {found.compared:,}"
        such = f"such as {shorten(found.gone[0])}"
        if prune and not in_any_case and found.are_most_gone:
            raise InputError(
                f"{where}: the files of {of} images are gone, {such}; is a disk not mounted, or a "
                "folder renamed? --dry-run shows what would be dropped, --prune-all drops it"
            )
        if not prune:
            warn(
                f"{where}: the files of {of} images are gone, {such}; --prune drops these images "
                "and what was computed from them"
            )
    if found.unreadable:
        count, example = len(found.unreadable), shorten(found.unreadable[0])
        warn(
            f"{where}: {count:,} files have another size or time but cannot be read, such as that "
            f"of {example}; their images are left as they were"
        )


def prune(session: Session) -> None:
    """Drop the images of ``gone`` and all results for them, in one transaction."""
    script = queries.find("vision/changes/prune").render(session.dialect, results=_results(session))
    with session.transaction():
        session.script("prune", script)


def _results(session: Session) -> list[str]:
    """Return the tables with results: those of the steps, and any that have the usual names."""
    filled = session.execute("tables", "select distinct table_name from model_settings")
    names = dict.fromkeys([*_RESULTS, *sorted(name for (name,) in filled)])
    # Not views, which show rows of other tables.
    tables = session.execute(
        "tables",
        "select distinct lower(t.table_name) from duckdb_tables() as t "
        "inner join duckdb_columns() as c on c.table_oid = t.table_oid "
        "and c.database_oid = t.database_oid "
        "where t.database_name = current_database() and t.schema_name = current_schema() "
        "and c.column_name = 'image_id' and c.data_type = 'VARCHAR'",
    )
    known = {name for (name,) in tables}
    return [name for name in names if name.lower() in known]


def counted(session: Session) -> dict[str, int]:
    """Return how many rows of which table were dropped, and the images that had changed.

    The latter are counted under the name ``images``.
    """
    rows = session.execute(
        "forgotten",
        "select table_name, cast(sum(dropped) as bigint) from forgotten "
        "group by table_name order by table_name",
    )
    return {table: int(count) for table, count in rows if count}


def in_words(dropped: dict[str, int]) -> str:
    """Return which results were dropped, for a message; empty if there were none."""
    parts = [
        f"{count:,} row{'' if count == 1 else 's'} of {table}"
        for table, count in dropped.items()
        if table not in ("images", "tagged_images")
    ]
    return ", ".join(parts)


def tell_same_content(session: Session, where: str) -> None:
    """Warn of images that have the same content as another one."""
    same = session.check("vision/changes/same_content")
    if not same["again"]:
        return
    have = "1 image has" if same["again"] == 1 else f"{same['again']:,} images have"
    labels = (
        f"; {same['labels']:,} of these pictures {'is' if same['labels'] == 1 else 'are'} under "
        "several labels, of which at most one is right"
        if same["labels"]
        else ""
    )
    warn(
        f"{where}: {have} the content (SHA-256) of another one, such as "
        f"{shorten(same['other'])} that of {shorten(same['example'])}{labels}"
    )


def tell_what_to_install(session: Session, where: str) -> None:
    """Warn of pictures that another package would read."""
    for kind, count in session.execute(
        "problems", queries.find("vision/changes/to_install").render(session.dialect)
    ):
        are = "1 image is" if count == 1 else f"{count:,} images are"
        warn(f"{where}: {are} {kind}")
