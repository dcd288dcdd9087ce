"""The demo: real failure modes, and commands to go on with that work as printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli
from prime_sql.demo import demo

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What ``prime-sql demo`` prints, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("demo")
    return shell("prime-sql demo", folder), folder


def shell(command, folder):
    """Run a command as a reader types it, in a window of 80 columns."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def commands(text):
    return re.findall(r"^  (\S*prime-sql .+)$", text, re.MULTILINE)


def test_it_shows_failure_modes_of_several_classes(printed):
    text, folder = printed
    assert [file.name for file in folder.iterdir()] == ["demo.duckdb"]
    with ps.open_run(folder / "demo.duckdb") as run:
        modes, cover = run.failure_modes.to_polars(), run.cover().to_polars()
        assert run.classes.to_polars()["images"].sum() == 3781
        assert "3,781 emoji pictures" in text
        errors = run.classes.to_polars()["errors"].sum()
        assert f"{errors} errors, accuracy {1 - errors / 3781:.1%}" in text
    assert f"{modes.height} failure modes" in text
    assert modes["class_name"].n_unique() > 1
    for row in cover.to_dicts():
        assert re.search(rf"{row['class_name']} +{re.escape(row['tags'])} +{row['images']} ", text)
    assert cover.height == 10
    assert f"10 of {modes.height} failure modes shown; " in text
    assert f"Those shown explain {cover['cumulative_coverage'][-1]:.0%} of {errors} errors." in text


def test_its_text_fits_a_terminal(printed):
    lines = [line.rstrip() for line in printed[0].splitlines()]
    assert max(len(line) for line in lines if not line.startswith("  ")) <= 80


@pytest.mark.parametrize("number", range(4))
def test_its_next_commands_run_as_printed(printed, number):
    text, folder = printed
    (command,) = commands(text)[number : number + 1]
    answer = shell(command, folder)
    assert "No rows" not in answer
    assert len(answer.strip().splitlines()) > 3
    assert len(commands(text)) == 5


def test_its_report_shows_the_pictures(printed):
    text, folder = printed
    shell(f"{commands(text)[-1]} --quiet", folder)
    assert (folder / "report.html").read_text(encoding="utf-8").count("<img ") > 100


def test_the_next_commands_quote_the_file(tmp_path):
    file = tmp_path / "it's a demo.duckdb"
    result = CliRunner().invoke(cli.app, ["demo", "--db", str(file)])
    assert result.exit_code == 0
    for command in commands(result.stdout):
        assert shell(command, tmp_path)


def test_twice_into_one_file_beside_tables_of_the_user(tmp_path):
    path = tmp_path / "emoji.duckdb"  # a catalog with the name of the demo's schema
    with duckdb.connect(path) as con:
        con.execute("create table tags as select 'mine' as tag")
        con.execute("create schema shop; create table shop.images as select 7 as n")
    for run_id in (1, 2):
        result = CliRunner().invoke(cli.app, ["demo", "--db", str(path), "--quiet"])
        assert result.exit_code == 0, result.output
        assert "What next" not in result.stdout
        assert ps.runs(path)["run_id"].to_list() == list(range(1, run_id + 1))
    with duckdb.connect(path) as con:
        assert con.execute("from main.tags").fetchall() == [("mine",)]
        assert con.execute("from shop.images").fetchall() == [(7,)]
        assert con.execute("select count(*) from emoji.emoji.images").fetchall() == [(3781,)]
        two = "select count(distinct run_id), count(distinct mode_id), count(*) from "
        runs, modes, rows = con.execute(two + "emoji.prime.failure_modes").fetchall()[0]
    assert (runs, rows) == (2, 2 * modes)


def test_a_table_of_the_same_name_that_is_not_its_own_is_left_alone(tmp_path):
    path = tmp_path / "mine.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create schema emoji; create table emoji.tags as select 'mine' as tag")
    result = CliRunner().invoke(cli.app, ["demo", "--db", str(path)])
    assert result.exit_code == 2
    assert "emoji.tags that the demo did not make" in result.stderr
    with duckdb.connect(path) as con:
        assert con.execute("from emoji.tags").fetchall() == [("mine",)]
        assert con.execute("select table_name from duckdb_tables()").fetchall() == [("tags",)]


def test_verbose_shows_its_steps(tmp_path):
    result = CliRunner().invoke(cli.app, ["demo", "--db", str(tmp_path / "d.duckdb"), "--verbose"])
    assert result.exit_code == 0
    assert "create or replace table" in result.stderr
    assert "failure_modes: " in result.stderr


def test_a_file_that_is_no_database(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    result = CliRunner().invoke(cli.app, ["demo", "--db", str(file)])
    assert result.exit_code == 2
    assert "is not a DuckDB database" in result.stderr
    assert file.read_text() == "mine"


def test_it_needs_no_torch_and_no_network(tmp_path):
    script = """
import sys

def refuse(event, arguments):
    if event.startswith("socket.") or (event == "import" and arguments[0] == "torch"):
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
sys.argv = ["prime-sql", "demo"]
from prime_sql.cli import main
try:
    main()
finally:
    assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "What next?" in done.stdout


@pytest.mark.parametrize(
    ("started", "found", "typed"),
    [
        ("/venv/bin/prime-sql", "/venv/bin/prime-sql", "prime-sql"),
        # As `make demo` starts it: nothing, or another one, is on the PATH.
        (".venv/bin/prime-sql", None, ".venv/bin/prime-sql"),
        (".venv/bin/prime-sql", "/usr/bin/prime-sql", ".venv/bin/prime-sql"),
        ("/my venv/prime-sql", None, "'/my venv/prime-sql'"),
        ("/site-packages/prime_sql/__main__.py", "/usr/bin/prime-sql", "prime-sql"),
        ("/site-packages/prime_sql/__main__.py", None, f"{sys.executable} -m prime_sql"),
    ],
)
def test_the_next_commands_name_the_program_that_runs(monkeypatch, started, found, typed):
    monkeypatch.setattr(sys, "argv", [started, "demo"])
    monkeypatch.setattr("shutil.which", lambda name: found)
    assert demo._program() == typed
