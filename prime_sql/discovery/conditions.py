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
from prime_sql.engine.sources import AS_COLUMN, AS_TEXT, AS_VALUE

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


def uses_of(conditions: Conditions) -> dict[str, frozenset[str]]:
    """Return how the conditions use each of `columns_of` them: see `Wanted.in_conditions`."""
    uses: dict[str, set[str]] = {name: set() for name in columns_of(conditions)}
    for condition in conditions.values():
        for column in condition.find_all(sge.Column) if condition is not None else ():
            for part in column.parts:
                uses[part.name.lower()].add(_use_of(column))
    return {name: frozenset(found) for name, found in uses.items()}


def _use_of(column: sge.Column) -> str:
    parent = column.parent
    if isinstance(parent, sge.Cast) and parent.to.is_type(*sge.DataType.TEXT_TYPES):
        return AS_TEXT
    if not isinstance(parent, sge.EQ | sge.NEQ | sge.In | sge.Like | sge.ILike):
        return AS_VALUE
    operands = (parent.this, parent.args.get("expression"), *parent.args.get("expressions", ()))
    others = [each for each in operands if each is not None and each is not column]
    if others and all(isinstance(other, sge.Column) for other in others):
        return AS_COLUMN
    as_text = all(isinstance(other, sge.Literal) and other.is_string for other in others)
    return AS_TEXT if others and as_text else AS_VALUE


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
