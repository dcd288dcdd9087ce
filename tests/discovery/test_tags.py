"""Tags in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import prime_sql as ps
from tests.discovery.hostile import NAMES
from tests.tables import (
    PREDICTIONS,
    TAGS,
    expected,
    found,
    frame,
    listed,
    search,
    wide,
    write,
)

YES_NO = [(True, False), (True, None), (1, 0), (1.0, 0.0), (1.0, None)]


@pytest.mark.parametrize(
    ("yes", "no", "form"),
    [(yes, no, form) for yes, no in YES_NO for form in ("frame", "csv")] + [(1, 0, "parquet")],
)
def test_wide_tags(yes: Any, no: Any, form: str, tmp_path: Path) -> None:
    rows = wide(yes=yes, no=no)
    tags = frame(rows) if form == "frame" else write(rows, tmp_path / f"t.{form}")
    assert found(search(tags=tags, wide=True)) == expected()


def test_wide_column_without_any_value_is_a_tag_of_no_image() -> None:
    tags = frame(wide()).with_columns(nothing=None)
    assert found(search(tags=tags, wide=True)) == expected()


def test_wide_columns_with_hostile_names() -> None:
    names = dict(zip(sorted({row["tag"] for row in TAGS}), NAMES, strict=False))
    tags = [{**row, "tag": names[row["tag"]]} for row in TAGS]
    assert found(search(tags=frame(wide(tags)), wide=True)) == expected(tags=tags)


def test_lists_of_tags() -> None:
    tags = frame(listed())
    assert found(search(tags=tags)) == expected()
    # Beside the predictions, in one table for both.
    both = frame(PREDICTIONS).join(tags, on="image_id")
    assert found(search(both, both)) == expected()
    with pytest.warns(ps.InputWarning, match="45 of 45 images have no tag"):
        assert found(search(tags=tags.with_columns(tag=pl.lit([], dtype=pl.List(pl.String))))) == {}


def test_numbers_as_tags() -> None:
    number = {tag: place for place, tag in enumerate(sorted({row["tag"] for row in TAGS}))}
    tags = [{**row, "tag": number[row["tag"]]} for row in TAGS]
    assert found(search(tags=frame(tags))) == expected(tags=tags)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_min_score_drops_weak_tags_and_those_without_a_score(missing: float | None) -> None:
    tags = [{**row, "score": missing if row["tag"] == "snow" else row["score"]} for row in TAGS]
    strong = [row for row in tags if row["tag"] != "snow" and row["score"] >= 0.6]
    with pytest.warns(ps.InputWarning, match="images have no tag"):
        run = search(tags=frame(tags), min_score=0.6)
    assert found(run) == expected(tags=strong) != expected()


CODES: list[tuple[Any, Any, str]] = [
    (1, -1, "value = 1"),
    (1, -1, "value > 0"),
    ("Y", "N", "value = 'Y'"),
    (80, 3, "value >= 50"),
    (0.8, 0.3, "value between 0.5 and 1"),
    ("80%", "3%", "cast(rtrim(value, '%') as double) >= 50"),
    ("yes", "unsure", "value = 'yes'"),
]


@pytest.mark.parametrize("form", ["frame", "csv", "parquet"])
@pytest.mark.parametrize(("yes", "no", "present"), CODES)
def test_wide_tags_in_a_code(yes: Any, no: Any, present: str, form: str, tmp_path: Path) -> None:
    rows = wide(yes=yes, no=no)
    tags = frame(rows) if form == "frame" else write(rows, tmp_path / f"t.{form}")
    run = search(tags=tags, wide=True, present=present)
    assert found(run) == expected()
    if (yes, form) == ("Y", "csv"):  # a file without types may mean what it says
        assert found(search(tags=tags, wide=True)) == expected()
        return
    with pytest.raises(ps.InputError, match=r"^tags\.\w+ (is|holds)"):
        search(tags=tags, wide=True)


def test_conditions_on_wide_tags_that_cannot_be_computed() -> None:
    tags = frame(wide(yes="Y", no="N"))
    for present, message in {
        "value >": "present is not an SQL condition",
        "snow > 0": "a column of a wide table is called value there, not 'snow'",
        "value + 1": "present",
        "cast(value as double) > 0": "present cannot be computed on every value, which is text",
    }.items():
        with pytest.raises(ps.OptionError, match=message):
            search(tags=tags, wide=True, present=present)


@pytest.mark.parametrize("name", ["tag", "value", "image_id", "name of the column", "t g"])
def test_wide_columns_with_names_of_ours(name: str) -> None:
    tags = [{**row, "tag": row["tag"].replace("snow", name)} for row in TAGS]
    file = "file" if name == "image_id" else "image_id"
    rows = frame(wide()).rename({"image_id": file, "snow": name})
    predictions = frame(PREDICTIONS).rename({"image_id": file})
    assert found(search(predictions, rows, wide=True, image_id=file)) == expected(tags=tags)


def test_wide_columns_that_differ_only_in_case(tmp_path: Path) -> None:
    rows = [{**row, "Snow": False} for row in wide()]
    for source in (
        frame(rows),
        *(write(rows, tmp_path / f"t.{end}") for end in ("csv", "jsonl", "parquet")),
    ):
        with pytest.raises(ps.InputError, match="2 columns of one name: 'snow' and 'Snow'"):
            search(tags=source, wide=True)
