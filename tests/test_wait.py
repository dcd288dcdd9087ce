"""A file that another process holds is waited for, as long as the user says."""

import subprocess
import sys
import time

import ibis
import pytest

import prime_sql as ps
from tests import data

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


@pytest.fixture
def holder(db):
    """A process that has the file open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, db], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    yield process
    process.communicate()


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
    assert "wait for it (--wait SECONDS, wait=)" in str(refused.value)


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
