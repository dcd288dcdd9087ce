"""Sources given by name: files, tables of the database, and tables of other databases."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from prime_sql.engine import places, queries
from prime_sql.engine.database import attach
from prime_sql.engine.errors import (
    InputError,
    LimitError,
    WarehouseError,
    did_you_mean,
)
from prime_sql.engine.session import Session
from prime_sql.engine.sources import (
    CSV,
    DATABASE,
    FORMS,
    JSON,
    PARQUET,
    Source,
    Wanted,
    check_alike,
    describe,
    why,
)
from prime_sql.engine.text_files import load_text


def open_named(name: str, role: str, rows: str, session: Session, wanted: Wanted) -> Source:
    """Open a file, a table of the session's database, or one of another database.

    A text file is read into the temporary table `rows`.
    """
    place = named(name, role)
    if place is None:
        try:
            return _read_files(name, role, rows, session, wanted)
        except WarehouseError as error:
            if isinstance(error, LimitError) or not isinstance(error.__cause__, duckdb.Error):
                raise
            said = why(error.__cause__).replace(name, describe(name))  # without credentials
            raise InputError(f"cannot read {role} ({describe(name)}): {said}") from error
    path, table = place
    if path is None:
        catalog = session.backend.current_catalog
        return _find_table(catalog, name, describe(name), role, session, wanted)
    catalog = catalog_of(path, role, session)
    return _find_table(catalog, table, name, role, session, wanted)


def named(name: str, role: str) -> tuple[Path | None, str] | None:
    """Return where a source given by name is: None for files, else a database and its table.

    The database is None for the target database; whether it has such a table is not checked.

    Raises
    ------
    InputError
        When a file is missing, empty or of an unknown format, or a database is given without a
        table.
    """
    lower = name.lower()
    if lower.endswith(PARQUET + CSV + JSON):
        _check_files(name, role)
        return None
    if "://" in name:
        raise InputError(
            f"{role}: {describe(name)} is not a file on this machine, and its address does not end "
            f"in {', '.join(PARQUET[:1] + CSV[:1] + JSON[:2])} or the like, by which DuckDB's "
            "extension httpfs reads files elsewhere; download it, and name the local file"
        )
    places.check_name(name, f"{role}: cannot read", InputError)
    database, colon, table = name.rpartition(":")
    if colon and (database.lower().endswith(DATABASE) or places.is_file(database)):
        places.check_readable(database, f"{role}: cannot read", InputError)
        if not Path(database).is_file():
            raise InputError(f"{role}: there is no database file {database}")
        return Path(database), table
    if lower.endswith(DATABASE) and Path(name).is_file():
        raise InputError(f"{role}: {name} is a database; name a table in it, as in {name}:TABLE")
    if places.exists(name):
        raise InputError(f"{role}: cannot tell the format of {name} from its name; give {FORMS}")
    return None, name


def _check_files(name: str, role: str) -> None:
    if "://" not in name:
        places.check_readable(name, f"{role}: cannot read", InputError)
    if Path(name).is_file() and not Path(name).stat().st_size:
        raise InputError(f"{role}: the file {name} is empty")
    if "://" in name or glob.glob(name, recursive=True) or Path(name).is_file():
        return
    if glob.has_magic(name):
        raise InputError(f"{role}: no file matches {name}")
    folder = Path(name).parent
    near = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    raise InputError(f"{role}: there is no file {name}.{did_you_mean(Path(name).name, near)}")


def _read_files(name: str, role: str, rows: str, session: Session, wanted: Wanted) -> Source:
    backend = session.backend
    lower = name.lower()
    if Path(name).is_file():
        # A file whose name holds * or [ is that file, not a pattern.
        name = glob.escape(name)
    if lower.endswith(PARQUET):
        _check_parquet(name, role, session, wanted)
        table = backend.read_parquet(name, union_by_name=True)
        return Source(table.select(wanted.among(table.columns)), list(table.columns))
    # Text is parsed once, not at every step.
    columns, written = load_text(name, role, rows, wanted, session.execute)
    return Source(backend.table(rows, database=("temp", "main")), columns, written, untyped=True)


def _check_parquet(name: str, role: str, session: Session, wanted: Wanted) -> None:
    """Refuse columns that DuckDB would rename; only the file knows what it calls them."""
    found = session.execute(
        "files",
        f"select file_name, name, num_children from parquet_schema({queries.literal(name)})",
    )
    for file, fields in itertools.groupby(found, key=lambda row: row[0]):
        check_alike(_top(list(fields)), f"{role} ({file})", wanted)


def _top(fields: list[tuple[str, str, int | None]]) -> list[str]:
    """Return the columns among the fields of a Parquet file, which come parent first."""
    names: list[str] = []
    left: list[int] = []  # of each open parent, how many fields are still to come
    for _, name, children in fields:
        if len(left) == 1:
            names.append(name)
        if left:
            left[-1] -= 1
        if children:
            left.append(children)
        while left and not left[-1]:
            left.pop()
    return names


def catalog_of(path: Path, role: str, session: Session) -> str:
    """Return the name under which a DuckDB file is attached to the session, attaching it."""
    attached = session.execute(
        "attach", "select database_name, path from duckdb_databases() where path is not null"
    )
    for catalog, file in attached:
        if Path(file).exists() and Path(file).samefile(path):
            return str(catalog)
    alias = f"source_of_{role}"
    attach(session.backend, path, alias)
    return alias


@contextmanager
def detaching(session: Session) -> Iterator[None]:
    """Detach, at the end of the block, the database files that were attached in it."""
    attached = "select database_name from duckdb_databases()"
    before = {*session.execute("attach", attached)}
    try:
        yield
    finally:
        for (catalog,) in sorted({*session.execute("attach", attached)} - before):
            session.execute("attach", f"detach {queries.identifier(catalog)}")


def _find_table(
    catalog: str, table: str, shown: str, role: str, session: Session, wanted: Wanted
) -> Source:
    backend = session.backend
    places = {
        f"{schema}.{name}": (schema, name)
        for schema in backend.list_databases(catalog=catalog)
        if schema not in ("information_schema", "pg_catalog")
        for name in backend.list_tables(database=(catalog, schema))
    }
    places |= {name: (schema, name) for schema, name in places.values() if schema == "main"}
    if table not in places:
        raise InputError(
            f"{role}: there is no {'folder, ' if role == 'images' else ''}file or table {shown}."
            f"{did_you_mean(table, places)} Give {FORMS}."
        )
    schema, name = places[table]
    found = backend.table(name, database=(catalog, schema))
    return Source(found.select(wanted.among(found.columns)), list(found.columns))
