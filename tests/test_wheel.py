"""The built wheel, in a clean environment outside the checkout."""

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def needed(package):
    """Every distribution that a package declares that it needs, and those need."""
    found, wanted = {}, [Requirement(package)]
    while wanted:
        requirement = wanted.pop()
        extras = {"", *requirement.extras}
        key = canonicalize_name(requirement.name), *sorted(extras)
        if key in found:
            continue
        found[key] = metadata.distribution(requirement.name)
        for text in found[key].requires or []:
            other = Requirement(text)
            if other.marker is None or any(other.marker.evaluate({"extra": e}) for e in extras):
                assert other.specifier.contains(metadata.version(other.name)), text
                wanted.append(other)
    return {key[0]: each for key, each in found.items() if key[0] != canonicalize_name(package)}


def link(distribution, packages):
    """Have the files of an installed distribution in another folder of packages."""
    for file in {path.parts[0] for path in distribution.files if path.parts[0] not in ("..", "/")}:
        there, here = Path(distribution.locate_file(file)), packages / file
        if file != "__pycache__" and there.exists() and not here.exists():
            here.symlink_to(there)


@pytest.mark.timeout(900)
def test_the_installed_wheel_runs_the_demo(wheel, tmp_path):
    """With what it declares that it needs, and nothing else that is installed here."""
    venv, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=work)
    (packages,) = venv.glob("lib/python*/site-packages")
    required = needed("prime-sql")
    assert {"duckdb", "ibis-framework", "polars"} <= required.keys()
    assert not {"scipy", "hypothesis", "torch", "pytest"} & required.keys()
    for distribution in required.values():
        link(distribution, packages)
    pip = (sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install")
    run(*pip, "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", wheel, cwd=work)
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
