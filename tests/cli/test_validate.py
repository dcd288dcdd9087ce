"""``prime-sql validate``, and ``search`` with a split."""

import inspect
import json

import polars as pl
import pytest

import prime_sql as ps
from tests.cli.command import fail, parameters, succeed
from tests.questions.unseen import VALIDATED, halves, modes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictions, tags = halves()
    predictions.write_parquet("predictions.parquet")
    tags.write_parquet("tags.parquet")
    return tmp_path


TABLES = ["predictions.parquet", "tags.parquet"]

SEARCH = ["search", *TABLES, "--min-images", "4", "--min-drop", "0.3"]

PARTS = ["--split", "half", "--find", "a", "--check", "b"]

VALIDATE = ["validate", "runs.duckdb", *TABLES, "--where", "half = 'b'"]


def test_search_with_a_split_prints_one_line_more(folder):
    plain = succeed(*SEARCH, "--where", "half = 'a'", "--quiet").stdout
    result = succeed(*SEARCH, *PARTS, "--db", "runs.duckdb")
    line = "On unseen data (half = 'b'): 3 failure modes are all undecided, on fewer than 10 unseen"
    assert result.stdout == f"{plain}{line} images.\n"
    assert result.stderr == "Run 1 is in runs.duckdb.\n"
    assert "unseen" not in succeed(*SEARCH, *PARTS, "--format", "csv").stdout
    assert "give split (a column)" in fail(*SEARCH, "--split", "half")
    assert "--split changes what is counted" in fail(
        "search", "--db", "runs.duckdb", "--from-run", "latest", *PARTS
    )


def test_validate_prints_modes_and_a_summary(folder):
    succeed(*SEARCH, "--where", "half = 'a'", "--db", "runs.duckdb")
    result = succeed(*VALIDATE, "--min-unseen-images", "5", "--quiet")
    rows = [line.split()[-1] for line in result.stdout.splitlines() if "%" in line]
    assert sorted(rows) == ["fails", "holds", "undecided"]
    assert result.stdout.splitlines()[-1] == (
        "On unseen data (half = 'b'): 1 of 2 decided failure modes holds, 1 undecided."
    )
    # As many as the tables of Python
    printed = json.loads(succeed(*VALIDATE, "--format", "json", "--tolerance", "0").stdout)
    with ps.open_run("runs.duckdb") as run:
        assert printed == modes(run.validation)
        assert run.validation.tolerance == 0
    succeed(*VALIDATE, "-o", "verdicts.csv")
    assert pl.read_csv("verdicts.csv").columns == VALIDATED
    assert "runs.duckdb holds no run 9" in fail(*VALIDATE, "--run", "9")
    assert "tolerance must be between 0 and 1" in fail(*VALIDATE, "--tolerance", "2")
    assert "cannot write verdicts.txt" in fail(*VALIDATE, "-o", "verdicts.txt")
    shown = succeed(*VALIDATE, "--verbose", "--format", "csv").stderr
    assert "\nverdicts: " in shown


def test_validate_without_failure_modes(folder):
    succeed("search", *TABLES, "--db", "runs.duckdb", "--quiet")
    result = succeed(*VALIDATE, "--quiet")
    assert result.stdout.startswith("Run 1 has no failure modes. No tag is frequent")


def test_the_command_has_a_flag_for_every_argument_with_its_default():
    flags = parameters("validate")
    arguments = inspect.signature(ps.Run.validate).parameters
    others = {"db", "run", "wait", "format_", "output_", "quiet", "verbose"}
    assert flags.keys() - others == arguments.keys() - {"run", "on_sql"}
    for name in flags.keys() - others - {"predictions", "tags"}:
        assert flags[name].default == arguments[name].default
        assert flags[name].help
