"""``prime-sql search --from-run``: other thresholds for a stored run."""

import json
from pathlib import Path

import pytest

from tests.cli.command import SEARCH, fail, succeed


def comparable(text):
    return [{**row, "run_id": 0} for row in json.loads(text)]


def test_from_run_answers_like_a_new_search(folder):
    succeed(*SEARCH, "--db", "new.duckdb", "--max-tags", 3)
    changes = ["--min-drop", "0.47", "--max-tags", "2", "--necessity", "0.3"]
    again = ["--from-run", "latest", "--db", "new.duckdb", "--format", "json"]
    stored = succeed("search", *again, *changes)
    fresh = succeed(*SEARCH, *changes, "--format", "json")
    assert comparable(stored.stdout) == comparable(fresh.stdout)
    assert [row["tags"] for row in json.loads(stored.stdout)] == ["toy", "black + hang"]
    assert stored.stderr == "Run 2 is in new.duckdb.\n"
    # Thresholds left out are those of the run that is asked.
    for run, modes in (("2", 2), ("latest", 2), ("1", 3), ("latest", 3)):
        asked = ["search", "--from-run", run, "--db", "new.duckdb", "--format", "json"]
        assert len(json.loads(succeed(*asked).stdout)) == modes


def test_from_run_counts_nothing_and_needs_no_tables(folder):
    for name in ("predictions.parquet", "tags.parquet"):
        (folder / name).unlink()
    result = succeed(
        "search", "--from-run", 1, "--db", "runs.duckdb", "--verbose", "--format", "csv"
    )
    assert len(result.stdout.splitlines()) == 4
    assert "candidates" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--db", "runs.duckdb", "--min-images", "2"], "search the tables again"),
        (["--db", "runs.duckdb", "--max-tags", "5"], "search the tables again"),
        (["--db", "runs.duckdb", "--group-by", "prediction"], "--group-by changes what is counted"),
        (["--db", "runs.duckdb", "--min-score", "0.5"], "--min-score changes what is counted"),
        (["--db", "runs.duckdb", "--wide"], "--wide changes what is counted"),
        # Even where it is what the run had: the flag is refused, not compared.
        (["--db", "runs.duckdb", "--label", "label"], "--label changes what is counted"),
        (["--db", "runs.duckdb", "predictions.parquet", "tags.parquet"], "give it --db, and no t"),
        ([], "give it --db"),
        (["--db", "nope.duckdb"], "nope.duckdb"),
    ],
    ids=str,
)
def test_from_run_says_what_it_cannot_do(folder, arguments, message):
    before = succeed("runs", "runs.duckdb", "--format", "json").stdout
    assert message in fail("search", *arguments, "--from-run", "latest")
    assert succeed("runs", "runs.duckdb", "--format", "json").stdout == before
    assert not Path("nope.duckdb").exists()


@pytest.mark.parametrize("run", ["9", "last", "-1", "1.0", "", "9" * 20])
def test_from_run_wants_a_run(folder, run):
    message = fail("search", "--from-run", run, "--db", "runs.duckdb")
    said = ("no run 9", "the number of a run, or latest", "'--from-run': it is empty")
    assert any(each in message for each in said)
