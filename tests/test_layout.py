"""The layout holds: imports go down the floors, files are short, and one room is at the seam."""

from pathlib import Path

import pytest

from tests import layout

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "prime_sql"


def test_every_module_is_in_a_room():
    assert not layout.homeless(PACKAGE)


def test_imports_go_down_the_floors():
    assert not layout.climbing(PACKAGE)


def test_no_modules_import_each_other_in_a_circle():
    assert not layout.circles(PACKAGE)


def test_only_the_engine_s_room_touches_a_connection():
    assert not layout.at_the_seam(PACKAGE)


def test_no_file_is_too_long():
    assert not layout.too_long(ROOT)


def test_sql_files_are_numbered_from_1_without_gaps():
    assert not layout.misnumbered(ROOT / "queries")


def test_each_folder_of_sql_says_what_it_answers():
    folders = {path.parent for path in (ROOT / "queries").rglob("*.sql")}
    assert not [str(folder) for folder in folders if not (folder / "README.md").is_file()]


# Folders for steps that several modules share, or that are only part of what a module does.
SHARED = {
    "discovery",
    "discovery/checks",
    "discovery/groups",
    "discovery/greedy",
    "vision/tables",
    "vision/todo",
    "vision/write",
    "vision/checks",
}


def test_each_folder_of_sql_has_the_path_of_a_module():
    queries = ROOT / "queries"
    folders = {path.parent.relative_to(queries) for path in queries.rglob("*.sql")}
    plain = {Path(*f.parts[1:]) if f.parts[0] in ("duckdb", "spark") else f for f in folders}
    lacking = {str(f) for f in plain if not (PACKAGE / f).with_suffix(".py").is_file()}
    assert lacking == SHARED


# That what is above can fail: a package with a fault in it.

FAULTS = [
    ({"engine/a.py": "def f():\n    from prime_sql.questions import b"}, "climbing", "engine.a"),
    ({"engine/a.py": "from ..questions.b import c"}, "climbing", "prime_sql.questions.b"),
    (
        {"vision/a.py": "import typing\nif typing.TYPE_CHECKING:\n    import prime_sql.report.b"},
        "climbing",
        "prime_sql.vision.a -> prime_sql.report.b",
    ),
    (
        {"job/a.py": "import importlib\nimportlib.import_module('prime_sql.cli.b')"},
        "climbing",
        "cli.b",
    ),
    (
        {
            "engine/a.py": "from prime_sql.engine import c",
            "engine/c.py": "from . import d",
            "engine/d.py": "def f():\n    import prime_sql.engine.a",
        },
        "circles",
        "prime_sql.engine.c",
    ),
    (
        {"questions/a.py": "def f(backend):\n    backend.raw_sql('select 1')"},
        "at_the_seam",
        "raw_sql",
    ),
    (
        {"questions/a.py": "def f(s):\n    return s.backend.con"},
        "at_the_seam",
        "questions.a, line 2",
    ),
    ({"cli/a.py": "def f(s):\n    return s.backend.name == 'duckdb'"}, "at_the_seam", "cli.a"),
    ({"job/a.py": "from prime_sql.engine.mirror import Mirror"}, "at_the_seam", "engine.mirror"),
    ({"other.py": ""}, "homeless", "prime_sql.other"),
]


@pytest.mark.parametrize(("files", "check", "named"), FAULTS)
def test_a_fault_is_named(files, check, named, tmp_path):
    package = tmp_path / "prime_sql"
    usual = ["engine/mirror.py", "questions/b.py", "report/b.py", "cli/b.py"]
    for name, text in {**dict.fromkeys(usual, ""), **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.joinpath("__init__.py").touch()
        path.write_text(text)
    package.joinpath("__init__.py").touch()
    found = getattr(layout, check)(package)
    assert len(found) == 1
    assert named in str(found)


def test_long_and_misnumbered_files_are_named(tmp_path):
    for name, lines in (("prime_sql/a.py", 401), ("queries/b/01_x.sql", 400), ("tests/c.py", 500)):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("-- a line\n" * lines)
    (tmp_path / "queries/b/03_y.sql").touch()
    assert layout.too_long(tmp_path) == ["prime_sql/a.py: 401", "tests/c.py: 500"]
    assert layout.misnumbered(tmp_path / "queries") == ["b: 01_x.sql, 03_y.sql"]
