"""SQL conditions that users write on their predictions."""

from __future__ import annotations

import sqlglot
import sqlglot.expressions as sge

from prime_sql.engine import quoting
from prime_sql.engine.errors import (
    InputError,
    OptionError,
    WarehouseError,
    did_you_mean,
    first_line,
    shorten,
)
from prime_sql.engine.session import Session

Conditions = dict[str, sge.Expression | None]


def columns_of(conditions: Conditions) -> set[str]:
    """Return the names of the columns in the conditions, in lower case.

    In ``pose.angle``, either a column with a field or a table with a column, both names count.
    """
    return {
        part.name.lower()
        for condition in conditions.values()
        if condition is not None
        for column in condition.find_all(sge.Column)
        for part in column.parts
    }


def has_subquery(conditions: Conditions) -> bool:
    """Return whether any of the conditions reads another table."""
    return any(condition and condition.find(sge.Query) for condition in conditions.values())


def parse_condition(name: str, text: str | None, dialect: str) -> sge.Expression | None:
    """Return the option `name`, parsed as one SQL condition, or None if it is not given.

    Raises
    ------
    OptionError
        When it is not one SQL condition.
    """
    if text is None:
        return None
    try:
        parsed = quoting.parse(text, dialect)
    except sqlglot.errors.SqlglotError as error:
        raise OptionError(f"{name} is not an SQL condition: {shorten(text)}") from error
    condition = parsed[0] if len(parsed) == 1 else None
    if condition is None or not isinstance(condition, sge.Condition | sge.Paren):
        raise OptionError(
            f"{name} must be one SQL condition such as \"split = 'test'\", got {shorten(text)}"
        )
    return condition


def check_columns(name: str, condition: sge.Expression, known: set[str]) -> None:
    """Refuse a condition that names an unknown column."""
    lower = {column.lower() for column in known}
    for column in condition.find_all(sge.Column):
        if lower.isdisjoint(part.name.lower() for part in column.parts):
            quoted = column.this.args.get("quoted")
            hint = did_you_mean(column.name, known) or (
                f" Text goes in single quotes: '{column.name}'."
                if quoted
                else f" It has: {', '.join(sorted(known))}."
            )
            raise InputError(f"{name}: predictions has no column {column.name!r}.{hint}")


def try_conditions(written: dict[str, str], session: Session) -> None:
    """Refuse conditions that the engine cannot evaluate, one by one."""
    for name, condition in written.items():
        try:
            # Also in a WHERE, which takes no aggregate and no window.
            schema = session.answer(
                "select verbatim as truth from source_predictions where verbatim",
                verbatim={"verbatim": condition},
            ).schema()
        except WarehouseError as error:
            raise OptionError(
                f"{name} does not fit the predictions: {first_line(error)}"
            ) from error
        if not (schema["truth"].is_boolean() or schema["truth"].is_integer()):
            raise OptionError(
                f"{name} must be true or false for each row, but {shorten(condition)} "
                f"is {schema['truth']}"
            )
