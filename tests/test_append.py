"""Runs that grow by what is new: the same tables as of a search of everything."""

import json
import math
import os
import signal
import subprocess
import sys

import duckdb
import ibis
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from prime_sql import append, counting
from prime_sql.warehouse import Warehouse
from tests import data
from tests.examples import examples
from tests.test_cli import fail, succeed
from tests.test_run import contents
from tests.test_search import PLANS, TAGS, frames, options

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

# What is stored of a run, but for the row that says when and how it was made.
STORED = (
    "classes",
    "outcomes",
    "vocabulary",
    "tagged",
    "rare_tags",
    "tag_sets",
    "failure_modes",
    "failure_mode_tags",
    "failure_mode_chance",
)
LABELS = ["ape", "bee", "cow", "dog"]


@pytest.fixture(autouse=True)
def counts_are_kept(monkeypatch):
    """Few images are a large share here, and classes would all be counted anew."""
    monkeypatch.setattr(append, "MOST_CHANGED", 9)


def stored(run):
    """The rows of each stored table of a run, sorted, without its number."""
    return {
        name: sorted(
            run.backend.raw_sql(
                f"select * exclude (run_id) from prime.{name} where run_id = {run.run_id}"
            ).fetchall(),
            key=repr,
        )
        for name in STORED
    }


class Everything:
    """All images as they are after some nights, and the tables of each night."""

    def __init__(self):
        self.predictions = {}  # image: its (label, prediction), one for each class it stands in
        self.tags = {}  # image: its tags

    def night(self, predictions, tags, removed=()):
        for image in removed:
            self.predictions.pop(image, None)
        self.predictions |= predictions
        self.tags |= tags
        self.tags = {i: names for i, names in self.tags.items() if i in self.predictions}
        return (*rows_of(predictions, tags, blank=True), listed(removed))

    def search(self, **options):
        return ps.search(*rows_of(self.predictions, self.tags), **options)


def rows_of(predictions, tags, *, blank=False):
    """The two tables; where an image has no tag, a blank one says so."""
    return frames(
        [(image, *pair) for image, pairs in predictions.items() for pair in pairs],
        [(i, tag) for i, names in tags.items() for tag in names or ([" "] if blank else [])],
    )


def listed(images):
    return pl.DataFrame({"image_id": list(images)}, schema={"image_id": pl.String})


def assert_equal(appended, full):
    appended, full = stored(appended), stored(full)
    for name in STORED:
        assert len(appended[name]) == len(full[name]), name
        for row, expected in zip(appended[name], full[name], strict=True):
            # An engine adds up the terms of a p-value in any order.
            assert all(
                math.isclose(a, b, rel_tol=1e-12) if isinstance(a, float) and b else a == b
                for a, b in zip(row, expected, strict=True)
            ), (name, row, expected)


@st.composite
def night(draw, known, new):
    """Images that are new or have other predictions, tags of these and others, and some to go."""
    number = st.integers(0, new)
    images = [f"n{draw(st.integers(0, 99))}" for _ in range(draw(number))]
    if known:
        images += draw(st.lists(st.sampled_from(known), max_size=4))
    usual = draw(st.sampled_from(LABELS))  # nights differ in their classes and in their accuracy
    guesses = draw(st.sampled_from([[usual], [usual, *LABELS], LABELS]))
    labels = st.sampled_from([usual, usual, *LABELS])
    predictions = {}
    for image in images:
        classes = draw(st.lists(labels, min_size=1, max_size=2, unique=True))
        predictions[image] = [(name, draw(st.sampled_from(guesses))) for name in classes]
    removed = draw(st.lists(st.sampled_from(known), max_size=6, unique=True)) if known else []
    removed = [image for image in removed if image not in predictions]
    there = sorted({*known, *predictions} - {*removed})
    tagged = [image for image in predictions if draw(st.integers(0, 5))]
    if known and there:
        tagged += draw(st.lists(st.sampled_from(there), max_size=3))
    tags = {i: set(draw(st.lists(st.sampled_from(TAGS), max_size=6))) for i in tagged}
    return predictions, tags, removed


@st.composite
def nights(draw):
    found = [draw(night([], 30))]
    known = {*found[0][0]}
    for _ in range(draw(st.integers(1, 3))):
        found.append(draw(night(sorted(known), 8)))
        known = (known - {*found[-1][2]}) | {*found[-1][0]}
    return found


def check_nights(plan, chosen, nights, most_changed):
    everything = Everything()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "plans", plan)
        patch.setattr(append, "MOST_CHANGED", most_changed)
        into, appended = ibis.duckdb.connect(), None
        for predictions, tags, removed in nights:
            before = {*everything.predictions}
            *tables, gone = everything.night(predictions, tags, removed)
            if not everything.predictions:
                if before:
                    with pytest.raises(ps.InputError, match=r"no image of run \d+ is left"):
                        appended.append(*tables, remove=gone)
                return
            if appended is None:
                appended = ps.search(*tables, into=into, **chosen)
            else:
                appended = ps.search(*tables, into=into, append=True, remove=gone, **chosen)
            with everything.search(**chosen) as full:
                assert_equal(appended, full)
                for name in ("predictions", "images", "tags", "tag_sets", "failure_modes"):
                    assert appended.row_counts[name] == full.row_counts[name], name
        into.disconnect()


@pytest.mark.parametrize("plan", PLANS)
@examples(6)
@given(nights(), options(), st.sampled_from([9, 0.3]))
def test_nights_one_by_one_equal_a_full_search(plan, nights, chosen, most_changed):
    check_nights(plan, chosen, nights, most_changed)


# Where exactness is delicate ----------------------------------------------------------------------

SMALL = {"min_images": 4, "min_drop": 0.2}


def images(prefix, number, tags="", *, label="ape", errors=0):
    """Predictions and tags of so many images, the first ones of which are errors."""
    predictions = {
        f"{prefix}{n:02}": [(label, "not" if n < errors else label)] for n in range(number)
    }
    return predictions, {image: {*tags.split()} for image in predictions}


def joined(*groups):
    predictions, tags = {}, {}
    for each in groups:
        predictions |= each[0]
        tags |= each[1]
    return predictions, tags


def grown(first, *nights, **chosen):
    """Search the first night and append the others; return the last run, equal to a full search."""
    chosen = {**SMALL, **chosen}
    everything = Everything()
    run = ps.search(*everything.night(*first)[:2], **chosen)
    for each in nights:
        *tables, gone = everything.night(*each)
        run = run.append(*tables, remove=gone)
    with everything.search(**chosen) as full:
        assert_equal(run, full)
    return run


def modes(run):
    return set(run.failure_modes.to_polars()["tags"])


def anew(run):
    """How many classes, and how many tag sets beside, were counted from their images."""
    return run.row_counts["recounted_classes"], run.row_counts["recounted_tag_sets"]


def test_a_rare_tag_becomes_frequent():
    first = joined(images("a", 3, "hang", errors=3), images("b", 20, "tree"))
    night = images("c", 1, "hang", errors=1)
    run = grown(first, night)
    assert modes(run) == {"hang"}
    assert anew(run) == (1, 0)
    assert modes(grown(first, images("c", 1, "hang tree"))) == {"hang"}  # three errors are enough
    # Too few of its images are errors: no set with it can count, and nothing is counted anew.
    assert (
        anew(grown(joined(first, images("d", 3, "sky")), images("e", 1, "sky", errors=1)))[0] == 0
    )


def test_a_frequent_tag_becomes_rare():
    first = joined(images("a", 5, "hang sky", errors=5), images("b", 20, "tree"))
    run = grown(first, ({}, {}, ["a00", "a01"]))
    assert modes(run) == set()
    again = run.append(*rows_of(*images("a", 2, "hang", errors=2)))
    assert modes(again) == {"hang"}


@pytest.mark.parametrize("longest", [counting.LONGEST, 0])  # as bit strings, and as rows
def test_a_set_that_a_new_error_makes_count_is_counted_alone(longest, monkeypatch):
    monkeypatch.setattr(counting, "LONGEST", longest)
    first = joined(
        images("a", 1, "black hang", errors=1),
        images("b", 6, "black", errors=3),
        images("c", 6, "hang", errors=3),
        images("d", 3, "black hang"),
        images("e", 4, "sky"),
    )
    run = grown(first, images("f", 2, "black hang", errors=2))
    assert anew(run) == (0, 1)
    assert "black + hang" in set(run.tag_sets.to_polars()["tags"])


def test_the_fewest_errors_rise_and_fall():
    first = joined(images("a", 4, "hang", errors=2), images("b", 10, "tree"))
    more_errors = images("c", 10, errors=9)
    run = grown(first, more_errors)  # from 2 errors to 3
    assert "hang" not in set(run.tag_sets.to_polars()["tags"])
    assert anew(run) == (0, 0)
    run = grown(joined(first, more_errors), ({}, {}, list(more_errors[0])))
    assert "hang" in set(run.tag_sets.to_polars()["tags"])
    assert anew(run) == (1, 0)
    # Only the class in which they fall is counted anew.
    others = joined(images("x", 8, "hang", label="bee", errors=5), images("y", 8, label="bee"))
    run = grown(joined(first, more_errors, others), ({}, {}, list(more_errors[0])))
    assert anew(run) == (1, 0)


@pytest.mark.parametrize(("share", "classes"), [(0.14, 1), (0.15, 0)])
def test_a_class_in_which_much_changed_is_counted_anew(share, classes, monkeypatch):
    monkeypatch.setattr(append, "MOST_CHANGED", share)
    first = joined(images("a", 4, "hang", errors=4), images("b", 13, "tree", errors=1))
    others = joined(images("x", 8, "hang", label="bee", errors=5), images("y", 8, label="bee"))
    run = grown(joined(first, others), images("c", 3, "hang tree"))  # 3 of 20 apes
    assert anew(run) == (classes, 0)
    # An image that changed is one, as it was and as it is.
    others = joined(others, images("c", 3, "tree"))
    run = grown(joined(first, others), images("c", 3, "hang tree"))
    assert anew(run) == (classes, 0)


def test_a_night_without_anything_new_counts_nothing():
    first = joined(images("a", 4, "black hang", errors=4), images("b", 10, "tree"))
    tables = rows_of(*first)
    statements = []
    with ps.search(*tables, **SMALL) as run:
        for again in [(None, None), tables, (tables[0], None), (None, tables[1].clear())]:
            same = run.append(*again, on_sql=lambda statement: statements.append(statement))
            assert_equal(same, run)
            assert anew(same) == (0, 0)
    # Rows that say what the run says already change nothing.
    assert {each.rows for each in statements if each.step == "changes"} == {0}
    assert "candidates_1" not in {each.step for each in statements}


# What is replaced ---------------------------------------------------------------------------------


def test_a_new_label_moves_an_image_and_its_tags_stay():
    first = joined(images("a", 5, "hang", errors=5), images("b", 9), images("c", 9, label="bee"))
    moved = {image: [("bee", "not")] for image in images("a", 5)[0]}
    run = grown(first, (moved, {}))
    assert run.failure_modes.to_polars().select("class_name", "tags").rows() == [("bee", "hang")]
    # Also when none of the old class is left, and when the images had been in two classes.
    grown(images("a", 5, "hang", errors=5), (moved, {}))
    both = {image: [("bee", "not"), ("cow", "cow")] for image in images("a", 5)[0]}
    assert modes(grown(first, (both, {}), (moved, {}))) == {"hang"}


@pytest.mark.parametrize("form", ["blank", "list", "wide", "score"])
def test_the_tags_of_an_image_that_the_table_names_are_replaced(form):
    first = joined(images("a", 6, "hang", errors=6), images("b", 9, "tree"))
    predictions, tags = rows_of(*first)
    none = ["a00", "a01"]  # these have no tag any more, and all others keep theirs
    chosen = dict(SMALL)
    if form == "wide":
        tags = pl.from_dicts(data.wide(tags.to_dicts()))
        new = pl.DataFrame({"image_id": none, "hang": [False, False]})
        chosen["wide"] = True
    elif form == "list":
        tags = pl.from_dicts(data.listed(tags.to_dicts()))
        new = pl.DataFrame({"image_id": none, "tag": [[], []]}, schema=tags.schema)
    elif form == "score":
        tags = tags.with_columns(score=pl.lit(0.9))
        new = pl.DataFrame({"image_id": none, "tag": ["hang"] * 2, "score": [0.1] * 2})
        chosen["min_score"] = 0.5
    else:
        new = pl.DataFrame({"image_id": none, "tag": [" ", None]})
    with ps.search(predictions, tags, **chosen) as run:
        assert run.tag_sets.to_polars()["images"].to_list() == [6]
        assert run.append(None, new).tag_sets.to_polars()["images"].to_list() == [4]


def test_rows_that_where_leaves_out_replace_nothing():
    predictions, tags = rows_of(*joined(images("a", 5, "hang", errors=5), images("b", 9)))
    predictions = predictions.with_columns(model=pl.lit("new"))
    other = predictions.with_columns(model=pl.lit("old"), prediction=pl.col("label"))
    with ps.search(predictions, tags, where="model = 'new'", **SMALL) as run:
        assert_equal(run.append(other), run)


def test_a_refiltered_run_and_q_values():
    first = joined(images("a", 5, "black hang", errors=4), images("b", 20, "tree", errors=3))
    night = joined(images("c", 3, "black", errors=3), images("d", 4, "tree"))
    everything = Everything()
    everything.night(*first)
    with ps.search(*rows_of(*first), min_images=3, min_drop=0.2) as loose:
        strict = loose.refilter(min_images=4, min_drop=0.3)
        run = strict.append(*everything.night(*night)[:2])
        with everything.search(min_images=4, min_drop=0.3) as full:
            assert_equal(run, full)
    with (
        ps.search(*rows_of(*first), max_q=0.9, **SMALL) as run,
        everything.search(max_q=0.9, **SMALL) as full,
    ):
        assert_equal(run.append(*rows_of(*night)), full)


def test_the_run_is_the_next_one_of_its_job(tmp_path):
    tables = rows_of(*joined(images("a", 5, "hang", errors=5), images("b", 9)))
    night = rows_of(*images("c", 3, "hang"))
    path = tmp_path / "prime.duckdb"
    for job in ("one", "two"):
        ps.search(*tables, into=path, job=job, **SMALL).close()
    with ps.search(*night, into=path, job="one", append=True, **SMALL) as run:
        assert run.previous.run_id == 1
        assert run.sources["appended_to"] == "run 1"
    with ps.search(None, None, into=path, job="one", append=True, **SMALL) as run:
        assert run.sources["appended_to"] == "run 3"
        assert run.row_counts["images"] == 17
    with ps.search(*tables, **SMALL) as run:  # without a job, where its first tables came from
        assert run.append(*night).previous.run_id == 1


# Refused ------------------------------------------------------------------------------------------

FIRST = joined(images("a", 5, "hang", errors=5), images("b", 9, "tree"))


@pytest.mark.parametrize(
    ("error", "message", "given"),
    [
        (ps.OptionError, "a greedy search is not appended to", {"method": "greedy"}),
        (
            ps.OptionError,
            "unseen images of earlier runs are not stored",
            {"split": "prediction", "find": "ape", "check": "not"},
        ),
        (
            ps.OptionError,
            "a condition that asks another table",
            {"where": "image_id in (select image_id from other)"},
        ),
        (ps.StoredCountsError, "with min_images 4 there, 5 here; append with", {"min_images": 5}),
        (
            ps.StoredCountsError,
            "no run of job 'b' to append to; there are runs of 'a': search everything",
            {"job": "b"},
        ),
        (
            ps.StoredCountsError,
            "no run without a job to append to; there are runs of 'a'",
            {"job": None},
        ),
        (
            ps.InputError,
            "1 images are both to remove and in the new predictions, for example 'c00'",
            {"remove": listed(["c00", "a00"])},
        ),
        (ps.InputError, "remove.image_id is null in 1 rows", {"remove": listed([None])}),
        (
            ps.InputError,
            "remove has no column 'image_id'.*It has: image",
            {"remove": listed([]).rename({"image_id": "image"})},
        ),
        (
            ps.InputError,
            "1 tag rows, for example image 'zz', against 17 images",
            {"tags": rows_of({}, {"zz": {"hang"}})[1]},
        ),
        (
            ps.InputError,
            "predictions.image_id is not unique",
            {"predictions": pl.concat([rows_of(*images("c", 3))[0]] * 2)},
        ),
    ],
)
def test_what_cannot_be_appended_leaves_the_database_as_it_was(tmp_path, error, message, given):
    path = tmp_path / "prime.duckdb"
    ps.search(*rows_of(*FIRST), into=path, job="a", **SMALL).close()
    before = contents(path)
    predictions, tags = rows_of(*images("c", 3, "hang"))
    tables = [given.get("predictions", predictions), given.get("tags", tags)]
    others = {key: value for key, value in given.items() if key not in ("predictions", "tags")}
    with pytest.raises(error, match=message):
        ps.search(*tables, into=path, append=True, **{**SMALL, "job": "a", **others})
    assert contents(path) == before


def test_several_runs_that_could_be_meant(tmp_path):
    for name in ("a", "b"):
        rows_of(*FIRST)[0].write_parquet(tmp_path / f"{name}.parquet")
    path, tags = tmp_path / "prime.duckdb", rows_of(*FIRST)[1]
    for name in ("a", "b"):
        ps.search(tmp_path / f"{name}.parquet", tags, into=path, **SMALL).close()
    with pytest.raises(ps.StoredCountsError, match=r"several runs.*1 \(.*2 \(.*open_run"):
        ps.search(None, None, into=path, append=True, **SMALL)
    with ps.open_run(path, 1, read_only=False) as run, run.append() as grown:
        assert grown.sources["appended_to"] == "run 1"


def test_a_database_of_an_earlier_version(tmp_path):
    path = tmp_path / "runs.duckdb"
    ps.search(*rows_of(*FIRST), into=path, **SMALL).close()
    with duckdb.connect(path) as con:
        counts = json.loads(con.sql("select row_counts from prime.runs").fetchall()[0][0])
        del counts["rare_tags"]
        con.execute("update prime.runs set row_counts = ?", [json.dumps(counts)])
        con.execute("drop table prime.rare_tags")
    with pytest.raises(ps.StoredCountsError, match="did not store rare tags"):
        ps.search(None, None, into=path, append=True, **SMALL)
    ps.search(*rows_of(*FIRST), into=path, **SMALL).close()  # makes the table
    ps.search(None, None, into=path, append=True, **SMALL).close()
    assert ps.prune(path, keep=1).height == 2


def test_warnings_are_about_what_is_new():
    with ps.search(*rows_of(*FIRST), **SMALL) as run:
        predictions, tags = rows_of(*images("c", 2, "hang"))
        with pytest.warns(ps.InputWarning) as caught:
            run.append(predictions, tags.head(1), remove=listed(["a00", "zz"]))
    assert data.warned(caught) == [
        "1 of 2 images to remove are not in run 1, for example 'zz'",
        "1 of 2 images have no tag; they count for their class only",
    ]


KILLED = """
import os, signal, sys
import prime_sql as ps

def on_sql(statement):
    if statement.step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with ps.open_run(sys.argv[1], read_only=False) as run:
    run.append(None, None, on_sql=on_sql)
"""


@pytest.mark.parametrize("moment", ["tag_counts", "passing_2", "publish"])
def test_a_killed_process_leaves_the_database_as_it_was(tmp_path, moment):
    path = tmp_path / "prime.duckdb"
    ps.search(*rows_of(*FIRST), into=path, **SMALL).close()
    before = contents(path)
    command = [sys.executable, "-c", KILLED, path, moment]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert contents(path) == before


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables = {"first": FIRST, "night": images("c", 3, "hang", errors=3)}
    for name, rows in tables.items():
        for kind, table in zip(("predictions", "tags"), rows_of(*rows), strict=True):
            table.write_csv(f"{name}_{kind}.csv")
    listed(["a00"]).write_csv("gone.csv")
    command = ["search", "first_predictions.csv", "first_tags.csv", "--db", "p.duckdb"]
    night = ["search", "night_predictions.csv", "night_tags.csv", "--db", "p.duckdb", "--append"]
    flags = ["--min-images", "4", "--format", "csv"]
    assert "there is no run to append to yet: search everything" in fail(*night, *flags)
    assert not os.path.exists("p.duckdb")  # noqa: PTH110
    succeed(*command, *flags)
    assert "ape,hang,1,7,7" in succeed(*night, "--remove", "gone.csv", *flags).stdout
    assert "ape,hang,1,7,7" in succeed("search", "--append", "--db", "p.duckdb", *flags).stdout
    assert "goes with --append" in fail(*command, "--remove", "gone.csv")
    assert "name its database" in fail("search", "--append")
    assert "does not go with --from-run" in fail(*night, "--from-run", "latest")
