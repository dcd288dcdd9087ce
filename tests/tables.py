"""One tiny data set with known failure modes, and the forms in which a user may hand it over.

At `OPTIONS` it has three failure modes: *ape* fails on ``black + hang`` (both tags alone are fine),
*bear* fails on ``snow``, and *cat* on ``toy``. Every image is tagged, so that clean data give no
warning.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pytest

import prime_sql as ps
from tests import oracle

OPTIONS: dict[str, Any] = {"min_images": 4, "min_drop": 0.3, "max_tags": 2}
MODES = {("ape", ("black", "hang")), ("bear", ("snow",)), ("cat", ("toy",))}

# label, tags, images, what the wrong ones are taken for, how many are wrong
_GROUPS = [
    ("ape", "black hang", 4, "bear", 4),
    ("ape", "black tree", 4, "bear", 0),
    ("ape", "hang tree", 4, "bear", 0),
    ("ape", "tree", 4, "cat", 1),
    ("bear", "snow tree", 5, "cat", 4),
    ("bear", "tree", 5, "ape", 0),
    ("bear", "river", 5, "ape", 1),
    ("cat", "toy", 6, "ape", 5),
    ("cat", "sofa", 8, "bear", 0),
]


def _rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    predictions: list[dict[str, Any]] = []
    tags: list[dict[str, Any]] = []
    for label, names, images, wrong, errors in _GROUPS:
        for number in range(images):
            image_id = f"img-{len(predictions):03}"
            predictions.append(
                {
                    "image_id": image_id,
                    "label": label,
                    "prediction": wrong if number < errors else label,
                    "split": "test" if number % 4 else "train",
                    "region": "north" if len(predictions) % 3 else "south",
                }
            )
            tags.extend(
                {"image_id": image_id, "tag": tag, "score": 0.9 - 0.1 * number}
                for tag in names.split()
            )
    return predictions, tags


PREDICTIONS, TAGS = _rows()

Rows = list[dict[str, Any]]
Found = dict[tuple[str, tuple[str, ...]], tuple[int, int]]


def search(predictions: Any = None, tags: Any = None, **options: Any) -> ps.Run:
    """Search this data set, or what is given in its place, at `OPTIONS`."""
    predictions = frame(PREDICTIONS) if predictions is None else predictions
    tags = frame(TAGS) if tags is None else tags
    return ps.search(predictions, tags, **{**OPTIONS, **options})


def found(run: ps.Run) -> Found:
    """Images and errors of each failure mode of a run, by class and sorted tags."""
    tags: dict[str, list[str]] = {}
    for mode_id, tag in run.failure_mode_tags.table.select("mode_id", "tag").to_polars().rows():
        tags.setdefault(mode_id, []).append(tag)
    modes = run.failure_modes.table.select("mode_id", "class_name", "images", "errors")
    return {
        (class_name, tuple(sorted(tags[mode_id]))): (images, errors)
        for mode_id, class_name, images, errors in modes.to_polars().rows()
    }


def expected(
    predictions: Rows = PREDICTIONS,
    tags: Rows = TAGS,
    *,
    class_of: Callable[[dict[str, Any]], str] = lambda row: str(row["label"]),
    is_error: Callable[[dict[str, Any]], bool] = lambda row: row["label"] != row["prediction"],
    **options: Any,
) -> Found:
    """What the oracle finds in these rows, in the form of `found`."""
    modes = oracle.failure_modes(
        [(class_of(row), str(row["image_id"]), is_error(row)) for row in predictions],
        [(str(row["image_id"]), str(row["tag"])) for row in tags],
        **{**OPTIONS, **options},
    )
    return {key: (mode.images, mode.errors) for key, mode in modes.items()}


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


def column(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows]


def with_column(rows: Rows, name: str, values: Iterable[Any]) -> Rows:
    """The rows with one column replaced."""
    return [{**row, name: value} for row, value in zip(rows, values, strict=True)]


def renumbered(rows: Rows, image_id: Callable[[int], Any]) -> Rows:
    """The rows with other image_ids, made from the numbers in the present ones."""
    return with_column(rows, "image_id", (image_id(int(row["image_id"][-3:])) for row in rows))


def wide(tags: Rows = TAGS, *, yes: Any = True, no: Any = False) -> Rows:
    """One row for each image, one column for each tag."""
    names = sorted({row["tag"] for row in tags})
    carried = {(row["image_id"], row["tag"]) for row in tags}
    return [
        {"image_id": i, **{name: yes if (i, name) in carried else no for name in names}}
        for i in dict.fromkeys(row["image_id"] for row in tags)
    ]


def listed(tags: Rows = TAGS) -> Rows:
    """One row for each image, its tags in a list."""
    lists: dict[Any, list[str]] = {}
    for row in tags:
        lists.setdefault(row["image_id"], []).append(row["tag"])
    return [{"image_id": i, "tag": names} for i, names in lists.items()]


# Files --------------------------------------------------------------------------------------------


def write(rows: Rows, path: Path) -> Path:
    """Write rows in the format that the ending of the path asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        frame(rows).write_parquet(path)
    elif name.endswith(".tsv"):
        frame(rows).write_csv(path, separator="\t")
    elif name.endswith((".csv", ".csv.gz")):
        # pandas compresses by the ending
        pd.DataFrame(rows).to_csv(path, index=False)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows))
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def warned(caught: pytest.WarningsRecorder) -> list[str]:
    """The messages of prime_sql among the warnings that were caught."""
    return [str(each.message) for each in caught if each.category is ps.InputWarning]


def write_tables(path: Path, schema: str = "main", **tables: Rows) -> Path:
    """Write tables into a DuckDB file."""
    with duckdb.connect(path) as con:
        con.execute(f"create schema if not exists {schema}")
        for name, rows in tables.items():
            con.register("rows_to_write", frame(rows))
            con.execute(f'create or replace table {schema}."{name}" as from rows_to_write')
            con.unregister("rows_to_write")
    return path


def write_sqlite(path: Path, **tables: Rows) -> ibis.BaseBackend:
    """Write tables into an SQLite file; return the Ibis connection to it."""
    with sqlite3.connect(path) as con:
        for name, rows in tables.items():
            pd.DataFrame(rows).to_sql(name, con, index=False)
    return ibis.sqlite.connect(path)
