"""`Run` only names: its methods are the functions of the modules, for people and type checkers."""

import inspect
import pydoc
import subprocess
import sys

import pytest

import prime_sql as ps
from prime_sql.questions import ask, chance, collect, rank, validation

METHODS = [
    name
    for name, each in inspect.getmembers(ps.Run, inspect.isfunction)
    if not name.startswith("_") and each.__module__ != "prime_sql.discovery.stored"
]


def test_a_method_is_the_function_beside_its_code():
    assert ps.Run.cover is rank.cover
    assert ps.Run.chance is chance.chance
    assert ps.Run.validate is validation.validate
    assert ps.Run.report is collect.report
    assert ps.Run.query is ask.query


@pytest.mark.parametrize("name", METHODS)
def test_help_is_the_docstring_beside_the_code(name):
    method = getattr(ps.Run, name)
    assert inspect.getsourcefile(method) != inspect.getsourcefile(ps.Run)
    shown = pydoc.plain(pydoc.render_doc(method))
    assert inspect.getdoc(method).splitlines()[0] in shown
    assert next(iter(inspect.signature(method).parameters)) == "run"


@pytest.mark.parametrize("name", ["validation", "previous", "changes"])
def test_properties_say_what_they_are(name):
    assert len(inspect.getdoc(getattr(ps.Run, name))) > 60


USES = """
import prime_sql as ps

run = ps.open_run("prime.duckdb")
reveal_type(run.refilter(min_drop=0.4))
reveal_type(run.append(None, None))
reveal_type(run.cover(top=3))
reveal_type(run.previous)
reveal_type(run.validation)
reveal_type(run.report())
with run.refilter(min_drop=0.4) as narrower:
    reveal_type(narrower)
run.cover(tops=3)
run.explain(7)
"""


def test_a_type_checker_knows_the_methods(tmp_path):
    (tmp_path / "uses.py").write_text(USES)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "uses.py"]
    done = subprocess.run(
        [*command, "--no-error-summary"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    lines = [line.partition(": ")[2] for line in done.stdout.splitlines() if "uses.py" in line]
    revealed = [line.split('"')[1] for line in lines if "Revealed type" in line]
    run, relation = "prime_sql.questions.run.Run", "prime_sql.engine.relation.Relation"
    assert revealed == [
        run,
        run,
        relation,
        f"{run} | None",
        "prime_sql.questions.validation.Validation | None",
        "prime_sql.report.report.Report",
        run,
    ]
    refused = [line for line in lines if line.startswith("error")]
    assert len(refused) == 2
    assert 'Unexpected keyword argument "tops"; did you mean "top"?' in refused[0]
    assert 'has incompatible type "int"; expected "str"' in refused[1]
