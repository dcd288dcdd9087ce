"""Which runs of a job are kept, and that pruning loses no other."""

import json
import subprocess
import sys
from collections import defaultdict

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.discovery.stored import COMPLETE, UNPUBLISHED
from prime_sql.engine.schema import names
from prime_sql.questions.prune import outdated
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.examples import examples
from tests.generated import frames
from tests.questions.nights import NIGHTS, store

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


def record(number, job, source, drop, counted, status):
    return {
        "run_id": number,
        "counted_run_id": counted,
        "job": job,
        "sources": json.dumps({"predictions": source}),
        "options": json.dumps({"min_drop": drop}),
        "status": status,
    }


@st.composite
def stored(draw):
    rows = []
    for number in range(1, draw(st.integers(1, 25)) + 1):
        counted = draw(st.sampled_from([number, number, *(r["counted_run_id"] for r in rows)]))
        rows.append(
            record(
                number,
                draw(st.sampled_from([None, "a", "b"])),
                draw(st.sampled_from("pq")),
                draw(st.sampled_from([0.3, 0.4])),
                counted,
                draw(st.sampled_from([COMPLETE] * 3 + [UNPUBLISHED])),
            )
        )
    return rows


@examples(100)
@given(stored(), st.integers(1, 5), st.sampled_from([None, "a"]))
def test_which_runs_go(rows, keep, job):
    kinds = defaultdict(list)
    for row in rows:
        kinds[row["job"], row["job"] or row["sources"], row["options"]].append(row)
    stay = set()
    for (name, *_), own in kinds.items():
        complete = [row["run_id"] for row in own if row["status"] == COMPLETE]
        stay |= set(complete[-keep:])
        latest = {row["run_id"] for row in own[-keep:]}
        stay |= latest - set(complete)
        if job is not None and name != job:
            stay |= {row["run_id"] for row in own}
    # A run that stays keeps the one that it rests on.
    stay |= {row["counted_run_id"] for row in rows if row["run_id"] in stay}
    everything = {row["run_id"] for row in rows}
    assert outdated(rows, keep, job) == everything - stay
    assert rows[-1]["run_id"] in stay  # so that a number never means another run


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A database with rows in every table: searched, refiltered, validated, shuffled."""
    db = tmp_path_factory.mktemp("prune") / "prime.duckdb"
    store(NIGHTS, db, job="nightly", max_q=1.0)
    predictions, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
    for _ in range(3):
        data.search(into=db, min_drop=0.2).close()
    for number in (1, 4, 5, 7):
        with ps.open_run(db, number, read_only=False) as run:
            run.null(2)
            run.success_modes(0.05)
            run.validate(predictions, tags) if number > 4 else run.validate(*frames(*NIGHTS[0]))
    with ps.open_run(db, 5, read_only=False) as run:
        run.refilter(min_drop=0.3)
    return db


def contents(db):
    """Every table and view of schema prime, as rows of each run."""
    found = {}
    with duckdb.connect(db, read_only=True) as connection:
        names = connection.execute(
            "select table_name, table_type from information_schema.tables "
            "where table_schema = 'prime' order by all"
        ).fetchall()
        for name, kind in names:
            table = connection.sql(f'from prime.prime."{name}"').pl()
            if "run_id" in table.columns:
                found[name, kind] = table.sort(pl.all())
    return found


def test_the_runs_that_stay_are_as_they_were(full, tmp_path):
    db = tmp_path / "prime.duckdb"
    db.write_bytes(full.read_bytes())
    before = contents(db)
    bases = {name for name, kind in before if kind == "BASE TABLE"}
    assert bases == set(names())
    assert all(before[name, "BASE TABLE"].height for name in bases)
    # Three of job nightly go; of the others run 6: run 5 holds what run 8 rests on.
    gone = [1, 2, 3, 6]
    assert ps.prune(db, keep=1, dry_run=True)["run_id"].to_list() == gone
    assert {key: table.height for key, table in contents(db).items()} == {
        key: table.height for key, table in before.items()
    }
    with ps.open_run(db) as run:
        images = run.failure_mode_images.to_polars()
    assert ps.prune(db, keep=1)["run_id"].to_list() == gone
    after = contents(db)
    assert after.keys() == before.keys()
    for key, table in after.items():
        if "seen" in "".join(table.columns):  # over all runs: when a mode was first seen
            continue
        assert_frame_equal(table, before[key].filter(~pl.col("run_id").is_in(gone)))
    with ps.open_run(db, read_only=False) as run:
        assert (run.run_id, run.counted_run_id) == (8, 5)
        assert_frame_equal(run.failure_mode_images.to_polars(), images)
        assert run.refilter(min_drop=0.4).run_id == 9
    with ps.open_run(db, 4) as run:
        assert run.previous is None
        assert run.history().to_polars().height == run.failure_modes.to_polars().height
    assert ps.prune(db, keep=1)["run_id"].to_list() == []
    store(NIGHTS[:1], db, job="nightly", max_q=1.0)
    assert ps.runs(db)["run_id"].to_list() == [4, 5, 7, 8, 9, 10]


def test_a_job_is_pruned_alone(full, tmp_path):
    db = tmp_path / "prime.duckdb"
    db.write_bytes(full.read_bytes())
    told = succeed("runs", db, "--prune", "--keep", 3, "--job", "nightly")
    assert told.stderr.startswith("Deleted 1 run; ")
    assert ps.runs(db)["run_id"].to_list() == [2, 3, 4, 5, 6, 7, 8]
    assert (
        "Nothing to delete: no run is compared with 3 later ones"
        in succeed("runs", db, "--prune", "--keep", 3).stdout
    )
    listed = succeed("runs", db, "--prune", "--keep", 1, "--dry-run", "--format", "json")
    assert [row["run_id"] for row in json.loads(listed.stdout)] == [2, 3, 6]
    assert listed.stderr == "Would delete 3 runs.\n"
    assert ps.runs(db).height == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prune"], "say how many to keep, as in --keep 30"),
        (["--prune", "--keep", 0], "keep must be at least 1, got 0"),
        (["--keep", 3], "--keep and --dry-run are for --prune"),
        (["--dry-run"], "--keep and --dry-run are for --prune"),
        (
            ["--prune", "--keep", 1, "--job", "nihgtly"],
            "no run of job 'nihgtly'. Did you mean 'nig",
        ),
    ],
)
def test_what_is_not_clear_deletes_nothing(full, arguments, message):
    before = full.read_bytes()
    assert message in fail("runs", full, *arguments)
    assert full.read_bytes() == before


def test_there_must_be_a_database_to_prune(tmp_path):
    assert "there is no database" in fail("runs", tmp_path / "no.duckdb", "--prune", "--keep", 1)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
import prime_sql as ps
left = int(sys.argv[2])
def on_sql(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
ps.prune(sys.argv[1], keep=1, on_sql=on_sql)
"""


def test_killed_in_the_middle_all_runs_are_there(full, tmp_path):
    db = tmp_path / "prime.duckdb"
    before = contents(full)
    # With a look for rows of no run, and "begin transaction"; the commit is the next one.
    last = len(names()) + 2
    for statement in (2, last // 2, last):
        db.write_bytes(full.read_bytes())
        done = subprocess.run([sys.executable, "-c", KILLED, db, str(statement)], check=False)
        assert done.returncode == -9
        after = contents(db)
        assert after.keys() == before.keys()
        for key, table in after.items():
            assert_frame_equal(table, before[key])
    done = subprocess.run([sys.executable, "-c", KILLED, db, str(last + 1)], check=False)
    assert done.returncode == -9  # after the commit
    assert ps.runs(db)["run_id"].to_list() == [4, 5, 7, 8]


def test_space_is_used_again(tmp_path):
    db = tmp_path / "a.duckdb"
    rows = [
        {"image_id": n, "label": "ape", "prediction": "bee" if n % 3 else "ape"}
        for n in range(20_000)
    ]
    predictions = data.frame(rows)
    tags = predictions.select("image_id", tag=(pl.col("image_id") % 7).cast(pl.String))
    sizes = []
    for _ in range(6):
        ps.search(predictions, tags, into=db, job="n", min_images=50).close()
        ps.prune(db, keep=2)
        sizes.append(db.stat().st_size)
    assert ps.runs(db)["run_id"].to_list() == [5, 6]
    assert sizes[-1] <= sizes[2] * 1.5
