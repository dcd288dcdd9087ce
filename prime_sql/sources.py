"""Sources: files, tables and frames become tables of the session, whatever they are."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import polars as pl
import pyarrow as pa
from ibis.expr.types import Table

from prime_sql.errors import InputError, LimitError, PrimeSqlError, WarehouseError, did_you_mean
from prime_sql.options import Options
from prime_sql.remote import RemoteWarehouse
from prime_sql.warehouse import Warehouse, attach

PARQUET = (".parquet", ".pq", ".parq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
JSON = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
DATABASE = (".duckdb", ".db", ".ddb")
FORMS = (
    "a Parquet, CSV or JSON-lines file or glob, DATABASE.duckdb:TABLE, the name of a table in the "
    "target database, or a Polars, pandas, Arrow or Ibis table"
)


@dataclass(frozen=True)
class Wanted:
    """Which columns of a source a search reads; no others are copied, or even converted.

    Attributes
    ----------
    names
        Columns by their exact names; None for all columns.
    in_conditions
        Names in SQL conditions, in lower case: SQL does not tell ``Region`` from ``region``.
    typed
        Whether the columns of a file of text keep the types that the engine guesses, all but the
        image; for tables that are neither predictions nor tags.
    """

    names: frozenset[str] | None = None
    in_conditions: frozenset[str] = frozenset()
    typed: bool = False

    def among(self, columns: Iterable[Any]) -> list[Any]:
        """Return the wanted ones of `columns`, in their order; the first where there are none."""
        columns = list(columns)
        if self.names is None:
            return columns
        return [
            name
            for name in columns
            if name in self.names or (isinstance(name, str) and name.lower() in self.in_conditions)
        ] or columns[:1]


@dataclass(frozen=True)
class Source:
    """An opened source: the wanted columns as a table of the session, and the names of all."""

    table: Table
    columns: list[str]


def read_twice(source: Any) -> Any:
    """Return the source in a form that can be read again: a stream of batches as a table."""
    return source.read_all() if isinstance(source, pa.RecordBatchReader) else source


def describe(source: Any) -> str:
    """Name a source for messages and for `runs`, without credentials."""
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        text = re.sub(r"://[^/@]*@", "://", str(text))
        return re.sub(r"(://[^?#]*)\?[^#]*", r"\1", text)
    if isinstance(source, Table):
        try:
            return f"ibis table {source.get_name()}"
        except Exception:  # an expression has no name of its own
            return "ibis expression"
    package = type(source).__module__.partition(".")[0]
    return f"{package} {type(source).__name__}".removeprefix("builtins ")


def open_source(
    source: Any, role: str, warehouse: Warehouse, options: Options, wanted: Wanted
) -> Source:
    """Return the source as a table of the session; only tags in Parquet stay outside it.

    Raises
    ------
    InputError
        When the source is of no known form, is missing or cannot be read.
    """
    try:
        if isinstance(warehouse, RemoteWarehouse):
            return _open_there(source, role, warehouse, wanted)
        if isinstance(source, (str, os.PathLike)):
            name = str(os.fspath(source))
            opened = _open_named(name, role, warehouse, options, wanted)
            if role == "tags" and name.lower().endswith(PARQUET):
                return opened  # read where it lies: it may be large, and each step reads it once
        else:
            opened = _open_object(source, role, wanted)
        # Text is parsed once, not at every step; a self-join of a native table is several times
        # faster; and a view's own tables could share a name with a step of the search.
        return Source(warehouse.create_from(f"source_{role}_rows", opened.table), opened.columns)
    except PrimeSqlError:
        raise
    except Exception as error:  # whatever the user's engine, frame or file says
        hint = "; give every column one type" if isinstance(error, pa.ArrowTypeError) else ""
        raise InputError(f"cannot read {role} ({describe(source)}): {_why(error)}{hint}") from error


def _open_there(source: Any, role: str, warehouse: RemoteWarehouse, wanted: Wanted) -> Source:
    """Return a table of the engine, which is read where it lies."""
    if isinstance(source, str):
        table = warehouse.find(source, role)
    elif isinstance(source, Table) and source.get_backend() is warehouse.backend:
        table = source
    else:
        raise InputError(
            f"{role} is {describe(source)}; a search in a warehouse reads its tables: load this "
            "one into it, and give the table's name"
        )
    return Source(table.select(wanted.among(table.columns)), list(table.columns))


@contextmanager
def reading(role: str, name: str) -> Iterator[None]:
    """Blame a source that the step reads where it lies, and whose data turn out to be damaged."""
    try:
        yield
    except LimitError:
        raise
    except WarehouseError as error:
        cause = error.__cause__
        if isinstance(cause, duckdb.InvalidInputException | duckdb.IOException):
            raise InputError(f"cannot read {role} ({name}): {_why(cause)}") from error
        raise


def _why(error: BaseException) -> str:
    """Return what is wrong; engines' advice on their own options follows it, and is left out."""
    message = re.split(
        r"\n\n|^The search space used was|^Possible fixes", str(error).strip(), flags=re.M
    )
    return "; ".join(message[0].strip().splitlines()) or type(error).__name__


def _is_a(kind: str, source: Any) -> bool:
    """Whether it is of a class of a package that takes long to import.

    Nobody has an object of it without having imported it.
    """
    module, name = kind.rsplit(".", 1)
    return module in sys.modules and isinstance(source, getattr(sys.modules[module], name))


def _open_object(source: Any, role: str, wanted: Wanted) -> Source:
    if isinstance(source, Table):
        columns = list(source.columns)
        # Whatever engine it lives in, it travels as Arrow.
        source = source.select(wanted.among(columns)).to_pyarrow()
    elif isinstance(source, pl.LazyFrame):
        columns = source.collect_schema().names()
        source = source.select(wanted.among(columns)).collect()
    elif _is_a("pandas.DataFrame", source):
        # Frames are often indexed by the image.
        index = [name for name in source.index.names if name is not None]
        source = source.reset_index([name for name in index if name not in source.columns])
        columns = list(source.columns)
        source = source[wanted.among(columns)]
    elif _is_a("pyarrow.dataset.Dataset", source):
        columns = source.schema.names
        source = source.to_table(wanted.among(columns))
    else:
        if not isinstance(source, pl.DataFrame | pa.Table | pa.RecordBatch):
            series = isinstance(source, pl.Series) or _is_a("pandas.Series", source)
            if series or not hasattr(source, "__arrow_c_stream__"):
                raise InputError(f"{role} is {describe(source)}; give {FORMS}")
            source = pa.table(source)  # a stream of record batches, a DuckDB relation, …
        columns = source.columns if isinstance(source, pl.DataFrame) else source.schema.names
        source = source.select(wanted.among(columns))
    for name in wanted.among(columns):
        if not isinstance(name, str):
            raise InputError(
                f"{role} has a column called {name!r}, a {type(name).__name__}; "
                "column names must be text: rename it"
            )
    table = ibis.memtable(source)
    # What has no value has no type either; DuckDB wants one.
    nothing = dt.boolean if wanted.names is None else dt.string
    typed = {name: _typed(kind, nothing) for name, kind in table.schema().items()}
    untyped = {name: kind for name, kind in typed.items() if kind != table.schema()[name]}
    return Source(table.cast(untyped) if untyped else table, [str(name) for name in columns])


def _typed(kind: dt.DataType, nothing: dt.DataType = dt.string) -> dt.DataType:
    """Return a type with another in the place of null, at any depth; text inside of others."""
    if kind.is_null():
        return nothing
    if kind.is_array():
        return dt.Array(_typed(kind.value_type), nullable=kind.nullable)
    if kind.is_struct():
        fields = {name: _typed(field) for name, field in kind.fields.items()}
        return dt.Struct(fields, nullable=kind.nullable)
    return kind


def _open_named(
    name: str, role: str, warehouse: Warehouse, options: Options, wanted: Wanted
) -> Source:
    place = named(name, role)
    if place is None:
        return _read_files(name, role, warehouse, options, wanted)
    path, table = place
    if path is None:
        catalog = warehouse.backend.current_catalog
        return _find_table(catalog, name, describe(name), role, warehouse, wanted)
    catalog = catalog_of(path, role, warehouse)
    return _find_table(catalog, table, name, role, warehouse, wanted)


def named(name: str, role: str) -> tuple[Path | None, str] | None:
    """Say where a source is that is given by name: None for files, else a database and its table.

    The database is None where it is the target database; whether it has such a table is not
    looked up.

    Raises
    ------
    InputError
        When there are no such files.
    """
    lower = name.lower()
    if lower.endswith(PARQUET + CSV + JSON):
        _check_files(name, role)
        return None
    database, colon, table = name.rpartition(":")
    if colon and (database.lower().endswith(DATABASE) or os.path.isfile(database)):  # noqa: PTH113
        if not Path(database).is_file():
            raise InputError(f"{role}: there is no database file {database}")
        return Path(database), table
    if lower.endswith(DATABASE) and Path(name).is_file():
        raise InputError(f"{role}: {name} is a database; name a table in it, as in {name}:TABLE")
    if os.path.exists(name):  # noqa: PTH110  # Path.exists raises where a name is too long
        raise InputError(f"{role}: cannot tell the format of {name} from its name; give {FORMS}")
    return None, name


def _check_files(name: str, role: str) -> None:
    if Path(name).is_file() and not Path(name).stat().st_size:
        raise InputError(f"{role}: the file {name} is empty")
    if "://" in name or glob.glob(name, recursive=True) or Path(name).is_file():
        return
    if glob.has_magic(name):
        raise InputError(f"{role}: no file matches {name}")
    folder = Path(name).parent
    near = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    raise InputError(f"{role}: there is no file {name}.{did_you_mean(Path(name).name, near)}")


def _read_files(
    name: str, role: str, warehouse: Warehouse, options: Options, wanted: Wanted
) -> Source:
    backend = warehouse.backend
    lower = name.lower()
    if Path(name).is_file():
        # A file whose name holds * or [ is that file, not a pattern.
        name = glob.escape(name)
    if lower.endswith(PARQUET):
        table = backend.read_parquet(name, union_by_name=True)
        return Source(table.select(wanted.among(table.columns)), list(table.columns))
    # A file of text has no types: the engine guesses them, from all rows where a late word among
    # numbers would break the guess, and what names something stays as it is written.
    sample = 20_480 if role == "tags" and not options.wide else -1
    is_json = lower.endswith(JSON)
    if is_json:
        guessed = backend.read_json(name, sample_size=sample)
    else:
        guessed = backend.read_csv(name, sample_size=sample, union_by_name=True)
    schema = guessed.schema()
    columns = list(schema.names)
    text = _names_and_words(guessed, role, options, wanted)
    # Told all types, the engine need not guess again.
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
    """Return the columns that are text, whatever they look like: '007' must not become 7."""
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
    # 'yes' must not become true, but a condition may use such a column for its truth.
    text = {name for name in grouping if name.lower() not in wanted.in_conditions}
    numbers = {name for name in kinds if kinds[name] == "numeric"}
    if options.error is None:
        pair = {options.label, options.prediction} & kinds.keys()
        pair_kinds = {kinds[name] for name in pair}
        if pair_kinds == {"string", "numeric"}:
            numbers -= pair
        # True against 1 would never be equal as text: an error, further on.
        text = text - pair if pair_kinds == {"boolean", "numeric"} else text | pair
    return ((text - numbers) | {options.image_id}) & kinds.keys()


def catalog_of(path: Path, role: str, warehouse: Warehouse) -> str:
    """Return the name under which a DuckDB file is attached to the session, attaching it."""
    attached = warehouse.execute(
        "attach", "select database_name, path from duckdb_databases() where path is not null"
    )
    for catalog, file in attached:
        if Path(file).exists() and Path(file).samefile(path):
            return str(catalog)
    alias = f"source_of_{role}"
    attach(warehouse.backend, path, alias)
    return alias


def _find_table(
    catalog: str, table: str, shown: str, role: str, warehouse: Warehouse, wanted: Wanted
) -> Source:
    backend = warehouse.backend
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


def kind_of(dtype: dt.DataType) -> str:
    """Return what values of a type can be compared with: string, numeric, …."""
    for kind in ("string", "boolean", "numeric", "temporal"):
        if getattr(dtype, f"is_{kind}")():
            return kind
    return str(dtype)
