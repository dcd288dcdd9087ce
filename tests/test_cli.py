"""The command line: what it prints where, its exit status, and that every option arrives."""

import csv
import fcntl
import inspect
import io
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest
import typer
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli
from prime_sql.cli import definition
from prime_sql.cli.app import RESULTS
from prime_sql.options import Options
from tests import data

EMOJI = Path(__file__).parent.parent / "examples" / "emoji"
COLUMNS = [  # DESIGN section 3, in its order
    "run_id",
    "mode_id",
    "class_name",
    "tags",
    "tag_count",
    "images",
    "errors",
    "accuracy",
    "class_images",
    "class_errors",
    "class_accuracy",
    "accuracy_drop",
    "excess_errors",
    "error_coverage",
]
THRESHOLDS = ["--min-images", "4", "--min-drop", "0.3"]
# Enough work for progress to be seen, and for a signal to arrive in.
LONG = [
    "search",
    str(EMOJI / "predictions.parquet"),
    str(EMOJI / "tags.parquet"),
    *["--min-images", "2", "--min-drop", "0.05", "--necessity", "0", "--max-tags", "5"],
]
PRIME_SQL = [sys.executable, "-m", "prime_sql"]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def call(*arguments):
    """Run a command in this process; it may end in an exit status, never in a traceback."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments):
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def fail(*arguments):
    """Return the one message of a command that fails."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(re.findall("^Error: ", result.stderr, re.MULTILINE)) == 1
    return result.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The tiny tables as files, and a database with two runs, read by many tests."""
    folder = tmp_path_factory.mktemp("cli")
    data.write(data.PREDICTIONS, folder / "predictions.parquet")
    data.write(data.TAGS, folder / "tags.parquet")
    for drop in (0.3, 0.47):
        ps.search(
            str(folder / "predictions.parquet"),
            str(folder / "tags.parquet"),
            into=folder / "runs.duckdb",
            min_images=4,
            min_drop=drop,
        ).close()
    return folder


@pytest.fixture
def folder(source, tmp_path, monkeypatch):
    """A folder of its own with the files in it, as the working directory."""
    for file in source.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SEARCH = ["search", "predictions.parquet", "tags.parquet", *THRESHOLDS]


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
        assert "--quiet and --verbose exclude each other" in fail(*command, "--quiet", "--verbose")
    assert not Path("demo.duckdb").exists()


# Options ------------------------------------------------------------------------------------------


def parameters(command):
    return {p.name: p for p in typer.main.get_command(cli.app).commands[command].params}


def test_search_has_a_flag_for_every_option_with_its_default():
    flags = parameters("search")
    defaults = {name: field.default for name, field in Options.__dataclass_fields__.items()}
    assert flags.keys() - defaults.keys() == {
        "predictions",
        "tags",
        "db",
        "warehouse",
        "schema",
        "job",
        "append",
        "remove",
        "from_run",
        "format_",
        "output_",
        "quiet",
        "verbose",
        "top",
        "models",
        "missed",
        "model",
        "memory_limit",
        "temp_dir",
        "wait",
        "fail_on",
        "junit",
        "summary",
    }
    for name, default in defaults.items():
        flag = flags[name]
        assert flag.opts == [f"--{name.replace('_', '-')}"]
        if isinstance(default, tuple):
            shown = flag.default.split(",")
            assert [type(default[0])(part) for part in shown] == list(default)
        else:
            assert flag.default == default
        assert flag.help


def test_search_in_python_has_the_same_options_with_the_same_defaults():
    signature = inspect.signature(ps.search).parameters
    # --db and --warehouse, --verbose and the terminal
    python = {"into", "on_sql", "on_progress"}
    flags = parameters("search")
    assert signature.keys() - python == flags.keys() - {
        "db",
        "warehouse",
        "from_run",
        "format_",
        "output_",
        "quiet",
        "verbose",
        "top",
        "models",
        "missed",
        "model",
        "fail_on",
        "junit",
        "summary",
    }
    for name, field in Options.__dataclass_fields__.items():
        assert signature[name].default == field.default
        assert signature[name].kind is inspect.Parameter.KEYWORD_ONLY


OTHER = {  # another value for every option
    "max_tags": 3,
    "min_images": 7,
    "min_drop": 0.25,
    "necessity": (0.2, 0.1),
    "min_tag_images": 5,
    "max_absent": 1,
    "max_q": 0.05,
    "method": "greedy",
    "width": 5,
    "group_by": ("model", "truth"),
    "error": "label > 3",
    "where": "split = 'test'",
    "split": "fold",
    "find": "1",
    "check": "2",
    "image_id": "file",
    "label": "truth",
    "prediction": "guess",
    "tag": "keyword",
    "score": "weight",
    "min_score": 0.5,
    "wide": True,
}
TOGETHER = ("split", "find", "check")  # all or none


@pytest.mark.parametrize("name", Options.__dataclass_fields__)
def test_every_flag_reaches_the_search(monkeypatch, name):
    given = {}

    def record(predictions, tags, **options):
        given.update(options, predictions=predictions, tags=tags)
        raise ps.QueryError("recorded")

    monkeypatch.setattr(ps, "search", record)
    values = {key: OTHER[key] for key in (TOGETHER if name in TOGETHER else (name,))}
    flags = []
    for key, value in values.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        flags += [f"--{key.replace('_', '-')}", *([] if value is True else [text])]
    assert "recorded" in fail("search", "p.csv", "t.csv", *flags)
    assert (given.pop("predictions"), given.pop("tags"), given.pop("into")) == (
        "p.csv",
        "t.csv",
        None,
    )
    assert given.pop("on_sql") is None
    assert given.pop("on_progress") is None
    assert given.pop("job") is None
    others = ("append", "remove", "schema", "memory_limit", "temp_dir", "wait")
    assert not any(given.pop(other, None) for other in others)
    assert Options(**given) == Options(**values)
    assert Options(**given) != Options()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-images", "0"], "min_images must be at least 1, got 0"),
        (["--max-tags", "7"], "max_tags must be at most 6, got 7"),
        (["--min-drop", "nan"], "min_drop must be a finite number"),
        (["--min-drop", "30"], "min_drop must be between 0.001 and 1, got 30"),
        (["--necessity", "0.1,much"], "necessity must be numbers such as 0.1,0.05,0.025"),
        (["--necessity", ""], "necessity must be numbers"),
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


@pytest.mark.parametrize("command", [None, "search", "sql", "runs", "query", "demo"])
def test_help_is_readable(command):
    for flag in ("--help", "-h"):
        text = succeed(*([command] if command else []), flag).stdout
        assert max(map(len, text.splitlines())) <= 100
        assert "Usage: " in text
    if command:
        for name, parameter in parameters(command).items():
            assert parameter.help or name == "help", name
            assert parameter.metavar is None or parameter.metavar in text
    if command == "search":
        assert "image_id, tag[, score]" in text  # brackets survive
        headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
        assert headings == [
            "Arguments",
            definition.MODE,
            definition.CLASS,
            cli.search.UNSEEN,
            definition.COLUMNS,
            RESULTS,
            cli.search.MODELS,
            cli.search.RESOURCES,
            cli.gate.GATES,
            "Options",
            "Examples",
        ]


def test_examples_of_the_help_are_commands():
    commands = typer.main.get_command(cli.app).commands
    for name, command in commands.items():
        lines = inspect.cleandoc(command.epilog or "").replace("\\\n", " ").splitlines()
        assert not lines or lines[0].split()[:2] == ["prime-sql", name]
        for line in lines:  # every flag in them exists; some go on with another command
            program, shown = line.split()[:2]
            assert program == "prime-sql"
            known = {flag for parameter in commands[shown].params for flag in parameter.opts}
            assert {word for word in line.split() if word.startswith("-")} <= known


def test_version():
    assert succeed("--version").stdout == f"prime-sql {ps.__version__}\n"


# search --from-run --------------------------------------------------------------------------------


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
    assert "no run 9" in message or "the number of a run, or latest" in message


# sql, runs, query ---------------------------------------------------------------------------------


def test_sql_means_the_latest_run_or_the_one_named(folder):
    query = ["sql", "runs.duckdb", "select count(*) as n from failure_modes", "--format", "csv"]
    assert succeed(*query).stdout == "n\n2\n"
    assert succeed(*query, "--run", 1).stdout == "n\n3\n"
    both = "select run_id, count(*) as n from prime.failure_modes group by all order by all"
    assert succeed("sql", "runs.duckdb", both, "--format", "csv").stdout == "run_id,n\n1,3\n2,2\n"


def test_sql_reads_the_query_from_a_file(folder):
    path = folder / "how many.sql"
    path.write_text("-- how many?\nselect count(*) as n\nfrom failure_modes;\n", encoding="utf-8")
    for name in ("how many.sql", path):
        assert succeed("sql", "runs.duckdb", name, "--format", "csv").stdout == "n\n2\n"
    path.unlink()


def test_sql_in_every_form(folder):
    query = "select tags, images from failure_modes order by tags; "
    assert json.loads(succeed("sql", "runs.duckdb", query, "--format", "json").stdout) == [
        {"tags": "black + hang", "images": 4},
        {"tags": "toy", "images": 6},
    ]
    assert succeed("sql", "runs.duckdb", query, "--format", "markdown").stdout == (
        "| tags | images |\n| --- | ---: |\n| black + hang | 4 |\n| toy | 6 |\n"
    )
    lines = [line.strip() for line in succeed("sql", "runs.duckdb", query).stdout.splitlines()]
    assert "black + hang       4" in lines
    succeed("sql", "runs.duckdb", query, "-o", "answer.parquet")
    assert pl.read_parquet("answer.parquet").rows() == [("black + hang", 4), ("toy", 6)]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        # Columns without a name of their own; Ibis would rename some on the way.
        ("select len(tags) from failure_modes order by 1", "len(tags)\n3\n12\n"),
        (
            "select string_agg(tags, ', ' order by tags) from failure_modes",
            '"string_agg(tags, \', \' ORDER BY tags)"\n"black + hang, toy"\n',
        ),
        ("select sum(images) as n from failure_modes", "n\n10\n"),
        ("from failure_modes select tags order by all", "tags\nblack + hang\ntoy\n"),
        ("with n as (select 1 as one) select * from n -- a comment", "one\n1\n"),
        ("select column_name from (describe failure_modes) limit 1", "column_name\nrun_id\n"),
        (
            "pivot (select class_name from failure_modes) on class_name using count(*)",
            "ape,cat\n1,1\n",
        ),
        ("select 'a\"b' as x, null as y", 'x,y\n"a""b",\n'),
        ("select x from range(3) t(x) where x > 5", "x\n"),
    ],
)
def test_queries_that_analysts_type(folder, query, answer):
    assert succeed("sql", "runs.duckdb", query, "--format", "csv").stdout == answer


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("selct 1", 'syntax error at or near "selct"'),
        ("select nope from failure_modes", "nope"),
        ("select * from failure_mods", "failure_modes"),
        ("select 1 where", "syntax error"),
        ("", "give one query, got 0"),
        ("select 1; select 2", "give one query, got 2"),
        ("select 1) union all (select 2", "syntax error"),
        ("drop table prime.runs", "only a query that returns rows"),
        ("delete from prime.runs", "only a query that returns rows"),
        # These fail while rows are read, not before.
        ("select cast(tags as int) from failure_modes", "Could not convert string '"),
        ("select cast(tags || ' LINE 7: x' as int) from failure_modes", "LINE 7: x' to INT32"),
        ("select error('stop')", "stop"),
        ("select interval 3 days", "cast columns of unusual types"),
    ],
)
def test_sql_errors_are_one_message_with_the_complaint_of_the_engine(folder, query, complaint):
    message = fail("sql", "runs.duckdb", query)
    assert complaint in message
    assert "prime.failure_mode_images" not in message  # what the query is wrapped in


def test_runs_lists_what_tells_runs_apart(folder):
    text = succeed("runs", "runs.duckdb").stdout
    first, second = (line.split() for line in text.splitlines() if re.match(" +[12] +2", line))
    assert first[3:-1] == ["45", "3", "4", "4", "0.3"]
    assert second[3:-1] == ["45", "2", "4", "4", "0.47"]
    assert succeed("runs", "runs.duckdb", "--format", "table").stdout == text
    # Programs get all there is, in every form.
    found = json.loads(succeed("runs", "runs.duckdb", "--format", "json").stdout)
    assert json.loads(found[1]["options"])["min_drop"] == 0.47
    assert found[0]["status"] == "complete"
    succeed("runs", "runs.duckdb", "-o", "runs.csv")
    assert pl.read_csv("runs.csv").columns == list(found[0])


def test_runs_of_a_database_without_any(folder):
    data.write_tables(folder / "mine.duckdb", tags=data.TAGS)
    assert succeed("runs", "mine.duckdb").stdout == "mine.duckdb holds no run.\n"
    assert succeed("runs", "mine.duckdb", "--format", "json").stdout == "[]\n"
    # Its other tables can be asked; the relations of a run are missed.
    assert "1,234" not in succeed("sql", "mine.duckdb", "select count(*) as n from tags").stdout
    assert "mine.duckdb holds no run" in fail("sql", "mine.duckdb", "from failure_modes")
    assert "holds no run 3" in fail("sql", "mine.duckdb", "select 1", "--run", "3")


def test_an_unpublished_run_is_opened_by_its_number_only(folder):
    def unpublish(which):
        with duckdb.connect("runs.duckdb") as con:
            con.execute(f"update prime.runs set status = 'unpublished' where run_id {which}")

    asked = "select distinct run_id from failure_modes"
    csv_ = ("--format", "csv")
    assert "status" not in succeed("runs", "runs.duckdb").stdout
    unpublish("= 2")
    assert succeed("sql", "runs.duckdb", asked, *csv_).stdout == "run_id\n1\n"
    assert succeed("sql", "runs.duckdb", asked, "--run", 2, *csv_).stdout == "run_id\n2\n"
    with ps.open_run("runs.duckdb") as run:
        assert run.run_id == 1
    lines = succeed("runs", "runs.duckdb").stdout.splitlines()
    assert [line.split()[3] for line in lines if re.match(" +[12] +2", line)] == [
        "complete",
        "unpublished",
    ]
    unpublish("= 1")
    for command in (["sql", "runs.duckdb", asked], ["gate", "runs.duckdb", "--fail-on", "new"]):
        assert "left unpublished, the last one as run 2; name its number" in fail(*command)
    # Other tables can be asked as in a database without a run.
    assert succeed("sql", "runs.duckdb", "select 7 as n", *csv_).stdout == "n\n7\n"


def test_query_lists_the_questions(folder):
    text = succeed("query").stdout
    for name in ("failure_modes_by", "images_of_mode", "near_misses", "recurring_tags"):
        assert name in text
    assert succeed("query", "runs.duckdb").stdout == text
    questions = json.loads(succeed("query", "--format", "json").stdout)
    assert {
        "name": "failure_modes_by",
        "question": "How do the failure modes spread over a business column, and what do they "
        "cost?",
        "parameters": "column, [table], [image_id], [measure]",
    } in questions


def test_query_answers_with_parameters(folder):
    ask = ["query", "runs.duckdb", "failure_modes_by", "--param", "column=region", "--param"]
    found = json.loads(succeed(*ask, "table=predictions.parquet", "--format", "json").stdout)
    assert sum(row["errors"] for row in found) == 4 + 5
    assert {row["region"] for row in found} == {"north", "south"}
    first = json.loads(
        succeed(
            *ask, "table=predictions.parquet", "--run", 1, "--format", "json", "-o", "by.csv"
        ).stdout
    )
    assert sum(row["errors"] for row in first) == 4 + 4 + 5
    assert pl.read_csv("by.csv").height == len(first)
    # The value may hold an equals sign.
    assert fail(*ask, "table=a=b").startswith("Error: there is no table or file 'a=b'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["near_mises"], "Did you mean 'near_misses'"),
        (["failure_modes_by"], "needs the parameter 'column'"),
        (["failure_modes_by", "--param", "column"], "--param takes NAME=VALUE, got 'column'"),
        (["failure_modes_by", "--param", "colum=x"], "Did you mean 'column'"),
        (["near_misses", "--param", "most=many"], "takes a number, got 'many'"),
        (["near_misses", "--param", "most=1", "--param", "most=2"], "gives 'most' twice"),
        (["recurring_tags", "--param", "name=x"], "no parameter 'name'. It has: min_classes"),
    ],
    ids=str,
)
def test_query_errors_say_what_to_type(folder, arguments, message):
    assert message in fail("query", "runs.duckdb", *arguments)


def test_query_wants_a_question_for_its_parameters(folder):
    assert "--param needs a question" in fail("query", "runs.duckdb", "--param", "column=region")


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


# Real processes -----------------------------------------------------------------------------------


def on_a_terminal(command, cwd, columns=80):
    """Run a command on a pseudo-terminal; return its status and everything it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(ours)
    return process.wait(), written.decode()


def test_a_terminal_shows_progress_and_then_a_table(tmp_path):
    status, text = on_a_terminal([*PRIME_SQL, *LONG, "--db", "t.duckdb"], tmp_path)
    assert status == 0
    plain = ANSI.sub("", text).replace("\r", "\n")
    # Progress: the step, the size of its sets, and what was counted.
    assert re.search(r" \d+/11 tag sets of [2345] tags? \(tag sets of \d tags?: [\d,]+\)", plain)
    # It is wiped: after it come the table and the last line only.
    after = ANSI.sub("", text[text.rindex("\x1b[2K") :])
    lines = [line.rstrip() for line in after.splitlines() if line.strip()]
    assert re.fullmatch(r"[\d,]+ failure modes", lines[0])
    assert lines[1].split() == ["new", "errors"]
    heads = ["class", "tags", "images", "accuracy", "drop", "errors", "so", "far"]
    assert lines[2].split() == heads
    assert lines[-1] == "Run 1 is in t.duckdb."
    assert re.match("All [\\d,]+: --format csv, or prime-sql sql t.duckdb", lines[-2])
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if re.search(r"\d%  +\d", line)]) == 10


def test_a_narrow_terminal_and_quiet(source):
    command = [*PRIME_SQL, *SEARCH, "--quiet"]
    status, text = on_a_terminal(command, source, columns=44)
    assert status == 0
    assert "tag sets" not in text
    lines = ANSI.sub("", text).splitlines()
    assert max(map(len, lines)) <= 44
    assert "No room for" in text
    assert "black + hang" in text


def test_a_pipe_that_closes_early_is_no_error(source):
    query = "select * from range(300000) t(x)"  # more than the pipe holds
    process = subprocess.Popen(
        [*PRIME_SQL, "sql", "runs.duckdb", query, "--format", "csv"],
        cwd=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"x\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141  # 1 would be a gate


def shell(line, cwd):
    """Return the exit status and messages of a command; nobody reads the pipe {gone}."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        ["bash", "-c", line.format(gone=write)],
        cwd=cwd,
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    return done.returncode, done.stderr


FULL = "Error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "where", "expected"),
    [
        ("runs none.duckdb --quite", ">&{gone} 2>&1", (2, "")),
        ("runs runs.duckdb", ">&-", (0, "")),
        ("runs runs.duckdb --format csv", ">&{gone}", (141, "")),
        ("runs runs.duckdb", ">&{gone}", (141, "")),
        ("--help", ">&{gone}", (141, "")),
        ("runs runs.duckdb --format csv", "> /dev/full", (2, FULL)),
        ("runs runs.duckdb", "> /dev/full", (2, FULL)),
        ("sql runs.duckdb 'from range(300000)' --format csv", "> /dev/full", (2, FULL)),
        ("runs runs.duckdb --keep 1", "2> /dev/full", (2, "")),
        ("runs runs.duckdb --format csv", "", (0, "")),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_does_not_arrive_is_no_tripped_gate(source, arguments, where, expected):
    command = shlex.join(map(str, PRIME_SQL))
    assert shell(f"{command} {arguments} {where}", source) == expected


RAISES = """
import sys
import prime_sql as ps
from prime_sql import cli
class Panic(BaseException):
    pass
def fails(*arguments, **options):
    raise {error}
ps.runs = fails
sys.argv = ["prime-sql", "runs", "runs.duckdb"]
cli.main()
"""


@pytest.mark.parametrize("error", ["ZeroDivisionError('odd')", "Panic('odd')", "OSError(5, 'odd')"])
def test_what_nobody_expected_ends_with_its_traceback_and_status_2(source, error):
    done = subprocess.run(
        [sys.executable, "-c", RAISES.format(error=error)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("odd\n")


def test_output_is_utf8_wherever_it_goes(source):
    query = "select '猿 🐒 é' as x"
    done = subprocess.run(
        [*PRIME_SQL, "sql", "runs.duckdb", query, "--format", "csv"],
        cwd=source,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},  # as Windows has its code pages
    )
    assert done.stdout.decode() == "x\n猿 🐒 é\n"


@pytest.mark.parametrize(
    ("name", "line", "seconds"),
    [
        ("runs.duckdb", "counts_3: ", 0),
        ("new.duckdb", "counts_5: ", 0.3),  # the engine is at work: its longest step comes next
        ("runs.duckdb", "begin transaction", 0.1),  # it writes the run
    ],
)
def test_an_interrupted_search_leaves_the_database_as_it_was(folder, name, line, seconds):
    before = sorted(folder.iterdir())
    process = subprocess.Popen(
        [*PRIME_SQL, *LONG, "--db", name, "--verbose"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pipesize=4096,  # what it says of the steps to come does not fit in: it cannot end before us
    )
    for written in process.stderr:
        if written.startswith(line):
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("Interrupted; the database is as it was.\n")
    assert "Traceback" not in err
    assert sorted(folder.iterdir()) == before  # no half-made file either
    assert json.loads(succeed("runs", "runs.duckdb", "--format", "json").stdout)[-1]["run_id"] == 2
    assert (
        succeed("sql", "runs.duckdb", "from failure_modes", "--format", "csv").stdout.count("\n")
        == 3
    )
