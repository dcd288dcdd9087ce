"""A file that another process holds is waited for, as long as the user says."""

import shlex
import subprocess
import sys
import time
from contextlib import contextmanager

import ibis
import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, succeed

# Holds the file until a line comes, or nobody is there any more.
HOLDER = """
import sys, duckdb
with duckdb.connect(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def db(tmp_path):
    data.search(into=tmp_path / "a.duckdb", job="nightly").close()
    return tmp_path / "a.duckdb"


@contextmanager
def holding(db, script=HOLDER):
    """A process that has the file open, until somebody communicates with it."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, db], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    yield process
    process.communicate()


@pytest.fixture
def holder(db):
    with holding(db) as process:
        yield process


@pytest.fixture
def lets_go(holder, monkeypatch):
    """The first time that somebody waits, the process lets go of the file."""
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        holder.communicate()

    monkeypatch.setattr(time, "sleep", sleep)
    yield holder
    assert len(waited) == 1


OPENS = {
    "search": lambda db, wait: data.search(into=db, wait=wait).run_id,
    "append": lambda db, wait: data.search(into=db, wait=wait, job="nightly", append=True).run_id,
    "open_run": lambda db, wait: ps.open_run(db, wait=wait).run_id + 1,
    "sql": lambda db, wait: ps.sql(db, "select 2 as n", wait=wait).item(),
    "runs": lambda db, wait: len(ps.runs(db, wait=wait)) + 1,
    "prune": lambda db, wait: len(ps.prune(db, keep=1, wait=wait)) + 2,
}


@pytest.mark.parametrize("opens", OPENS)
def test_it_is_opened_once_it_is_free(db, lets_go, opens):
    assert OPENS[opens](db, 3600) == 2


@pytest.mark.parametrize("opens", OPENS)
def test_without_a_wait_it_is_refused(db, holder, opens):
    with pytest.raises(ps.WarehouseError) as refused:
        OPENS[opens](db, 0)
    assert f"{db} is in use by another process (process {holder.pid}); " in str(refused.value)
    assert "wait for it (--wait SECONDS, or wait=) or close it" in str(refused.value)


def test_a_wait_comes_to_an_end(db, holder):
    with pytest.raises(ps.WarehouseError, match=r"still in use by another process .* after 0\.3 s"):
        ps.open_run(db, wait=0.3)


@pytest.mark.parametrize("wait", [-1, "long", True, float("nan"), float("inf")])
def test_it_is_a_number_of_seconds(db, wait):
    with pytest.raises(ps.OptionError, match="wait must be a"):
        data.search(into=db, wait=wait)


@pytest.mark.parametrize("into", [None, ":memory:", "clickhouse://host/db", "connection"])
def test_only_files_are_waited_for(into):
    with pytest.raises(ps.OptionError, match="wait is for a DuckDB file"):
        data.search(into=ibis.duckdb.connect() if into == "connection" else into, wait=1)


JOB = """
db = "a.duckdb"
wait = {wait}
[sources]
predictions = "predictions.csv"
tags = "tags.csv"
[options]
min_images = 4
max_tags = 2
"""
SEARCH = "search predictions.csv tags.csv --min-images 4 --max-tags 2 --db a.duckdb"
COMMANDS = (
    SEARCH,
    f"{SEARCH} --job nightly --append",
    "search --db a.duckdb --from-run latest --min-drop 0.4",
    f"{SEARCH} --model region --models north,south",
    "run job.toml",
    "run job.toml --check",
    "report a.duckdb -o report.html",
    "sql a.duckdb 'select tags from failure_modes'",
    "query a.duckdb near_misses",
    "runs a.duckdb",
    "runs a.duckdb --prune --keep 1",
    "top a.duckdb",
    "chance a.duckdb",
    "successes a.duckdb",
    "validate a.duckdb predictions.csv tags.csv",
    "explain a.duckdb MODE",
    "sweep a.duckdb --min-drop 0.3,0.4",
    "compare a.duckdb 1 1",
    "history a.duckdb",
    "gate a.duckdb --fail-on 'images > 1000'",
    "pick a.duckdb MODE tags.csv --seen",
    "weights a.duckdb",
)
# As DuckDB holds it, but there at once.
LIGHT = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(db, monkeypatch):
    """The folder of the file, with the tables and a job that does not wait by itself."""
    data.write(data.PREDICTIONS, db.parent / "predictions.csv")
    data.write(data.TAGS, db.parent / "tags.csv")
    db.with_name("job.toml").write_text(JOB.format(wait=0))
    monkeypatch.chdir(db.parent)
    return db.parent


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_waits_for_its_file(folder, monkeypatch, command):
    db = folder / "a.duckdb"
    mode = ps.sql(db, "select min(mode_id) from failure_modes").item()
    arguments = [each.replace("MODE", mode) for each in shlex.split(command)]
    with holding(db, LIGHT) as holder:
        assert f"in use by another process (process {holder.pid})" in fail(*arguments)
        monkeypatch.setattr(time, "sleep", lambda _: holder.communicate())
        succeed(*arguments, "--wait", "3600")
        assert holder.returncode == 0  # it was held until then


def test_a_job_waits_as_its_file_says(folder, monkeypatch):
    (folder / "job.toml").write_text(JOB.format(wait=3600))
    with holding(folder / "a.duckdb", LIGHT) as holder:
        assert "is in use" in fail("run", "job.toml", "--wait", "0")
        monkeypatch.setattr(time, "sleep", lambda _: holder.communicate())
        succeed("run", "job.toml")
    (folder / "job.toml").write_text(JOB.format(wait=-1))
    assert "job.toml: wait must be at least 0 and at most 604,800 seconds" in fail(
        "run", "job.toml"
    )


def test_a_warehouse_is_not_waited_for(folder):
    refused = fail(*["search", "a", "b", "--warehouse", "postgres://host/db", "--wait", "5"])
    assert "a warehouse, a connection and memory are never waited for" in refused
