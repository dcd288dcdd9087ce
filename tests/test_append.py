"""Runs that grow by what is new: the same tables as of a search of everything."""

import ibis
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import prime_sql as ps
from prime_sql.warehouse import Warehouse
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
        assert appended[name] == full[name], name


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


def check_nights(plan, chosen, nights):
    everything = Everything()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "plans", plan)
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


few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("plan", PLANS)
@few
@given(nights(), options())
def test_nights_one_by_one_equal_a_full_search(plan, nights, chosen):
    check_nights(plan, chosen, nights)


@pytest.mark.thorough
@pytest.mark.parametrize("plan", PLANS)
@many
@given(nights(), options())
def test_many_nights_one_by_one_equal_a_full_search(plan, nights, chosen):
    check_nights(plan, chosen, nights)
