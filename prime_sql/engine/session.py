"""The one seam to an engine: open a database, run a step, read a relation.

Nothing else in the package touches a connection. Every statement goes through `Session.execute`,
which times it, shows it to `on_sql` and names the step when the engine refuses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, cast

import duckdb
import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr.types import BooleanColumn, StringColumn, Table

from prime_sql.engine import alike, damage, duckdb_versions, limits, queries
from prime_sql.engine.connection import file_of, in_turn, writer
from prime_sql.engine.errors import WarehouseError, extension_of, first_line
from prime_sql.engine.extensions import load_only, loading

# The default of `plans`: the session's own overrides of `queries/`.
_OWN_PLANS = "own"

# DuckDB 1 writes a row group (122,880 rows) into the file before it is committed. If a process is
# killed in the commit, so that the log is cut off, such rows come back without the rest.
_SAFE_IN_LOG = 100_000

duckdb_versions.teach_ibis()


@dataclass(frozen=True)
class Statement:
    """One executed statement, as `on_sql` callbacks get it.

    Attributes
    ----------
    step
        The query file's name and, if there is one, the set size: ``candidates_2``.
    sql
        What the engine was given.
    rows
        Rows written, if the engine reports them.
    seconds
        Wall-clock time.
    """

    step: str
    sql: str
    rows: int | None
    seconds: float


OnSql = Callable[[Statement], object]


class Session:
    """A session on an engine, with the intermediate relations of one search in it.

    Parameters
    ----------
    backend
        A DuckDB backend of Ibis. The session is a cursor of it: temporary tables are private to
        the session and end with it.
    on_sql
        Called after every statement.
    """

    dialect = "duckdb"  # in which queries/ are written and passed on
    conditions = "duckdb"  # the dialect of the engine, and of the conditions that users write
    plans: str | None = "duckdb"  # whose overrides of queries/ are used; None: the portable files

    def __init__(self, backend: Backend, on_sql: OnSql | None = None) -> None:
        with in_turn(backend):
            self.backend = load_only(ibis.duckdb.from_connection(backend.con.cursor()))
            # A cursor starts out in the database file, even if the user's connection has moved on.
            place = (backend.current_catalog, backend.current_database)
        self.backend.raw_sql(f"use {'.'.join(map(queries.identifier, place))}")
        self.seconds: dict[str, float] = {}
        self.on_sql = on_sql
        self._made_of = backend
        self._written = 0  # rows, in the transaction

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

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
                "the database is open for reading only, but a run has to be written to it; open it "
                "with open_run(…, read_only=False), or connect without read_only"
            )

    @property
    def catalog(self) -> str:
        """The name of the database that the session is in."""
        return str(self.backend.current_catalog)

    @property
    def memory(self) -> int | None:
        """The bytes that the engine allows itself, or None if that is not known."""
        return limits.engine_memory(self.backend.con)

    @property
    def threads(self) -> int:
        """How many threads the engine uses."""
        return int(self.backend.raw_sql("select current_setting('threads')").fetchall()[0][0])

    @cached_property
    def schema(self) -> str:
        """The schema of the results, quoted, with its catalog.

        The catalog is named because the catalog of ``prime.duckdb`` is called prime as well.
        """
        return f"{queries.identifier(self.backend.current_catalog)}.{queries.identifier('prime')}"

    @cached_property
    def file(self) -> str | None:
        """The file of the database, or None if it is in memory."""
        return file_of(self.backend)

    def is_blank(self, text: StringColumn) -> BooleanColumn:
        """Return whether a text consists only of spaces, tabs and line breaks."""
        # DuckDB orders by bytes, so that few texts have to be stripped.
        return (text < "!") & (text.strip() == "")

    def normalised(self, text: StringColumn) -> StringColumn:
        """Return texts that are equal if they differ only in how they are written."""
        return alike.normalised(text)

    def scope(self, runs: Mapping[str, int]) -> str:
        """Return common table expressions in which names of stored tables mean one run each."""
        return scope(self.schema, runs)

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
            cursor = loading(self.backend, lambda: self.backend.raw_sql(statement))
            rows = cast("list[tuple[Any, ...]]", cursor.fetchall())
        except duckdb.Error as error:
            raise self._refused(step, sql, error) from error
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
        would be most of the statements.

        Raises
        ------
        WarehouseError
            When the engine refuses a statement; the message carries the step and its SQL.
        """
        try:
            # The engine parses the script once: statement by statement takes twice as long.
            statements = self.backend.con.extract_statements(sql)
        except duckdb.Error as error:
            raise self._refused(step, sql, error) from error
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

        Words of `verbatim` mean conditions in the engine's own dialect.
        """
        select = queries.filled(select, verbatim)
        kind = "view" if view else "table"
        rows = self.execute(name, f"create or replace temp {kind} {name} as\n{select}")
        return 0 if view else int(rows[0][0])

    def append(self, name: str, select: str) -> int:
        """Add `select` to the temporary table `name`; return its rows."""
        return int(self.execute(name, f"insert into {name}\n{select}")[0][0])

    def create_from(self, name: str, table: Table) -> Table:
        """Copy an Ibis table of this session, or of a frame, into the temporary table `name`."""
        start = time.perf_counter()
        try:
            copy = self.backend.create_table(name, obj=table, temp=True)
        except duckdb.Error as error:
            known = limits.explain(error, name)
            if known is None:
                raise
            raise known from error
        seconds = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        if self.on_sql is not None:
            # Ibis ran it; this is equivalent.
            sql = f"create temp table {name} as\n{self.backend.compile(table)}"
            self.on_sql(Statement(name, sql, None, seconds))
        return copy

    def keep(self, name: str, table: Table, *, view: bool = True) -> int:
        """Keep an Ibis table of this session as the temporary relation `name`; return its rows."""
        return self.create(name, str(self.backend.compile(table)), view=view)

    def step(
        self,
        path: str,
        relation: str | None = None,
        *,
        plans: str | None = _OWN_PLANS,
        scope: str = "",
        view: bool = False,
        add: bool = False,
        **values: Any,
    ) -> int:
        """Keep the answer of a file of ``queries/`` as a relation of the session.

        Parameters
        ----------
        path
            The file, without number and ending: ``discovery/tag_sets``.
        relation
            Name of the relation; that of the file if left out.
        plans
            Whose override of the file is used; those of the session if left out, None for none.
        scope
            Common table expressions that the file may name; see `StoredRun.scope`.
        view
            Make it a view, which is computed where it is read.
        add
            Add the rows to the table of that name.
        **values
            The parameters of the file.

        Returns
        -------
        int
            Its rows; 0 for a view.

        Raises
        ------
        WarehouseError
            When the engine refuses it; the message carries the step and the SQL.
        """
        found = queries.find(path, self.plans if plans == _OWN_PLANS else plans)
        sql = found.render(self.dialect, **values)
        if scope:
            sql = f"with {scope}\nselect * from (\n{sql}\n) as answer"
        if add:
            return self.append(relation or found.name, sql)
        return self.create(relation or found.name, sql, view=view)

    def fetch(self, step: str, query: str) -> pa.Table:
        """Return the rows of a query over relations of the session.

        Raises
        ------
        WarehouseError
            When the engine refuses it; the message carries the step and the SQL.
        """
        try:
            return loading(self.backend, lambda: self.backend.sql(query).to_pyarrow())
        except duckdb.Error as error:
            raise self._refused(step, query, error) from error

    def answer(self, query: str, *, verbatim: dict[str, str] | None = None) -> Table:
        """Return a query over relations of the session as a table of Ibis.

        Raises
        ------
        WarehouseError
            When the engine refuses it.
        """
        query = queries.filled(query, verbatim)
        try:
            return loading(self.backend, lambda: self.backend.sql(query))
        except (duckdb.Error, ibis.common.exceptions.IbisError) as error:
            raise WarehouseError(f"{first_line(error)}\n\n{query}") from error

    def drop(self, *names: str) -> None:
        """Free intermediate relations that no later step reads."""
        for name in names:
            self.execute("drop", f"drop table if exists temp.{name}")

    def check(self, path: str, **values: Any) -> dict[str, Any]:
        """Run a file of ``queries/`` that returns one row; return it by column name."""
        found = queries.find(path, self.plans)
        rows = self.execute(f"check_{found.name}", found.render(self.dialect, **values))
        columns = [column[0] for column in self.backend.con.description or ()]
        return dict(zip(columns, rows[0], strict=True))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of the block take effect together, or none, even if we are killed.

        Within a process, threads that write to one database wait for each other here: DuckDB would
        let both work, then refuse what the second one did.
        """
        # A database in memory is known only by the connection that this session was made from.
        with writer(self.file or f"memory {id(self._made_of.con)}"):
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

    def _refused(self, step: str, sql: str, error: duckdb.Error) -> WarehouseError:
        file = None
        with suppress(duckdb.Error):
            file = self.file
        why = first_line(error) if extension_of(error) else error
        return (
            limits.explain(error, step)
            or damage.explain(error, file)
            or WarehouseError(f"step {step} failed: {why}\n\nSQL of the step:\n{sql}")
        )

    def close(self) -> None:
        """End the session; its temporary relations go with it."""
        # A function of ours that was interrupted may still run in one of the engine's threads, and
        # Python must not end before it. The engine waits for it before the next statement.
        with suppress(duckdb.Error):
            self.backend.raw_sql("select 1")
        self.backend.con.close()


def scope(schema: str, runs: Mapping[str, int]) -> str:
    """Return common table expressions in which names of stored tables mean one run each.

    Parameters
    ----------
    schema
        The schema of the results, quoted.
    runs
        The run_id of each table.
    """
    return ",\n".join(
        f"{name} as (select * from {schema}.{name} where run_id = {run_id})"
        for name, run_id in runs.items()
    )
