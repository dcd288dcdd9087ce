"""The one seam to an engine: open a database, run a step, read a relation.

Nothing else in the package touches a connection. Every statement goes through `Warehouse.execute`,
which times it, shows it to `on_sql` and names the step when the engine refuses it.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, cast
from weakref import WeakValueDictionary

import duckdb
import ibis
from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from prime_sql import duckdb_versions, limits, output, queries
from prime_sql.errors import PrimeSqlError, WarehouseError

Destination: TypeAlias = "str | os.PathLike[str] | Backend | None"

_AGAIN = 0.2  # seconds until a file that another process holds is tried again

# DuckDB 1 writes a row group (122,880 rows) into the file before it is committed. If a process is
# killed in the commit, so that the log is cut off, such rows come back without the rest.
_SAFE_IN_LOG = 100_000

# One for each database that somebody in this process writes to, or is making.
_writers: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()
_writers_guard = threading.Lock()

duckdb_versions.teach_ibis()


@dataclass(frozen=True)
class Statement:
    """One executed statement, as `on_sql` callbacks get it.

    Attributes
    ----------
    step
        The query file's name and, where there is one, the set size: ``candidates_2``.
    sql
        What the engine was given.
    rows
        Rows written, where the statement says so.
    seconds
        Wall-clock time.
    """

    step: str
    sql: str
    rows: int | None
    seconds: float


OnSql = Callable[[Statement], object]


def _writer(place: str) -> threading.RLock:
    """Return the lock of those who write to a database of this process."""
    with _writers_guard:
        return _writers.setdefault(place, threading.RLock())


def in_turn(backend: BaseBackend) -> threading.RLock:
    """Return the lock of a connection, which answers one thread at a time."""
    # Kept on the connection, so that it goes with it; `setdefault` of a dict is atomic.
    lock = vars(backend).setdefault("_prime_sql_in_turn", threading.RLock())
    return cast("threading.RLock", lock)


class Warehouse:
    """A session on an engine, with the intermediate relations of one search in it.

    Parameters
    ----------
    backend
        A DuckDB backend of Ibis. The session is a cursor of it: temporary tables are private to
        the session and end with it.
    on_sql
        Called after every statement.
    """

    dialect = "duckdb"  # in which queries/ are written, and handed over
    conditions = "duckdb"  # the dialect of the engine, and of the conditions that users write
    is_remote = False
    plans: str | None = "duckdb"  # whose overrides of queries/ are used; None: the portable files

    def __init__(self, backend: Backend, on_sql: OnSql | None = None) -> None:
        with in_turn(backend):
            self.backend = ibis.duckdb.from_connection(backend.con.cursor())
            # A cursor starts out in the database file, wherever the user's connection has moved.
            place = (backend.current_catalog, backend.current_database)
        self.backend.raw_sql(f"use {'.'.join(map(queries.identifier, place))}")
        self.seconds: dict[str, float] = {}
        self.on_sql = on_sql
        self._made_of = backend
        self._written = 0  # rows, in the transaction

    @property
    def read_only(self) -> bool:
        """Whether the database was opened for reading only."""
        mode = self.backend.raw_sql("select current_setting('access_mode')").fetchone()
        return mode is not None and str(mode[0]).lower() == "read_only"

    def check_writable(self) -> None:
        """Refuse to begin work whose result could not be stored.

        Raises
        ------
        WarehouseError
            When the database was opened for reading only.
        """
        if self.read_only:
            raise WarehouseError(
                "the database is open for reading only, and a run is written into it; open it "
                "with open_run(…, read_only=False), or without read_only where it was connected"
            )

    @property
    def memory(self) -> int | None:
        """The bytes that the engine allows itself, or None where that is not known."""
        return limits.engine_memory(self.backend.con)

    @property
    def threads(self) -> int:
        """How many threads the engine uses."""
        return int(self.backend.raw_sql("select current_setting('threads')").fetchall()[0][0])

    @cached_property
    def schema(self) -> str:
        """The schema of the results, quoted, with its catalog.

        The catalog is named because that of ``prime.duckdb`` is called prime as well.
        """
        return f"{queries.identifier(self.backend.current_catalog)}.{queries.identifier('prime')}"

    @cached_property
    def file(self) -> str | None:
        """The file of the database, or None where it ends with its connection."""
        return _file_of(self.backend)

    def execute(self, step: str, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises
        ------
        WarehouseError
            When the engine refuses it; the message carries the step and the SQL.
        """
        return self._execute(step, sql, sql)

    def _execute(
        self, step: str, sql: str, statement: str | duckdb.Statement
    ) -> list[tuple[Any, ...]]:
        """Run a statement, which may be parsed already; `sql` is its text."""
        start = time.perf_counter()
        try:
            cursor = self.backend.raw_sql(statement)
            rows = cast("list[tuple[Any, ...]]", cursor.fetchall())
        except duckdb.Error as error:
            raise _refused(step, sql, error) from error
        seconds = time.perf_counter() - start
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        # DuckDB answers a statement that writes with one row: how many it wrote.
        wrote = cursor.description and cursor.description[0][0] == "Count" and len(rows) == 1
        self._written += rows[0][0] if wrote else 0
        if self.on_sql is not None:
            self.on_sql(Statement(step, sql, rows[0][0] if wrote else None, seconds))
        return rows

    def script(self, step: str, sql: str) -> None:
        """Run the statements of a script one by one.

        A database in memory gets no comments on its tables and columns: nobody browses it, and they
        would be most of what is run there.

        Raises
        ------
        WarehouseError
            When the engine refuses a statement; the message carries the step and the SQL of it.
        """
        try:
            # The engine parses the script once: one by one, it takes twice as long.
            statements = self.backend.con.extract_statements(sql)
        except duckdb.Error as error:
            raise _refused(step, sql, error) from error
        for statement in statements:
            text = statement.query.strip().removesuffix(";")
            if not (text.startswith("comment on ") and self.file is None):
                self._execute(step, text, statement)

    def create(
        self,
        name: str,
        select: str,
        *,
        view: bool = False,
        verbatim: dict[str, str] | None = None,
    ) -> int:
        """Keep `select` as the temporary relation `name`; return its rows (0 for a view).

        Words of `verbatim` stand for conditions in the engine's own dialect.
        """
        select = filled(select, verbatim)
        kind = "view" if view else "table"
        rows = self.execute(name, f"create or replace temp {kind} {name} as\n{select}")
        return 0 if view else int(rows[0][0])

    def append(self, name: str, select: str) -> int:
        """Add `select` to the temporary table `name`; return its rows."""
        return int(self.execute(name, f"insert into {name}\n{select}")[0][0])

    def create_from(self, name: str, table: Table) -> Table:
        """Copy an Ibis table of this session, or one over a frame, into the temporary `name`."""
        start = time.perf_counter()
        try:
            copy = self.backend.create_table(name, obj=table, temp=True)
        except duckdb.Error as error:
            short = limits.explain(error, name)
            if short is None:
                raise
            raise short from error
        seconds = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        if self.on_sql is not None:
            # Ibis ran it; this is what it comes to.
            sql = f"create temp table {name} as\n{self.backend.compile(table)}"
            self.on_sql(Statement(name, sql, None, seconds))
        return copy

    def keep(self, name: str, table: Table) -> None:
        """Make an Ibis table of this session the temporary view `name`."""
        self.create(name, str(self.backend.compile(table)), view=True)

    def answer(self, query: str, *, verbatim: dict[str, str] | None = None) -> Table:
        """Return a query over relations of the session as a table of Ibis.

        Raises
        ------
        WarehouseError
            When the engine refuses it.
        """
        query = filled(query, verbatim)
        try:
            return self.backend.sql(query)
        except (duckdb.Error, ibis.common.exceptions.IbisError) as error:
            raise WarehouseError(f"{first_line(error)}\n\n{query}") from error

    def drop(self, *names: str) -> None:
        """Free intermediate relations that no later step reads."""
        for name in names:
            self.execute("drop", f"drop table if exists temp.{name}")

    def check(self, name: str, **values: Any) -> dict[str, Any]:
        """Run a query of ``queries/check/``, which returns one row; return it by column name."""
        sql = queries.find(f"check/{name}", self.plans).render(self.dialect, **values)
        rows = self.execute(f"check_{name}", sql)
        columns = [column[0] for column in self.backend.con.description or ()]
        return dict(zip(columns, rows[0], strict=True))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of the block take effect together, or none, also where we are killed.

        Within a process, those who write to one database wait for each other here: DuckDB would let
        both work, and refuse what the second one did.
        """
        # Of databases in memory, only the connection that this session was made of is known.
        with _writer(self.file or f"memory {id(self._made_of.con)}"):
            self._written = 0
            self.execute("publish", "begin transaction")
            try:
                yield
            except BaseException:
                self.backend.raw_sql("rollback")
                raise
            whole = self.file is not None and self._written > _SAFE_IN_LOG
            with limits.set_to(self.backend, "checkpoint_threshold", "1KB" if whole else None):
                self.execute("publish", "commit")

    def close(self) -> None:
        """End the session; its temporary relations go with it."""
        # A function of ours that was interrupted may still run in one of the engine's threads, and
        # Python must not end before it. The engine waits for it before the next statement.
        with suppress(duckdb.Error):
            self.backend.raw_sql("select 1")
        self.backend.con.close()


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
        When the file is no DuckDB database, is locked by another process, or cannot be written.
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
            self.backend = ibis.duckdb.connect()
        elif not isinstance(into, (str, os.PathLike)):
            raise WarehouseError(
                f"into is {into!r}, a {type(into).__name__}; give a DuckDB file, an ibis.duckdb "
                "connection, or None for memory"
            )
        else:
            self.path = Path(into)
            # What a symbolic link points to, so that it stays a link.
            self._place = self.path.resolve()
            if self._place.is_dir():
                raise WarehouseError(f"{self.path} is a folder; name a DuckDB file in it")
            if not self._place.exists():
                if read_only:
                    raise WarehouseError(
                        f"there is no database {self.path}; `prime-sql search` makes one"
                    )
                # Another thread that makes it, too, is waited for, and its file opened.
                self._maker = _writer(str(self._place))
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
        """Let go of other threads that wait for the file, which has its name now, or has none."""
        if self._maker is not None:
            self._maker.release()
            self._maker = None

    def _new_file(self) -> Path:
        """Return a name beside the file's own, after a look at what is in the way."""
        folder, name = self._place.parent, self._place.name
        if not folder.is_dir():
            raise WarehouseError(f"the folder {folder} does not exist; make it first")
        if folder.joinpath(f"{name}.wal").exists():
            raise WarehouseError(
                f"{self.path} is gone but its {name}.wal is still there, and would be taken for "
                "part of the new file; remove it or bring the file back"
            )
        return output.beside(self._place)

    @property
    def is_new(self) -> bool:
        """Whether this is a file that has no name yet."""
        return self._partial is not None

    def counting(self, warehouse: Warehouse, on_sql: OnSql | None) -> Warehouse:
        """Return the session in which images are counted."""
        return warehouse

    @contextmanager
    def publishing(
        self, counted_in: Warehouse | None, warehouse: Warehouse, *, images: bool = False
    ) -> Iterator[int]:
        """Do what else is to be done with a run that the block publishes; see `Mirror`."""
        yield 0

    def publish(self) -> Backend:
        """Give a new file its name; return the connection that results are read from."""
        if self._partial is not None and self.path is not None:
            try:
                # Closing would do this as well, but keep silent where the disk is full; and what
                # is still in the log does not move with the file.
                self.backend.raw_sql("force checkpoint")
            except duckdb.Error as error:
                raise WarehouseError(f"cannot write {self.path}: {first_line(error)}") from error
            self.backend.disconnect()
            try:
                os.link(self._partial, self._place)  # unlike a rename, never replaces a file
            except FileExistsError as error:
                raise WarehouseError(
                    f"{self.path} appeared while this run was made, and was left alone; run again"
                ) from error
            except OSError:  # a file system without links
                self._partial.rename(self._place)
            self._partial.unlink(missing_ok=True)
            self._partial = None
            self.backend = connect_file(self.path)
            self._made()
        return self.backend

    def discard(self) -> None:
        """Close what this object opened, and remove a file that never became complete."""
        if self.owned:
            self.backend.disconnect()
        if self._partial is not None:
            for leftover in (self._partial, self._partial.with_name(self._partial.name + ".wal")):
                leftover.unlink(missing_ok=True)
        self._made()


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
    """Open a DuckDB file, with one clear error where that fails.

    Where another process has it open, try again for so many seconds; None where the user cannot
    say so.
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
    if _file_of(backend) is None:
        backend.disconnect()
        raise _no_database(path)
    return backend


def _file_of(backend: Backend) -> str | None:
    stored = "select path from duckdb_databases() where database_name = current_database()"
    ((file,),) = backend.raw_sql(stored).fetchall()
    return None if file is None else str(file)


def catalog_of(backend: BaseBackend) -> str:
    """Return the name of the database that a connection is in."""
    with in_turn(backend):
        return str(cast(Any, backend).current_catalog)


def stored_table(backend: BaseBackend, name: str) -> Table:
    """Return a table of schema ``prime``."""
    with in_turn(backend):
        return cast(Any, backend).table(name, database=(catalog_of(backend), "prime"))


def tables_of(backend: Backend) -> set[str]:
    """Return the tables and views of schema ``prime``."""
    # Ibis could list them, but takes several times as long, and needs memory of its own.
    names = (
        "select table_name from information_schema.tables "
        "where table_catalog = current_database() and table_schema = 'prime'"
    )
    return {name for (name,) in backend.raw_sql(names).fetchall()}


def is_made(backend: Backend) -> bool:
    """Return whether the database has the tables of results."""
    known = tables_of(backend)
    if "runs" in known and "failure_mode_members" not in known:
        raise WarehouseError(
            "schema prime was made by an earlier version of prime_sql; name another database"
        )
    return "runs" in known


def attach(backend: Backend, path: Path, alias: str) -> None:
    """Attach a DuckDB file read-only, to read input tables from it."""
    try:
        quoted = queries.literal(str(path.absolute()))
        backend.raw_sql(f"attach {quoted} as {queries.identifier(alias)} (read_only)")
    except duckdb.Error as error:
        raise _cannot_open(path, error) from error


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
    if "different configuration" in text or "attached" in text:
        return WarehouseError(
            f"{path} is already open in this process, for reading only or with other settings; "
            "close that connection or run first"
        )
    return WarehouseError(f"cannot open {path}: {first_line(error)}")


def filled(sql: str, verbatim: dict[str, str] | None) -> str:
    """Put conditions in the engine's own dialect in the place of the words that stand for them."""
    for word, condition in (verbatim or {}).items():
        sql = sql.replace(word, f"({condition})")
    return sql


def _refused(step: str, sql: str, error: duckdb.Error) -> WarehouseError:
    return limits.explain(error, step) or WarehouseError(
        f"step {step} failed: {error}\n\nSQL of the step:\n{sql}"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an engine's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
