"""Sources: files, tables and frames, which all become tables of the session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pyarrow as pa
from ibis.expr.types import Column, Table

from prime_sql.engine.errors import (
    InputError,
    LimitError,
    WarehouseError,
    did_you_mean,
    shorten_list,
)

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
        Whether the columns of a text file keep the types that the engine guesses, except the
        image's; for tables that are neither predictions nor tags.
    """

    names: frozenset[str] | None = None
    in_conditions: frozenset[str] = frozenset()
    typed: bool = False

    def among(self, columns: Iterable[Any]) -> list[Any]:
        """Return those of `columns` that are wanted, in their order; the first one if none is."""
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


@contextmanager
def reading(role: str, name: str) -> Iterator[None]:
    """Name the source in the error if the step reads it in place and its data are damaged."""
    try:
        yield
    except LimitError:
        raise
    except WarehouseError as error:
        cause = error.__cause__
        if isinstance(cause, duckdb.InvalidInputException | duckdb.IOException):
            raise InputError(f"cannot read {role} ({name}): {why(cause)}") from error
        raise


def why(error: BaseException) -> str:
    """Return what is wrong, without the engine's advice on its own options that follows."""
    message = re.split(
        r"\n\n|^The search space used was|^Possible fixes", str(error).strip(), flags=re.M
    )
    return "; ".join(message[0].strip().splitlines()) or type(error).__name__


def kind_of(dtype: dt.DataType) -> str:
    """Return what values of a type can be compared with: string, numeric, …."""
    for kind in ("string", "boolean", "numeric", "temporal"):
        if getattr(dtype, f"is_{kind}")():
            return kind
    return str(dtype)


def column_of(source: Source, name: str, role: str, option: str) -> Column:
    """Return a column of a source; an `InputError` says how to name another."""
    if name not in source.columns:
        hint = did_you_mean(name, source.columns)
        raise InputError(
            f"{role} has no column {name!r}.{hint} It has: {shorten_list(source.columns)}. "
            f"Name the right one with {option}."
        )
    return source.table[name]
