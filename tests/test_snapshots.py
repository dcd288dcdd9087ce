"""The generated SQL, file by file and set size by set size, as it was last looked at.

After a wanted change: ``UPDATE_SNAPSHOTS=1 make test ARGS=tests/test_snapshots.py``, and read the
difference before committing it.
"""

import os
from pathlib import Path

import polars as pl
import pytest
import sqlglot

import prime_sql as ps
from prime_sql.engine.session import Session

FOLDER = Path(__file__).parent / "snapshots"

# What changes from run to run: the row of `runs`, the names that Ibis gives to frames.
LEFT_OUT = ("attach", "drop", "source_predictions_rows", "source_tags_rows")


@pytest.fixture
def tables():
    predictions = pl.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(12)],
            "truth": ["ape"] * 12,
            "guess": ["bee"] * 4 + ["ape"] * 8,
            "split": ["test"] * 12,
            "camera": ["left", "right"] * 6,
        }
    )
    tags = pl.DataFrame(
        {"image_id": [f"i{n}" for n in range(12)] * 3, "tag": ["a"] * 12 + ["b"] * 12 + ["c"] * 12}
    )
    return predictions, tags


def statements(tables, **options):
    seen = []
    with ps.search(
        *tables, label="truth", prediction="guess", min_images=3, on_sql=seen.append, **options
    ):
        return [s for s in seen if s.step not in LEFT_OUT and "prime.runs values" not in s.sql]


CASES = {
    "portable_3_tags": (None, {"max_tags": 3}),
    "duckdb_3_tags": ("duckdb", {"max_tags": 3}),
    "portable_conditions": (
        None,
        {
            "max_tags": 1,
            "where": "split = 'test'",
            "error": "guess in ('bee', 'it''s') and camera is not null",
            "group_by": ("camera", "label"),
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_sql_of_a_search(case, tables, monkeypatch):
    plan, options = CASES[case]
    monkeypatch.setattr(Session, "plans", plan)
    text = "\n\n".join(
        f"-- {s.step}\n{s.sql}" for s in statements(tables, **options) if s.step != "publish"
    )
    path = FOLDER / f"{case}.sql"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{text}\n".encode())
    assert path.read_bytes().decode() == f"{text}\n"


@pytest.mark.parametrize("dialect", ["postgres", "spark", "clickhouse", "snowflake", "bigquery"])
def test_the_portable_search_translates(dialect, tables, monkeypatch):
    """Other engines come later; what is written today must not shut them out."""
    monkeypatch.setattr(Session, "plans", None)
    steps = [s for s in statements(tables, max_tags=3) if s.step != "publish"]
    names = {s.step for s in steps}
    assert {"candidates_3", "members_3", "tag_sets", "failure_mode_tags"} <= names
    for statement in steps:
        translated = sqlglot.transpile(
            statement.sql, read="duckdb", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE
        )
        assert sqlglot.parse(translated[0], read=dialect)
