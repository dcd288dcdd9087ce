"""What people type by mistake: one short message that names it, and nothing is written."""

import re
import shlex
from pathlib import Path

import pytest

import prime_sql as ps
from prime_sql.engine import files
from tests.cli.command import PRIME_SQL, SEARCH, call, fail, on_a_terminal, succeed
from tests.refusals import contents

SECRET = "s3cr3t"

CASES = {
    "an URL": (["top", "postgres://[::1"], "postgres://[::1 is not a URL: Invalid IPv6 URL"),
    "a warehouse": (
        ["search", "a", "b", "--warehouse", f"postgres://me:{SECRET}@[::1/x"],
        "postgres://[::1/x is not a URL",
    ),
    "a remote file": (
        ["search", f"http://host/p?token={SECRET}", "tags.parquet"],
        "predictions: http://host/p is not a file on this machine",
    ),
    "remote images": (
        ["images", f"http://host/*.jpg?token={SECRET}", "--db", "i.duckdb"],
        "images: http://host/*.jpg is not a file on this machine",
    ),
    "shuffles": (
        ["chance", "runs.duckdb", "--shuffles", f"1{'0' * 40}"],
        "shuffles must be at most 10,000",
    ),
    "a seed": (
        ["chance", "runs.duckdb", "--shuffles", 1, "--seed", 10**20],
        "seed must be at most",
    ),
    "waiting": (["top", "runs.duckdb", "--wait", "1e300"], "at most 604,800 seconds (a week)"),
    "--model": ([*SEARCH, "--model", "m"], "--model names a column for --models: add it"),
    "an empty folder": ([*SEARCH, "--temp-dir", ""], "'--temp-dir': it is empty; give a value"),
    "an empty database": ([*SEARCH, "--db", " "], "'--db': it is empty; give a value"),
    "an empty argument": (["top", ""], "'DB': it is empty; give a value"),
    "init": (
        ["init", "predictions.parquet", "tags.parquet", "--image-id", "foo"],
        "predictions has no column 'foo' (--image-id)",
    ),
    "init's tag": (
        ["init", "predictions.parquet", "tags.parquet", "--tag", "tga"],
        "tags has no column 'tga' (--tag). Did you mean 'tag'?",
    ),
    "-o and --junit": (
        [*SEARCH, "-o", "a.csv", "--fail-on", "images > 1", "--junit", "./a.csv"],
        "--output and --junit are the same file",
    ),
    "--junit and --summary": (
        ["gate", "runs.duckdb", "--fail-on", "images > 1", "--junit", "a", "--summary", "a"],
        "--junit and --summary are the same file",
    ),
    "-o and an input": ([*SEARCH, "-o", "tags.parquet"], "TAGS and --output are the same file"),
    "--summary and --db": (
        [*SEARCH, "--db", "runs.duckdb", "--summary", "runs.duckdb"],
        "--db and --summary are the same file",
    ),
    "a report over the database": (
        ["report", "runs.duckdb", "--format", "html", "-o", "runs.duckdb"],
        "DB and --output are the same file",
    ),
    "a long option": ([*SEARCH, "--max-tags", "9" * 5000], "'--max-tags'"),
    "a long command": (["x" * 5000], "No such command 'xxx"),
    "a long name": (["top", f"{'x' * 3000}.duckdb"], "its name is too long for the system"),
    "a place": ([*SEARCH, "--db", "runs.duckdb", "-o", "/proc/a.csv"], "cannot write /proc/a.csv"),
    "a query": (["sql", "runs.duckdb", f"select {'x' * 5000}"], "xxx"),
    "a step": (
        [*SEARCH, "--where", "label / 2 > 1"],
        "where does not fit the predictions",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(case, folder):
    arguments, said = CASES[case]
    before = contents(folder)
    message = fail(*arguments)
    said_last = message[message.index("Error: ") :]
    assert said in said_last
    assert len(said_last) < 600
    assert SECRET not in message
    assert contents(folder) == before


def lost(*_):
    raise ps.WarehouseError("cannot write rows.csv: No space left on device")


STORED = {
    "search": ([*SEARCH, "--db", "new.duckdb", "-o", "rows.csv"], 1),
    "chance": (["chance", "runs.duckdb", "-o", "rows.csv"], 2),
    "successes": (["successes", "runs.duckdb", "-o", "rows.csv"], 2),
    "validate": (
        ["validate", "runs.duckdb", "predictions.parquet", "tags.parquet", "-o", "rows.csv"],
        2,
    ),
}


@pytest.mark.parametrize("command", STORED)
def test_a_run_that_is_stored_is_named_if_its_rows_cannot_be_written(command, folder, monkeypatch):
    arguments, number = STORED[command]
    monkeypatch.setattr(files, "write", lost)
    message = fail(*arguments)
    assert "cannot write rows.csv: No space left on device" in message
    assert f"Run {number} is stored in " in message
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    again = shlex.split(message.rpartition("prime-sql ")[2])
    succeed(*[each if each != "FILE" else "rows.csv" for each in again])
    assert Path("rows.csv").read_text().startswith("run_id,") or command != "search"


def test_outcomes_of_gates_that_cannot_be_written_do_not_hide_that_the_run_is_stored(
    folder, monkeypatch
):
    monkeypatch.setattr(files, "write_text", lost)
    options = ["--db", "new.duckdb", "--fail-on", "images > 1", "--junit", "a.xml"]
    message = call(*SEARCH, *options).stderr
    assert (
        "Run 1 is stored in new.duckdb all the same; to write the file: prime-sql gate" in message
    )


def test_the_sql_of_a_step_is_for_those_who_ask_for_it(folder, monkeypatch):
    def failing(*_, **__):
        raise ps.WarehouseError(f"step x failed: why\n\nSQL of the step:\nselect {'1' * 5000}")

    monkeypatch.setattr(ps, "search", failing)
    message = fail(*SEARCH)
    assert message == "Error: step x failed: why\n(--verbose prints the SQL of the step)\n"
    assert f"SQL of the step:\nselect {'1' * 5000}" in fail(*SEARCH, "--verbose")


def test_control_characters_reach_a_pipe_but_not_a_terminal(folder):
    query = "select 'a' || chr(27) || ']0;title' || chr(7) || chr(155) || 'b' as name, 'c\td' as t"
    for form in ("csv", "json", "markdown"):
        command = [*PRIME_SQL, "sql", "runs.duckdb", query, "--format", form]
        status, written = on_a_terminal(command, folder)
        assert status == 0
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", written), form
        assert "]0;title" in written
    piped = succeed("sql", "runs.duckdb", query, "--format", "csv").stdout
    assert piped == "name,t\na\x1b]0;title\x07\x9bb,c\td\n"
