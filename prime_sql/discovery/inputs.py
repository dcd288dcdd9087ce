"""The two sources become the input relations of a search, checked.

After `load`, the session holds ``predictions`` (image_id, label, prediction, class_name, error)
and ``tags`` (image_id, tag), both as the user gave them except for names and types.
"""

from __future__ import annotations

from typing import Any

from prime_sql.discovery.conditions import Conditions, parse_condition
from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.predictions import load_predictions, part_of, wanted_predictions
from prime_sql.discovery.tags import load_tags, wanted_tags
from prime_sql.engine import queries
from prime_sql.engine.errors import (
    InputError,
)
from prime_sql.engine.open_source import open_source
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Source, Wanted, column_of, describe


def load(
    predictions: Any,
    tags: Any,
    options: Options,
    session: Session,
    part: str | None = None,
    *,
    appended: bool = False,
) -> Inputs:
    """Load both tables into the session and check the predictions.

    With `part`, only the predictions whose column `options.split` has that value. Tables that are
    `appended` to those of a run may have no rows, or be None; then the session also holds
    ``tag_images``: every image_id of the tags table, even if none of its tags counts.

    Raises
    ------
    InputError
        When a table cannot be read or breaks the definition of its columns.
    OptionError
        When a condition is not SQL, or names a missing column.
    """
    given = {"predictions": predictions, "tags": tags}
    if appended:
        given = {role: source for role, source in given.items() if source is not None}
    inputs = Inputs({role: describe(source) for role, source in given.items()})
    conditions = {
        name: parse_condition(name, getattr(options, name), session.conditions)
        for name in ("error", "where")
    }
    # Both sources are read before any step, whose temporary relations might share their names.
    wanted = {
        "predictions": wanted_predictions(options, conditions),
        "tags": wanted_tags(options),
    }
    opened = {
        role: open_source(source, role, session, wanted[role]) for role, source in given.items()
    }
    _check_order(opened, options)
    if appended:
        _load_appended(opened, conditions, options, session, inputs)
        return inputs
    prediction_source, tag_source = opened["predictions"], opened["tags"]
    if part is None:
        load_predictions(prediction_source, conditions, options, session, inputs)
    else:
        prediction_source = part_of(prediction_source, options, part)
        inputs.part = f"{options.split} = {queries.literal(part)}"
        try:
            load_predictions(prediction_source, conditions, options, session, inputs)
        except InputError as error:
            raise InputError(f"{inputs.about}{error}") from error
    load_tags(tag_source, options, session)
    return inputs


def _check_order(opened: dict[str, Source], options: Options) -> None:
    if options.error is not None or len(opened) < 2:
        return
    names = {options.label, options.prediction}
    here, there = (set(opened[role].columns) for role in ("predictions", "tags"))
    # Tags may have such columns as well, and predictions may use other names.
    if names <= there and names.isdisjoint(here) and (options.wide or options.tag in here):
        raise InputError(
            f"predictions has no columns {options.label!r} and {options.prediction!r}, but tags "
            "has them: the predictions come first, then the tags"
        )


def _load_appended(
    opened: dict[str, Source],
    conditions: Conditions,
    options: Options,
    session: Session,
    inputs: Inputs,
) -> None:
    if "predictions" in opened:
        load_predictions(
            opened["predictions"], conditions, options, session, inputs, may_be_empty=True
        )
    else:
        columns = ("image_id", "label", "prediction", "class_name")
        nothing = ", ".join(f"cast(null as varchar) as {name}" for name in columns)
        session.create("predictions", f"select {nothing}, 0 as error where false")
        inputs.rows["predictions"] = 0
    if "tags" in opened:
        named = load_tags(opened["tags"], options, session)
        session.keep("tag_images", named, view=False)
    else:
        nothing = "select cast(null as varchar) as image_id"
        session.create("tags", f"{nothing}, cast(null as varchar) as tag where false", view=True)
        session.create("tag_images", f"{nothing} where false")


def load_removed(source: Any, options: Options, session: Session) -> int:
    """Make the session's table ``removed_images`` (image_id); return its rows.

    Raises
    ------
    InputError
        When the table cannot be read, has no such column, or has nulls in it.
    """
    if source is None:
        return session.create(
            "removed_images", "select cast(null as varchar) as image_id where false"
        )
    wanted = Wanted(frozenset({options.image_id}))
    opened = open_source(source, "remove", session, wanted)
    image_id = column_of(opened, options.image_id, "remove", "--image-id")
    empty = image_id.isnull().sum().to_pyarrow().as_py()
    if empty:
        raise InputError(
            f"remove.{options.image_id} is null in {empty:,} rows; every row names an image: "
            "fill it, or leave the rows out"
        )
    listed = opened.table.select(image_id=image_id.cast(str)).distinct()
    return session.keep("removed_images", listed, view=False)
