"""Runs that grow by what is new: the same tables as of a search of everything."""

import ibis
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from prime_sql.discovery import append, counting
from prime_sql.engine.session import Session
from tests import tables as data
from tests.discovery.nights import (
    SMALL,
    Everything,
    anew,
    assert_equal,
    grown,
    images,
    joined,
    modes,
    rows_of,
)
from tests.examples import examples
from tests.generated import PLANS, TAGS, options

pytestmark = [
    pytest.mark.usefixtures("counts_are_kept"),
    pytest.mark.filterwarnings("ignore::prime_sql.InputWarning"),
]

LABELS = ["ape", "bee", "cow", "dog"]


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
        patch.setattr(Session, "plans", plan)
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


def test_a_rare_tag_becomes_frequent():
    first = joined(images("a", 3, "hang", errors=3), images("b", 20, "tree"))
    night = images("c", 1, "hang", errors=1)
    run = grown(first, night)
    assert modes(run) == {"hang"}
    assert anew(run) == (1, 0)
    assert modes(grown(first, images("c", 1, "hang tree"))) == {"hang"}  # three errors are enough
    # Too few of its images are errors: no set with it can count, and nothing is counted again.
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
    # Only the class in which they fall is counted again.
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
