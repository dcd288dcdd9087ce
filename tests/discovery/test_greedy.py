"""The greedy search: true failure modes, all where it is wide enough, and what it misses."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.engine.session import Session
from tests.examples import examples
from tests.generated import PLANS, frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


def rows(relation):
    return relation.to_polars().drop("run_id", strict=False)


@pytest.mark.parametrize("plan", PLANS)
@examples(5)
@given(tables(), options())
def test_wide_enough_it_finds_all_and_narrow_it_finds_some(plan, data, chosen):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "plans", plan)
        with ps.search(*frames(*data), **chosen) as run:
            all_modes = rows(run.failure_modes)
            all_tags = rows(run.failure_mode_tags)
        with ps.search(*frames(*data), **chosen, method="greedy", width=1000) as wide:
            assert_frame_equal(rows(wide.failure_modes), all_modes)
            assert_frame_equal(rows(wide.failure_mode_tags), all_tags)
            assert wide.missed().to_polars().is_empty()
        with ps.search(*frames(*data), **chosen, method="greedy", width=1) as narrow:
            found, missed = rows(narrow.failure_modes), narrow.missed().to_polars()
            order = ["excess_errors", "class_name", "tags"]
            descending = [True, False, False]
            both = pl.concat([found, missed]).sort(order, descending=descending)
            assert_frame_equal(both, all_modes.sort(order, descending=descending))


def a_trap():
    """Every tag alone is harmless, so that the pair that fails starts behind all others."""
    rng = np.random.default_rng(0)
    wrong = rng.random(600) < 0.2
    tags = []
    for tag in range(20):  # a little worse than the class
        carried = rng.random(600) < np.where(wrong, 0.35, 0.25)
        tags += [(f"i{n}", f"t{tag:02}") for n in carried.nonzero()[0]]
    both = range(40)
    wrong[list(both)] = True
    right = [n for n in range(40, 600) if not wrong[n]]
    for tag, others in (("x", right[:200]), ("y", right[200:400])):
        tags += [(f"i{n}", tag) for n in (*both, *others)]
    predictions = [(f"i{n}", "ape", "bee" if wrong[n] else "ape") for n in range(600)]
    return frames(predictions, tags)


def test_it_counts_fewer_sets_and_says_what_it_missed():
    chosen = {"min_images": 20, "min_drop": 0.3, "max_tags": 2}
    with ps.search(*a_trap(), **chosen) as run:
        assert "x + y" in run.failure_modes.to_polars()["tags"].to_list()
        counted = run.row_counts["tag_sets"]
    with ps.search(*a_trap(), **chosen, method="greedy", width=3) as narrow:
        assert narrow.row_counts["tag_sets"] < counted
        assert narrow.missed().to_polars()["tags"].to_list() == ["x + y"]
        assert narrow.options.width == 3
    with ps.search(*a_trap(), **chosen, method="greedy") as usual:  # 20 of 22 tags and more
        assert usual.row_counts["tag_sets"] <= counted


def test_other_thresholds_need_another_search():
    with (
        ps.search(*a_trap(), min_images=20, method="greedy") as run,
        pytest.raises(ps.StoredCountsError, match="was a greedy search"),
    ):
        run.refilter(min_drop=0.5)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"method": "gredy"}, "Did you mean 'greedy'"),
        ({"method": "greedy", "width": 0}, "width must be at least 1"),
        ({"width": 1.5}, "width must be a whole number"),
    ],
)
def test_bad_options(chosen, message):
    with pytest.raises(ps.OptionError, match=message):
        ps.search(*a_trap(), **chosen)


def test_chance_and_success_are_searched_for_as_greedily():
    chosen = {"min_images": 20, "min_drop": 0.1, "max_tags": 2}
    with ps.search(*a_trap(), **chosen) as run:
        all_of_them = run.null(3).to_polars()["failure_modes"]
        successes = run.success_modes(0.05).to_polars()["mode_id"]
    with ps.search(*a_trap(), **chosen, method="greedy", width=1) as narrow:
        some = narrow.null(3).to_polars()["failure_modes"]
        assert (some <= all_of_them).all()
        assert some.sum() < all_of_them.sum()
        assert set(narrow.success_modes(0.05).to_polars()["mode_id"]) <= set(successes)


def test_what_was_missed_is_not_told_of_significant_modes_only():
    with (
        ps.search(*a_trap(), min_images=20, method="greedy", max_q=0.05) as run,
        pytest.raises(ps.OptionError, match="without max_q"),
    ):
        run.missed()
