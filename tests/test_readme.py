"""The README's examples, run as written, with their output.

``UPDATE_SNAPSHOTS=1`` writes the output into the README; read the difference before committing it.
"""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
import typer

import prime_sql as ps
from prime_sql.cli import app

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
# A run's time of day and the seconds of a step change from run to run.
CLOCK = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


@pytest.fixture
def folder(tmp_path):
    """A folder with the examples in it, where commands may leave their databases."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def run(command, folder):
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


def test_console_examples_print_what_the_readme_says(folder):
    text = README.read_text(encoding="utf-8")

    def rerun(block):
        commands = [line for line in block[1].splitlines() if line.startswith("$ ")]
        shown = [f"{command}\n{run(command[2:], folder)}".strip() for command in commands]
        return "```console\n" + "\n".join(shown) + "\n```"

    blocks = re.compile(r"```console\n(.*?)\n```", re.DOTALL)
    assert len(blocks.findall(text)) >= 4
    now = blocks.sub(rerun, text)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        README.write_text(now, encoding="utf-8")
    assert CLOCK.sub("…", now) == CLOCK.sub("…", README.read_text(encoding="utf-8"))


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


def test_python_examples(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = doctest.testfile(str(README), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted >= 7
    assert result.failed == 0


def test_docstring_examples():
    module = importlib.import_module("prime_sql.search")
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
