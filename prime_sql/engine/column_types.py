"""The types of a text file's columns, decided from all of their values and from their use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.csv_files import Execute
from prime_sql.engine.errors import InputError, shorten
from prime_sql.engine.sources import AS_COLUMN, AS_VALUE, Wanted

# The narrowest type first; each is one where no value contradicts it.
_TYPES = {
    "no_truth": "boolean",
    "no_small_whole": "bigint",
    "no_whole": "hugeint",
    "no_number": "double",
    "no_date": "date",
    "no_moment": "timestamp",
    "no_day_first": "day first",
    "no_month_first": "month first",
}
_NUMBERS = ("bigint", "hugeint", "double")
_FORMATS = {
    "day first": "['%d/%m/%Y', '%d-%m-%Y', '%d.%m.%Y']",
    "month first": "['%m/%d/%Y', '%m-%d-%Y', '%m.%d.%Y']",
}


def typed_columns(
    relation: str,
    role: str,
    columns: Sequence[str],
    wanted: Wanted,
    execute: Execute,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the SQL expressions of typed columns, by name; those that stay text are left out.

    Parameters
    ----------
    relation
        A table of texts.
    role
        What messages call it.
    columns
        Its columns that need not stay text.
    wanted
        What is done with them.
    known
        Types that the file tells, by column: JSON has all but dates.

    Raises
    ------
    InputError
        When a column has to hold numbers and does not, or can be read in two ways.
    """
    told = {name: type_ for name, type_ in (known or {}).items() if type_ != "VARCHAR"}
    asked = [name for name in columns if name not in told]
    uses = {name: wanted.in_conditions.get(name.lower(), frozenset()) for name in columns}
    kinds = _kinds(relation, asked, execute, uses, wanted) if asked else {}
    for name, kind in kinds.items():
        if name in wanted.numbers and kind.counts["no_number"]:
            raise InputError(
                f"{role}.{name} is no number in {kind.counts['no_number']:,} of {kind.filled:,} "
                f"rows, for example {shorten(kind.no_number)}; convert it, or leave such rows out"
            )
        if known is not None:  # a text of a JSON file is no number, whatever it looks like
            kind.counts |= dict.fromkeys(("no_truth", "no_small_whole", "no_whole", "no_number"), 1)
    # Columns that are compared with each other have one type, or are compared as they are written.
    compared = [name for name in columns if AS_COLUMN in uses[name]]
    types = {_family(told.get(name) or kinds[name].type) for name in compared}
    alike = len(types) == 1 and all(kinds[name].one_to_one for name in compared if name in kinds)
    typed = {name: f"cast({queries.identifier(name)} as {told[name]})" for name in told}
    for name, kind in kinds.items():
        if name in wanted.numbers or _is_typed(kind, uses[name], alike, role):
            typed[name] = kind.expression(role)
    return typed


def _family(type_: str | None) -> str | None:
    is_number = type_ is not None and type_.lower() in (*_NUMBERS, "ubigint")
    return "number" if is_number else type_


@dataclass
class _Kind:
    """What all values of a column are; `counts` has how many contradict each type."""

    name: str
    filled: int
    counts: dict[str, int]
    padded: int
    no_number: str | None
    texts: int
    numbers: int

    @property
    def type(self) -> str | None:
        """The narrowest type that has all values; None for text, and where there are none."""
        fitting = (type_ for key, type_ in _TYPES.items() if not self.counts[key])
        return next(fitting, None) if self.filled else None

    @property
    def one_to_one(self) -> bool:
        """Whether no two texts are one number, as 1.10 and 1.1 are."""
        return self.type not in _NUMBERS or self.texts == self.numbers

    def expression(self, role: str) -> str:
        """Return the column with its type."""
        quoted, type_ = queries.identifier(self.name), self.type or "double"
        if type_ not in _FORMATS:
            return f"cast(trim({quoted}) as {type_})"
        if not self.counts["no_month_first"] and type_ == "day first":
            raise InputError(
                f"{role}.{self.name} holds dates that can be read with the day or with the month "
                "first; write them as 2020-12-31"
            )
        return f"cast(strptime(trim({quoted}), {_FORMATS[type_]}) as date)"


def _kinds(
    relation: str,
    columns: Sequence[str],
    execute: Execute,
    uses: Mapping[str, frozenset[str]],
    wanted: Wanted,
) -> dict[str, _Kind]:
    def ask(question: str, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Return the answer for each column; none for those without any value."""
        if not names:
            return {}
        query = queries.find(f"engine/column_types/{question}", "duckdb")
        rows = execute("types", query.render(relation=relation, columns=list(names)))
        return {name: tuple(values) for name, *values in rows}

    kinds = {}
    found = ask("text_kinds", columns)
    numeric = [name for name, row in found.items() if not row[4]]
    # No number is a day, and what has to be a number need be nothing else.
    days = ask("text_days", [n for n in found if n not in numeric and n not in wanted.numbers])
    # Whether two texts are one number matters only where the texts matter, too.
    names = [n for n in numeric if n not in wanted.numbers and uses[n] != {AS_VALUE}]
    numbers = ask("text_numbers", names)
    for name in columns:
        filled, *counts, padded, no_number = found.get(name, (0, *[0] * 5, None))
        counts += days.get(name, [1] * 4 if name in numeric else [0] * 4)
        texts, different = numbers.get(name, (0, 0))
        against = dict(zip(_TYPES, counts, strict=True))
        kinds[name] = _Kind(name, filled, against, padded, no_number, texts, different)
    return kinds


def _is_typed(kind: _Kind, uses: frozenset[str], alike: bool, role: str) -> bool:
    """Return whether a column gets the type that its values have."""
    if kind.type is None:
        return False
    if AS_COLUMN in uses and AS_VALUE not in uses:
        return alike
    if kind.type not in _NUMBERS:
        # Nobody asks for a doubtful date, so it stays as it is.
        doubtful = kind.type == "day first" and not kind.counts["no_month_first"]
        return bool(uses) or not doubtful
    if not uses:  # and nobody knows what it is for: 007 and 1.10 may be names
        return kind.one_to_one and not kind.padded
    if AS_VALUE not in uses:
        return False
    if len(uses) > 1 and not kind.one_to_one:
        raise InputError(
            f"{role}.{kind.name} is used as a number and also compared as it is written, but some "
            "of its texts are one number, as 1.10 and 1.1 are: write "
            f"cast({kind.name} as varchar) or cast({kind.name} as double) in the condition"
        )
    return True
