"""What a killed process leaves: no log that can tear, and no rows that the next run takes over.

The kills themselves are in `tests.kills`; ``make test-kills`` does hundreds of them.
"""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import ibis
import pytest

import prime_sql as ps
from prime_sql.engine import session
from prime_sql.engine.schema import names
from tests import tables as data
from tests.kills.world import OPTIONS, tables

ROOT = Path(__file__).parent.parent
FRAMES = (data.frame(data.PREDICTIONS), data.frame(data.TAGS))


@pytest.fixture(scope="module")
def large():
    """Predictions and tags of which a run stores more rows than a log may hold."""
    return tables(14_000)


@pytest.fixture
def db(tmp_path):
    """A file with one run."""
    data.search(into=tmp_path / "a.duckdb", job="nightly").close()
    return tmp_path / "a.duckdb"


def stored(db, table, run_id):
    with duckdb.connect(db) as con:
        sql = f"select count(*) from prime.{table} where run_id = {run_id}"
        return con.execute(sql).fetchone()[0]


def log(db):
    return db.with_name(f"{db.name}.wal")


def test_a_large_run_leaves_no_log(db, large):
    with ps.search(*large, into=db, **OPTIONS) as run:
        assert stored(db, "tagged", run.run_id) > 122_880
        assert not log(db).exists()
    with data.search(into=db):
        assert log(db).exists()  # that of a small one is cut whole, and costs less


def test_the_users_threshold_is_as_it_was(db, large):
    setting = "select current_setting('checkpoint_threshold')"
    for threshold in ("16 MiB", "3.2 MiB"):  # the default, and another
        connection = ibis.duckdb.connect(db)
        connection.raw_sql(f"set checkpoint_threshold = '{threshold}'")
        before = connection.raw_sql(setting).fetchone()
        ps.search(*large, into=connection, **OPTIONS)
        assert connection.raw_sql(setting).fetchone() == before
        connection.disconnect()


def torn_logs(db, large, monkeypatch):
    """Commit a large run as if its log could not tear, and cut the log short; yield each state."""
    before = db.read_bytes()
    monkeypatch.setattr(session, "_SAFE_IN_LOG", 10**9)
    connection = ibis.duckdb.connect(db)
    connection.raw_sql("pragma disable_checkpoint_on_shutdown")
    connection.raw_sql("set checkpoint_threshold = '1GB'")
    ps.search(*large, into=connection, **OPTIONS)
    whole, after = log(db).read_bytes(), db.read_bytes()
    connection.disconnect()
    monkeypatch.undo()
    assert len(after) > len(before)  # row groups are there before they are committed
    for length in (0, len(whole) // 2, *(len(whole) - back for back in (200, 50, 9, 1, 0))):
        db.write_bytes(after)
        log(db).write_bytes(whole[:length])
        yield length == len(whole)


def test_the_next_run_takes_nothing_of_a_torn_log(db, large, monkeypatch, recwarn):
    torn = 0
    for whole in torn_logs(db, large, monkeypatch):
        recwarn.clear()
        with data.search(into=db) as run:
            assert data.found(run) == data.expected()
            number = run.run_id
        removed = [message for message in data.warned(recwarn) if "belong to no run" in message]
        torn += bool(removed)
        assert (number == 3 and not removed) if whole else number == 2
        for table in ("tagged", "outcomes", "classes", "tag_sets"):
            assert stored(db, table, number) == stored(db, table, 1)
        assert ps.runs(db)["run_id"].to_list() == list(range(1, number + 1))
    if duckdb.__version__.startswith("1."):
        assert torn  # else this test is about nothing
    else:
        assert not torn


@pytest.mark.parametrize("left", [name for name in names() if name != "runs"])
def test_rows_of_no_run_are_removed_and_named(db, left):
    with ps.open_run(db, read_only=False) as run:
        run.validate(*FRAMES)
        run.null(1)
        run.success_modes()
    with duckdb.connect(db) as con:
        con.execute(
            f"insert into prime.{left} by name select * replace (7 as run_id) from prime.{left}"
        )
        if left in ("rare_tags", "success_modes"):  # this run has none
            kinds = con.execute(f"describe prime.{left}").fetchall()
            values = ", ".join("7" if row[1] == "INTEGER" else f"'1'::{row[1]}" for row in kinds)
            con.execute(f"insert into prime.{left} values ({values})")
    assert stored(db, left, 7) > 0
    with pytest.warns(ps.InputWarning, match=rf"no run: number 7 \(\d+ of {left}\); a process"):
        after = data.search(into=db)
    with after:
        assert after.run_id == 2
        assert data.found(after) == data.expected()
    assert stored(db, left, 7) == 0
    data.search(into=db).close()  # warns of nothing


WRITERS = {
    "refilter": lambda run, db: run.refilter(min_drop=0.4),
    "append": lambda run, db: run.append(*FRAMES),
    "validate": lambda run, db: run.validate(*FRAMES),
    "chance": lambda run, db: run.chance(),
    "null": lambda run, db: run.null(1),
    "success_modes": lambda run, db: run.success_modes(),
    "prune": lambda run, db: ps.prune(db, keep=1),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_all_that_write_remove_them(db, writer):
    data.search(into=db, job="nightly").close()
    with duckdb.connect(db) as con:
        con.execute("insert into prime.tagged select 7, * exclude run_id from prime.tagged")
    named = pytest.warns(ps.InputWarning, match=r"number 7 \(\d+ of tagged\)")
    with ps.open_run(db, read_only=False) as run, named:
        WRITERS[writer](run, db)
    assert stored(db, "tagged", 7) == 0


def test_a_number_follows_the_rows_of_no_run_of_a_database_in_memory():
    connection = ibis.duckdb.connect()
    data.search(into=connection)
    connection.raw_sql("insert into prime.classes select 7, * exclude run_id from prime.classes")
    assert data.search(into=connection).run_id == 8


@pytest.mark.parametrize(("line", "kills", "images"), [("1.5", 14, 14_000), ("2", 16, 3_000)])
def test_processes_that_are_killed_leave_nothing_half_done(line, kills, images):
    folder = Path(sys.prefix, "duckdb", line)
    assert folder.is_dir(), f"{folder} is not there: make .venv/duckdb/.done"
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--seed=0", f"--kills={kills}", f"--images={images}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"duckdb {line}" in done.stdout
    assert done.stdout.endswith(f"{kills} killed, damaged: 0\n"), done.stdout + done.stderr
    assert done.returncode == 0
