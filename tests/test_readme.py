"""The examples of the README and of ``docs/``, run as written, with their output.

``UPDATE_SNAPSHOTS=1`` writes the output into the pages; read the difference before committing it.
"""

import contextlib
import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql.cli import app

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("docs/*.md"))]
# A run's time of day and the seconds of a step change from run to run.
CLOCK = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


@pytest.fixture
def folder(tmp_path):
    """A folder with the examples in it, where commands may leave their databases."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


# A line of one command, whose first lines may be all that is shown: it needs no process.
ONE_COMMAND = re.compile(r"prime-sql [^;&|$\\\n]*(?:\| head -(\d+))?")


def run(command, folder):
    """Return what a line prints: in this process, or in bash where it uses more of it."""
    if alone := ONE_COMMAND.fullmatch(command):
        arguments = shlex.split(command.partition(" | head -")[0])[1:]
        with contextlib.chdir(folder):
            result = CliRunner().invoke(app, arguments)
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        lines = result.output if alone[1] is None else result.stdout
        head = None if alone[1] is None else int(alone[1])
        return "\n".join(line.rstrip() for line in lines.splitlines()[:head])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return "\n".join(line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_console_examples_print_what_the_page_says(folder, page):
    text = page.read_text(encoding="utf-8")
    in_bash = []

    def rerun(block):
        commands = [line[2:] for line in block[1].splitlines() if line.startswith("$ ")]
        in_bash.extend(each for each in commands if not ONE_COMMAND.fullmatch(each))
        shown = [f"$ {command}\n{run(command, folder)}".strip() for command in commands]
        return "```console\n" + "\n".join(shown) + "\n```"

    blocks = re.compile(r"```console\n(.*?)\n```", re.DOTALL)
    assert blocks.findall(text)
    now = blocks.sub(rerun, text)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        page.write_text(now, encoding="utf-8")
    assert CLOCK.sub("…", now) == CLOCK.sub("…", page.read_text(encoding="utf-8"))
    if page == README:
        assert len(in_bash) >= 4  # these show that what a reader types runs as it is typed


def test_the_example_on_tables_of_your_own(folder):
    """The one block without output: it runs, on tables with the columns that it names."""
    text = README.read_text(encoding="utf-8")
    command = re.search(r"```sh\n(prime-sql search 'scores.*?)\n```", text, re.DOTALL)[1]
    (folder / "scores").mkdir()
    for part in range(2):
        pl.DataFrame({"file": [f"f{part}{n:03}" for n in range(100)]}).with_columns(
            truth=pl.lit("ape"),
            guess=pl.when(pl.int_range(100) < 20).then(pl.lit("bee")).otherwise(pl.lit("ape")),
            split=pl.lit("test"),
            model=pl.lit("r50"),
        ).write_csv(folder / "scores" / f"{part}.csv")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "create schema marts; create table marts.image_tags as "
            "select format('f{}{:03}', p, n) as file, 'hang' as keyword, 0.9 as score "
            "from range(2) parts(p), range(25) numbers(n)"
        )
    shown = run(command, folder)
    assert "1 failure mode" in shown
    assert "r50 | ape" in shown
    assert ps.open_run(folder / "failures.duckdb").failure_modes.to_polars()["errors"].item() == 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples(folder, monkeypatch, page):
    monkeypatch.chdir(folder)
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted == page.read_text(encoding="utf-8").count("\n>>> ")
    assert result.failed == 0


def test_docstring_examples():
    module = importlib.import_module("prime_sql.questions.api")
    result = doctest.testmod(module)
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_every_command_stands_in_the_readme():
    text = README.read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:
        assert f"prime-sql {name}" in text


def test_links_lead_somewhere():
    for page in (README, ROOT / "CONTRIBUTING.md", ROOT / "examples" / "emoji" / "README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
