"""``prime-sql search``: what it prints where, and its exit status."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests import tables as data
from tests.cli.command import COLUMNS, SEARCH, THRESHOLDS, fail, succeed

# search: what is printed --------------------------------------------------------------------------


def read(text, form):
    if form == "json":
        return json.loads(text)
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    names, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    ]
    return [dict(zip(names, line, strict=True)) for line in lines]


@pytest.mark.parametrize("form", ["json", "csv", "markdown"])
def test_search_prints_the_columns_of_the_design_and_nothing_else(folder, form):
    result = succeed(*SEARCH, "--format", form)
    found = read(result.stdout, form)
    assert [list(row) for row in found] == [COLUMNS] * 3
    # 5 - 6 × 5/14, 4 - 4 × 5/16, 4 - 5 × 1/3 excess errors
    assert [(row["class_name"], row["tags"]) for row in found] == [
        ("cat", "toy"),
        ("ape", "black + hang"),
        ("bear", "snow"),
    ]
    assert float(found[1]["excess_errors"]) == pytest.approx(2.75)
    assert result.stderr == ""
    if form == "json":
        assert found[1] == {
            "run_id": 1,
            "mode_id": found[1]["mode_id"],
            "class_name": "ape",
            "tags": "black + hang",
            "tag_count": 2,
            "images": 4,
            "errors": 4,
            "accuracy": 0.0,
            "class_images": 16,
            "class_errors": 5,
            "class_accuracy": 0.6875,
            "accuracy_drop": 0.6875,
            "excess_errors": 2.75,
            "error_coverage": 0.8,
        }


def test_modes_of_equal_excess_are_sorted_by_class_and_tags(tmp_path):
    rows = [
        {"image_id": f"{label}{n}", "label": label, "prediction": label if n % 4 > 1 else "x"}
        for label in ("b", "a")
        for n in range(16)
    ]
    tags = [
        {"image_id": row["image_id"], "tag": f"{side}{int(row['image_id'][1:]) % 4}"}
        for row in rows
        for side in ("z", "y")
    ]
    data.write(rows, tmp_path / "p.csv")
    data.write(tags, tmp_path / "t.csv")
    result = succeed(
        "search",
        tmp_path / "p.csv",
        tmp_path / "t.csv",
        *THRESHOLDS,
        "--format",
        "json",
        "--max-tags",
        1,
    )
    found = json.loads(result.stdout)
    assert {row["excess_errors"] for row in found} == {2.0}
    assert [(row["class_name"], row["tags"]) for row in found] == [
        (label, tag) for label in ("a", "b") for tag in ("y0", "y1", "z0", "z1")
    ]


@pytest.mark.parametrize(
    ("form", "text"), [("json", "[]\n"), ("csv", ",".join(COLUMNS) + "\n"), ("markdown", None)]
)
def test_no_failure_mode_is_a_result_with_a_reason(folder, form, text):
    result = succeed(*SEARCH, "--min-images", 30, "--format", form)
    if text is None:
        assert result.stdout.startswith("| run_id | mode_id |")
        assert result.stdout.count("\n") == 2
    else:
        assert result.stdout == text
    assert result.stderr.startswith("No failure modes. No class has 30 images; the largest has 16")


def test_no_failure_mode_as_a_table_or_a_file(folder):
    result = succeed(*SEARCH, "--min-images", 30)
    assert result.stdout.startswith("No failure modes. No class has 30 images")
    assert result.stderr == ""
    result = succeed(*SEARCH, "--min-images", 30, "-o", "modes.json")
    assert Path("modes.json").read_text() == "[]\n"
    assert "Wrote 0 rows to modes.json." in result.stderr
    assert "No failure modes. No class has 30 images" in result.stderr
    # Nothing to say: nothing said, so that a nightly job sends no mail.
    result = succeed(*SEARCH, "--min-images", 30, "-o", "modes.json", "--quiet")
    assert result.output == ""


def test_search_without_a_format_prints_a_table(folder):
    result = succeed(*SEARCH)
    assert result.stdout.startswith("3 failure modes")
    lines = [line.split() for line in result.stdout.splitlines() if "black + hang" in line]
    assert lines == [["ape", "black", "+", "hang", "4", "0.0%", "68.8%", "4", "60.0%"]]
    assert "3 of 3 failure modes shown.\nThose shown explain 87% of 15 errors.\n" in result.stdout
    assert result.stderr == ""  # no progress where it is piped
    assert succeed(*SEARCH, "--format", "table").stdout == result.stdout
    both = succeed(*SEARCH, "--format", "table", "-o", "modes.csv")
    assert both.stdout == result.stdout
    assert pl.read_csv("modes.csv").height == 3


def test_search_prints_the_top(folder):
    text = succeed(*SEARCH, "--top", 1).stdout
    assert "1 of 3 failure modes shown.\nThat shown explains 33% of 15 errors.\n" in text
    assert text.endswith("All 3: --format csv\n")
    assert len(json.loads(succeed(*SEARCH, "--top", 1, "--format", "json").stdout)) == 3
    text = succeed(*SEARCH, "--top", 1, "--db", "it's new.duckdb").stdout
    command = shlex.split(text.splitlines()[-1].partition("or ")[2])
    assert len(json.loads(succeed(*command[1:], "--format", "json").stdout)) == 3


@pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
def test_output_files_hold_what_is_printed(folder, ending):
    file = Path(f"modes.{ending}")
    result = succeed(*SEARCH, "-o", file)
    assert result.stdout == ""
    assert result.stderr == f"Wrote 3 rows to {file}.\n"
    found = {
        "parquet": lambda: pl.read_parquet(file),
        "csv": lambda: pl.read_csv(file),
        "json": lambda: pl.DataFrame(json.loads(file.read_text())),
    }[ending]()
    both = succeed(*SEARCH, "-o", file, "--format", "json", "--quiet")
    assert_frame_equal(found, pl.DataFrame(json.loads(both.stdout)), check_dtypes=False)
    assert both.stderr == ""


@pytest.mark.parametrize("file", ["modes.xlsx", "modes", "missing/modes.csv"])
@pytest.mark.parametrize(
    "command",
    [
        [*SEARCH, "--db", "new.duckdb"],
        ["sql", "runs.duckdb", "select 1"],
        ["runs", "runs.duckdb"],
        ["query", "runs.duckdb", "near_misses"],
    ],
    ids=lambda command: command[0],
)
def test_a_file_that_cannot_be_written_stops_the_work_before_it_begins(
    folder, monkeypatch, command, file
):
    def never(*args, **kwargs):
        raise AssertionError("the work was begun")

    for name in ("search", "open_run", "runs"):
        monkeypatch.setattr(ps, name, never)
    message = fail(*command, "-o", file)
    assert f"cannot write {file}" in message
    assert ".parquet, .csv or .json" in message or "folder missing does not exist" in message
    assert not Path("new.duckdb").exists()


def test_without_db_nothing_is_kept(folder):
    before = sorted(folder.iterdir())
    succeed(*SEARCH)
    assert sorted(folder.iterdir()) == before


def test_db_appends_runs(folder):
    for number in (1, 2):
        result = succeed(*SEARCH, "--db", "new.duckdb")
        assert result.stderr == f"Run {number} is in new.duckdb.\n"
    assert succeed(*SEARCH, "--db", "new.duckdb", "--quiet").stderr == ""
    assert json.loads(succeed("runs", "new.duckdb", "--format", "json").stdout)[-1]["run_id"] == 3


def test_warnings_are_counted_on_stderr_and_quiet_hushes_them(folder):
    data.write([*data.TAGS, {"image_id": "img-000", "tag": " "}], folder / "tags.csv")
    command = ["search", "predictions.parquet", "tags.csv", *THRESHOLDS, "--format", "csv"]
    result = succeed(*command)
    (line,) = result.stderr.splitlines()
    assert re.match(r"Warning: .*\b1\b.*blank", line)
    quiet = succeed(*command, "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout == result.stdout


def test_verbose_shows_every_step_with_its_sql_rows_and_seconds(folder):
    result = succeed(*SEARCH, "--verbose", "--format", "csv")
    assert result.stdout == succeed(*SEARCH, "--format", "csv").stdout
    steps = re.findall(r"^(\w+): \d+\.\d{3} s(?:, ([\d,]+) rows)?$", result.stderr, re.MULTILINE)
    names = [name for name, _ in steps]
    wanted = [
        "classes",
        "outcomes",
        "tagged",
        "candidates_1",
        "counts_1",
        "candidates_4",
        "tag_sets",
        "failure_modes",
    ]
    assert [name for name in names if name in wanted] == wanted
    assert dict(steps)["failure_modes"] == "3"
    # The SQL as the engine got it: not wrapped, brackets and all.
    assert "create or replace temp table failure_modes as\nwith minimal as (\n" in result.stderr


def test_verbose_sql_cannot_drive_the_terminal(folder):
    result = succeed(*SEARCH, "--verbose", "--where", "label <> '\x1b[31m[bold]x[/bold] :smile:'")
    assert "\x1b" not in result.stderr
    assert "\\x1b[31m[bold]x[/bold] :smile:" in result.stderr


def test_quiet_and_verbose_exclude_each_other(folder):
    for command in (SEARCH, ["demo"]):
        assert "--quiet and --verbose are mutually exclusive" in fail(
            *command, "--quiet", "--verbose"
        )
    assert not Path("demo.duckdb").exists()


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-images", "0"], "min_images must be at least 1, got 0"),
        (["--max-tags", "7"], "max_tags must be at most 6, got 7"),
        (["--min-drop", "nan"], "min_drop must be a finite number"),
        (["--min-drop", "30"], "min_drop must be between 0.001 and 1, got 30"),
        (["--necessity", "0.1,much"], "necessity must be numbers such as 0.1,0.05,0.025"),
        (["--necessity", ""], "'--necessity': it is empty"),
        (["--group-by", "label,label"], "group_by names a column twice"),
        (["--wide", "--min-score", "1"], "min_score needs a long tags table"),
        (["--min-images", "many"], "Invalid value for '--min-images'"),
        (["--min-imags", "3"], "No such option"),
        (["--format", "xml"], "Invalid value for '--format'"),
        (["one more"], "unexpected extra argument"),
        (["--error", "label +"], "error"),
        (["--where", "nope = 1"], "nope"),
    ],
    ids=str,
)
def test_bad_usage_is_one_message_and_status_2(folder, arguments, message):
    assert message in fail(*SEARCH, "--db", "new.duckdb", *arguments)
    assert not list(folder.glob("new*"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["search"], "give PREDICTIONS and TAGS, or --from-run with --db"),
        (["search", "predictions.parquet"], "give PREDICTIONS and TAGS"),
        (["search", "nope.parquet", "tags.parquet"], "nope.parquet"),
        (["search", "tags.parquet", "predictions.parquet"], "label"),
        (["sql", "nope.duckdb", "select 1"], "there is no database nope.duckdb"),
        (["sql", "predictions.parquet", "select 1"], "is not a DuckDB database"),
        (["sql", ".", "select 1"], "is a folder"),
        (["sql", "runs.duckdb", "nope.sql"], "cannot read nope.sql: "),
        (["sql", "runs.duckdb", "select * from nope.sql"], "nope"),
        (["runs", "nope.duckdb"], "there is no database nope.duckdb"),
        (["sql", "runs.duckdb", "select 1", "--run", "9"], "no run 9; `prime-sql runs` lists them"),
        (["sql", "runs.duckdb", "select 1", "--run", "9" * 20], "no run 9999"),
        (["sql", "runs.duckdb", "select 1", "--run", "-1"], "no run -1"),
        (["query", "runs.duckdb", "near_misses", "--run", "0"], "no run 0"),
        (["nope"], "No such command 'nope'"),
    ],
    ids=str,
)
def test_bad_data_is_one_message_and_status_2(folder, command, message):
    assert message in fail(*command)


def test_messages_show_names_as_they_are(folder):
    name = "[bold]a[/bold] :smile: \x1b[31m.parquet"
    message = fail("search", name, "tags.parquet")
    assert "[bold]a[/bold] :smile: \\x1b[31m.parquet" in message


# Hostile tags -------------------------------------------------------------------------------------


def test_hostile_tags_in_every_form(folder):
    evil = "\x1b[31m[bold]x[/bold] | :smile:\n\"q\" 'q' \\"
    long = "y" * 10_000
    tags = [
        {**row, "tag": {"toy": evil, "snow": long}.get(row["tag"], row["tag"])} for row in data.TAGS
    ]
    data.write(tags, folder / "hostile.parquet")
    search = ["search", "predictions.parquet", "hostile.parquet", *THRESHOLDS, "--db", "h.duckdb"]
    found = json.loads(succeed(*search, "--format", "json").stdout)
    assert [row["tags"] for row in found] == [evil, "black + hang", long]
    text = succeed(*search, "--format", "csv").stdout
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [line["tags"] for line in lines] == [evil, "black + hang", long]
    markdown = succeed(*search, "--format", "markdown").stdout
    assert len(markdown.splitlines()) == 5
    table = succeed(*search).stdout
    for text in (markdown, table):
        assert "\x1b" not in text
    assert "\\x1b[31m[bold]x[/bold] | :smile:\\n\"q\" 'q' \\" in table
    assert "…" in table
    assert long not in table
    shown = succeed("query", "h.duckdb", "recurring_tags", "--param", "min_classes=1").stdout
    assert "\x1b" not in shown
