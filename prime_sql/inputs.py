"""The two sources become the input relations of a search, checked.

After `load`, the session holds ``predictions`` (image_id, label, prediction, class_name, error)
and ``tags`` (image_id, tag), both as the user gave them but for names and types.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import duckdb
import ibis
import sqlglot
import sqlglot.expressions as sge
from ibis.expr.types import Column, Table

from prime_sql import queries
from prime_sql.errors import InputError, OptionError, did_you_mean, shorten
from prime_sql.options import Options
from prime_sql.sources import describe, kind_of, open_source
from prime_sql.warehouse import Warehouse, first_line


class InputWarning(UserWarning):
    """Something in the input is odd, but the search can go on; counted in the message."""


@dataclass
class Inputs:
    """What loading found out: where the tables came from, their sizes, and what was odd."""

    sources: dict[str, str]
    rows: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        """Keep a warning for the run, and show it now."""
        self.warnings.append(message)
        warnings.warn(message, InputWarning, stacklevel=2)


def load(predictions: Any, tags: Any, options: Options, warehouse: Warehouse) -> Inputs:
    """Load both tables into the session and check the predictions.

    Raises
    ------
    InputError
        When a table cannot be read or breaks the definition of its columns.
    OptionError
        When a condition is not SQL, or names a column that is not there.
    """
    inputs = Inputs({"predictions": describe(predictions), "tags": describe(tags)})
    # Both sources are read before any step, whose temporary relations might share their names.
    prediction_table = open_source(predictions, "predictions", warehouse, options)
    tag_table = open_source(tags, "tags", warehouse, options)
    _load_predictions(prediction_table, options, warehouse, inputs)
    _load_tags(tag_table, options, warehouse)
    return inputs


# Predictions --------------------------------------------------------------------------------------


def _load_predictions(table: Table, options: Options, warehouse: Warehouse, inputs: Inputs) -> None:
    renamed = {"label": options.label, "prediction": options.prediction}
    standard = {"image_id", "label", "prediction"}
    conditions = {
        name: _condition(name, getattr(options, name), warehouse.dialect)
        for name in ("error", "where")
    }
    mentioned = set(options.group_by)
    for condition in conditions.values():
        if condition is not None:
            mentioned |= {column.name for column in condition.find_all(sge.Column)}
    if options.error is None:
        mentioned |= {"label", "prediction"}

    selected = {"image_id": _column(table, options.image_id, "predictions", "--image-id")}
    for name, source in renamed.items():
        if name in {word.lower() for word in mentioned}:
            selected[name] = _column(table, source, "predictions", f"--{name}")
        elif source in table.columns:
            selected[name] = table[source]
    lower = {column.lower(): column for column in table.columns}
    for name in sorted(mentioned - standard):
        if name.lower() in lower and name.lower() not in standard:
            selected[lower[name.lower()]] = table[lower[name.lower()]]
        elif name in options.group_by:
            selected[name] = _column(table, name, "predictions", "--group-by")
    for name, condition in conditions.items():
        if condition is not None:
            if condition.find(sge.Query):
                selected = {**{column: table[column] for column in table.columns}, **selected}
            else:
                _check_columns(name, condition, set(selected) | set(table.columns))
    group_by = [
        lower.get(name.lower(), name) if name not in standard else name for name in options.group_by
    ]

    if options.error is None:
        _check_same_kind(table, selected["label"], selected["prediction"])
    warehouse.create(
        "source_predictions", warehouse.backend.compile(table.select(**selected)), view=True
    )
    written = {
        name: None if condition is None else condition.sql(warehouse.dialect, comments=False)
        for name, condition in conditions.items()
    }
    _try_conditions(written, warehouse)
    sql = queries.find("search/predictions", warehouse.plans).render(
        warehouse.dialect,
        group_by=group_by,
        has_label="label" in selected,
        has_prediction="prediction" in selected,
        **written,
    )
    inputs.rows["predictions"] = warehouse.create("predictions", sql)
    _check_predictions(options, inputs, warehouse, set(selected))


def _condition(name: str, text: str | None, dialect: str) -> sge.Expression | None:
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
        if column.name.lower() not in lower:
            quoted = column.this.args.get("quoted")
            hint = did_you_mean(column.name, known) or (
                f" Text stands in single quotes: '{column.name}'."
                if quoted
                else f" It has: {', '.join(sorted(known))}."
            )
            raise InputError(f"{name}: predictions has no column {column.name!r}.{hint}")


def _try_conditions(written: dict[str, str | None], warehouse: Warehouse) -> None:
    for name, condition in written.items():
        if condition is None:
            continue
        try:
            schema = warehouse.backend.sql(
                f"select ({condition}) as truth from source_predictions"
            ).schema()
        except (duckdb.Error, ibis.common.exceptions.IbisError) as error:
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
    found = warehouse.record(
        "check/predictions",
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
    problems = {
        "label": (options.label, "is null", "fill it, or leave the rows out with where"),
        "prediction": (options.prediction, "is null", "fill it, or leave the rows out with where"),
        "class": (",".join(options.group_by), "is null", "leave the rows out with where"),
        "error": ("error", "is neither true nor false", "use coalesce(…, true) in the condition"),
    }
    for key, (column, what, remedy) in problems.items():
        if found[f"null_{key}"]:
            raise InputError(
                f"predictions.{column} {what} in {found[f'null_{key}']:,} of {total:,} rows, for "
                f"example image {shorten(found[f'null_{key}_example'])}; {remedy}"
            )
    duplicates = warehouse.record("check/duplicate_predictions")
    if duplicates["images"]:
        raise InputError(
            f"predictions.{options.image_id} is not unique: {duplicates['images']:,} images stand "
            f"more than once in a class ({duplicates['surplus_rows']:,} of {total:,} rows too "
            f"many), for example image {shorten(duplicates['image_id'])} "
            f"{duplicates['copies']} times in class {shorten(duplicates['class_name'])}; "
            "remove the copies, choose one model or split with where, or add that column to "
            "group_by"
        )


def _column(table: Table, name: str, role: str, option: str) -> Column:
    if name not in table.columns:
        hint = did_you_mean(name, table.columns)
        raise InputError(
            f"{role} has no column {name!r}.{hint} It has: {shorten_list(table.columns)}. "
            f"Name the right one with {option}."
        )
    return table[name]


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


def _load_tags(table: Table, options: Options, warehouse: Warehouse) -> None:
    image_id = _column(table, options.image_id, "tags", "--image-id")
    if options.wide:
        long = _unpivot(table, options)
    else:
        tag = _column(table, options.tag, "tags", "--tag")
        if options.min_score is not None:
            score = _column(table, options.score, "tags", "--score")
            if not score.type().is_numeric():
                raise InputError(
                    f"tags.{options.score} is {score.type()}; min_score needs a number column"
                )
            table = table.filter(score >= options.min_score)
        if tag.type().is_array():
            long = table.select(image_id=image_id, tag=tag.unnest())
        else:
            long = table.select(image_id=image_id, tag=tag)
        if not long["tag"].type().is_string() and not long["tag"].type().is_integer():
            raise InputError(
                f"tags.{options.tag} is {tag.type()}; a tag is text, or a list of texts per image "
                "(a table with a column per tag is read with wide)"
            )
    long = long.select(image_id=long.image_id.cast(str), tag=long.tag.cast(str))
    warehouse.create("tags", warehouse.backend.compile(long), view=True)


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
            example = (
                table.filter(table[name].notnull()).select(x=table[name]).limit(1).to_pyarrow()
            )
            shown = shorten(example["x"][0].as_py()) if len(example) else "no value"
            raise InputError(
                f"tags.{name} is {dtype} (for example {shown}); with wide, every column beside "
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


def check_tags(warehouse: Warehouse, inputs: Inputs) -> None:
    """Check how the tags fit the images, once both are numbered.

    Raises
    ------
    InputError
        When there are tags but none of their image_ids has a prediction.
    """
    found = warehouse.record("check/tags")
    inputs.rows["tag_rows"] = found["tag_rows"]
    usable = found["tag_rows"] - found["null_image_ids"] - found["blank_tags"]
    unknown = usable - found["matched_rows"]
    if unknown:
        images = warehouse.record("check/unknown_images")
        if not found["matched_rows"]:
            other = warehouse.execute("check_tags", "select min(image_id) from images")[0][0]
            raise InputError(
                f"tags and predictions have no image_id in common: {usable:,} tag rows, for "
                f"example image {shorten(images['example'])}, against {found['images']:,} images, "
                f"for example {shorten(other)}; map the columns with --image-id, or write the "
                "identifiers alike in both tables"
            )
        inputs.warn(
            f"{unknown:,} tag rows were left out: their {images['images']:,} images have no "
            f"prediction, for example {shorten(images['example'])}"
        )
    if found["untagged_images"]:
        inputs.warn(
            f"{found['untagged_images']:,} of {found['images']:,} images have no tag; they count "
            "for their class only"
        )
    if found["duplicate_rows"]:
        inputs.warn(f"{found['duplicate_rows']:,} duplicate (image_id, tag) rows were counted once")
    if found["blank_tags"]:
        inputs.warn(f"{found['blank_tags']:,} tag rows were left out: their tag is blank")
    if found["null_image_ids"]:
        inputs.warn(f"{found['null_image_ids']:,} tag rows were left out: their image_id is null")
