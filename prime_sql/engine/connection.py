"""What an open connection is asked, and which thread may use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast
from weakref import WeakValueDictionary

import duckdb
from ibis.backends import BaseBackend
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from prime_sql.engine import damage, queries
from prime_sql.engine.errors import WarehouseError

# One lock for each database that some thread of this process writes to, or is making.
_writers: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()
_writers_guard = threading.Lock()


def writer(place: str) -> threading.RLock:
    """Return the lock that the threads of this process take to write to a database."""
    with _writers_guard:
        return _writers.setdefault(place, threading.RLock())


def in_turn(backend: BaseBackend) -> threading.RLock:
    """Return the lock of a connection, which answers one thread at a time."""
    # Kept on the connection, so that both end together; `setdefault` of a dict is atomic.
    lock = vars(backend).setdefault("_prime_sql_in_turn", threading.RLock())
    return cast("threading.RLock", lock)


@contextmanager
def _asked(backend: Backend) -> Iterator[None]:
    """Say which file is damaged, where a question to the connection finds that out."""
    try:
        yield
    except duckdb.Error as error:
        file = None
        with suppress(duckdb.Error):  # it answers nothing any more
            file = file_of(backend)
        damaged = damage.explain(error, file)
        if damaged is None:
            raise
        raise damaged from error


def file_of(backend: Backend) -> str | None:
    """Return the file of a database, or None if it is in memory."""
    stored = "select path from duckdb_databases() where database_name = current_database()"
    ((file,),) = backend.raw_sql(stored).fetchall()
    return None if file is None else str(file)


def raw(connection: duckdb.DuckDBPyConnection | Backend) -> duckdb.DuckDBPyConnection:
    """Return DuckDB's own connection."""
    return connection.con if isinstance(connection, Backend) else connection


def rows_of(backend: Backend, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query by column name.

    Not through Ibis, whose lookup of the columns takes a tenth of the time of a small search.
    """
    with in_turn(backend), _asked(backend):
        cursor = backend.raw_sql(query)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def go_to(backend: Backend, schema: str) -> None:
    """Make a schema (a quoted name) if it is missing, and switch the connection to it."""
    with in_turn(backend):
        backend.raw_sql(f"create schema if not exists {schema}")
        backend.raw_sql(f"use {schema}")


def go_to_database(backend: Backend, name: str) -> None:
    """Switch the connection to an attached database."""
    with in_turn(backend):
        backend.raw_sql(f"use {queries.identifier((name, 'main'))}")


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
    with _asked(backend):
        return {name for (name,) in backend.raw_sql(names).fetchall()}


def is_made(backend: Backend) -> bool:
    """Return whether the database has the tables of results."""
    known = tables_of(backend)
    if "runs" in known and "failure_mode_members" not in known:
        raise WarehouseError(
            "schema prime was made by an earlier version of prime_sql, as it has no table "
            "failure_mode_members; name another database"
        )
    return "runs" in known
