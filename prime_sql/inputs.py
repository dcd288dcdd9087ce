"""The two sources become the input relations of a search, checked.

After `load`, the session holds ``predictions`` (image_id, label, prediction, class_name, error)
and ``tags`` (image_id, tag), both as the user gave them but for names and types.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import ibis
import sqlglot
import sqlglot.expressions as sge
from ibis.expr.types import Column, Table

from prime_sql import queries
from prime_sql.errors import (
    InputError,
    InputWarning,
    LimitError,
    OptionError,
    WarehouseError,
    did_you_mean,
    shorten,
)
from prime_sql.options import Options
from prime_sql.sources import Source, Wanted, describe, kind_of, open_source
from prime_sql.warehouse import Warehouse, first_line


@dataclass
class Inputs:
    """What loading found out: where the tables came from, their sizes, and what was odd."""

    sources: dict[str, str]
    rows: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    part: str | None = None  # the part of the predictions, as in "split = 'test'"

    @property
    def about(self) -> str:
        """The beginning of messages about a part of the predictions."""
        return f"where {self.part}: " if self.part else ""

    def warn(self, message: str) -> None:
        """Keep a warning for the run, and show it now."""
        message = self.about + message
        self.warnings.append(message)
        # Seen from here: check_tags, the steps of search, search itself, then the user's own line.
        warnings.warn(message, InputWarning, stacklevel=7)


def load(
    predictions: Any,
    tags: Any,
    options: Options,
    warehouse: Warehouse,
    part: str | None = None,
    *,
    appended: bool = False,
) -> Inputs:
    """Load both tables into the session and check the predictions.

    With `part`, only the predictions whose column `options.split` has that value. Tables that are
    `appended` to those of a run may have no rows, or be None; then the session also holds
    ``tag_images``: every image_id of the tags table, also where no tag of it counts.

    Raises
    ------
    InputError
        When a table cannot be read or breaks the definition of its columns.
    OptionError
        When a condition is not SQL, or names a column that is not there.
    """
    given = {"predictions": predictions, "tags": tags}
    if appended:
        given = {role: source for role, source in given.items() if source is not None}
    inputs = Inputs({role: describe(source) for role, source in given.items()})
    conditions = {
        name: parse_condition(name, getattr(options, name), warehouse.conditions)
        for name in ("error", "where")
    }
    # Both sources are read before any step, whose temporary relations might share their names.
    wanted = {
        "predictions": _wanted_predictions(options, conditions),
        "tags": wanted_tags(options),
    }
    opened = {
        role: open_source(source, role, warehouse, options, wanted[role])
        for role, source in given.items()
    }
    _check_order(opened, options)
    if appended:
        _load_appended(opened, conditions, options, warehouse, inputs)
        return inputs
    prediction_source, tag_source = opened["predictions"], opened["tags"]
    if part is None:
        _load_predictions(prediction_source, conditions, options, warehouse, inputs)
    else:
        prediction_source = _part(prediction_source, options, part)
        inputs.part = f"{options.split} = {queries.literal(part)}"
        try:
            _load_predictions(prediction_source, conditions, options, warehouse, inputs)
        except InputError as error:
            raise InputError(f"{inputs.about}{error}") from error
    load_tags(tag_source, options, warehouse)
    return inputs


def _check_order(opened: dict[str, Source], options: Options) -> None:
    if options.error is not None or len(opened) < 2:
        return
    names = {options.label, options.prediction}
    here, there = (set(opened[role].columns) for role in ("predictions", "tags"))
    # Tags may have such columns as well, and predictions others.
    if names <= there and names.isdisjoint(here) and (options.wide or options.tag in here):
        raise InputError(
            f"predictions has no columns {options.label!r} and {options.prediction!r}, and tags "
            "has them: the predictions come first, then the tags"
        )


def _load_appended(
    opened: dict[str, Source],
    conditions: Conditions,
    options: Options,
    warehouse: Warehouse,
    inputs: Inputs,
) -> None:
    if "predictions" in opened:
        _load_predictions(
            opened["predictions"], conditions, options, warehouse, inputs, may_be_empty=True
        )
    else:
        columns = ("image_id", "label", "prediction", "class_name")
        nothing = ", ".join(f"cast(null as varchar) as {name}" for name in columns)
        warehouse.create("predictions", f"select {nothing}, 0 as error where false")
        inputs.rows["predictions"] = 0
    if "tags" in opened:
        named = load_tags(opened["tags"], options, warehouse)
        warehouse.create("tag_images", warehouse.backend.compile(named))
    else:
        nothing = "select cast(null as varchar) as image_id"
        warehouse.create("tags", f"{nothing}, cast(null as varchar) as tag where false", view=True)
        warehouse.create("tag_images", f"{nothing} where false")


def load_removed(source: Any, options: Options, warehouse: Warehouse) -> int:
    """Make the session's table ``removed_images`` (image_id); return its rows.

    Raises
    ------
    InputError
        When the table cannot be read, has no such column, or has it empty in some rows.
    """
    if source is None:
        return warehouse.create(
            "removed_images", "select cast(null as varchar) as image_id where false"
        )
    wanted = Wanted(frozenset({options.image_id}))
    opened = open_source(source, "remove", warehouse, options, wanted)
    image_id = _column(opened, options.image_id, "remove", "--image-id")
    empty = image_id.isnull().sum().to_pyarrow().as_py()
    if empty:
        raise InputError(
            f"remove.{options.image_id} is null in {empty:,} rows; every row names an image: "
            "fill it, or leave the rows out"
        )
    listed = opened.table.select(image_id=image_id.cast(str)).distinct()
    return warehouse.create("removed_images", warehouse.backend.compile(listed))


# Predictions --------------------------------------------------------------------------------------

Conditions = dict[str, sge.Expression | None]


def _columns_of(conditions: Conditions) -> set[str]:
    """Return the names of the columns in the conditions, in lower case.

    In ``pose.angle``, a column with a field as well as a table with a column, both names count.
    """
    return {
        part.name.lower()
        for condition in conditions.values()
        if condition is not None
        for column in condition.find_all(sge.Column)
        for part in column.parts
    }


def has_subquery(conditions: Conditions) -> bool:
    """Return whether any of the conditions asks a table of its own."""
    return any(condition and condition.find(sge.Query) for condition in conditions.values())


def _wanted_predictions(options: Options, conditions: Conditions) -> Wanted:
    if has_subquery(conditions):
        return Wanted()  # whose columns a subquery names is the engine's to find out
    named = {options.image_id, options.label, options.prediction, *options.group_by}
    if options.split is not None:
        named.add(options.split)
    return Wanted(frozenset(named), frozenset(_columns_of(conditions)))


def wanted_tags(options: Options) -> Wanted:
    """Return which columns of a tags table are read."""
    if options.wide:
        return Wanted()
    score = () if options.min_score is None else (options.score,)
    return Wanted(frozenset({options.image_id, options.tag, *score}))


def _part(source: Source, options: Options, part: str) -> Source:
    """Return the predictions of one part, once both parts are known to be there."""
    value = _column(source, str(options.split), "predictions", "--split").cast(str)
    rows = source.table.group_by(value=value).aggregate(rows=source.table.count())
    for name in ("find", "check"):
        wanted = getattr(options, name)
        if not rows.filter(rows.value == wanted).count().to_pyarrow().as_py():
            most = rows.filter(rows.value.notnull())
            most = most.order_by([ibis.desc("rows"), "value"]).limit(200).to_pyarrow().to_pylist()
            held = [f"{shorten(row['value'])} ({row['rows']:,} rows)" for row in most]
            raise InputError(
                f"predictions.{options.split} is nowhere {wanted!r} ({name})."
                f"{did_you_mean(wanted, [row['value'] for row in most])} "
                f"It holds: {shorten_list(held) or 'nothing'}."
            )
    return Source(source.table.filter(value == part), source.columns)


def _load_predictions(
    source: Source,
    conditions: Conditions,
    options: Options,
    warehouse: Warehouse,
    inputs: Inputs,
    *,
    may_be_empty: bool = False,
) -> None:
    table = source.table
    renamed = {"label": options.label, "prediction": options.prediction}
    standard = {"image_id", *renamed}
    mentioned = _columns_of(conditions)
    needed = {*options.group_by, *mentioned}
    if options.error is None:
        needed |= renamed.keys()

    selected = {"image_id": _column(source, options.image_id, "predictions", "--image-id")}
    for name, column in renamed.items():
        if name in needed:
            selected[name] = _column(source, column, "predictions", f"--{name}")
        elif column in table.columns:
            selected[name] = table[column]
    taken = {options.image_id: "image_id", **{column: name for name, column in renamed.items()}}
    group_by = []
    for name in options.group_by:
        if name not in standard and name not in taken:
            selected[name] = _column(source, name, "predictions", "--group-by")
        group_by.append(name if name in selected else taken[name])
    whole = has_subquery(conditions)
    present = {name.lower() for name in selected}
    for name in table.columns:
        if name.lower() not in present and (whole or name.lower() in mentioned):
            selected[name] = table[name]
    if not whole:
        for name, condition in conditions.items():
            if condition is not None:
                _check_columns(name, condition, {*selected, *source.columns})
    if options.error is None:
        _check_same_kind(table, selected["label"], selected["prediction"])
    warehouse.keep("source_predictions", table.select(**selected))
    written = {
        name: condition.sql(warehouse.conditions, comments=False)
        for name, condition in conditions.items()
        if condition is not None
    }
    _try_conditions(written, warehouse)
    sql = queries.find("search/predictions", warehouse.plans).render(
        warehouse.dialect,
        group_by=group_by,
        has_label="label" in selected,
        has_prediction="prediction" in selected,
        **{name: f"verbatim_{name}" if name in written else None for name in conditions},
    )
    verbatim = {f"verbatim_{name}": condition for name, condition in written.items()}
    try:
        inputs.rows["predictions"] = warehouse.create("predictions", sql, verbatim=verbatim)
    except LimitError:
        raise
    except WarehouseError as error:
        # All other columns are only cast to text, so that it must be a condition.
        given = " or ".join(written)
        if not given:
            raise
        raise OptionError(
            f"{given} cannot be computed on every row of predictions: "
            f"{first_line(error.__cause__ or error)}"
        ) from error
    warehouse.drop("source_predictions_rows")
    if inputs.rows["predictions"] or not may_be_empty:
        _check_predictions(options, inputs, warehouse, set(selected))


def parse_condition(name: str, text: str | None, dialect: str) -> sge.Expression | None:
    """Return the option `name` as the one SQL condition that it is, or None where it is none.

    Raises
    ------
    OptionError
        When it is no SQL condition.
    """
    if text is None:
        return None
    try:
        parsed = sqlglot.parse(text, read=dialect)
    except sqlglot.errors.SqlglotError as error:
        raise OptionError(f"{name} is not an SQL condition: {shorten(text)}") from error
    condition = parsed[0] if len(parsed) == 1 else None
    if condition is None or not isinstance(condition, sge.Condition | sge.Paren):
        raise OptionError(
            f"{name} must be one SQL condition such as \"split = 'test'\", got {shorten(text)}"
        )
    return condition


def _check_columns(name: str, condition: sge.Expression, known: set[str]) -> None:
    lower = {column.lower() for column in known}
    for column in condition.find_all(sge.Column):
        if lower.isdisjoint(part.name.lower() for part in column.parts):
            quoted = column.this.args.get("quoted")
            hint = did_you_mean(column.name, known) or (
                f" Text stands in single quotes: '{column.name}'."
                if quoted
                else f" It has: {', '.join(sorted(known))}."
            )
            raise InputError(f"{name}: predictions has no column {column.name!r}.{hint}")


def _try_conditions(written: dict[str, str], warehouse: Warehouse) -> None:
    for name, condition in written.items():
        try:
            # Stands in a WHERE as well, which takes no aggregate and no window.
            schema = warehouse.answer(
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


def _check_predictions(
    options: Options, inputs: Inputs, warehouse: Warehouse, selected: set[str]
) -> None:
    found = warehouse.check(
        "predictions",
        check_label="label" in selected and (options.error is None or "label" in options.group_by),
        check_prediction="prediction" in selected
        and (options.error is None or "prediction" in options.group_by),
    )
    total = found["total"]
    if total == 0:
        why = f" where {options.where}" if options.where else ""
        raise InputError(f"predictions ({inputs.sources['predictions']}) has no rows{why}")
    if found["null_image_id"]:
        raise InputError(
            f"predictions.{options.image_id} is null in {found['null_image_id']:,} of {total:,} "
            f"rows, for example one of class {shorten(found['null_image_id_example'])}; "
            "every prediction needs its image: fill it, or leave the rows out with where"
        )
    fill = "fill it, or leave the rows out with where"
    grouping = " or ".join(f"predictions.{name}" for name in options.group_by)
    problems = {
        "label": (f"predictions.{options.label} is null", fill),
        "prediction": (f"predictions.{options.prediction} is null", fill),
        "class": (f"{grouping} is null", fill),
        "error": (
            f"predictions: the error condition {shorten(options.error)} is neither true nor false",
            "write coalesce(…, true) around it, or leave the rows out with where",
        ),
    }
    for key, (what, remedy) in problems.items():
        if found[f"null_{key}"]:
            raise InputError(
                f"{what} in {found[f'null_{key}']:,} of {total:,} rows, for example image "
                f"{shorten(found[f'null_{key}_example'])}; {remedy}"
            )
    duplicates = warehouse.check("duplicate_predictions")
    if duplicates["images"]:
        raise InputError(
            f"predictions.{options.image_id} is not unique: {duplicates['images']:,} images stand "
            f"more than once in a class ({duplicates['surplus_rows']:,} of {total:,} rows too "
            f"many), for example image {shorten(duplicates['image_id'])} "
            f"{duplicates['copies']} times in class {shorten(duplicates['class_name'])}; "
            "remove the copies, choose one model or split with where, or add that column to "
            "group_by"
        )


def _column(source: Source, name: str, role: str, option: str) -> Column:
    if name not in source.columns:
        hint = did_you_mean(name, source.columns)
        raise InputError(
            f"{role} has no column {name!r}.{hint} It has: {shorten_list(source.columns)}. "
            f"Name the right one with {option}."
        )
    return source.table[name]


def shorten_list(names: Any, most: int = 12) -> str:
    """Return up to `most` names, and how many more there are."""
    names = [name if len(name) <= 60 else f"{name[:59]}…" for name in names]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_same_kind(table: Table, label: Column, prediction: Column) -> None:
    if kind_of(label.type()) == kind_of(prediction.type()):
        return
    both = table.select(label=label, prediction=prediction)
    example = both.limit(1).to_pyarrow().to_pylist()
    shown = (
        "label {label!r} against prediction {prediction!r}".format(**example[0]) if example else ""
    )
    raise InputError(
        f"predictions.{label.get_name()} is {label.type()} and predictions.{prediction.get_name()} "
        f"is {prediction.type()}, in all {table.count().to_pyarrow().as_py():,} rows, for example "
        f"{shown}; they would never be equal: give both columns the same type"
    )


# Tags ---------------------------------------------------------------------------------------------


def load_tags(source: Source, options: Options, warehouse: Warehouse) -> Table:
    """Make the session's view ``tags`` (image_id, tag), in the long form, blank tags null.

    Returns
    -------
    Table
        Every image_id of the source, also where no tag of it counts.

    Raises
    ------
    InputError
        When a column is missing, or is not of a type that tags or scores can have.
    """
    table = source.table
    image_id = _column(source, options.image_id, "tags", "--image-id")
    named = table.select(image_id=image_id.cast(str)).distinct()
    named = named.filter(named.image_id.notnull())
    if options.wide:
        long = _unpivot(table, options)
    else:
        tag = _column(source, options.tag, "tags", "--tag")
        if options.min_score is not None:
            score = _column(source, options.score, "tags", "--score")
            if not score.type().is_numeric() or score.type().is_boolean():
                raise InputError(
                    f"tags.{options.score} is {score.type()}{_example(score)}; min_score needs a "
                    "column of numbers: convert it"
                )
            # DuckDB takes "not a number" for the largest of all.
            strong = score >= options.min_score
            table = table.filter(strong & ~score.isnan() if score.type().is_floating() else strong)
        if tag.type().is_array():
            long = table.select(image_id=image_id, tag=tag.unnest())
        else:
            long = table.select(image_id=image_id, tag=tag)
        if not long["tag"].type().is_string() and not long["tag"].type().is_integer():
            raise InputError(
                f"tags.{options.tag} is {tag.type()}{_example(tag)}; a tag is text, or a list of "
                "texts per image: convert it (a table with a column per tag is read with wide)"
            )
    long = long.select(image_id=long.image_id.cast(str), tag=long.tag.cast(str))
    # A blank tag is none: spaces, tabs and line breaks alike.
    blank = long.tag.strip() == ""
    if not warehouse.is_remote:
        blank = (long.tag < "!") & blank  # DuckDB orders by bytes, and strips few tags this way
    long = long.mutate(tag=blank.ifelse(ibis.null(str), long.tag))
    warehouse.keep("tags", long)
    return named


def _example(column: Column) -> str:
    """Return how many rows a column fills, and one of its values, for a message."""
    table = column.as_table()
    table = table.filter(column.notnull())
    first = table.limit(1).to_pyarrow()
    if not len(first):
        return " and null in every row"
    rows = table.count().to_pyarrow().as_py()
    return f" in {rows:,} rows, for example {shorten(first[0][0].as_py())}"


def _unpivot(table: Table, options: Options) -> Table:
    columns = [column for column in table.columns if column != options.image_id]
    if not columns:
        raise InputError("tags has no column beside the image_id; wide needs one for each tag")
    numbers = []
    for name in columns:
        dtype = table[name].type()
        if dtype.is_numeric() and not dtype.is_boolean():
            numbers.append(name)
        elif not dtype.is_boolean():
            raise InputError(
                f"tags.{name} is {dtype}{_example(table[name])}; with wide, every column beside "
                f"{options.image_id} must be boolean or 0/1: leave this one out"
            )
    if numbers:
        odd = {str(i): (~table[name].isin([0, 1])).sum() for i, name in enumerate(numbers)}
        counts = table.aggregate(**odd).to_pyarrow().to_pylist()[0]
        for i, name in enumerate(numbers):
            if counts[str(i)]:
                example = table.filter(~table[name].isin([0, 1])).select(
                    image_id=table[options.image_id], value=table[name]
                )
                row = example.order_by("image_id").limit(1).to_pyarrow().to_pylist()[0]
                raise InputError(
                    f"tags.{name} holds values other than 0 and 1 in {counts[str(i)]:,} rows, for "
                    f"example {row['value']!r} for image {shorten(row['image_id'])}; with wide, "
                    f"every column beside {options.image_id} must be boolean or 0/1: leave it out, "
                    "or write a condition such as value > 0 in its place"
                )
    present = table.select(
        table[options.image_id].name("image_id"),
        **{f"tag {name}": table[name].cast("boolean") for name in columns},
    )
    long = present.pivot_longer(
        ~ibis.selectors.cols("image_id"), names_to="tag", values_to="present"
    )
    return long.filter(long.present).select("image_id", tag=long.tag.substr(len("tag ")))


def check_tags(
    warehouse: Warehouse, inputs: Inputs, max_absent: int = 0, check: str = "tags", **values: Any
) -> None:
    """Check how the tags fit the images, once both are numbered, by a file of ``queries/check/``.

    Raises
    ------
    InputError
        When there are tags but none of their image_ids has a prediction; or, with `max_absent`,
        when a tag is called what the absence of another one is called.
    """
    if max_absent:
        mixed_up = warehouse.check("absent_tags")
        if mixed_up["tags"]:
            raise InputError(
                f"tags has {mixed_up['tags']:,} tags named like the absence of others, for example "
                f"both {mixed_up['tag']!r} and 'not {mixed_up['tag']}'; rename them, or leave out "
                "max_absent"
            )
    found = warehouse.check(check, **values)
    inputs.rows["tag_rows"] = found["tag_rows"]
    usable = found["tag_rows"] - found["null_image_ids"] - found["blank_tags"]
    unknown = usable - found["matched_rows"]
    if unknown:
        images = warehouse.check("unknown_images")
        if not found["matched_rows"]:
            known, other = warehouse.execute(
                "check_tags", "select count(*), min(image_id) from images"
            )[0]
            raise InputError(
                f"{inputs.about}tags and predictions have no image_id in common: {usable:,} tag "
                f"rows, for example image {shorten(images['example'])}, against "
                f"{known:,} images, for example {shorten(other)}; map the columns "
                "with --image-id, or write the identifiers alike in both tables"
            )
        # The tags of the other parts' images stand in the same table.
        if inputs.part is None:
            inputs.warn(
                f"{unknown:,} tag rows were left out: their {images['images']:,} images have no "
                f"prediction, for example {shorten(images['example'])}"
            )
    if found["untagged_images"]:
        inputs.warn(
            f"{found['untagged_images']:,} of {found['images']:,} images have no tag; they count "
            + (
                "as lacking all: leave those that nobody tagged out"
                if max_absent
                else "for their class only"
            )
        )
    if found["duplicate_rows"]:
        inputs.warn(f"{found['duplicate_rows']:,} duplicate (image_id, tag) rows were counted once")
    if found["blank_tags"]:
        inputs.warn(f"{found['blank_tags']:,} tag rows were left out: their tag is blank")
    if found["null_image_ids"]:
        inputs.warn(f"{found['null_image_ids']:,} tag rows were left out: their image_id is null")
