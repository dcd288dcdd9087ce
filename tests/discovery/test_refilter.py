"""Other thresholds for a run that is stored."""

import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests.examples import examples
from tests.generated import frames, options, tables
from tests.stored import THRESHOLDS, rows


@pytest.fixture
def run(example):
    with ps.search(*example, **THRESHOLDS) as run:
        yield run


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
@examples(12)
@given(tables(), options(), options())
def test_refilter_equals_a_new_search_or_says_that_it_cannot(data, counted, asked):
    with ps.search(*frames(*data), **counted) as old:
        wider = (
            asked["max_tags"] > counted["max_tags"]
            or asked["min_images"] < counted["min_images"]
            or asked["min_drop"] < counted["min_drop"]
            or (asked["min_tag_images"] or asked["min_images"]) < old.options.tag_images
        )
        asked["max_absent"] = counted["max_absent"]  # decides what is counted
        changes = {key: value for key, value in asked.items() if value is not None}
        del changes["max_absent"]
        expected = old.options.replace(**changes)
        try:
            new = old.refilter(**changes)
        except ps.StoredCountsError:
            assert wider  # stricter thresholds always have their answer in the stored counts
            assert ps.runs(old.backend).height == 1
            return
        assert new.options == expected
        assert new.counted_run_id == old.run_id
        fresh_options = {key: getattr(expected, key) for key in asked}
        with ps.search(*frames(*data), **fresh_options) as fresh:
            for name in ("failure_modes", "failure_mode_tags", "failure_mode_images", "classes"):
                assert_frame_equal(rows(getattr(new, name)), rows(getattr(fresh, name)))
            if not wider:
                assert_frame_equal(rows(new.tag_sets), rows(fresh.tag_sets))
            assert (new.note is None) == (fresh.note is None)


def test_refilter_counts_nothing_and_says_when_it_cannot(example, run):
    statements = []
    stricter = run.refilter(min_drop=0.5, on_sql=statements.append)
    assert rows(stricter.failure_modes)["tags"].to_list() == ["branch + hang"]
    assert not any(s.step.startswith(("candidates", "members")) for s in statements)
    assert stricter.options.min_images == 4
    # From a refiltered run too, and back to where the counts began.
    assert stricter.refilter(min_images=8).failure_modes.to_polars().height == 1
    assert_frame_equal(rows(stricter.refilter(min_drop=0.2).failure_modes), rows(run.failure_modes))
    # 17 images carry no tag of the modes: none is frequent any more.
    assert run.refilter(min_tag_images=17).tag_sets.to_polars()["tags"].to_list() == ["branch"]
    with pytest.raises(ps.StoredCountsError, match=r"max_tags 5.*search the tables again"):
        run.refilter(max_tags=5)
    with pytest.raises(ps.StoredCountsError, match="--min-images 2"):
        run.refilter(min_images=2)
    with (
        ps.search(*example, min_images=4, min_drop=0.5) as strict,
        pytest.raises(ps.StoredCountsError, match=r"'ape'.*at least 3 errors.*with 2"),
    ):
        strict.refilter(min_drop=0.2)
    with pytest.raises(ps.OptionError, match="min_drop must be between"):
        run.refilter(min_drop=2)
