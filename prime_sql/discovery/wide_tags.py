"""A tags table with a column for each tag, in the long form."""

from __future__ import annotations

from typing import Any

import sqlglot.expressions as sge
from ibis.expr.types import Table

from prime_sql.discovery.conditions import parse_condition
from prime_sql.engine import queries, quoting
from prime_sql.engine.errors import (
    InputError,
    LimitError,
    OptionError,
    WarehouseError,
    first_line,
    shorten,
)
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Source, example_of

_IS_NUMBER = r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"


def unpivot(source: Source, options: Options, session: Session) -> Table:
    """Return a row (image_id, tag) for each image and each column that says it has the tag.

    Raises
    ------
    InputError
        When there is no such column, or one holds other values than true and false, and no
        condition says which of them mean that the tag is there.
    OptionError
        When that condition cannot be computed.
    """
    table = source.table
    names = [name for name in table.columns if name != options.image_id]
    if not names:
        raise InputError("tags has no column besides the image_id; wide needs one for each tag")
    schema = table.schema()
    kinds = {}
    for name in names:
        dtype = schema[name]
        kinds[name] = "truth" if dtype.is_boolean() else "number" if dtype.is_numeric() else "text"
        words = source.untyped or (options.present is not None and dtype.is_string())
        if kinds[name] == "text" and not words:
            raise InputError(
                f"tags.{name} is {dtype}{example_of(table[name])}; with wide, every column besides "
                f"{options.image_id} must be boolean or 0/1: leave this one out"
            )
    # By SQL: with thousands of columns, an expression of Ibis takes longer than the search.
    session.keep("source_wide", table)
    columns = list(kinds.items())
    if options.present is not None:
        return _where_present(options.present, columns, options, source, session)
    session.step("discovery/wide_tags/present_values", image_id=options.image_id, columns=columns)
    check = queries.find("discovery/checks/wide_values", session.plans).render(session.dialect)
    for tag, rows, image_id, value in session.execute("check_tags", check):
        raise InputError(
            f"tags.{tag} holds values other than 0 and 1, or true and false, in {rows:,} rows, for "
            f"example {shorten(value)} for image {shorten(image_id)}; say which of them mean that "
            'the image has the tag, as with --present "value > 0", or leave the column out'
        )
    return session.answer("select image_id, tag from present_values")


def _where_present(
    text: str,
    columns: list[tuple[str, str]],
    options: Options,
    source: Source,
    session: Session,
) -> Table:
    """Return image_id and tag where a condition on the value says that the tag is there."""
    condition = parse_condition("present", text, session.conditions)
    assert condition is not None
    for column in condition.find_all(sge.Column):
        if column.name.lower() != "value" or len(column.parts) > 1:
            raise OptionError(
                f"present: a column of a wide table is called value there, not {column.sql()!r}, "
                f"as in \"value = 'Y'\", got {shorten(text)}"
            )
    as_numbers = all(kind != "text" for _, kind in columns)
    values: dict[str, Any] = {"image_id": options.image_id, "columns": columns}
    path = "discovery/wide_tags/wide_values"
    if source.untyped:
        session.step(path, view=True, as_numbers=False, **values)
        is_word = f"not regexp_full_match(value, '{_IS_NUMBER}')"
        words = session.execute("check_tags", f"select 1 from wide_values where {is_word} limit 1")
        as_numbers = not words
    session.step(path, view=True, as_numbers=as_numbers, **values)
    written = quoting.written(condition, session.conditions, comments=False)
    try:
        session.create(
            "present_values",
            "select image_id, tag from wide_values where verbatim_present",
            verbatim={"verbatim_present": written},
        )
    except LimitError:
        raise
    except WarehouseError as error:
        kind = "a number" if as_numbers else "text"
        raise OptionError(
            f"present cannot be computed on every value, which is {kind}: "
            f"{first_line(error.__cause__ or error)}"
        ) from error
    return session.answer("select image_id, tag from present_values")
