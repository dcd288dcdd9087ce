"""The user's table that a question joins with: one in the database, or a file."""

from __future__ import annotations

import glob
import os

import duckdb
from ibis.backends.duckdb import Backend

from prime_sql.engine import queries
from prime_sql.engine.connection import in_turn
from prime_sql.engine.errors import InputError, QueryError, did_you_mean, first_line
from prime_sql.engine.sources import CSV, JSON, Wanted
from prime_sql.engine.text_files import load_text


def table_to_join(backend: Backend, name: str | None, columns: list[str]) -> str:
    """Return the quoted name of the table that a question joins with.

    Parameters
    ----------
    backend
        The database.
    name
        A table in it, or a file; None for the one table that has the columns.
    columns
        Those that the question reads: the image's, what it groups by, and what it sums.

    Raises
    ------
    QueryError
        When there is no such table, or several; the message says how to name one.
    """
    wanted = list(dict.fromkeys(columns))
    with in_turn(backend):
        return _only_one(backend, wanted) if name is None else _named(backend, str(name), wanted)


def _only_one(backend: Backend, wanted: list[str]) -> str:
    rows = backend.raw_sql(
        "select table_schema, table_name, list(column_name) "
        "from information_schema.columns "
        "where table_schema not in ('prime', 'information_schema', 'pg_catalog') "
        "and table_catalog = current_database() group by all order by all"
    ).fetchall()
    fitting = [(schema, table) for schema, table, columns in rows if {*wanted} <= {*columns}]
    if len(fitting) != 1:
        found = ", ".join(
            table if schema == "main" else f"{schema}.{table}" for schema, table in fitting
        )
        everywhere = {column for _, _, columns in rows for column in columns}
        hint = "".join(
            did_you_mean(column, everywhere) for column in wanted if column not in everywhere
        )
        raise QueryError(
            f"{'several tables have' if fitting else 'no table of the database has'} "
            f"{' and '.join(map(repr, wanted))}{': ' if fitting else ''}{found}.{hint} "
            "Name one with the parameter table (a table of the database or a file)."
        )
    # The schema alone is ambiguous in a database file of the same name.
    return queries.identifier((backend.current_catalog, *fitting[0]))


def _file(backend: Backend, name: str, wanted: list[str]) -> tuple[list[str], str]:
    """Return the columns of a file, and the quoted name of the table of them."""
    image_id, measures = wanted[0], wanted[2:]
    if name.lower().endswith(CSV + JSON):
        # As in a search: 007 is not 7, and nothing is skipped.
        columns, _ = load_text(
            glob.escape(name),
            "table",
            "table_to_join",
            Wanted(text=frozenset({image_id}), numbers=frozenset(measures)),
            lambda _, sql: backend.raw_sql(sql).fetchall(),
        )
        return columns, queries.identifier("table_to_join")
    table = backend.read_parquet(name)
    return list(table.columns), queries.identifier(table.get_name())


def _named(backend: Backend, name: str, wanted: list[str]) -> str:
    if os.path.isfile(name):  # noqa: PTH113  # Path.is_file raises where a name is too long
        try:
            columns, quoted = _file(backend, name, wanted)
        except (duckdb.Error, InputError) as error:
            raise QueryError(f"cannot read {name}: {first_line(error)}") from error
    else:
        schema, _, bare = name.rpartition(".")
        place = (backend.current_catalog, schema or "main")
        if not schema and bare in backend.list_tables(database=("temp", "main")):
            place = ("temp", "main")  # a table that a job joins with
        known = backend.list_tables(database=place)
        if bare not in known:
            raise QueryError(f"there is no table or file {name!r}.{did_you_mean(bare, known)}")
        columns = backend.table(bare, database=place).columns
        quoted = queries.identifier((*place, bare))
    for column in wanted:
        if column not in columns:
            raise QueryError(f"{name} has no column {column!r}.{did_you_mean(column, columns)}")
    return quoted
