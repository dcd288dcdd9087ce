"""Runs of one job after another: what changed, accuracy over the last runs, and pruning."""

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
from prime_sql.history import sparkline
from prime_sql.prune import TABLES, outdated
from prime_sql.stored import COMPLETE, UNPUBLISHED
from tests import data, oracle
from tests.examples import examples
from tests.test_cli import fail, succeed
from tests.test_compare import counted
from tests.test_search import frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

SLOW = examples(3)
CHOSEN = {"min_images": 20, "min_drop": 0.32, "max_tags": 2, "min_tag_images": None}
NEW, PERSISTING, FIXED, UNDECIDED = "new", "persisting", "fixed", "undecided"


def night(*groups):
    """Predictions and tags of images given as (label, tags, images, errors)."""
    predictions, tags = [], []
    for label, names, images, errors in groups:
        for number in range(images):
            image = f"i{len(predictions)}"
            predictions.append((image, label, "other" if number < errors else label))
            tags += [(image, tag) for tag in names.split()]
    return predictions, tags


def store(nights, into, **changes):
    for each in nights:
        ps.search(*frames(*each), into=into, **{**CHOSEN, **changes}).close()


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
    assert "holds no run of job nobody" in succeed("runs", db, "--job", "nobody").stdout
    assert "job must be non-empty text, got ' '" in fail(*line, tmp_path / "b.duckdb", "--job", " ")
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

# In ape, "hang" with 16 of 40 errors has a drop of exactly 0.32.
NIGHTS = [
    night(
        ("ape", "hang", 40, 16),
        ("ape", "sky", 160, 0),
        ("bee", "wing", 30, 28),
        ("bee", "sky", 170, 0),
    ),
    # By a hair no failure mode; bee is missing; in cat there is one.
    night(
        ("ape", "hang", 40, 15),
        ("ape", "sky", 160, 0),
        ("cat", "sofa", 40, 20),
        ("cat", "sky", 160, 0),
    ),
    # New in ape: "tree"; fixed in cat; bee is back, with a tag that has another name.
    night(
        *(("ape", "hang", 40, 20), ("ape", "tree", 40, 20), ("ape", "sky", 320, 0)),
        *(("cat", "sofa", 40, 1), ("cat", "sky", 160, 0)),
        *(("bee", "wings", 30, 28), ("bee", "sky", 170, 0)),
    ),
    # The tag has its old name; "tree" is too rare.
    night(
        *(("ape", "hang", 40, 24), ("ape", "tree", 19, 0), ("ape", "sky", 341, 0)),
        *(("cat", "sofa", 40, 0), ("cat", "sky", 160, 0)),
        *(("bee", "wing", 30, 28), ("bee", "sky", 170, 0)),
    ),
]
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
        (class_name, " + ".join(names)): (class_name, names)  # " + " may stand inside a tag
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
    assert first.startswith("Run 1, no earlier one to compare")
    rows = json.loads(succeed("history", nights, "--runs", 2, "--format", "json").stdout)
    with ps.open_run(nights) as run:
        assert [row["mode_id"] for row in rows] == run.history(2).to_polars()["mode_id"].to_list()
    assert "runs must be at least 1, got 0" in fail("history", nights, "--runs", 0)


def test_no_modes_are_no_history(tmp_path):
    db = tmp_path / "a.duckdb"
    store([night(("ape", "sky", 30, 0))] * 2, db)
    assert "Run 2 has no failure modes, nor had the run before it" in succeed("history", db).stdout
    assert json.loads(succeed("history", db, "--format", "json").stdout) == []


# Pruning ------------------------------------------------------------------------------------------


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
    assert bases == set(TABLES)
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
        "Nothing to delete: no run has 3 later ones"
        in succeed("runs", db, "--prune", "--keep", 3).stdout
    )
    listed = succeed("runs", db, "--prune", "--keep", 1, "--dry-run", "--format", "json")
    assert [row["run_id"] for row in json.loads(listed.stdout)] == [2, 3, 6]
    assert listed.stderr == "Would delete 3 runs.\n"
    assert ps.runs(db).height == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prune"], "say how many runs stay, as in --keep 30"),
        (["--prune", "--keep", 0], "keep must be at least 1, got 0"),
        (["--keep", 3], "--keep and --dry-run are about --prune"),
        (["--dry-run"], "--keep and --dry-run are about --prune"),
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
    last = len(TABLES) + 2
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
