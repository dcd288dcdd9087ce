"""What differs between the versions of DuckDB that pyproject.toml admits, from 1.4 to 2."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import duckdb

from prime_sql.queries import literal

# The storage format of a new file. DuckDB 1.4 and 1.5 write this one unless told otherwise, and 2
# one that neither can open. A file keeps the format that it was made with, whatever writes to it.
STORAGE = "v1.0.0"


def give_ibis_its_names() -> None:
    """Give a connection the two methods back that Ibis 12 calls and DuckDB 2 renamed."""
    connection = duckdb.DuckDBPyConnection
    if not hasattr(connection, "fetch_arrow_table"):
        connection.fetch_arrow_table = _fetch_arrow_table
    if not hasattr(connection, "fetch_record_batch"):
        connection.fetch_record_batch = _fetch_record_batch
    # DuckDB 2 names a faster call to whoever uses these, here these functions; but Ibis decides.
    advice = "Arrow output on a DB-API result"
    warnings.filterwarnings("ignore", advice, UserWarning, re.escape(__name__))


def _fetch_arrow_table(self: Any, rows_per_batch: int = 1_000_000) -> Any:
    return self.to_arrow_table(rows_per_batch)


def _fetch_record_batch(self: Any, rows_per_batch: int = 1_000_000) -> Any:
    return self.to_arrow_reader(rows_per_batch)


def too_new(path: Path, error: duckdb.Error) -> str | None:
    """Say what to do about a file that only a newer DuckDB can open; return None for other errors.

    The SQL of the message is to be run by the newer one.
    """
    if "newer version of DuckDB" not in str(error):
        return None
    with path.open("rb") as file:
        file.seek(52)  # behind a checksum, "DUCK", the format's number and flags
        maker = re.match(rb"v(\d+\.\d+\.\d+)", file.read(32))
    version = f"DuckDB {maker[1].decode()}" if maker else "a newer DuckDB"
    old = literal(str(path))
    new = literal(str(path.with_name(f"{path.stem}-copy{path.suffix}")))
    return (
        f"{path} was made by {version}, in a storage format that DuckDB {duckdb.__version__} cannot "
        'read; upgrade it: pip install --upgrade "duckdb<3"; or let the newer one copy the file '
        f"into a format that both read:\n"
        f"  attach {old} as old (read_only);\n"
        f"  attach {new} as new (storage_version '{STORAGE}');\n"
        "  copy from database old to new;"
    )
