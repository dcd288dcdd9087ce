"""Each bad input gives one clear error, and leaves every file as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import prime_sql as ps
from tests.discovery.bad_tables import TABLES, P, T
from tests.refusals import refused
from tests.tables import PREDICTIONS, search, write


@pytest.mark.parametrize("case", TABLES)
def test_tables(case: str, tmp_path: Path) -> None:
    options, pieces = TABLES[case]
    with refused(tmp_path, ps.InputError, *pieces):
        search(into=tmp_path / "new.duckdb", **options)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("case", ["misspelt label", "null label", "duplicates", "wide with scores"])
def test_tables_in_files(case: str, ending: str, tmp_path: Path) -> None:
    options, pieces = TABLES[case]
    options = {
        name: write(value.to_dicts(), tmp_path / f"{name}.{ending}")
        if isinstance(value, pl.DataFrame)
        else value
        for name, value in options.items()
    }
    with refused(tmp_path, ps.InputError, *pieces):
        search(into=tmp_path / "new.duckdb", **options)


def test_files_without_rows(tmp_path: Path) -> None:
    P[:0].write_csv(tmp_path / "p.csv")
    P[:0].write_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        with refused(tmp_path, ps.InputError, f"predictions ({tmp_path}/{name}) has no rows"):
            search(tmp_path / name, into=tmp_path / "new.duckdb")


def test_truth_against_numbers_in_a_csv(tmp_path: Path) -> None:
    rows = [{**row, "label": row["label"] == "ape", "prediction": 1} for row in PREDICTIONS]
    path = write(rows, tmp_path / "p.csv")
    with refused(tmp_path, ps.InputError, "one holds true and false, the other numbers"):
        search(path)


@pytest.mark.parametrize(
    "source", [3, None, PREDICTIONS, {"image_id": [1]}, P["label"], P.to_numpy(), b"p.csv", object]
)
@pytest.mark.parametrize("role", ["predictions", "tags"])
def test_objects_that_are_no_tables(source: Any, role: str) -> None:
    sources = {"predictions": P, "tags": T, role: source}
    with pytest.raises(ps.InputError, match=rf"^{role} is .*; give a Parquet, CSV or JSON-lines"):
        ps.search(**sources)
