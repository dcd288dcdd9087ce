"""Sources given by name: files, tables of the database, and tables of other databases."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ibis.expr.types import Table

from prime_sql.engine import places, queries
from prime_sql.engine.database import attach
from prime_sql.engine.errors import (
    InputError,
    did_you_mean,
)
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import (
    CSV,
    DATABASE,
    FORMS,
    JSON,
    PARQUET,
    Source,
    Wanted,
    describe,
    kind_of,
)


def open_named(name: str, role: str, session: Session, options: Options, wanted: Wanted) -> Source:
    """Open a file, a table of the session's database, or one of another database."""
    place = named(name, role)
    if place is None:
        return _read_files(name, role, session, options, wanted)
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


def _read_files(name: str, role: str, session: Session, options: Options, wanted: Wanted) -> Source:
    backend = session.backend
    lower = name.lower()
    if Path(name).is_file():
        # A file whose name holds * or [ is that file, not a pattern.
        name = glob.escape(name)
    if lower.endswith(PARQUET):
        table = backend.read_parquet(name, union_by_name=True)
        return Source(table.select(wanted.among(table.columns)), list(table.columns))
    # A text file has no types: the engine guesses them, from all rows if a late word among numbers
    # would break the guess; what names something stays as it is written.
    sample = 20_480 if role == "tags" and not options.wide else -1
    is_json = lower.endswith(JSON)
    if is_json:
        guessed = backend.read_json(name, sample_size=sample)
    else:
        guessed = backend.read_csv(name, sample_size=sample, union_by_name=True)
    schema = guessed.schema()
    columns = list(schema.names)
    text = _names_and_words(guessed, role, options, wanted)
    # Given all types, the engine need not guess again.
    types = {
        column: "VARCHAR"
        if column in text
        else backend.compiler.type_mapper.to_string(schema[column])
        for column in wanted.among(columns)
    }
    if is_json:
        return Source(backend.read_json(name, columns=types), columns)
    table = backend.read_csv(name, union_by_name=True, types=types)
    return Source(table.select(wanted.among(columns)), columns)


def _names_and_words(guessed: Table, role: str, options: Options, wanted: Wanted) -> set[str]:
    """Return the columns that are text, even if they look like numbers: '007' must not become 7."""
    if wanted.typed:
        return {options.image_id} & {*guessed.columns}
    if role not in ("predictions", "tags"):
        return {*wanted.among(guessed.columns)}  # ids, labels and texts
    if role == "tags":
        names = {options.image_id} if options.wide else {options.image_id, options.tag}
        return {name for name in names & {*guessed.columns} if not guessed[name].type().is_array()}
    kinds = {name: kind_of(guessed[name].type()) for name in guessed.columns}
    renamed = {"label": options.label, "prediction": options.prediction}
    grouping = {renamed.get(name, name) for name in options.group_by}
    # 'yes' must not become true, but a condition may use such a column as a boolean.
    text = {name for name in grouping if name.lower() not in wanted.in_conditions}
    numbers = {name for name in kinds if kinds[name] == "numeric"}
    if options.error is None:
        pair = {options.label, options.prediction} & kinds.keys()
        pair_kinds = {kinds[name] for name in pair}
        if pair_kinds == {"string", "numeric"}:
            numbers -= pair
        # As text, true and 1 would never be equal; left as they are, a later check refuses them.
        text = text - pair if pair_kinds == {"boolean", "numeric"} else text | pair
    return ((text - numbers) | {options.image_id}) & kinds.keys()


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
