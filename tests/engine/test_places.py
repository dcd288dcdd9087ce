"""Names that lead nowhere: too long, in a circle, to a pipe, or with a null character."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import prime_sql as ps
from prime_sql.engine import files, places
from tests import tables as data
from tests.refusals import contents

LONG = "n" * 300
NAMES = {
    LONG: "its name is too long for the system",
    "circle": "it is a symbolic link that leads back to itself",
    "nu\0ll": "a character that no file name can have",
    " ": "the name is empty",
    "pipe": "it is a pipe, not a file",
    "/dev/zero": "it is a device, not a file",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ending in ("", ".duckdb", ".parquet", ".csv"):
        Path(f"circle{ending}").symlink_to(f"circle{ending}")
        os.mkfifo(f"pipe{ending}")
    data.write(data.PREDICTIONS, tmp_path / "predictions.parquet")
    data.write(data.TAGS, tmp_path / "tags.parquet")
    return tmp_path


def refused(why, folder, call, *arguments, **options):
    before = contents(folder)
    with pytest.raises(ps.PrimeSqlError) as caught:
        call(*arguments, **options)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 600
    assert contents(folder) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_database(name, here):
    refused(NAMES[name], here, ps.open_run, name)
    refused(NAMES[name], here, ps.search, "predictions.parquet", "tags.parquet", into=name)
    if name != "/dev/zero":
        refused(NAMES[name], here, ps.runs, f"{name}.duckdb" if name.strip() else name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.strip()])
@pytest.mark.parametrize("ending", [".parquet", ".csv", ".duckdb:t"])
def test_a_source(name, ending, here):
    if name == "/dev/zero":
        ending = ""
    why = NAMES[name] if name != "/dev/zero" else "cannot tell the format of /dev/zero"
    refused(why, here, ps.search, f"{name}{ending}", "tags.parquet")
    refused(why, here, ps.search, "predictions.parquet", f"{name}{ending}")


def test_a_table_of_that_name(here):
    data.search(into="runs.duckdb").close()
    refused("its name is too long", here, ps.search, LONG, "tags.parquet", into="runs.duckdb")


@pytest.mark.parametrize("length", [180, 225, 255])
def test_as_long_a_name_as_the_system_admits_is_written(length, here):
    path = here / ("n" * (length - 4) + ".csv")
    files.write(data.frame(data.TAGS), files.check_file(path))
    assert len(data.frame(data.TAGS)) == len(path.read_text().splitlines()) - 1
    assert not list(here.glob(".*"))


def test_a_database_of_as_long_a_name(here):
    data.search(into="n" * 251).close()
    assert ps.runs("n" * 251).height == 1


def test_what_no_file_can_be_written_to_is_refused_before_the_work(here):
    for name in (f"{LONG}.csv", "nu\0ll.csv", "circle.csv", "/proc/rows.csv", "no/rows.csv"):
        with pytest.raises(ps.OptionError, match="cannot write"):
            files.check_file(Path(name))
    assert places.special("pipe.csv") == "a pipe"
    files.check_file(Path("pipe.csv"))  # somebody reads it
    assert not list(here.glob(".*"))


def test_one_file_for_two_things(here):
    Path("b.csv").symlink_to("a.csv")
    Path("a.csv").touch()
    for other in ("a.csv", "./a.csv", here / "a.csv", "b.csv"):
        with pytest.raises(ps.OptionError, match=r"--one and --two are the same file, .*a\.csv"):
            files.check_apart({"--one": "a.csv", "--two": other}, {})
        with pytest.raises(ps.OptionError, match=r"TAGS and --one are the same file"):
            files.check_apart({"--one": other}, {"TAGS": "a.csv"})
    files.check_apart({"--one": "a.csv", "--two": "c.csv"}, {"A": "d.csv", "B": "d.csv"})
    files.check_apart({"--one": "/dev/null", "--two": "/dev/null", "--three": None}, {})


def test_a_pipe_is_no_database_in_a_process_of_its_own(here):
    done = subprocess.run(
        [sys.executable, "-m", "prime_sql", "top", "pipe"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: cannot open the database pipe: it is a pipe, not a file; name a regular file\n"
    )
