"""The built wheel, in a clean environment outside the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLES = ["images", "metadata", "predictions", "tags"]


def run(*command, cwd):
    # Nothing of the checkout may leak in.
    leaks = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in leaks}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", ROOT, "--no-deps", "--wheel-dir", folder, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.timeout(600)
def test_the_wheel_carries_the_sql_the_demo_and_the_licences(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    sql = {f"prime_sql/{path.relative_to(ROOT)}" for path in (ROOT / "queries").rglob("*.sql")}
    assert {name for name in names if name.endswith(".sql")} == sql
    assert len(sql) > 20
    for table in TABLES:
        packed = zipfile.ZipFile(wheel).read(f"prime_sql/emoji/{table}.parquet")
        assert packed == (ROOT / "examples" / "emoji" / f"{table}.parquet").read_bytes()
    assert "prime_sql/emoji/LICENSES.md" in names
    assert "prime_sql/job/schema.json" in names
    assert "prime_sql/py.typed" in names  # else type checkers take all names for Any
    assert any(name.endswith("licenses/LICENSE") for name in names)
    modules = {
        f"prime_sql/{path.relative_to(ROOT / 'prime_sql')}"
        for path in (ROOT / "prime_sql").rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.split("/")[0].split("-")[0] for name in names} == {"prime_sql"}


@pytest.mark.timeout(900)
def test_the_installed_wheel_runs_the_demo(wheel, tmp_path):
    """Installs the core and what it needs from the registry: a minute or two."""
    venv, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    run(sys.executable, "-m", "venv", venv, cwd=work)
    quietly = ("--quiet", "--disable-pip-version-check", "--no-compile")
    run(venv / "bin" / "pip", "install", *quietly, wheel, cwd=work)
    place = run(
        venv / "bin" / "python", "-c", "import prime_sql; print(prime_sql.__file__)", cwd=work
    )
    assert Path(place.strip()).is_relative_to(venv)
    program = venv / "bin" / "prime-sql"
    text = run(program, "demo", cwd=work)
    assert "failure modes" in text
    # The commands that it prints find the program and the file.
    (command, *_) = [line.strip() for line in text.splitlines() if " query demo.duckdb " in line]
    assert command.startswith(f"{program} query demo.duckdb images_of_mode --param mode_id=")
    assert "image_" in run("bash", "-c", command, cwd=work)
    assert "near_misses" in run(program, "query", cwd=work)
    assert "accuracy" in run(program, "query", "demo.duckdb", "near_misses", cwd=work)
    assert run(program, "--version", cwd=work).startswith("prime-sql ")
