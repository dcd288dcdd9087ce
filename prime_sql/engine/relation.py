"""An SQL query becomes a lazy relation, with the engine's own complaint if it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import duckdb
import ibis
import polars as pl
import pyarrow as pa
import sqlglot
import sqlglot.expressions as sge
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from prime_sql.engine import damage, duckdb_versions, queries
from prime_sql.engine.connection import catalog_of, file_of, in_turn
from prime_sql.engine.errors import QueryError, WarehouseError, extension_of, first_line
from prime_sql.engine.extensions import loading

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Relation:
    """A lazy table: nothing is read until one of the ``to_…`` methods is called.

    Attributes
    ----------
    table
        The Ibis expression, to filter, join and aggregate further. Its connection answers one
        thread at a time; the ``to_…`` methods wait for each other.
    """

    table: Table
    _rows: pa.Table | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: pa.Table | pl.DataFrame) -> Relation:
        """Return rows that exist already as a relation."""
        table = ibis.memtable(rows)
        arrow = rows.to_arrow() if isinstance(rows, pl.DataFrame) else rows
        return cls(table, arrow.cast(table.schema().to_pyarrow()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.table.columns)

    def to_polars(self) -> pl.DataFrame:
        """Read all rows into a Polars data frame."""
        if self._rows is not None:
            return cast(pl.DataFrame, pl.from_arrow(self._rows))
        with _answering(self.table):
            return cast(pl.DataFrame, self.table.to_polars())

    def to_pandas(self) -> pd.DataFrame:
        """Read all rows into a pandas data frame."""
        with _answering(self.table):
            return cast("pd.DataFrame", self.table.to_pandas())

    def to_arrow(self) -> pa.Table:
        """Read all rows into an Arrow table."""
        if self._rows is not None:
            return self._rows
        with _answering(self.table):
            return self.table.to_pyarrow()


@contextmanager
def _answering(table: Table) -> Iterator[None]:
    """Turn an error while rows are read into a `QueryError` with the engine's complaint."""
    try:
        with in_turn(ibis.get_backend(table)):
            yield
    except duckdb.Error as error:
        raise _damaged(error, ibis.get_backend(table)) or QueryError(_complaint(error)) from error
    except (
        ibis.common.exceptions.IbisError,
        sqlglot.errors.SqlglotError,
        pa.ArrowException,
        NotImplementedError,
    ) as error:
        raise QueryError(
            f"the answer cannot be read ({first_line(error)}); cast columns of unusual "
            "types, such as intervals, to varchar"
        ) from error


def answer(query: str, backend: Backend, scope: str = "") -> Relation:
    """Return the answer to an SQL query.

    Parameters
    ----------
    query
        One query that returns rows.
    backend
        The database.
    scope
        Common table expressions that the query may name.

    Raises
    ------
    QueryError
        When the engine refuses the query; the message is the engine's.
    """
    try:
        duckdb.extract_statements(query)  # its complaint says more than that of the next line
        statements = queries.statements(query)
        if len(statements) != 1:
            raise QueryError(f"give one query, got {len(statements)}")
        inner = statements[0]
        if not duckdb_versions.returns_rows(inner):
            raise QueryError(
                "only a query that returns rows is answered: select, from, with, describe, …; "
                "for other statements open the database with DuckDB"
            )
        inner = _with_catalog(inner, catalog_of(backend))
        # In parentheses on lines of their own: the query may bring its own WITH, and may end
        # in a comment.
        names = f"with {scope}\n" if scope else ""
        text = f"{names}select * from (\n{inner}\n)"
        return Relation(loading(backend, lambda: _lazily(text, backend)))
    except duckdb.Error as error:
        raise _damaged(error, backend) or QueryError(
            f"{_complaint(error)}\n\nin the query:\n{query}"
        ) from error


def _lazily(query: str, backend: Backend) -> Table:
    """Return a query as a table of Ibis.

    A view leaves parsing to DuckDB; Ibis would have sqlglot rewrite the query, and would then miss
    columns without a name of their own, such as ``len(tags)``.
    """
    name = ibis.util.gen_name("answer")
    with in_turn(backend):
        try:
            backend.raw_sql(f"create temp view {queries.identifier(name)} as\n{query}")
        except duckdb.Error:  # not all that can be selected from can be a view: PIVOT
            return backend.sql(query)
        return backend.table(name)


def _with_catalog(query: str, catalog: str) -> str:
    """Write the catalog before ``prime.`` in a file called prime.duckdb.

    There, DuckDB cannot tell the catalog prime from the schema prime.
    """
    if catalog.lower() != "prime":
        return query
    try:
        parsed = sqlglot.parse_one(query, read="duckdb")
    except sqlglot.errors.SqlglotError:
        return query  # the engine will say what is wrong
    ambiguous = [
        table
        for table in parsed.find_all(sge.Table)
        if table.db.lower() == "prime" and not table.catalog
    ]
    for table in ambiguous:
        table.set("catalog", sge.to_identifier(catalog, quoted=True))
    return str(parsed.sql(dialect="duckdb")) if ambiguous else query


def _damaged(error: duckdb.Error, backend: Any) -> WarehouseError | None:
    """Return what to tell if the file is damaged that a query reads."""
    file = None
    with suppress(duckdb.Error):  # it answers nothing any more
        file = file_of(backend)
    return damage.explain(error, file)


def _complaint(error: duckdb.Error) -> str:
    """Return the engine's message without its excerpt, which counts lines of a wrapped query."""
    if extension_of(error):
        return first_line(error)
    return re.split(r"\n\s*\n?LINE \d+:", str(error))[0].strip()
