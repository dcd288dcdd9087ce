"""Sources: files, tables and frames become tables of the session, whatever they are."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
from ibis.expr.types import Table

from prime_sql.errors import InputError, did_you_mean
from prime_sql.options import Options
from prime_sql.warehouse import Warehouse, attach, first_line

PARQUET = (".parquet", ".pq", ".parq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
JSON = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
DATABASE = (".duckdb", ".db", ".ddb")
FORMS = (
    "a Parquet, CSV or JSON-lines file or glob, DATABASE.duckdb:TABLE, the name of a table in the "
    "target database, or a Polars, pandas, Arrow or Ibis table"
)


def describe(source: Any) -> str:
    """Name a source for messages and for `runs`, without credentials."""
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        text = re.sub(r"://[^/@]*@", "://", str(text))
        return re.sub(r"(://[^?]*)\?.*", r"\1", text)
    if isinstance(source, Table):
        try:
            return f"ibis table {source.get_name()}"
        except Exception:  # an expression has no name of its own
            return "ibis expression"
    return f"{type(source).__module__.partition('.')[0]} {type(source).__name__}"


def open_source(source: Any, role: str, warehouse: Warehouse, options: Options) -> Table:
    """Return the source as a table of the session; nothing but files stays outside it."""
    try:
        if isinstance(source, (str, os.PathLike)):
            return _open_named(os.fspath(source), role, warehouse, options)
        if isinstance(source, Table):
            # Whatever engine it lives in, it travels as Arrow; only what it selects is copied.
            source = source.to_pyarrow()
        elif hasattr(source, "collect") and hasattr(source, "collect_schema"):
            source = source.collect()  # a Polars LazyFrame
        elif not hasattr(source, "columns") and not hasattr(source, "schema"):
            raise InputError(f"{role} is {describe(source)}; give {FORMS}")
        return warehouse.create_from(f"source_{role}_rows", _named_columns(source, role))
    except InputError:
        raise
    except (duckdb.Error, ibis.common.exceptions.IbisError, OSError) as error:
        raise InputError(f"cannot read {role} ({describe(source)}): {first_line(error)}") from error
    except (TypeError, ValueError) as error:  # what pyarrow raises on mixed columns
        raise InputError(
            f"cannot read {role} ({describe(source)}): {first_line(error)}; "
            "give every column one type"
        ) from error


def _named_columns(frame: Any, role: str) -> Any:
    for name in getattr(frame, "columns", ()):
        # pyarrow's .columns holds the data; names are only missing in pandas.
        if not isinstance(name, str) and not hasattr(name, "type"):
            raise InputError(
                f"{role} has a column called {name!r}, a {type(name).__name__}; "
                "column names must be text: rename it"
            )
    return frame


def _open_named(name: str, role: str, warehouse: Warehouse, options: Options) -> Table:
    lower = name.lower()
    if lower.endswith(PARQUET + CSV + JSON):
        _check_files(name, role)
        return _read_files(name, role, warehouse, options)
    database, colon, table = name.rpartition(":")
    if colon and (database.lower().endswith(DATABASE) or Path(database).is_file()):
        path = Path(database)
        if not path.is_file():
            raise InputError(f"{role}: there is no database file {database}")
        catalog = _catalog_of(path, role, warehouse)
        return _copy_table(catalog, table, name, role, warehouse)
    if lower.endswith(DATABASE) and Path(name).is_file():
        raise InputError(f"{role}: {name} is a database; name a table in it, as in {name}:TABLE")
    if Path(name).exists():
        raise InputError(f"{role}: cannot tell the format of {name} from its name; give {FORMS}")
    return _copy_table(warehouse.backend.current_catalog, name, name, role, warehouse)


def _check_files(name: str, role: str) -> None:
    if "://" in name or glob.glob(name) or Path(name).is_file():
        return
    if glob.has_magic(name):
        raise InputError(f"{role}: no file matches {name}")
    folder = Path(name).parent
    near = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    raise InputError(f"{role}: there is no file {name}.{did_you_mean(Path(name).name, near)}")


def _read_files(name: str, role: str, warehouse: Warehouse, options: Options) -> Table:
    backend = warehouse.backend
    lower = name.lower()
    if Path(name).is_file():
        # A file whose name holds * or [ is that file, not a pattern.
        name = glob.escape(name)
    if lower.endswith(PARQUET):
        return backend.read_parquet(name)
    if lower.endswith(JSON):
        table = backend.read_json(name)
    else:
        table = _read_csv(name, role, warehouse, options)
    # Text formats are parsed once, not at every step that reads them.
    return warehouse.create_from(f"source_{role}_rows", table)


def _read_csv(name: str, role: str, warehouse: Warehouse, options: Options) -> Table:
    table = warehouse.backend.read_csv(name)
    # Identifiers and words stay as written: '007' must not become 7.
    text = {options.image_id} if role == "predictions" else {options.image_id, options.tag}
    if role == "tags" and options.wide:
        text.discard(options.tag)
    pair = [column for column in (options.label, options.prediction) if column in table.columns]
    if role == "predictions" and len({kind_of(table[column].type()) for column in pair}) > 1:
        # A file has no types; if the guesses differ for the two, both are text.
        text.update(pair)
    types = {column: "VARCHAR" for column in table.columns if column in text}
    return warehouse.backend.read_csv(name, types=types) if types else table


def _catalog_of(path: Path, role: str, warehouse: Warehouse) -> str:
    attached = warehouse.execute(
        "attach", "select database_name, path from duckdb_databases() where path is not null"
    )
    for catalog, file in attached:
        if Path(file).exists() and Path(file).samefile(path):
            return str(catalog)
    alias = f"source_of_{role}"
    attach(warehouse.backend, path, alias)
    return alias


def _copy_table(catalog: str, table: str, shown: str, role: str, warehouse: Warehouse) -> Table:
    schema, _, name = table.rpartition(".")
    backend = warehouse.backend
    found = None
    for place, word in ((schema or "main", name), ("main", table)):
        if place in backend.list_databases(catalog=catalog):
            tables = backend.list_tables(database=(catalog, place))
            if word in tables:
                found = backend.table(word, database=(catalog, place))
                break
    if found is None:
        tables = backend.list_tables(database=(catalog, "main"))
        raise InputError(
            f"{role}: there is no file or table {shown}.{did_you_mean(name, tables)} Give {FORMS}."
        )
    # Copied, because a view's own tables could share a name with a step of the search.
    return warehouse.create_from(f"source_{role}_rows", found)


def kind_of(dtype: dt.DataType) -> str:
    """Return what values of a type can be compared with: string, numeric, …."""
    for kind in ("string", "boolean", "numeric", "temporal"):
        if getattr(dtype, f"is_{kind}")():
            return kind
    return str(dtype)
