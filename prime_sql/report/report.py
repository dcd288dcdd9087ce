"""A report: its data, and the forms that people and programs read it in."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

from prime_sql.engine.errors import OptionError, shorten
from prime_sql.report.data import ReportData
from prime_sql.report.text import text as as_text

FORMAT = "prime_sql report 1"


class Report(ReportData):
    """A run as people look at it: `ReportData`, as JSON, as a page and as text."""

    def to_json(self) -> str:
        """Return all of it as a JSON object, with the names of the attributes.

        The same run gives the same text. Numbers are finite; what is unknown is null.
        """
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that `to_json` wrote.

        Raises
        ------
        OptionError
            When it is not such JSON.
        """
        try:
            value = json.loads(text)
            if value["format"] != FORMAT:
                raise OptionError(f"not a report that this version reads: {value['format']!r}")
            return typing.cast(Report, _built(cls, value))
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, OptionError):
                raise
            raise OptionError(f"not the JSON of a report: {shorten(str(error))}") from error

    def to_html(self) -> str:
        """Return one self-contained page; no request leaves it."""
        from prime_sql.report.html import page  # jinja2 and its files, for pages only

        return page(self)

    def to_text(self) -> str:
        """Return what matters as text, short enough for an email."""
        return as_text(self)


def _built(kind: Any, value: Any) -> Any:
    """Make an object of a type from its form in JSON."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _built(hints[name], each) for name, each in value.items()})
    if origin is tuple:
        return tuple(_built(inner[0], each) for each in value)
    if origin is types.UnionType:
        return None if value is None else _built(inner[0], value)
    return value
