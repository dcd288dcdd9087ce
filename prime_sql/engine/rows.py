"""Rows and text in the formats that are written: JSON, CSV, Markdown, plain."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class Format(StrEnum):
    """The formats in which rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


def render(rows: pl.DataFrame, form: Format) -> str:
    """Return the rows as text: ``json`` (an array of objects), ``csv`` or ``markdown``."""
    if form is Format.json:
        return json.dumps(_records(rows), ensure_ascii=False, indent=2)
    if form is Format.csv:
        return _flat(rows).write_csv().rstrip("\n")
    lines = [[_markdown(name) for name in rows.columns]]
    lines += [["---:" if dtype.is_numeric() else "---" for dtype in rows.dtypes]]
    lines += [[_markdown(value) for value in row] for row in rows.iter_rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def printable(text: str) -> str:
    """Show control characters as escapes, so that a tag cannot drive the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Like `printable`, but keeps line breaks and tabs: for messages."""
    return "\n".join(
        "\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n")
    )


# What Markdown would read as markup; "_" only at the edge of a word, "&" only in an entity.
_MARKS = re.compile(r"[\\`*\[\]<>|~#]|\b_|_\b|&(?=#?\w+;)")


def _markdown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict)):
        value = json.dumps(plain(value), ensure_ascii=False)
    elif isinstance(value, bytes):
        value = value.hex()
    lines = re.split(r"\r\n|\r|\n", str(value))
    return "<br>".join(_MARKS.sub(r"\\\g<0>", printable(line)) for line in lines)


def _records(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [{name: plain(value) for name, value in row.items()} for row in rows.to_dicts()]


def plain(value: Any) -> Any:
    """Return a value in a form that JSON has, else as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    if isinstance(value, Decimal):  # sums of whole numbers, too
        return int(value) if value == int(value) else float(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Write nested and binary columns as JSON text: CSV has no other form for them."""
    import polars as pl

    nested = [
        name for name, dtype in rows.schema.items() if dtype.is_nested() or dtype == pl.Binary
    ]
    return rows.with_columns(
        pl.Series(
            name, [json.dumps(plain(value)) for value in rows[name].to_list()], dtype=pl.String
        )
        for name in nested
    )
