"""JSON files, whose shape is decided from all records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import prime_sql as ps
from tests.refusals import refused
from tests.tables import PREDICTIONS, TAGS, Rows, expected, found, listed, search, write

LISTED = listed()


def predicted(shape: Any) -> Rows:
    return [{**row, "prediction": shape(row["prediction"])} for row in PREDICTIONS]


SHAPES: dict[str, tuple[str, Rows, list[str]]] = {
    "label and score": (
        "predictions",
        predicted(lambda label: {"label": label, "score": 0.9}),
        ["predictions.prediction is an object in 45 rows, for example", "a column of its own"],
    ),
    "label and score in the last rows": (
        "predictions",
        PREDICTIONS[:40] + predicted(lambda label: {"label": label})[40:],
        ["predictions.prediction is an object in 5 rows", ", and something else in 40;"],
    ),
    "top five": (
        "predictions",
        predicted(lambda label: [label, "dog"]),
        ["predictions.prediction is a list in 45 rows, for example ['bear', 'dog']; it has to be "
         'one value: take the first, or say what is wrong with an error such as "not list_conta'],
    ),
    "image as an object": (
        "predictions",
        [{**row, "image_id": {"file": row["image_id"]}} for row in PREDICTIONS],
        ["predictions.image_id is an object in 45 rows"],
    ),
    "score of each tag": (
        "tags",
        [{**row, "tag": dict.fromkeys(row["tag"], 0.9)} for row in LISTED],
        ["tags.tag is an object in 45 rows", "write one row for each tag, its score in a column"],
    ),
    "objects in a list": (
        "tags",
        [{**row, "tag": [{"tag": tag} for tag in row["tag"]]} for row in LISTED],
        ["tags.tag is a list with an object in it, 62 times", "write one row for each tag"],
    ),
    "lists of lists": (
        "tags",
        [{**row, "tag": [row["tag"]]} for row in LISTED],
        ["tags.tag is a list", "write one row for each tag"],
    ),
    "a list, or one": (
        "tags",
        [{**row, "tag": row["tag"] if row["tag"][1:] else row["tag"][0]} for row in LISTED],
        ["tags.tag is a list in 17 rows", "and something else in 28"],
    ),
    "not a table": (
        "tags",
        [["img-000", "snow"]],  # type: ignore[list-item]
        ["each record has to be an object such as", "but some are not"],
    ),
    "names that differ in case": (
        "tags",
        [*TAGS, {"Image_ID": "img-001", "tag": "snow"}],
        ["has 2 columns of one name: 'image_id' and 'Image_ID'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_that_are_no_names(kind: str, ending: str, tmp_path: Path) -> None:
    role, rows, pieces = SHAPES[kind]
    path = write(rows, tmp_path / f"x.{ending}")
    with refused(tmp_path, ps.InputError, *pieces):
        search(**{role: path}, into=tmp_path / "new.duckdb")


def test_key_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"image_id": 1, "label": "a", "label": "b", "prediction": "a"}\n')
    with refused(tmp_path, ps.InputError, "cannot read predictions (", 'has duplicate key "label"'):
        search(path)


@pytest.mark.parametrize("nothing", [None, []])
def test_first_images_without_tags(nothing: Any, tmp_path: Path) -> None:
    # More than an engine looks at to guess.
    others = [{"image_id": f"x{number}", "tag": nothing} for number in range(21_000)]
    assert found(search(tags=write([*others, *LISTED], tmp_path / "t.jsonl"))) == expected()


@pytest.mark.parametrize(
    "word", ["2020-01-01", "10:00:00", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "1"]
)
def test_words_in_lists_that_look_like_something_else(word: str, tmp_path: Path) -> None:
    tags = [{**row, "tag": row["tag"].replace("snow", word)} for row in TAGS]
    assert found(search(tags=write(listed(tags), tmp_path / "t.jsonl"))) == expected(tags=tags)


def test_words_among_numbers(tmp_path: Path) -> None:
    labels: dict[str, Any] = {"ape": 1, "bear": "two", "cat": 3.5}
    rows = [
        {**row, "label": labels[row["label"]], "prediction": labels[row["prediction"]]}
        for row in PREDICTIONS
    ]
    assert found(search(write(rows, tmp_path / "p.jsonl"))) == expected(rows)


def test_lists_of_predictions_with_a_condition(tmp_path: Path) -> None:
    rows = predicted(lambda label: [label, "dog"])
    run = search(write(rows, tmp_path / "p.jsonl"), error="not list_contains(prediction, label)")
    assert found(run) == expected()


def test_numbers_that_are_written_in_two_ways(tmp_path: Path) -> None:
    labels = {"ape": 1, "bear": 2, "cat": 3}
    rows = [
        {**row, "label": labels[row["label"]], "prediction": float(labels[row["prediction"]])}
        for row in PREDICTIONS
    ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(rows))
    assert found(search(path)) == expected(rows)
