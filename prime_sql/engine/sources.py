"""Sources: files, tables and frames, which all become tables of the session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    extension_of,
    first_line,
    shorten,
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


# How a condition uses a column: it is equal to a text, or to another column, or anything else.
AS_TEXT, AS_COLUMN, AS_VALUE = "text", "column", "value"


@dataclass(frozen=True)
class Wanted:
    """Which columns of a source are read, and as what; no others are copied, or even converted.

    A text file has no types. What names something (an image, a label, a group, a tag) stays as it
    is written there, so that ``007`` is not ``7``; other columns get the type that all of their
    values have.

    Attributes
    ----------
    names
        Columns by their exact names; None for all columns.
    text
        Columns of a text file that stay text; None for all columns.
    in_conditions
        Names in SQL conditions, in lower case (SQL does not tell ``Region`` from ``region``), and
        how they are used there: `AS_TEXT`, `AS_COLUMN` or `AS_VALUE`. A column that is `text` as
        well is read twice.
    numbers
        Columns that have to hold numbers.
    flags
        Whether all columns but those of `text` are true and false, if they can be.
    """

    names: frozenset[str] | None = None
    text: frozenset[str] | None = None
    in_conditions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()
    flags: bool = False

    def reads(self, name: Any) -> bool:
        """Return whether a column is read."""
        return (
            self.names is None
            or name in self.names
            or (isinstance(name, str) and name.lower() in self.in_conditions)
        )

    def among(self, columns: Iterable[Any]) -> list[Any]:
        """Return those of `columns` that are read, in their order; the first one if none is."""
        columns = list(columns)
        return [name for name in columns if self.reads(name)] or columns[:1]

    def stays_text(self, name: str) -> bool:
        """Return whether a column of a text file stays text."""
        return self.text is None or name in self.text


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes
    ----------
    table
        The columns that are read, as a table of the session.
    columns
        The names of all columns.
    written
        For columns of a text file that are both text and in conditions, by name: the column of
        `table` that has them as text.
    untyped
        Whether it was a text file, which cannot say that a column holds numbers.
    """

    table: Table
    columns: list[str]
    written: Mapping[str, str] = field(default_factory=dict)
    untyped: bool = False

    def as_written(self, name: str) -> Column:
        """Return a column as text where its source has it so, else with its type."""
        return self.table[self.written.get(name, name)]


def check_alike(columns: Iterable[Any], where: str, wanted: Wanted) -> None:
    """Refuse columns that are read and differ at most in case from others.

    Raises
    ------
    InputError
        When there are any: an engine would rename one, or read the other.
    """
    seen: dict[str, list[str]] = {}
    for name in columns:
        if isinstance(name, str):
            seen.setdefault(name.lower(), []).append(name)
    for alike in seen.values():
        if len(alike) > 1 and any(map(wanted.reads, alike)):
            case = "; SQL does not tell upper from lower case" if len({*alike}) > 1 else ""
            raise InputError(
                f"{where} has {len(alike)} columns of one name: "
                f"{' and '.join(shorten(name) for name in alike[:3])}{case}: rename one, or leave "
                "it out"
            )


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
    if extension_of(error):
        return first_line(error)
    message = re.split(
        r"\n\n|^The search space used was|^Possible fixes|^Try setting",
        str(error).strip(),
        flags=re.M,
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


def shape_refused(role: str, column: str, shape: str, example: str, kind: str) -> str:
    """Say that a column which names something holds objects or lists.

    Parameters
    ----------
    shape
        What it holds, such as ``a list``.
    example
        How often, and one of them: see `example_of`.
    kind
        ``a list`` or ``an object``.
    """
    if role == "tags":
        remedy = "a tag is text, or a list of texts for each image: write one row for each tag"
        remedy += ", its score in a column" if kind == "an object" else ""
    elif kind == "a list":
        remedy = "it has to be one value: take the first, or say what is wrong with an error such "
        remedy += f'as "not list_contains({column}, label)"'
    else:
        remedy = "it has to be one value: give it a column of its own"
    return f"{role}.{column} is {shape}{example}; {remedy}"


def example_of(column: Column) -> str:
    """Return how many rows a column fills, and one of its values, for a message."""
    table = column.as_table()
    table = table.filter(column.notnull())
    first = table.limit(1).to_pyarrow()
    if not len(first):
        return " and null in every row"
    rows = table.count().to_pyarrow().as_py()
    return f" in {rows:,} rows, for example {shorten(first[0][0].as_py())}"
