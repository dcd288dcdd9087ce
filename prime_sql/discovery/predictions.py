"""The predictions of a search, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import ibis
from ibis.expr.types import Column, Table

from prime_sql.discovery.conditions import (
    Conditions,
    check_columns,
    columns_of,
    has_subquery,
    try_conditions,
    uses_of,
)
from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.vocabularies import check_words
from prime_sql.engine import queries, quoting
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
from prime_sql.engine.sources import Source, Wanted, column_of, example_of, kind_of, shape_refused


def wanted_predictions(options: Options, conditions: Conditions) -> Wanted:
    """Return the columns of the predictions that a search reads."""
    named = {options.image_id, options.label, options.prediction, *options.group_by}
    if options.split is not None:
        named.add(options.split)
    # Only the engine knows whose columns a subquery names.
    read = None if has_subquery(conditions) else frozenset(named)
    uses = uses_of(conditions)
    # Conditions may call the columns by our names.
    ours = {"image_id": options.image_id, "label": options.label, "prediction": options.prediction}
    for name, column in ours.items():
        if name in uses:
            uses[column.lower()] = uses[name] | uses.get(column.lower(), frozenset())
    return Wanted(read, frozenset(named), uses)


def part_of(source: Source, options: Options, part: str) -> Source:
    """Return the predictions of one part, after checking that both parts exist."""
    column_of(source, str(options.split), "predictions", "--split")
    value = source.as_written(str(options.split)).cast(str)
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
    return dataclasses.replace(source, table=source.table.filter(value == part))


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
    pair = ("label", "prediction")
    called = {name: getattr(options, name) for name in ("image_id", *pair)}
    selected, group_by = _named_columns(source, conditions, options, called)
    present = set(selected)
    # What names something stays as it is written, even if a condition reads it as a number.
    names = {name: name for name in selected}
    for number, name in enumerate(list(selected)):
        beside = source.written.get(called.get(name, name))
        if beside is not None:
            names[name] = f"written_{number}"
            selected[names[name]] = table[beside]
    _add_mentioned(selected, source, conditions)
    for name in {*group_by, "image_id", *(() if options.error is not None else pair)}:
        _check_shape(selected[names[name]], called.get(name, name))
    compares = options.error is None
    if compares:
        _check_same_kind(table, *(selected[names[name]] for name in pair))
    if names["image_id"] != "image_id":
        selected["image_id"] = selected.pop(names["image_id"])
    session.keep("source_predictions", table.select(**selected))
    written = {
        name: quoting.written(condition, session.conditions, comments=False)
        for name, condition in conditions.items()
        if condition is not None
    }
    try_conditions(written, session)
    verbatim = {f"verbatim_{name}": condition for name, condition in written.items()}
    columns = {name: names.get(name) for name in pair}
    where = "verbatim_where" if "where" in written else None
    compared = "text"
    if compares and source.untyped:
        compared = _compared(columns, where, verbatim, options, session)
    sql = queries.find("discovery/predictions", session.plans).render(
        session.dialect,
        group_by=[names[name] for name in group_by],
        error="verbatim_error" if "error" in written else None,
        where=where,
        compared=compared,
        **columns,
    )
    numbers = all(name in present and selected[name].type().is_numeric() for name in pair)
    _create(sql, verbatim, written, session, inputs)
    session.drop("source_predictions_rows")
    if inputs.rows["predictions"] or not may_be_empty:
        _check_predictions(options, inputs, session, present)
        if {*pair} <= present:
            compared = "double" if numbers else compared
            check_words(options, inputs, session, compared=compared, may_refuse=not may_be_empty)


def _named_columns(
    source: Source, conditions: Conditions, options: Options, called: dict[str, str]
) -> tuple[dict[str, Column], list[str]]:
    """Return the columns with a name of ours or of a group, and the names of the groups."""
    needed = {*options.group_by, *columns_of(conditions)}
    if options.error is None:
        needed |= {"label", "prediction"}
    selected = {}
    for name, column in called.items():
        if name in needed or name == "image_id":
            option = f"--{name.replace('_', '-')}"
            selected[name] = column_of(source, column, "predictions", option)
        elif column in source.table.columns:
            selected[name] = source.table[column]
    taken = {column: name for name, column in called.items()}
    group_by = []
    for name in options.group_by:
        if name not in called and name not in taken:
            selected[name] = column_of(source, name, "predictions", "--group-by")
        group_by.append(name if name in selected else taken[name])
    return selected, group_by


def _add_mentioned(selected: dict[str, Column], source: Source, conditions: Conditions) -> None:
    """Add the columns that conditions name, after checking that there are such."""
    whole = has_subquery(conditions)
    mentioned = columns_of(conditions)
    present = {name.lower() for name in selected}
    beside = {*source.written.values()}
    for name in source.table.columns:
        lower = name.lower()
        if lower not in present and name not in beside and (whole or lower in mentioned):
            selected[name] = source.table[name]
    if not whole:
        for name, condition in conditions.items():
            if condition is not None:
                check_columns(name, condition, {*selected, *source.columns})


def _compared(
    columns: dict[str, str | None],
    where: str | None,
    verbatim: dict[str, str],
    options: Options,
    session: Session,
) -> str:
    """Return what the texts of a file are compared as: text, double or boolean.

    As numbers, only if no two texts of a column are one number, as 1.10 and 1.1 are: they would be
    names.

    Raises
    ------
    InputError
        When one column holds numbers and the other truth values, or when it is unclear.
    """
    sql = queries.find("discovery/checks/written", "duckdb").render(where=where, **columns)
    session.create("written", sql, verbatim=verbatim)
    found = dict(zip(*_row("written", session), strict=True))
    sides = ("label", "prediction")
    truth, numbers = (
        [bool(found[f"{side}_texts"]) and not found[f"{side}_no_{kind}"] for side in sides]
        for kind in ("truth", "number")
    )
    where_ = f"predictions.{options.label} and predictions.{options.prediction}"
    if all(truth):
        return "boolean"
    if any(truth) and any(numbers):
        raise InputError(
            f"{where_}: one holds true and false, the other numbers; they would never be equal: "
            "give both columns the same values"
        )
    if not all(numbers) or any(
        found[f"{side}_texts"] != found[f"{side}_numbers"] for side in sides
    ):
        return "text"
    if found["texts"] != found["numbers"] and found["shared_texts"]:
        raise InputError(
            f"{where_} hold {shorten(found['one'])} and {shorten(found['other'])}, which are one "
            "number but two names; write the same number alike in both columns, or say with error "
            "what is wrong"
        )
    return "double"


def _row(relation: str, session: Session) -> tuple[list[str], list[Any]]:
    row = session.backend.table(relation, database=("temp", "main")).to_pyarrow().to_pylist()[0]
    return list(row), list(row.values())


def _create(
    sql: str,
    verbatim: dict[str, str],
    written: dict[str, str],
    session: Session,
    inputs: Inputs,
) -> None:
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
    """Refuse a label and a prediction that could not be equal, or only after rounding."""
    kinds = {kind_of(label.type()), kind_of(prediction.type())}
    if len(kinds) == 1 and (kinds != {"numeric"} or _are_exact(table, label, prediction)):
        return
    both = table.select(label=label, prediction=prediction)
    example = both.limit(1).to_pyarrow().to_pylist()
    shown = (
        f"label {shorten(example[0]['label'])} against prediction "
        f"{shorten(example[0]['prediction'])}"
        if example
        else ""
    )
    never = "they would never be equal" if len(kinds) > 1 else "one of them would be rounded"
    raise InputError(
        f"predictions.{label.get_name()} is {label.type()} and predictions.{prediction.get_name()} "
        f"is {prediction.type()}, in all {table.count().to_pyarrow().as_py():,} rows, for example "
        f"{shown}; {never}: give both columns the same type"
    )


def _are_exact(table: Table, label: Column, prediction: Column) -> bool:
    """Whether all values of two columns of numbers keep their value in the type of the other."""
    for column, other in ((label, prediction), (prediction, label)):
        type_, other_type = column.type(), other.type()
        if not other_type.is_floating() or type_ == other_type:
            continue
        narrow = other_type.is_float32() or type_.is_float32()
        # 0.1 of 32 bits is not 0.1 of 64 bits; whole numbers are the same up to here.
        whole = 2**24 if narrow else 2**53
        odd = column.abs() > whole
        if narrow:
            odd = odd | (column.round() != column) | (other.round() != other)
        elif not type_.is_integer():
            continue  # a decimal is the same text as its double
        if table.filter(odd).count().to_pyarrow().as_py():
            return False
    return True


def _check_shape(column: Column, called: str) -> None:
    """Refuse lists and objects where a name is needed."""
    type_ = column.type()
    if not type_.is_nested() and not type_.is_json():
        return
    kind = "a list" if type_.is_array() else "an object"
    raise InputError(shape_refused("predictions", called, kind, example_of(column), kind))
