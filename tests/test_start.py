"""How a process starts: what is imported when, and that names do not depend on it."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import prime_sql as ps
from tests import layout
from tests import tables as data

# What takes long to import: what a search and its printed table need, and what others do.
NEEDED = ["duckdb", "ibis", "jinja2", "polars", "pyarrow", "rich", "sqlglot"]
HEAVY = [*NEEDED, "numpy", "pandas", "torch"]


def in_a_fresh_process(code):
    """Run code; return what it prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Prints which of the heavy modules are there after each command line, and how each one ended.
COMMANDS = """
import contextlib, io, json, sys
from prime_sql import cli

def ending(*arguments):
    sys.argv = ["prime-sql", *arguments]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            cli.main()
        except SystemExit as end:
            return end.code, printed.getvalue()

lines = json.loads({lines!r})
found = []
for line in lines:
    status, printed = ending(*line)
    found.append([line, status, [name for name in {heavy!r} if name in sys.modules], printed])
print(json.dumps(found))
"""


def after(lines, *, heavy=HEAVY):
    return in_a_fresh_process(COMMANDS.format(lines=json.dumps(lines), heavy=heavy))


def test_help_and_version_load_no_engine():
    ((_, _, _, text),) = after([["--help"]])
    commands = [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line]
    assert {"search", "demo", "embed", "run"} < {*commands}
    lines = [["--version"], ["--help"], *([name, "--help"] for name in commands)]
    found = after(lines)
    assert [(line, status, heavy) for line, status, heavy, _ in found] == [
        (line, 0, []) for line in lines
    ]


def test_usage_errors_load_no_engine():
    lines = [
        [],
        ["nonsense"],
        ["search", "--nonsense"],
        ["search", "--max-tags", "many"],
        ["compare", "prime.duckdb", "1"],
        ["top", "prime.duckdb", "--by", "nonsense"],
        ["embed", "photos"],
        ["run"],
    ]
    assert [(line, status, heavy) for line, status, heavy, _ in after(lines)] == [
        (line, 2, []) for line in lines
    ]


def test_options_that_do_not_fit_load_no_engine():
    """Our own messages are printed by rich."""
    lines = [
        ["search"],
        ["search", "p.csv", "t.csv", "-o", "modes.txt"],
        ["search", "p.csv", "t.csv", "--necessity", "x"],
        ["top", "prime.duckdb", "--all", "--overlap", "0.5"],
        ["runs", "prime.duckdb", "--keep", "3"],
        ["gate", "prime.duckdb"],
        ["init"],
        ["embed", "--db", "p.duckdb"],
        ["report", "prime.duckdb", "-o", "report.docx"],
    ]
    assert [(line, status, heavy) for line, status, heavy, _ in after(lines)] == [
        (line, 2, ["rich"]) for line in lines
    ]


def test_a_search_loads_them(tmp_path):
    """Else the names above would be misspelt."""
    data.write(data.PREDICTIONS, tmp_path / "p.csv")
    data.write(data.TAGS, tmp_path / "t.csv")
    search = ["search", str(tmp_path / "p.csv"), str(tmp_path / "t.csv"), "--min-images", "4"]
    ((_, status, heavy, _),) = after([search])
    assert status == 0
    assert {*NEEDED} <= {*heavy}


# Imports all submodules; prints which names of the package are a module then, or cannot be had.
SUBMODULES = """
import importlib, json, pkgutil, sys, types
import prime_sql

wrong = []
names = [each.name for each in pkgutil.walk_packages(prime_sql.__path__, "prime_sql.")]
for name in sorted(names, key=lambda name: name not in {first!r}):
    if name == "prime_sql.__main__":
        continue
    importlib.import_module(name)
    wrong += [
        [name, each]
        for each in prime_sql.__all__
        if isinstance(vars(prime_sql).get(each), types.ModuleType)
    ]
for each in prime_sql.__all__:
    value = getattr(prime_sql, each)
    if not callable(value) or value is not getattr(sys.modules[value.__module__], each):
        wrong.append(each)
print(json.dumps([wrong, len(names)]))
"""


def test_no_submodule_takes_the_place_of_a_function():
    names = layout.modules(Path(ps.__file__).parent)
    first = [name for name in names if name.rpartition(".")[2] in ps.__all__]
    assert {"prime_sql.questions.compare", "prime_sql.discovery.search"} <= {*first}
    wrong, count = in_a_fresh_process(SUBMODULES.format(first=first))
    assert wrong == []
    assert count > 100


def test_the_names_of_the_package():
    assert {*ps.__all__} == {*ps._HOMES} <= {*dir(ps)}
    everything = {}
    exec("from prime_sql import *", everything)
    assert {*ps.__all__} <= {*everything}
    assert import_module("prime_sql.engine.errors").InputWarning is ps.InputWarning
    with pytest.raises(AttributeError, match="module 'prime_sql' has no attribute 'serach'"):
        ps.serach  # noqa: B018
