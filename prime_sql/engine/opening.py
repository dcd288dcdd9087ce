"""Open what a user names: a file, a connection, or a warehouse by its URL."""

from __future__ import annotations

import os
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import ibis
from ibis.backends import BaseBackend

from prime_sql.engine.database import Database, Destination
from prime_sql.engine.defaults import NO_WAIT, SCHEMA
from prime_sql.engine.errors import (
    OptionError,
    WarehouseError,
    did_you_mean,
    first_line,
    shorten,
)
from prime_sql.engine.mirror import Mirror
from prime_sql.engine.options import finite_number
from prime_sql.engine.sources import describe

# Whoever waits for longer would not notice that the other process hangs.
LONGEST_WAIT = 7 * 24 * 60 * 60  # seconds

# Where an existing database is.
Place: TypeAlias = "str | os.PathLike[str] | BaseBackend"

# How URLs begin, and the extra that has the packages for them.
EXTRAS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "clickhouse": "clickhouse",
    "pyspark": "spark",
    "datafusion": "datafusion",
}


def open_database(
    into: Destination | BaseBackend | Database,
    *,
    schema: str = SCHEMA,
    read_only: bool = False,
    wait: float = NO_WAIT,
) -> Database:
    """Open the place where results go, or are: a DuckDB database, or a schema of another engine.

    Parameters
    ----------
    into
        As for `Database`; or an Ibis connection to an engine of `ENGINES`, or the URL of one, which
        may end in ``#`` and the name of the schema; or an open `Database`.
    schema
        Name of the schema there.
    read_only
        Whether a DuckDB file is opened for reading only.
    wait
        Seconds to wait for a DuckDB file that another process has open.

    Raises
    ------
    OptionError
        When `wait` is not a number of seconds, or is given although `into` is not a file.
    WarehouseError
        When it cannot be opened.
    """
    wait = check_wait(wait)
    is_file = isinstance(into, (str, os.PathLike)) and str(into) != ":memory:"
    if wait and (not is_file or "://" in str(into)):
        raise OptionError(
            "wait is for a DuckDB file that another process has open; a warehouse, a connection "
            "and memory are never waited for: leave it out"
        )
    if isinstance(into, Database):
        return into
    if isinstance(into, str) and "://" in into:
        url, _, named = into.partition("#")
        return Mirror(connect(url), named or schema, owned=True)
    if isinstance(into, BaseBackend) and into.name != "duckdb":
        return Mirror(into, schema, owned=False)
    return Database(into, read_only=read_only, wait=wait)


def check_wait(wait: float) -> float:
    """Return how many seconds to wait, checked.

    Raises
    ------
    OptionError
        When it is not a number of at least 0.
    """
    seconds = finite_number("wait", wait)
    if not 0 <= seconds <= LONGEST_WAIT:
        raise OptionError(
            f"wait must be at least 0 and at most {LONGEST_WAIT:,} seconds (a week), got "
            f"{shorten(wait)}"
        )
    return seconds


def connect(url: str) -> BaseBackend:
    """Connect to the engine of a URL, such as ``postgres://user@host/database``.

    Raises
    ------
    WarehouseError
        When there is no such engine, its package is not installed, or it cannot be reached; the
        message does not hold the password.
    """
    scheme = url.partition("://")[0]
    try:
        password, _ = urlsplit(url).password, urlsplit(url).port
    except ValueError as error:  # such as a bracket that is not closed
        raise WarehouseError(
            f"{describe(url)} is not a URL: {first_line(error)}; write it as in "
            "postgres://user@host/database"
        ) from None
    if scheme not in EXTRAS:
        raise WarehouseError(
            f"a search cannot run in {describe(url)}.{did_you_mean(scheme, EXTRAS)} "
            f"Known: {', '.join(f'{known}://…' for known in EXTRAS)}."
        )
    try:
        return ibis.connect(url)
    except ImportError as error:
        raise WarehouseError(
            f'{scheme} needs packages that are missing: pip install "prime-sql[{EXTRAS[scheme]}]"'
        ) from error
    except Exception as error:  # every engine has exceptions of its own
        why = first_line(error)
        if password:
            why = why.replace(unquote(password), "***").replace(password, "***")
        raise WarehouseError(f"cannot connect to {describe(url)}: {why}") from None
