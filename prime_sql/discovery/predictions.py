"""The predictions of a search, checked."""

from __future__ import annotations

import ibis
from ibis.expr.types import Column, Table

from prime_sql.discovery.conditions import (
    Conditions,
    check_columns,
    columns_of,
    has_subquery,
    try_conditions,
)
from prime_sql.discovery.loaded import Inputs
from prime_sql.engine import queries
from prime_sql.engine.errors import (
    InputError,
    LimitError,
    OptionError,
    WarehouseError,
    did_you_mean,
    first_line,
    shorten,
    shorten_list,
)
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Source, Wanted, column_of, kind_of


def wanted_predictions(options: Options, conditions: Conditions) -> Wanted:
    """Return the columns of the predictions that a search reads."""
    if has_subquery(conditions):
        return Wanted()  # only the engine knows whose columns a subquery names
    named = {options.image_id, options.label, options.prediction, *options.group_by}
    if options.split is not None:
        named.add(options.split)
    return Wanted(frozenset(named), frozenset(columns_of(conditions)))


def part_of(source: Source, options: Options, part: str) -> Source:
    """Return the predictions of one part, after checking that both parts exist."""
    value = column_of(source, str(options.split), "predictions", "--split").cast(str)
    rows = source.table.group_by(value=value).aggregate(rows=source.table.count())
    for name in ("find", "check"):
        wanted = getattr(options, name)
        if not rows.filter(rows.value == wanted).count().to_pyarrow().as_py():
            most = rows.filter(rows.value.notnull())
            most = most.order_by([ibis.desc("rows"), "value"]).limit(200).to_pyarrow().to_pylist()
            held = [f"{shorten(row['value'])} ({row['rows']:,} rows)" for row in most]
            raise InputError(
                f"no row of predictions has {options.split} = {shorten(wanted)} ({name})."
                f"{did_you_mean(wanted, [row['value'] for row in most])} "
                f"The column holds: {shorten_list(held) or 'nothing'}."
            )
    return Source(source.table.filter(value == part), source.columns)


def load_predictions(
    source: Source,
    conditions: Conditions,
    options: Options,
    session: Session,
    inputs: Inputs,
    *,
    may_be_empty: bool = False,
) -> None:
    """Make ``predictions`` of the session: class and error of each image, checked."""
    table = source.table
    renamed = {"label": options.label, "prediction": options.prediction}
    standard = {"image_id", *renamed}
    mentioned = columns_of(conditions)
    needed = {*options.group_by, *mentioned}
    if options.error is None:
        needed |= renamed.keys()

    selected = {"image_id": column_of(source, options.image_id, "predictions", "--image-id")}
    for name, column in renamed.items():
        if name in needed:
            selected[name] = column_of(source, column, "predictions", f"--{name}")
        elif column in table.columns:
            selected[name] = table[column]
    taken = {options.image_id: "image_id", **{column: name for name, column in renamed.items()}}
    group_by = []
    for name in options.group_by:
        if name not in standard and name not in taken:
            selected[name] = column_of(source, name, "predictions", "--group-by")
        group_by.append(name if name in selected else taken[name])
    whole = has_subquery(conditions)
    present = {name.lower() for name in selected}
    for name in table.columns:
        if name.lower() not in present and (whole or name.lower() in mentioned):
            selected[name] = table[name]
    if not whole:
        for name, condition in conditions.items():
            if condition is not None:
                check_columns(name, condition, {*selected, *source.columns})
    if options.error is None:
        _check_same_kind(table, selected["label"], selected["prediction"])
    session.keep("source_predictions", table.select(**selected))
    written = {
        name: condition.sql(session.conditions, comments=False)
        for name, condition in conditions.items()
        if condition is not None
    }
    try_conditions(written, session)
    sql = queries.find("discovery/predictions", session.plans).render(
        session.dialect,
        group_by=group_by,
        has_label="label" in selected,
        has_prediction="prediction" in selected,
        **{name: f"verbatim_{name}" if name in written else None for name in conditions},
    )
    verbatim = {f"verbatim_{name}": condition for name, condition in written.items()}
    try:
        inputs.rows["predictions"] = session.create("predictions", sql, verbatim=verbatim)
    except LimitError:
        raise
    except WarehouseError as error:
        # All other columns are only cast to text, so it must be a condition.
        given = " or ".join(written)
        if not given:
            raise
        raise OptionError(
            f"{given} cannot be computed on every row of predictions: "
            f"{first_line(error.__cause__ or error)}"
        ) from error
    session.drop("source_predictions_rows")
    if inputs.rows["predictions"] or not may_be_empty:
        _check_predictions(options, inputs, session, set(selected))


def _check_predictions(
    options: Options, inputs: Inputs, session: Session, selected: set[str]
) -> None:
    found = session.check(
        "discovery/checks/predictions",
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
    duplicates = session.check("discovery/checks/duplicate_predictions")
    if duplicates["images"]:
        raise InputError(
            f"predictions.{options.image_id} is not unique: {duplicates['images']:,} images are "
            f"more than once in a class ({duplicates['surplus_rows']:,} of {total:,} rows too "
            f"many), for example image {shorten(duplicates['image_id'])} "
            f"{duplicates['copies']} times in class {shorten(duplicates['class_name'])}; "
            "remove the copies, choose one model or split with where, or add that column to "
            "group_by"
        )


def _check_same_kind(table: Table, label: Column, prediction: Column) -> None:
    if kind_of(label.type()) == kind_of(prediction.type()):
        return
    both = table.select(label=label, prediction=prediction)
    example = both.limit(1).to_pyarrow().to_pylist()
    shown = (
        f"label {shorten(example[0]['label'])} against prediction "
        f"{shorten(example[0]['prediction'])}"
        if example
        else ""
    )
    raise InputError(
        f"predictions.{label.get_name()} is {label.type()} and predictions.{prediction.get_name()} "
        f"is {prediction.type()}, in all {table.count().to_pyarrow().as_py():,} rows, for example "
        f"{shown}; they would never be equal: give both columns the same type"
    )
