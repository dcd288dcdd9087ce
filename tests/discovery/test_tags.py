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
