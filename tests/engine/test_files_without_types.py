"""Ids and labels of files without types stay as they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prime_sql as ps
from tests.engine.forms import relabelled
from tests.tables import (
    PREDICTIONS,
    TAGS,
    column,
    expected,
    found,
    frame,
    renumbered,
    search,
    with_column,
    write,
)

IDS: dict[str, Callable[[int], Any]] = {
    "int": int,
    "leading zeros": "{:03}".format,
    "float": lambda number: number / 2,
    "beyond 64 bits": lambda number: str(10**25 + number),
    "uuid": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD3800{:02X}".format,
    "timestamp": "2020-1-1 10:{:02}".format,
    "truth": lambda number: ["true", "F", "t", "no", "1"][number] if number < 5 else f"{number}",
    "missing": lambda number: ["NA", "null", "nan", "None"][number] if number < 4 else f"{number}",
    "blanks": " {} ".format,
}


@pytest.mark.parametrize(
    ("kind", "ending"),
    [(kind, "csv") for kind in IDS]
    + [(kind, "jsonl") for kind in ("int", "leading zeros", "beyond 64 bits", "uuid", "timestamp")],
)
def test_image_ids_stay_as_written(kind: str, ending: str, tmp_path: Path) -> None:
    predictions, tags = renumbered(PREDICTIONS, IDS[kind]), renumbered(TAGS, IDS[kind])
    path = write(predictions, tmp_path / f"p.{ending}")
    # The tags travel with types, as text, so that a guess on one side only would show.
    run = search(path, frame(with_column(tags, "image_id", map(str, column(tags, "image_id")))))
    assert found(run) == expected(predictions, tags)
    ids = set(run.failure_mode_images.to_polars()["image_id"])
    assert ids < {str(image_id) for image_id in column(predictions, "image_id")}


LABELS = {
    "int": (1, 2, 3),
    "leading zeros": ("01", "02", "03"),
    "some numbers": ("1", "two", "3"),
    "yes and no": ("yes", "no", "T"),
    "dates": ("2020-1-1", "2020-02-02", "2020-3-03"),
    "times": ("10:00", "11:00", "12:00"),
    "words for nothing": ("NA", "null", "None"),
}


@pytest.mark.parametrize(
    ("kind", "ending"),
    [(kind, "csv") for kind in LABELS] + [(kind, "jsonl") for kind in ("int", "dates", "times")],
)
def test_labels_stay_as_written(kind: str, ending: str, tmp_path: Path) -> None:
    rows = relabelled(LABELS[kind])
    assert found(search(write(rows, tmp_path / f"p.{ending}"))) == expected(rows)


def test_csv_whose_labels_only_look_like_numbers(tmp_path: Path) -> None:
    rows = relabelled((1, 2, 3), (1, 2, "unsure"))
    as_text = relabelled(("1", "2", "3"), ("1", "2", "unsure"))
    assert found(search(write(rows, tmp_path / "p.csv"))) == expected(as_text)


def test_csv_of_numbers_is_compared_as_numbers(tmp_path: Path) -> None:
    rows = relabelled((1, 2, 3), (1.0, 2.0, 3.0))
    path = write(rows, tmp_path / "p.csv")
    assert found(search(path)) == expected(rows)
    run = search(path, error="abs(label - prediction) >= 1")
    assert found(run) == expected(rows)


def test_word_far_down_among_the_labels_of_a_csv(tmp_path: Path) -> None:
    # Beyond the rows from which an engine guesses types.
    rows = [{"image_id": f"x{n}", "label": n % 2, "prediction": n % 2} for n in range(25_000)]
    path = write([*rows, *relabelled(("1", "2", "three"))], tmp_path / "p.csv")
    with pytest.warns(ps.InputWarning, match="25,000 of 25,045 images have no tag"):
        run = search(path)
    assert ("three", ("toy",)) in found(run)


def test_group_by_column_of_a_csv_stays_as_written_even_if_a_condition_uses_it(
    tmp_path: Path,
) -> None:
    answers = {"north": "yes", "south": "no"}
    rows = [{**row, "occluded": answers[row["region"]]} for row in PREDICTIONS]
    path = write(rows, tmp_path / "p.csv")
    run = search(path, group_by="occluded")
    assert found(run) == expected(rows, class_of=lambda row: row["occluded"])
    run = search(path, group_by="occluded", where="occluded or not occluded")
    assert found(run) == expected(rows, class_of=lambda row: row["occluded"])


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_tags_stay_as_written(ending: str, tmp_path: Path) -> None:
    names = {"hang": "01", "black": "2020-1-1", "snow": "true", "toy": "1.50", "tree": "NULL"}
    tags = [{**row, "tag": names.get(row["tag"], row["tag"])} for row in TAGS]
    assert found(search(tags=write(tags, tmp_path / f"t.{ending}"))) == expected(tags=tags)
