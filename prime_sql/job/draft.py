"""A first job file, written from the tables that it will search."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ibis.expr.types import Column, Table

from prime_sql.engine import places, queries
from prime_sql.engine.database import Database
from prime_sql.engine.errors import (
    InputError,
    WarehouseError,
    did_you_mean,
    shorten,
    shorten_list,
)
from prime_sql.engine.named_sources import named
from prime_sql.engine.open_source import open_source
from prime_sql.engine.options import Options
from prime_sql.engine.sources import Wanted
from prime_sql.job.sections import Columns

SCHEMA = "prime.schema.json"

# What the columns are often called, in the order in which they are tried.
_NAMES = {
    "image_id": "image_id image img_id img id file_name file path uri url key sample_id",
    "label": "label labels truth target y_true true_label ground_truth gt class class_name "
    "category actual expected",
    "prediction": "prediction predicted pred predictions y_pred predicted_label pred_label "
    "predicted_class guess output",
    "tag": "tag tags keyword keywords attribute attributes concept concepts word words name",
    "score": "score confidence probability prob similarity",
}
_SPLIT = "split fold subset partition part set"
_FIND = "val valid validation dev train training"
_CHECK = "test testing holdout unseen val valid validation dev"
_MOST_VALUES = 50  # of a column to group by


@dataclass(frozen=True)
class Draft:
    """What was guessed about two tables.

    Attributes
    ----------
    columns
        What the columns are called, by their names in prime_sql.
    wide
        Whether the tags table has a column per tag.
    min_images
        Fewest images of a failure mode, fitted to the sizes of the classes.
    split, find, check
        The column that splits the predictions, and its two values; None if there is none.
    where
        What makes images unique, if there are several models.
    business
        Other columns of the predictions with few values.
    has_score
        Whether tags have scores.
    """

    columns: dict[str, str]
    wide: bool
    min_images: int
    split: str | None
    find: str | None
    check: str | None
    where: str | None
    business: list[str]
    has_score: bool


def write(
    predictions: str, tags: str, *, db: str, folder: Path, columns: Mapping[str, str | None]
) -> str:
    """Return the text of a job file for two tables.

    Parameters
    ----------
    predictions, tags
        The tables, in the forms that `search` takes by name.
    db
        The database of the job; the tables may be in it.
    folder
        Where the job file will be; paths in it are relative to it.
    columns
        What columns are called, as far as that is known.

    Raises
    ------
    InputError
        When a table cannot be read, or it is unclear which column is which.
    """
    places.check_readable(db, "cannot open the database", WarehouseError)
    home = Path(db).absolute().parent
    if not home.is_dir():
        raise WarehouseError(f"--db {db}: the folder {home} does not exist; make it first")
    database = Database(db, read_only=True) if Path(db).exists() else Database(None)
    wanted = Wanted(text=frozenset({"image_id"}))
    try:
        with database.session() as session:
            tables = [
                open_source(source, role, session, wanted).table
                for role, source in (("predictions", predictions), ("tags", tags))
            ]
            for role, source, table in zip(
                ("predictions", "tags"), (predictions, tags), tables, strict=True
            ):
                if not table.limit(1).count().to_pyarrow().as_py():
                    raise InputError(f"{role}: {source} has no rows to guess from")
            known = {name: column for name, column in columns.items() if column is not None}
            _check(known, tables)
            draft = _guess(tables[0], tables[1], known)
    finally:
        database.discard()
    return _text(
        draft,
        _from(folder, predictions, "predictions"),
        _from(folder, tags, "tags"),
        os.path.relpath(db, folder),
    )


def _from(folder: Path, source: str, role: str) -> str:
    """Return the name of a source as seen from another folder."""
    place = named(source, role)
    if place is None:
        there = "://" in source or Path(source).is_absolute()
        return source if there else os.path.relpath(source, folder)
    path, table = place
    if path is None:
        return table
    return f"{path if path.is_absolute() else os.path.relpath(path, folder)}:{table}"


def _check(known: dict[str, str], tables: list[Table]) -> None:
    """Refuse a column that was named but does not exist.

    Raises
    ------
    InputError
        When a table lacks it.
    """
    both = dict(zip(("predictions", "tags"), tables, strict=True))
    of = {"image_id": ("predictions", "tags"), "tag": ("tags",)}
    for name, column in known.items():
        for role in of.get(name, ("predictions",)):
            table = both[role]
            if column not in table.columns:
                raise InputError(
                    f"{role} has no column {shorten(column)} (--{name.replace('_', '-')})."
                    f"{did_you_mean(column, table.columns)} It has: {shorten_list(table.columns)}."
                )


# Guessing -----------------------------------------------------------------------------------------


def _guess(predictions: Table, tags: Table, known: dict[str, str]) -> Draft:
    columns = dict(known)
    both = [name for name in predictions.columns if name in tags.columns]
    taken = {*columns.values()}
    rest = [name for name in predictions.columns if name not in taken]
    columns.setdefault("image_id", _one("image_id", [n for n in both if n not in taken], both))
    rest = [name for name in rest if name != columns["image_id"]]
    for name in ("label", "prediction"):
        if name not in columns:
            columns[name] = _one(name, rest, predictions.columns)
            rest.remove(columns[name])
    others = [name for name in tags.columns if name != columns["image_id"]]
    tag = columns.get("tag") or _named("tag", others)
    wide = tag is None and len(others) > 1 and _is_wide(tags, others)
    if not wide:
        columns["tag"] = tag or (others[0] if len(others) == 1 else _one("tag", others, others))
    score = columns.get("score") or _named("score", others)
    if score and not wide:
        columns["score"] = score

    split, find, check = _parts(predictions, rest)
    part = (
        predictions if split is None else predictions.filter(_text_of(predictions[split]) == find)
    )
    where = None
    models = _values(predictions[_found("model", rest)]) if _found("model", rest) else []
    if len(models) > 1:
        model = _found("model", rest) or ""
        where = f"{_sql_name(model)} = {queries.literal(models[0])}"
        part = part.filter(_text_of(part[model]) == models[0])
    sizes = part.group_by(class_name=part[columns["label"]]).aggregate(images=part.count())
    images = sizes.to_pyarrow()["images"].to_pylist()
    business = [
        name
        for name in rest
        if name != split
        and (predictions[name].type().is_string() or predictions[name].type().is_integer())
        and 2 <= predictions[name].nunique().to_pyarrow().as_py() <= _MOST_VALUES
    ]
    return Draft(
        columns,
        wide,
        # A tenth of a class, so that a few images by chance are not a failure mode; for large
        # classes, the paper's 30.
        min(Options.min_images, max(5, round(median(images) / 10))) if images else 5,
        split,
        find,
        check,
        where,
        business,
        bool(score) and not wide,
    )


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _found(names: str, columns: Iterable[str]) -> str | None:
    by_key = {_key(column): column for column in reversed([*columns])}
    return next((by_key[_key(name)] for name in names.split() if _key(name) in by_key), None)


def _named(role: str, columns: Iterable[str]) -> str | None:
    return _found(_NAMES[role], columns)


def _one(role: str, columns: list[str], shown: Iterable[str]) -> str:
    """Return the column whose name means `role`, or the only one.

    Raises
    ------
    InputError
        When there is none; the message says which option names it.
    """
    found = _named(role, columns)
    if found is None and role == "image_id" and len(columns) == 1:
        found = columns[0]
    if found is None:
        tables = {"image_id": "both tables have", "tag": "tags has"}
        table = tables.get(role, "predictions has")
        raise InputError(
            f"cannot tell which column is the {role}; {table}: "
            f"{shorten_list([*shown]) or 'no column in common'}. Name it with "
            f"--{role.replace('_', '-')}."
        )
    return found


def _is_wide(tags: Table, columns: list[str]) -> bool:
    numbers = [name for name in columns if not tags[name].type().is_boolean()]
    if any(not tags[name].type().is_integer() for name in numbers):
        return False
    if not numbers:
        return True
    odd = tags.aggregate(
        **{f"odd_{i}": (~tags[name].isin([0, 1])).sum() for i, name in enumerate(numbers)}
    )
    return not any(odd.to_pyarrow().to_pylist()[0].values())


def _text_of(column: Column) -> Column:
    return column.cast(str)


def _values(column: Column) -> list[str]:
    """Return the values of a column, most frequent first; none if there are too many."""
    table = _text_of(column).name("value").as_table()
    counts = table.filter(table["value"].notnull()).value_counts(name="rows")
    rows: list[dict[str, Any]] = counts.limit(_MOST_VALUES + 1).to_pyarrow().to_pylist()
    if len(rows) > _MOST_VALUES:
        return []
    return [row["value"] for row in sorted(rows, key=lambda row: (-row["rows"], row["value"]))]


_Parts = tuple[str, str, str] | tuple[None, None, None]


def _parts(predictions: Table, columns: list[str]) -> _Parts:
    """Return a column that splits the predictions, and the values to find and to check on."""
    split = _found(_SPLIT, columns)
    if split is None:
        return None, None, None
    values = _values(predictions[split])
    find = _found(_FIND, values)
    check = _found(_CHECK, [value for value in values if value != find])
    return (split, find, check) if find and check else (None, None, None)


def _sql_name(name: str) -> str:
    return name if re.fullmatch(r"[a-z_]\w*", name) else queries.identifier(name)


# Writing ------------------------------------------------------------------------------------------


def _text(draft: Draft, predictions: str, tags: str, db: str) -> str:
    defaults = Columns()
    renamed = {
        name: column for name, column in draft.columns.items() if column != getattr(defaults, name)
    }
    lines = [
        f"#:schema ./{SCHEMA}",
        "# A job of prime_sql. Check it: prime-sql run FILE --check. Run it: prime-sql run FILE.",
        "# Paths are relative to this file. ${NAME} is an environment variable, ${NAME:-default}",
        "# one with a default; values of variables are neither printed nor stored.",
        "",
        f"db = {_quoted(db)}  # for the runs; created if need be",
        "# wait = 600  # seconds, if another process has the database open",
        '# memory_limit = "4GB"  # what does not fit goes to temp_dir',
        f"# temp_dir = {_quoted(tempfile.gettempdir())}",
        "# append = true  # the sources are what is new since the last run of this job",
        "",
        "[sources]",
        f"predictions = {_quoted(predictions)}",
        f"tags = {_quoted(tags)}",
    ]
    if renamed:
        lines += ["", "[columns]  # their names in the sources"]
        lines += [f"{name} = {_quoted(column)}" for name, column in renamed.items()]
    lines += ["", "[options]"]
    if draft.where:
        lines += [f"where = {_quoted(draft.where)}  # one model of several"]
    else:
        lines += ['# where = "…"  # SQL condition on the predictions']
    lines += [
        f"min_images = {draft.min_images}  # fewest images of a failure mode",
        f"min_drop = {Options.min_drop}  # smallest drop below the accuracy of the class",
        f"max_tags = {Options.max_tags}  # largest tag set",
    ]
    if draft.wide:
        lines += ["wide = true  # one column per tag"]
        lines += ['# present = "value > 0"  # which values mean that the tag is there']
    else:
        lines += ['# split_tags = ";"  # a tag such as snow;dog is several']
    lines += ["# normalise_tags = true  # tags that differ only in case or spaces are one"]
    if draft.has_score:
        lines += ["# min_score = 0.5  # leave out tags with a lower score"]
    for name in draft.business:
        classes = f"[{_quoted(draft.columns['label'])}, {_quoted(name)}]"
        lines += [f"# group_by = {classes}  # classes also by {name}"]
    lines += ["", "# Do failure modes hold on unseen data?"]
    if draft.split:
        lines += [
            "[validation]",
            f"split = {_quoted(draft.split)}",
            f"find = {_quoted(str(draft.find))}",
            f"check = {_quoted(str(draft.check))}",
        ]
    else:
        lines += [
            "# [validation]",
            '# predictions = "new_predictions.parquet"',
            '# tags = "new_tags.parquet"',
        ]
    lines += [
        "",
        "# Are they due to chance? q-values, and searches on shuffled errors.",
        "# [chance]",
        "# shuffles = 20",
        "",
        "# A business table that questions and SQL below can join with by its name.",
        "# [joins.orders]",
        '# source = "orders.parquet"',
        '# image_id = "image_id"  # its column that names the image',
        "",
        "[[outputs]]",
        'report = "report.html"',
        "",
        "[[outputs]]",
        'file = "failure_modes.parquet"',
        "",
        "# [[outputs]]",
        '# table = "marts.failure_modes_by_region"',
        '# question = "failure_modes_by"  # or sql = "…", or sql_file = "….sql"',
        '# params = { table = "orders", column = "region" }',
        "",
        "# When to exit with status 1; the outputs are published all the same.",
        "# [gates]",
        '# fail_on = ["new", "accuracy_drop > 0.4 and images >= 50"]',
        '# junit = "failure_modes.xml"',
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Write a TOML string."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    quoted = "".join(
        escapes.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text
    )
    return f'"{quoted}"'.replace("${", "$${")
