"""Conditions: which rows are searched, and which are errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.discovery.hostile import wrong
from tests.tables import (
    PREDICTIONS,
    expected,
    found,
    frame,
    search,
    write,
)

CONDITIONS = [
    "split = 'test'",
    "\"split\" = 'test'",
    "SPLIT = 'test' -- a comment",
    "split = 'test' /* another */ ;",
    "split in ('test', 'it''s; -- {{ x }}')",
    "not (split = 'train' or split is null)",
    "case split when 'test' then true end",
    "regexp_matches(split, '^t.s\\w$')",
    "split ~ 'te.*' and split not like '%\\%'",
    "length(split) // 3 = 1 and length(split) / 8 = 0.5 and 2 ** 2 = length(split)",
    "date '2020-03-01' - date '2020-02-28' = 2 and split = 'test'",
    "image_id in (select image_id from source_predictions where split = 'test')",
]


@pytest.mark.filterwarnings("ignore:.*have no prediction:prime_sql.InputWarning")
@pytest.mark.parametrize("where", CONDITIONS)
def test_where_keeps_the_rows_for_which_it_is_true(where: str) -> None:
    rows = [row for row in PREDICTIONS if row["split"] == "test"]
    run = search(where=where)
    assert found(run) == expected(rows) != expected()
    assert run.row_counts["predictions"] == len(rows)


ERRORS: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("prediction = 'ape'", lambda row: row["prediction"] == "ape"),
    (
        "region = 'south' and label <> prediction",
        lambda row: row["region"] == "south" and wrong(row),
    ),
    ("(label <> prediction)::int", wrong),
    ("label not in (prediction, 'ape')", lambda row: wrong(row) and row["label"] != "ape"),
    ("coalesce(nullif(region, 'south') = 'x', true)", lambda row: row["region"] == "south"),
]


@pytest.mark.parametrize(("error", "is_error"), ERRORS, ids=[error for error, _ in ERRORS])
def test_error_conditions(error: str, is_error: Callable[[dict[str, Any]], bool]) -> None:
    run = search(error=error, min_drop=0.1)
    assert found(run) == expected(is_error=is_error, min_drop=0.1) != {}


def test_fields_of_a_column_stand_in_conditions(tmp_path: Path) -> None:
    rows = [{**row, "pose": {"facing": row["region"]}} for row in PREDICTIONS]
    for predictions in (frame(rows), write(rows, tmp_path / "p.jsonl")):
        run = search(predictions, error="label <> prediction and Pose.facing = 'north'")
        assert found(run) == expected(is_error=lambda r: wrong(r) and r["region"] == "north")


def test_distance_between_numbers_is_an_error() -> None:
    age = {"ape": 30, "bear": 40, "cat": 50}
    rows = [
        {**row, "label": age[row["label"]], "prediction": age[row["prediction"]] + 0.5}
        for row in PREDICTIONS
    ]
    run = search(frame(rows), error="abs(label - prediction) > 5")
    assert found(run) == expected(class_of=lambda row: str(age[row["label"]]))


def test_neither_label_nor_prediction_is_needed_where_nothing_asks_for_them() -> None:
    rows = [{**row, "wrong": row["label"] != row["prediction"]} for row in PREDICTIONS]
    bare = frame(rows).select("image_id", "region", "wrong")
    expect = expected(class_of=lambda row: row["region"], min_drop=0.1)
    assert found(search(bare, error="wrong", group_by="region", min_drop=0.1)) == expect != {}
    # There but empty, they are not looked at.
    empty = bare.with_columns(label=None, prediction=None)
    assert found(search(empty, error="wrong", group_by="region", min_drop=0.1)) == expect
