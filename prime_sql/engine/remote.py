"""A session on an engine other than DuckDB: the steps of a search run where the tables live.

Every statement is written in DuckDB's dialect and translated when it is executed (`dialects`). The
intermediate relations have names of their own there, so that nothing of the user's is hidden or
replaced, and are dropped when the session ends.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import ibis
import pyarrow as pa
import sqlglot
import sqlglot.expressions as sge
from ibis.backends import BaseBackend
from ibis.expr.types import BooleanColumn, StringColumn, Table

from prime_sql.engine import queries
from prime_sql.engine.dialects import KEEP, comment, renamed, translated, view
from prime_sql.engine.errors import (
    InputError,
    OptionError,
    WarehouseError,
    did_you_mean,
    first_line,
)
from prime_sql.engine.quoting import parse_table, teach_sqlglot
from prime_sql.engine.session import OnSql, Session, Statement

# The engines that a search can run in: what Ibis calls them, and their dialects.
ENGINES = {
    "postgres": "postgres",
    "pyspark": "spark",
    "clickhouse": "clickhouse",
    "datafusion": "datafusion",
}

teach_sqlglot()


class RemoteSession(Session):
    """A session on an engine of `ENGINES`.

    Parameters
    ----------
    backend
        A connection of Ibis; it stays open when the session ends.
    results
        Name of the schema where results are stored.
    on_sql
        Called after every statement, with what the engine was given.

    Raises
    ------
    WarehouseError
        When a search cannot run in this engine.
    """

    plans = None

    def __init__(self, backend: BaseBackend, results: str, on_sql: OnSql | None = None) -> None:
        check_engine(backend)
        self.backend: Any = backend
        self.seconds: dict[str, float] = {}
        self.conditions = ENGINES[backend.name]
        self._results = results
        self.on_sql = on_sql
        self._prefix = f"prime_sql_{secrets.token_hex(4)}_"
        self._tables: set[str] = set()
        self._views: dict[str, str] = {}
        # A temporary view in Spark is computed again wherever it is read, or has to stay in memory;
        # so its tables are made beside the results.
        self._in_results = self.conditions == "spark"
        self._results_there = queries.identifier(results, self.conditions)
        if self._in_results:
            self.make_schema()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written; only the engine knows what this user may do."""
        return False

    @property
    def memory(self) -> int | None:
        """Not known: the engine manages it itself."""
        return None

    @property
    def schema(self) -> str:
        """The schema of the results, quoted."""
        return queries.identifier(self._results)

    def is_blank(self, text: StringColumn) -> BooleanColumn:
        """Return whether a text consists only of spaces, tabs and line breaks."""
        return text.strip() == ""

    def normalised(self, text: StringColumn) -> StringColumn:
        """Refuse: not every engine has Unicode's forms, and a run must not depend on the engine."""
        raise OptionError(
            "normalise_tags is for tables that DuckDB reads: in a warehouse, write the tags alike "
            "in a view, as with lower(trim(tag))"
        )

    def execute(self, step: str, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement in DuckDB's dialect; return its rows if it is a query."""
        statement = sqlglot.parse_one(sql, read="duckdb")
        native = self._native(sql)
        if not isinstance(statement, sge.Query):
            self._run(step, native)
            return []
        rows = self._rows(step, native).to_pylist()
        return [tuple(map(_plain, row.values())) for row in rows]

    def fetch(self, step: str, query: str) -> pa.Table:
        """Return the rows of a query in DuckDB's dialect."""
        return self._rows(step, self._native(query))

    def create(
        self,
        name: str,
        select: str,
        *,
        view: bool = False,
        verbatim: dict[str, str] | None = None,
    ) -> int:
        """Keep `select` as the relation `name` of the session; return its rows (0 for a view)."""
        return self._keep(name, self._native(select, verbatim), view=view)

    def keep(self, name: str, table: Table, *, view: bool = True) -> int:
        """Keep an Ibis table of this engine as the relation `name`; a view reads it in place."""
        return self._keep(name, str(self.backend.compile(table)), view=view)

    def create_from(self, name: str, table: Table) -> Table:
        """Keep a copy of an Ibis table of this engine as the relation `name`."""
        self._keep(name, str(self.backend.compile(table)), view=False)
        return self.answer(f"select * from {name}")

    def answer(self, query: str, *, verbatim: dict[str, str] | None = None) -> Table:
        """Return a query in DuckDB's dialect as a table of Ibis."""
        native = self._native(query, verbatim)
        try:
            return self.backend.sql(native)
        except Exception as error:  # every engine has exceptions of its own
            raise WarehouseError(f"{first_line(error)}\n\n{native}") from error

    def _keep(self, name: str, native: str, *, view: bool) -> int:
        self.drop(name)
        if view:
            # Not every engine has temporary views: it is written out where it is read.
            self._views[name] = native
            return 0
        table = self._names(name)[name]
        for statement in KEEP[self.conditions]:
            self._run(name, statement.replace("NAME", table).replace("SQL", native))
        self._tables.add(name)
        return int(self.execute(name, f"select count(*) from {name}")[0][0])

    def drop(self, *names: str) -> None:
        """Free intermediate relations that no later step reads."""
        for name in names:
            self._views.pop(name, None)
            if name in self._tables:
                self._tables.remove(name)
                self._run("drop", f"drop table {self._names(name)[name]}")

    def check(self, path: str, **values: Any) -> dict[str, Any]:
        """Run a file of ``queries/`` that returns one row; return it by column name."""
        found = queries.find(path)
        row = self.fetch(f"check_{found.name}", found.render(**values)).to_pylist()[0]
        return {column: _plain(value) for column, value in row.items()}

    def find(self, name: str, role: str) -> Table:
        """Return a table of the user's.

        Raises
        ------
        InputError
            When there is no table of this name.
        """
        try:
            parsed = parse_table(name, self.conditions)
            parts = [part.name for part in parsed.parts]
        except (sqlglot.errors.SqlglotError, AttributeError):
            parts = [name]
        *place, bare = parts
        try:
            # Where it is found now: a relation of the session never has its name.
            return self.backend.table(
                bare, database=tuple(place) if len(place) > 1 else None if not place else place[0]
            )
        except Exception as error:
            known: list[str] = []
            with suppress(Exception):
                known = list(self.backend.list_tables(database=place[0] if place else None))
            raise InputError(
                f"{role}: the warehouse has no table {name}.{did_you_mean(bare, known)} Give the "
                "name of one, with its schema as in marts.predictions, or an Ibis table of the "
                f"same connection ({first_line(error)})"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of the block take effect together, if the engine has transactions."""
        if self.conditions != "postgres":
            yield
            return
        with self.backend.con.transaction():
            yield

    def has(self, name: str) -> bool:
        """Return whether the session has a relation of this name."""
        return name in self._tables or name in self._views

    def lock(self, table: str) -> None:
        """Let nobody else write to a table of the results until the transaction ends."""
        if self.conditions == "postgres":
            self._run("publish", f"lock table {self.schema}.{table} in share row exclusive mode")

    def make_schema(self) -> None:
        """Make the schema of the results, if it is missing."""
        with self._timed("publish", f"create schema if not exists {self.schema}"):
            self.backend.create_database(self._results, force=True)

    def make_table(self, name: str, columns: ibis.Schema) -> None:
        """Make an empty table of the results."""
        with self._timed("publish", f"create table {self.schema}.{name}"):
            self.backend.create_table(name, schema=columns, database=self._results)

    def make_view_or_comment(
        self, statement: str, names: Collection[str], views: Collection[str]
    ) -> None:
        """Run a statement that makes one of these relations as a view, or comments on one."""
        parsed = sqlglot.parse_one(statement, read="duckdb")
        if isinstance(parsed, sge.Create) and parsed.kind == "VIEW":
            if parsed.this.name in names:
                self._run("publish", view(statement, self._results, self.conditions))
        elif isinstance(parsed, sge.Comment):
            on = parsed.this
            table = on.table if isinstance(on, sge.Column) else on.name
            said = comment(statement, self.conditions, on_view=table in views)
            if said is not None and table in names:
                self._run("publish", said)

    def insert(self, table: str, rows: pa.Table, *, at_once: int = 500) -> None:
        """Append rows, few enough to be written as SQL, to a table of the results."""
        columns = ", ".join(map(queries.identifier, rows.column_names))
        for start in range(0, len(rows), at_once):
            values = ",\n".join(
                f"({', '.join(map(self._literal, row.values()))})"
                for row in rows.slice(start, at_once).to_pylist()
            )
            self.execute(
                "publish", f"insert into {self.schema}.{table} ({columns}) values\n{values}"
            )

    def close(self) -> None:
        """End the session: its relations are dropped, the connection stays open."""
        for name in list(self._tables):
            with suppress(WarehouseError):
                self.drop(name)

    # ----------------------------------------------------------------------------------------------

    def _native(self, sql: str, verbatim: dict[str, str] | None = None) -> str:
        """Translate a statement: its dialect, the names of the session's relations, its views."""
        native = translated(sql, self.conditions)
        native = renamed(native, self._names(*self._tables, *self._views), self.conditions)
        return self._with_views(queries.filled(native, verbatim, self.conditions))

    def _literal(self, value: Any) -> str:
        if isinstance(value, datetime):
            text = queries.literal(value.isoformat(sep=" "))
            # In a cast, ClickHouse would cut off fractions of a second; it reads the text.
            return text if self.conditions == "clickhouse" else f"cast({text} as timestamp)"
        return queries.literal(value)

    def _names(self, *relations: str) -> dict[str, str]:
        """Return what relations of the session are called in the engine."""
        place = f"{self._results_there}." if self._in_results else ""
        return {
            name: f"{'' if name in self._views else place}{self._prefix}{name}"
            for name in relations
        }

    def _with_views(self, native: str) -> str:
        read = [name for name in self._views if f"{self._prefix}{name}" in native]
        if not read:
            return native
        views = ",\n".join(f"{self._prefix}{name} as (\n{self._views[name]}\n)" for name in read)
        return f"with {views}\nselect * from (\n{native}\n) as answer"

    def _run(self, step: str, native: str) -> None:
        with self._timed(step, native):
            result = self.backend.raw_sql(native)
            if self.conditions == "datafusion":
                result.collect()  # nothing runs before that
            elif self.conditions == "postgres":
                result.close()

    def _rows(self, step: str, native: str) -> pa.Table:
        with self._timed(step, native):
            return self.backend.sql(native).to_pyarrow()

    @contextmanager
    def _timed(self, step: str, native: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except Exception as error:  # every engine has exceptions of its own
            # Ibis rolls back if PostgreSQL refuses a statement, and that fails in a transaction.
            before = error.__context__
            cause = before if before is not None and "rollback()" in str(error) else error
            raise WarehouseError(
                f"step {step} failed: {first_line(cause)}\n\nSQL of the step:\n{native}"
            ) from cause
        seconds = time.perf_counter() - start
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        if self.on_sql is not None:
            self.on_sql(Statement(step, native, None, seconds))


def _plain(value: Any) -> Any:
    """Return a sum of whole numbers, which some engines give as a decimal, as a whole number."""
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value


def check_engine(backend: BaseBackend) -> None:
    """Refuse a connection to an engine that a search cannot run in."""
    if backend.name not in ENGINES:
        raise WarehouseError(
            f"into is a {backend.name} connection; a search runs in DuckDB, "
            f"{', '.join(sorted(ENGINES))}: give a file, a connection to one, or None for memory"
        )
