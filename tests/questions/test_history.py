"""Runs of one job after another: what changed, accuracy over the last runs, and pruning."""

import json
from collections import defaultdict

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.discovery.stored import UNPUBLISHED
from prime_sql.questions.history import sparkline
from tests import oracle
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.examples import examples
from tests.generated import frames, options, tables
from tests.questions.counted import counted
from tests.questions.nights import CHOSEN, NIGHTS, night, store

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

SLOW = examples(3)

NEW, PERSISTING, FIXED, UNDECIDED = "new", "persisting", "fixed", "undecided"


# The job of a run ---------------------------------------------------------------------------------


def test_a_run_carries_the_name_of_its_job(tmp_path):
    predictions = data.write(data.PREDICTIONS, tmp_path / "p.csv")
    tags = data.write(data.TAGS, tmp_path / "t.csv")
    db, line = tmp_path / "a.duckdb", ["search", predictions, tags, "--min-images", 4, "--db"]
    succeed(*line, db)
    assert " job " not in succeed("runs", db).stdout
    succeed(*line, db, "--job", "every night's")
    succeed("search", "--from-run", 1, "--db", db, "--min-drop", 0.4, "--job", "strict")
    with ps.open_run(db, read_only=False) as run:
        assert run.job == "strict"
        assert run.refilter(min_drop=0.5).job is None
    assert ps.runs(db)["job"].to_list() == [None, "every night's", "strict", None]
    assert "every night's" in succeed("runs", db).stdout
    one = json.loads(succeed("runs", db, "--job", "strict", "--format", "json").stdout)
    assert [row["run_id"] for row in one] == [3]
    assert "has no runs of job nobody" in succeed("runs", db, "--job", "nobody").stdout
    refusal = fail(*line, tmp_path / "b.duckdb", "--job", " ")
    assert "Invalid value for '--job': it is empty" in refusal
    assert not (tmp_path / "b.duckdb").exists()


def test_a_database_made_before_there_were_jobs_is_read_and_gets_the_column(tmp_path):
    db = tmp_path / "a.duckdb"
    data.search(into=db).close()
    with duckdb.connect(db) as connection:
        views = connection.execute(
            "select view_name from duckdb_views() where schema_name = 'prime' and view_name ^@ 'v_'"
        ).fetchall()
        for (view,) in views:  # those that came with the column
            connection.execute(f"drop view a.prime.{view}")
        connection.execute("alter table a.prime.runs drop column job")
    with ps.open_run(db) as run:
        assert (run.job, run.failure_modes.to_polars().height) == (None, 3)
        assert run.previous is None
    assert ps.runs(db)["job"].to_list() == [None]
    data.search(into=db, job="nightly").close()
    assert ps.runs(db)["job"].to_list() == [None, "nightly"]


def test_which_run_is_the_previous_one(tmp_path):
    db, tags = tmp_path / "a.duckdb", data.frame(data.TAGS)
    for name in "pq":
        data.write(data.PREDICTIONS, tmp_path / f"{name}.csv")
    made = [  # predictions, job, min_drop; the number of the run that it is compared with
        ("p", "night", 0.3, None),
        ("p", None, 0.3, None),
        ("q", "night", 0.3, 1),  # wherever the job reads from
        ("q", None, 0.3, None),  # without a job the place counts
        ("p", "night", 0.4, None),  # other options
        ("p", None, 0.3, 2),
        ("p", "day", 0.3, None),
        ("p", "night", 0.3, 3),
        ("p", "night", 0.4, 5),
        ("q", None, 0.3, 4),
        ("p", None, 0.3, 6),
    ]
    for name, job, drop, _ in made:
        data.search(tmp_path / f"{name}.csv", tags, into=db, job=job, min_drop=drop).close()
    with ps.open_run(db, read_only=False) as last:
        before = [ps.Run(last.backend, number + 1).previous for number in range(len(made))]
        assert [run and run.run_id for run in before] == [expected for *_, expected in made]
        # What was never published, nobody saw.
        last.backend.raw_sql(f"update a.prime.runs set status = '{UNPUBLISHED}' where run_id = 3")
        assert ps.Run(last.backend, 8).previous.run_id == 1
        assert ps.Run(last.backend, 3).previous.run_id == 1
        again = last.refilter(min_drop=0.3)
        assert (again.run_id, again.previous.run_id) == (12, 11)


# Nights made by hand ------------------------------------------------------------------------------

STATUSES = [
    {},
    {("ape", "hang"): PERSISTING, ("bee", "wing"): UNDECIDED, ("cat", "sofa"): UNDECIDED},
    {
        ("ape", "hang"): PERSISTING,
        ("ape", "tree"): UNDECIDED,
        ("cat", "sofa"): FIXED,
        ("bee", "wings"): UNDECIDED,
    },
    {
        ("ape", "hang"): PERSISTING,
        ("ape", "tree"): UNDECIDED,
        ("bee", "wing"): UNDECIDED,
        ("bee", "wings"): UNDECIDED,
    },
]


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    db = tmp_path_factory.mktemp("history") / "prime.duckdb"
    store(NIGHTS, db, job="nightly")
    return db


def modes_of(predictions, tags, chosen):
    """The failure modes of a night, by class and sorted tags."""
    outcomes = [(label, image, label != guess) for image, label, guess in predictions]
    return oracle.failure_modes(outcomes, tags, **chosen)


def check(rows, nights, first, chosen):
    """Compare the rows of a history with brute force over the tables of each night."""
    keys = {
        (class_name, " + ".join(names)): (class_name, names)  # " + " may be inside a tag
        for predictions, tags in nights
        for class_name, names in modes_of(predictions, tags, chosen)
    }
    for row in rows:
        predictions, tags = nights[row["run_id"] - first]
        key = keys[row["class_name"], row["tags"]]
        images, errors, class_images, class_errors = counted(predictions, tags, key, chosen)
        assert (row["images"], row["errors"]) == (images, errors)
        assert row["is_mode"] == (key in modes_of(predictions, tags, chosen))
        right = None if not images else 1 - errors / images
        class_right = None if class_images is None else 1 - class_errors / class_images
        assert row["accuracy"] == (None if right is None else pytest.approx(right))
        assert row["class_accuracy"] == (
            None if class_right is None else pytest.approx(class_right)
        )
        drop = None if right is None else pytest.approx(class_right - right, abs=1e-12)
        assert row["accuracy_drop"] == drop


@pytest.mark.parametrize("number", range(1, len(NIGHTS) + 1))
def test_modes_through_the_nights(nights, number):
    with ps.open_run(nights, number) as run:
        found = run.history().to_polars()
        changed = run.changes
        assert (changed is None) == (run.previous is None) == (number == 1)
        if changed is not None:
            compared = changed.to_polars()
            assert_frame_equal(compared, ps.compare(run.previous, run).to_polars())
            in_order = found.unique("place", maintain_order=True)
            assert in_order["mode_id"].to_list() == compared["mode_id"].to_list()
            assert in_order["status"].to_list() == compared["status"].to_list()
        else:
            assert found["status"].to_list() == [None] * found.height
            assert found["mode_id"].to_list() == run.failure_modes.to_polars()["mode_id"].to_list()
        dates = dict(ps.runs(nights).select("run_id", "created_at").iter_rows())
    rows = found.to_dicts()
    statuses = {(row["class_name"], row["tags"]): row["status"] for row in rows if row["status"]}
    assert statuses == STATUSES[number - 1]
    assert all(dates[row["run_id"]] == row["created_at"] for row in rows)
    modes = defaultdict(list)
    for row in rows:
        modes[row["place"]].append(row["run_id"])
    assert list(modes) == list(range(1, len(modes) + 1))
    assert all(runs == list(range(1, number + 1)) for runs in modes.values())
    check(rows, NIGHTS, 1, CHOSEN)


def test_new_and_fixed_and_by_a_hair(tmp_path):
    db = tmp_path / "a.duckdb"
    errors = [(0, PERSISTING), (16, NEW), (15, PERSISTING), (8, None), (16, PERSISTING), (7, FIXED)]
    store([night(("ape", "hang", 40, e), ("ape", "sky", 160, 0)) for e, _ in errors], db, job="n")
    for number, (_, expected) in enumerate(errors[1:], 2):
        with ps.open_run(db, number) as run:
            found = run.history(2).to_polars()
            # From 15 to 8 errors there is no failure mode before or after: nothing to follow.
            statuses = set(found["status"].to_list())
            assert statuses == (set() if expected is None else {expected}), number
            assert found["run_id"].unique().sort().to_list() == (
                [] if expected is None else [number - 1, number]
            )


def test_the_last_runs_only(nights):
    with ps.open_run(nights) as run:
        everything = run.history(100).to_polars()
        for runs in (1, 3):
            last = everything.filter(pl.col("run_id") > len(NIGHTS) - runs)
            assert_frame_equal(run.history(runs).to_polars(), last)
        for runs in (0, 1.5, "3"):
            with pytest.raises(ps.OptionError, match="runs must be"):
                run.history(runs)


def test_a_refiltered_run_is_followed_like_a_search(tmp_path):
    searched, asked = tmp_path / "searched.duckdb", tmp_path / "asked.duckdb"
    strict = {"min_drop": 0.45, "min_images": 25}
    store(NIGHTS, searched, job="strict", **strict)
    for each in NIGHTS:
        with ps.search(*frames(*each), into=asked, **CHOSEN) as run:
            run.refilter(**strict, job="strict")
    with ps.open_run(searched) as one, ps.open_run(asked) as other:
        assert other.counted_run_id != other.run_id
        expected, found = one.history().to_polars(), other.history().to_polars()
        assert found.height == expected.height > len(NIGHTS)
        assert found["run_id"].to_list() == [2 * number for number in expected["run_id"]]
        # A tag that is rarer than the new min_images was counted all the same.
        known = pl.col("images").is_not_null()
        apart = ["run_id", "created_at"]
        both = pl.concat(
            [expected.drop(apart).rename(lambda n: f"{n}_e"), found.drop(apart)], how="horizontal"
        )
        both = both.filter(pl.col("images_e").is_not_null())
        for name in set(found.columns) - {*apart}:
            assert both[name].to_list() == both[f"{name}_e"].to_list(), name
        assert found.filter(known).height >= expected.filter(known).height


@SLOW
@given(st.lists(tables(), min_size=3, max_size=3), options())
def test_histories_equal_the_oracle(tmp_path_factory, nights, chosen):
    db = tmp_path_factory.mktemp("generated") / "a.duckdb"
    for each in nights:
        ps.search(*frames(*each), into=db, job="n", **chosen).close()
    with ps.open_run(db) as run:
        rows = run.history().to_polars().to_dicts()
    check(rows, nights, 1, chosen)
    modes = {key for night in nights[1:] for key in modes_of(*night, chosen)}
    found = {(row["class_name"], row["tags"]) for row in rows}
    assert found == {(class_name, " + ".join(names)) for class_name, names in modes}
    assert len(rows) == 3 * len(modes)


# The command --------------------------------------------------------------------------------------


def test_a_sparkline_has_a_bar_for_each_run():
    assert sparkline([0, 0.124, 0.125, 0.5, None, 0.999, 1]) == "▁▁▂▅·██"


def test_the_command_prints_a_line_for_each_mode(nights):
    lines = succeed("history", nights).stdout.splitlines()
    assert lines[0].strip() == "Run 4, since run 3: 0 new, 1 persisting, 0 fixed, 3 undecided"
    cells = {tuple(line.split()[1:3]): line.split() for line in lines[5:] if line.strip()}
    assert cells["ape", "hang"][3:] == ["40", "40.0%", "-10", "▅▆▅▄"]
    assert cells["bee", "wing"][3:] == ["30", "6.7%", "▁··▁"]
    assert cells["bee", "wings"][3:] == ["··▁·"]
    first = succeed("history", nights, "--run", 1).stdout
    assert first.startswith("Run 1, no earlier run to compare with")
    rows = json.loads(succeed("history", nights, "--runs", 2, "--format", "json").stdout)
    with ps.open_run(nights) as run:
        assert [row["mode_id"] for row in rows] == run.history(2).to_polars()["mode_id"].to_list()
    assert "runs must be at least 1, got 0" in fail("history", nights, "--runs", 0)


def test_no_modes_are_no_history(tmp_path):
    db = tmp_path / "a.duckdb"
    store([night(("ape", "sky", 30, 0))] * 2, db)
    assert "Run 2 has no failure modes, nor had the run before it" in succeed("history", db).stdout
    assert json.loads(succeed("history", db, "--format", "json").stdout) == []
