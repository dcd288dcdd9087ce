"""What differs between the versions of DuckDB that pyproject.toml allows, from 1.4 to 2."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
from ibis.backends.sql.datatypes import DuckDBType

from prime_sql.engine.queries import literal

# The storage format of a new file. DuckDB 1.4 and 1.5 write this one unless told otherwise, and 2
# one that neither can open. A file keeps the format it was made with, no matter what writes to it.
STORAGE = "v1.0.0"


def teach_ibis() -> None:
    """Let Ibis 12 work with DuckDB 2; with an older one nothing changes."""
    # Two methods of a connection that DuckDB 2 renamed.
    connection = duckdb.DuckDBPyConnection
    if not hasattr(connection, "fetch_arrow_table"):
        connection.fetch_arrow_table = _fetch_arrow_table
    if not hasattr(connection, "fetch_record_batch"):
        connection.fetch_record_batch = _fetch_record_batch
    DuckDBType.from_string = classmethod(_type_from_string)


def _ignore_advice() -> None:
    # DuckDB 2 advises whoever calls the two methods below to call others; that is for Ibis to
    # decide. At each call, because a filter that was set in a block of somebody's ends with it.
    advice = "Arrow output on a DB-API result"
    warnings.filterwarnings("ignore", advice, UserWarning, re.escape(__name__))


def _fetch_arrow_table(self: Any, rows_per_batch: int = 1_000_000) -> Any:
    _ignore_advice()
    return self.to_arrow_table(rows_per_batch)


def _fetch_record_batch(self: Any, rows_per_batch: int = 1_000_000) -> Any:
    _ignore_advice()
    return self.to_arrow_reader(rows_per_batch)


_ibis_type_from_string = DuckDBType.from_string.__func__


@lru_cache(maxsize=256)
def _parsed(text: str, nullable: bool | None) -> Any:
    return _ibis_type_from_string(DuckDBType, text, nullable)


def _type_from_string(cls: type[DuckDBType], text: str, nullable: bool | None = None) -> Any:
    # A column of nulls has a type of its own in DuckDB 2, which Ibis cannot read; before, it was an
    # INTEGER. A field of that name is followed by its type.
    text = re.sub(r'"NULL"(?=[,)\[]|$)', "INTEGER", text)
    # A table may have thousands of columns, of few types, and Ibis parses the type of each.
    return _parsed(text, nullable)


def returns_rows(query: str) -> bool:
    """Return whether one statement is a query that could be in a FROM clause.

    Raises
    ------
    duckdb.Error
        When DuckDB cannot read it.
    """
    last = duckdb.extract_statements(query)[-1].type
    # PIVOT is two statements, of which the last one answers; DuckDB 2 returns both as one,
    # and CREATE TABLE with a PIVOT as the same kind.
    if last == duckdb.StatementType.MULTI:
        with suppress(duckdb.ParserException):
            duckdb.extract_statements(f"from (\n{query}\n)")
            return True
    return bool(last == duckdb.StatementType.SELECT)


def too_new(path: Path, error: duckdb.Error) -> str | None:
    """Say what to do about a file that only a newer DuckDB can open; return None for other errors.

    The SQL in the message is meant for the newer one.
    """
    if "newer version of DuckDB" not in str(error):
        return None
    with path.open("rb") as file:
        file.seek(52)  # after a checksum, "DUCK", the format's number and flags
        maker = re.match(rb"v(\d+\.\d+\.\d+)", file.read(32))
    version = f"DuckDB {maker[1].decode()}" if maker else "a newer DuckDB"
    old = literal(str(path))
    new = literal(str(path.with_name(f"{path.stem}-copy{path.suffix}")))
    return (
        f"{path} was made by {version}, in a storage format that DuckDB {duckdb.__version__} "
        'cannot read; upgrade it: pip install --upgrade "duckdb<3"; or let the newer one copy the '
        "file into a format that both read:\n"
        f"  attach {old} as old (read_only);\n"
        f"  attach {new} as new (storage_version '{STORAGE}');\n"
        "  copy from database old to new;"
    )
