"""A DuckDB database: where results go, and how it is opened."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import ibis
from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend

from prime_sql.engine import damage, duckdb_versions, files, limits, places, queries, schema
from prime_sql.engine.connection import file_of, in_turn, writer
from prime_sql.engine.errors import PrimeSqlError, WarehouseError, first_line
from prime_sql.engine.extensions import download_none
from prime_sql.engine.limits import Limits
from prime_sql.engine.session import OnSql, Session

Destination: TypeAlias = "str | os.PathLike[str] | Backend | None"

_AGAIN = 0.2  # seconds until a file that another process holds is tried again


class Database:
    """Where results go: a DuckDB file, an Ibis DuckDB connection, or memory.

    A file that does not exist yet is built beside its place and takes the name when the first run
    is complete, so that a killed process never leaves a half-made database behind.

    Attributes
    ----------
    backend
        The open connection.
    path
        The file, or None.
    owned
        Whether this object opened the connection, so that it may be closed.

    Raises
    ------
    WarehouseError
        When the file is not a DuckDB database, is locked by another process, or cannot be written.
    """

    def __init__(
        self, into: Destination, *, read_only: bool = False, wait: float | None = None
    ) -> None:
        self.path: Path | None = None
        self.owned = True
        self._partial: Path | None = None
        self._maker: threading.RLock | None = None
        if isinstance(into, ibis.backends.BaseBackend):
            self.backend, self.owned = _usable(into), False
        elif into is None or str(into) == ":memory:":
            self.backend = download_none(ibis.duckdb.connect())
        elif not isinstance(into, (str, os.PathLike)):
            raise WarehouseError(
                f"into is {into!r}, a {type(into).__name__}; give a DuckDB file, an ibis.duckdb "
                "connection, or None for memory"
            )
        else:
            for name in (into, f"{os.fspath(into)}.wal"):  # the engine's log is beside it
                places.check_readable(name, "cannot open the database", WarehouseError)
            self.path = Path(into)
            # What a symbolic link points to, so that it stays a link.
            self._place = places.real(self.path)
            if self._place.is_dir():
                raise WarehouseError(f"{self.path} is a folder; name a DuckDB file in it")
            if not self._place.exists():
                if read_only:
                    raise WarehouseError(
                        f"there is no database {self.path}; `prime-sql search` makes one"
                    )
                # If another thread is making it too, wait for that and open its file.
                self._maker = writer(str(self._place))
                self._maker.acquire()
                try:
                    self._open_or_make(wait)
                except BaseException:
                    self._made()
                    raise
            else:
                self.backend = connect_file(self.path, read_only=read_only, wait=wait)

    def _open_or_make(self, wait: float | None) -> None:
        assert self.path is not None
        if self._place.exists():
            self.backend = connect_file(self.path, wait=wait)
            self._made()
        else:
            self._partial = self._new_file()
            self.backend = connect_file(self._partial)

    def _made(self) -> None:
        """Release threads that wait for the file, which has its name now or will get none."""
        if self._maker is not None:
            self._maker.release()
            self._maker = None

    def _new_file(self) -> Path:
        """Return a name beside the file's own, after checking that nothing is in the way."""
        folder, name = self._place.parent, self._place.name
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist; make it first"
            raise WarehouseError(f"cannot make {self.path}: the folder {folder} {what}")
        if folder.joinpath(f"{name}.wal").exists():
            raise WarehouseError(
                f"{self.path} is gone but its {name}.wal is still there, and would be taken for "
                "part of the new file; remove it or bring the file back"
            )
        return files.beside(self._place)

    @property
    def mirror(self) -> Database | None:
        """The object itself if it is a copy of another engine's runs, else None."""
        return None

    @property
    def is_new(self) -> bool:
        """Whether this is a file that has no name yet."""
        return self._partial is not None

    def session(self, on_sql: OnSql | None = None) -> Session:
        """Return a session on the open connection; `with` closes it and drops its relations."""
        return Session(self.backend, on_sql)

    @contextmanager
    def limited(self, allowed: Limits, *, owned: bool) -> Iterator[None]:
        """Apply memory limits in the block; permanently on a connection of our own.

        Raises
        ------
        OptionError
            When the engine has no such settings, or they cannot be changed; see `limits.held`.
        """
        with limits.held(self.backend, allowed, owned=owned):
            yield

    def counting(self, session: Session, on_sql: OnSql | None) -> Session:
        """Return the session in which images are counted."""
        return session

    def check_appendable(self) -> None:
        """Refuse to append to runs of an engine that does not store what appending needs."""

    # The following matter only for a copy of another engine's runs; see `Mirror`.

    def load(self, run_id: int) -> None:
        """Load what a run found."""

    def load_counts(self, run_id: int, counted_run_id: int) -> None:
        """Load the tag sets of a run, and the images of the one that counted them."""

    def fetch(self, counted_in: Session, session: Session, *names: str) -> None:
        """Copy relations of the session that counted into the other one."""

    def store(self, run_id: int) -> None:
        """Store what was added to a run, unless it is written already."""

    @contextmanager
    def publishing(
        self, counted_in: Session | None, session: Session, *, images: bool = False
    ) -> Iterator[int]:
        """Do whatever else a run that the block publishes needs; see `Mirror`."""
        yield 0

    def publish(self) -> Backend:
        """Give a new file its name; return the connection that results are read from."""
        if self._partial is not None and self.path is not None:
            try:
                # Closing would do this as well, but say nothing if the disk is full; and what is
                # still in the log does not move with the file.
                self.backend.raw_sql("force checkpoint")
            except duckdb.Error as error:
                raise WarehouseError(f"cannot write {self.path}: {first_line(error)}") from error
            self.backend.disconnect()
            try:
                os.link(self._partial, self._place)  # unlike a rename, never replaces a file
            except FileExistsError as error:
                raise WarehouseError(
                    f"{self.path} appeared while this run was being made, and was left alone; run "
                    "again"
                ) from error
            except OSError:  # a file system without links
                self._partial.rename(self._place)
            self._partial.unlink(missing_ok=True)
            self._partial = None
            self.backend = connect_file(self.path)
            self._made()
        return self.backend

    def delete(self, runs: list[int], on_sql: OnSql | None = None) -> None:
        """Delete runs, each with all its rows, in one transaction.

        Raises
        ------
        WarehouseError
            When the database is open for reading only, or refuses a statement; all runs stay.
        """
        with self.session(on_sql) as session:
            if session.read_only:
                raise WarehouseError("the database is open for reading only; nothing was deleted")
            schema.remove_leftovers(session)
            with session.transaction():
                schema.delete(session, runs, "prune")
            # Frees the space now. If another transaction is open, the engine does it later.
            with suppress(WarehouseError):
                session.execute("prune", "checkpoint")

    def discard(self) -> None:
        """Close what this object opened, and remove a file that never became complete."""
        if self.owned:
            self.backend.disconnect()
        if self._partial is not None:
            for leftover in (self._partial, self._partial.with_name(self._partial.name + ".wal")):
                leftover.unlink(missing_ok=True)
        self._made()


@dataclass(frozen=True)
class Opened:
    """A run in an open database.

    Attributes
    ----------
    database
        Where it is.
    run_id
        Its number; None for the latest run that is published.
    owned
        Whether the connection is the run's to close.
    """

    database: Database
    run_id: int | None = None
    owned: bool = False


def _usable(backend: BaseBackend) -> Backend:
    if not isinstance(backend, Backend):
        raise WarehouseError(
            f"into is a {backend.name} connection; results go into DuckDB: give a file, "
            "an ibis.duckdb connection, or None for memory"
        )
    with in_turn(backend):
        try:
            backend.raw_sql("begin transaction")
        except duckdb.TransactionException as error:
            # The run would be complete, but invisible to this connection.
            raise WarehouseError(
                "the connection is in a transaction; commit it or roll it back first"
            ) from error
        backend.raw_sql("rollback")
    return backend


def connect_file(path: Path, *, read_only: bool = False, wait: float | None = None) -> Backend:
    """Open a DuckDB file, with one clear error if that fails.

    If another process has it open, try again for `wait` seconds; None where the user has no such
    option.
    """
    new = {} if path.exists() else {"storage_compatibility_version": duckdb_versions.STORAGE}
    until = time.monotonic() + (wait or 0)
    while True:
        try:
            backend = ibis.duckdb.connect(path.absolute(), read_only=read_only, **new)
            break
        except duckdb.Error as error:
            if read_only and "different configuration" in str(error):
                return connect_file(path)  # this process has it open for writing already
            left = until - time.monotonic()
            if left <= 0 or not _is_held(error):
                raise _cannot_open(path, error, wait) from error
        time.sleep(min(_AGAIN, left))
    # DuckDB opens a Parquet or CSV file as a database in memory with a view of it, where results
    # would be lost.
    if file_of(backend) is None:
        backend.disconnect()
        raise _no_database(path)
    return download_none(backend)


def _no_database(path: Path) -> WarehouseError:
    return WarehouseError(
        f"{path} exists but is not a DuckDB database, and was left alone; name another file"
    )


def _is_held(error: duckdb.Error) -> bool:
    """Return whether a file cannot be opened because another process has it open."""
    return "Could not set lock" in str(error) or "Conflicting lock" in str(error)


def _cannot_open(path: Path, error: duckdb.Error, wait: float | None = None) -> PrimeSqlError:
    text = str(error)
    if "not a valid DuckDB" in text or "in-memory database in read-only" in text:
        return _no_database(path)
    too_new = duckdb_versions.too_new(path, error)
    if too_new is not None:
        return WarehouseError(too_new)
    if _is_held(error):
        process = re.search(r"PID (\d+)", text)
        holder = f" (process {process[1]})" if process else ""
        still, after = (" still", f" after {wait:g} s") if wait else ("", "")
        how = "" if wait is None else " (--wait SECONDS, or wait=)"
        return WarehouseError(
            f"{path} is{still} in use by another process{holder}{after}; wait for it{how} or close "
            "it, then try again"
        )
    damaged = damage.explain(error, path)
    if damaged is not None:
        return damaged
    if "different configuration" in text or "attached" in text:
        return WarehouseError(
            f"{path} is already open in this process, for reading only or with other settings; "
            "close that connection or run first"
        )
    return WarehouseError(f"cannot open {path}: {first_line(error)}")


def attach(backend: Backend, path: Path, alias: str) -> None:
    """Attach a DuckDB file read-only, to read input tables from it."""
    places.check_readable(path, "cannot open the database", WarehouseError)
    try:
        quoted = queries.literal(str(path.absolute()))
        backend.raw_sql(f"attach {quoted} as {queries.identifier(alias)} (read_only)")
    except duckdb.Error as error:
        raise _cannot_open(path, error) from error
