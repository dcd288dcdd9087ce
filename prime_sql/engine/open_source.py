"""A source of any kind becomes a table of the session."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import polars as pl
import pyarrow as pa
from ibis.expr.types import Table

from prime_sql.engine.errors import (
    InputError,
    PrimeSqlError,
)
from prime_sql.engine.named_sources import open_named
from prime_sql.engine.remote import RemoteSession
from prime_sql.engine.session import Session
from prime_sql.engine.sources import (
    FORMS,
    PARQUET,
    Source,
    Wanted,
    check_alike,
    describe,
    why,
)


def open_source(source: Any, role: str, session: Session, wanted: Wanted) -> Source:
    """Return the source as a table of the session; only tags in Parquet stay outside it.

    Raises
    ------
    InputError
        When the source has no known form, is missing or cannot be read.
    """
    try:
        if isinstance(session, RemoteSession):
            return _open_there(source, role, session, wanted)
        rows = re.sub(r"\W", "_", f"source_{role}_rows")
        if isinstance(source, (str, os.PathLike)):
            name = str(os.fspath(source))
            opened = open_named(name, role, rows, session, wanted)
            # Parquet is read in place: it may be large, and each step reads it once.
            if opened.untyped or (role == "tags" and name.lower().endswith(PARQUET)):
                return opened
        else:
            opened = _open_object(source, role, wanted)
        # A self-join of a native table is several times faster than of another engine's; and a
        # view's own tables could share a name with a step of the search.
        return Source(session.create_from(rows, opened.table), opened.columns)
    except PrimeSqlError:
        raise
    except Exception as error:  # anything that the user's engine, frame or file raises
        hint = "; give every column one type" if isinstance(error, pa.ArrowTypeError) else ""
        said = why(error)
        if isinstance(source, (str, os.PathLike)):
            said = said.replace(str(os.fspath(source)), describe(source))  # without credentials
        raise InputError(f"cannot read {role} ({describe(source)}): {said}{hint}") from error


def _open_there(source: Any, role: str, session: RemoteSession, wanted: Wanted) -> Source:
    """Return a table of the engine, which is read in place."""
    if isinstance(source, str):
        table = session.find(source, role)
    elif isinstance(source, Table) and source.get_backend() is session.backend:
        table = source
    else:
        raise InputError(
            f"{role} is {describe(source)}; a search in a warehouse reads its tables: load this "
            "one into it, and give the table's name"
        )
    return Source(table.select(wanted.among(table.columns)), list(table.columns))


def _is_a(kind: str, source: Any) -> bool:
    """Whether it is of a class whose package takes long to import.

    Nobody has such an object without having imported the package.
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
    check_alike(columns, role, wanted)
    for name in wanted.among(columns):
        if not isinstance(name, str):
            raise InputError(
                f"{role} has a column called {name!r}, a {type(name).__name__}; "
                "column names must be text: rename it"
            )
    table = ibis.memtable(source)
    # A column without values has no type either; DuckDB wants one.
    nothing = dt.boolean if wanted.names is None else dt.string
    typed = {name: _typed(kind, nothing) for name, kind in table.schema().items()}
    untyped = {name: kind for name, kind in typed.items() if kind != table.schema()[name]}
    return Source(table.cast(untyped) if untyped else table, [str(name) for name in columns])


def _typed(kind: dt.DataType, nothing: dt.DataType = dt.string) -> dt.DataType:
    """Return a type with another instead of null, at any depth; with text inside other types."""
    if kind.is_null():
        return nothing
    if kind.is_array():
        return dt.Array(_typed(kind.value_type), nullable=kind.nullable)
    if kind.is_struct():
        fields = {name: _typed(field) for name, field in kind.fields.items()}
        return dt.Struct(fields, nullable=kind.nullable)
    return kind
