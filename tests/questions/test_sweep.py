"""Grids of thresholds: every cell is what refilter finds, and what brute force finds."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from tests import oracle
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.examples import examples
from tests.generated import frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

SLOW = examples(4)


def expected_cell(predictions, tags, chosen):
    """Modes by size, and the share of errors in one, from the oracle's tag sets."""
    outcomes = [(label, image, label != guess) for image, label, guess in predictions]
    modes = oracle.failure_modes(outcomes, tags, **chosen)
    carried = {}
    for image, tag in tags:
        carried.setdefault(image, set()).add(tag)
    wrong = [(label, image) for label, image, error in outcomes if error]
    covered = [
        (label, image)
        for label, image in wrong
        if any(
            name == label
            and all(
                (tag.removeprefix("not ") in carried.get(image, ())) != tag.startswith("not ")
                for tag in tag_set
            )
            for name, tag_set in modes
        )
    ]
    sizes = Counter(len(tag_set) for _, tag_set in modes)
    coverage = pytest.approx(len(covered) / len(wrong)) if wrong else None
    return len(modes), [sizes[size] for size in range(1, 7)], coverage


def cells_of(relation):
    return {
        (row["min_images"], row["min_drop"]): (
            row["failure_modes"],
            [row[f"modes_{size}"] for size in range(1, 7)],
            row["error_coverage"],
        )
        for row in relation.to_polars().to_dicts()
    }


@SLOW
@given(tables(), options(), st.integers(1, 4), st.sampled_from([0.05, 0.1, 0.25]))
def test_every_cell_is_a_refiltered_run_and_what_brute_force_finds(example, chosen, more, steeper):
    predictions, tags = example
    sizes = [chosen["min_images"], chosen["min_images"] + more]
    drops = [chosen["min_drop"], chosen["min_drop"] + steeper]
    with ps.search(*frames(predictions, tags), **chosen) as run:
        cells = cells_of(run.sweep(min_images=sizes, min_drop=drops))
        assert list(cells) == [(images, drop) for images in sizes for drop in drops]
        for (images, drop), found in cells.items():
            changed = {**chosen, "min_images": images, "min_drop": drop}
            assert found == expected_cell(predictions, tags, changed)
        other = run.refilter(min_images=images, min_drop=drop)
        assert found[0] == other.row_counts["failure_modes"]
        # A narrower run still asks the counts that it came from.
        assert cells_of(other.sweep(min_images=sizes[0], min_drop=drops[0])) == {
            (sizes[0], drops[0]): cells[sizes[0], drops[0]]
        }


@SLOW
@given(tables(), options(), st.integers(1, 6), st.sampled_from([0.05, 0.15, 0.3, 0.5]))
def test_a_cell_is_refused_where_a_refiltered_run_is(example, chosen, images, drop):
    with ps.search(*frames(*example), **chosen) as run:
        try:
            expected = run.refilter(min_images=images, min_drop=drop).row_counts["failure_modes"]
        except ps.StoredCountsError:
            with pytest.raises(ps.StoredCountsError, match="search the tables again"):
                run.sweep(min_images=images, min_drop=drop)
        else:
            found = run.sweep(min_images=images, min_drop=drop).to_polars()
            assert found["failure_modes"].to_list() == [expected]


def test_absent_tags_count_as_they_do_in_a_refiltered_run():
    for max_absent in (1, 2):
        with data.search(max_absent=max_absent, min_images=2, min_drop=0.1, max_tags=3) as run:
            sizes, drops = [2, 4, 6], [0.1, 0.3]
            cells = cells_of(run.sweep(min_images=sizes, min_drop=drops))
            assert len(cells) == 6
            for (images, drop), (modes, _, coverage) in cells.items():
                other = run.refilter(min_images=images, min_drop=drop)
                assert modes == other.row_counts["failure_modes"]
                covered = other.sql(
                    "select count(distinct (class_name, image_id)) from failure_mode_images "
                    "join failure_modes using (mode_id) where error = 1"
                )
                errors = other.sql("select sum(errors) from classes").to_polars().item()
                assert coverage == pytest.approx(covered.to_polars().item() / int(errors))


def test_thresholds_that_are_left_out_are_those_of_the_run():
    with data.search() as run:
        row = run.sweep().to_polars().to_dicts()[0]
        # 4 + 4 + 5 of 5 + 5 + 5 errors
        assert row == {
            "min_images": 4,
            "min_drop": 0.3,
            "failure_modes": 3,
            "modes_1": 2,
            "modes_2": 1,
            **{f"modes_{size}": 0 for size in range(3, 7)},
            "error_coverage": pytest.approx(13 / 15),
            **dict.fromkeys(["decided", "correlation", "share_reached"]),
        }
        assert run.sweep(min_drop=[0.5, 0.3, 0.5]).to_polars()["min_drop"].to_list() == [0.3, 0.5]


def test_validated_modes_say_how_each_cell_does_on_unseen_data():
    unseen = data.frame(
        [
            {
                **row,
                "prediction": row["label"] if row["image_id"] == "img-016" else row["prediction"],
            }
            for row in data.PREDICTIONS
        ]
    )
    with data.search(min_drop=0.2, necessity=(0.0,), min_images=4) as run:
        run.validate(unseen, data.frame(data.TAGS), min_unseen_images=5)
        loosest = run.sweep(min_drop=[0.2, 0.3, 0.45, 0.5]).to_polars()
        modes = run.validation.modes.to_polars()
        assert modes["verdict"].n_unique() > 1
        for row in loosest.to_dicts():
            own = modes.filter(pl.col("accuracy_drop") >= row["min_drop"] - 1e-9)
            assert row["failure_modes"] == own.height
            decided = own.filter(pl.col("verdict") != "undecided")
            assert row["decided"] == decided.height
            found, there = decided["accuracy_drop"], decided["unseen_accuracy_drop"]
            if decided.height > 1:
                assert row["correlation"] == pytest.approx(np.corrcoef(found, there)[0, 1])
            reached = (there >= row["min_drop"] - 0.05 - 1e-9).mean()
            assert row["share_reached"] == (pytest.approx(reached) if decided.height else None)
        summary = run.validation.summary.to_polars().row(0, named=True)
        assert {name: loosest[name][0] for name in ("decided", "correlation", "share_reached")} == {
            name: pytest.approx(summary[name])
            for name in ("decided", "correlation", "share_reached")
        }
        # Cells with modes that were not validated say nothing about unseen data.
        narrow = run.refilter(min_drop=0.47)
        narrow.validate(unseen, data.frame(data.TAGS), min_unseen_images=5)
        both = narrow.sweep(min_drop=[0.2, 0.47]).to_polars()
        decided = narrow.validation.summary.to_polars()["decided"].item()
        assert both["failure_modes"][0] > both["failure_modes"][1]
        assert both["decided"].to_list() == [None, decided]


def test_a_run_without_errors_has_no_coverage():
    right = [{**row, "prediction": row["label"]} for row in data.PREDICTIONS]
    with data.search(data.frame(right)) as run:
        assert run.sweep().to_polars().row(0)[2:10] == (*[0] * 7, None)


def test_cells_beyond_the_counts_are_named_with_what_to_do():
    with data.search() as run:
        with pytest.raises(ps.StoredCountsError) as told:
            run.sweep(min_images=[3, 4], min_drop=[0.3, 0.4])
        assert str(told.value) == (
            "run 1 cannot answer 2 of 4 cells, for example min_images 3, min_drop 0.3: tags on "
            "fewer than 4 images of a class were not counted, and this cell admits tags on 3; "
            "leave those cells out, or search the tables again with --min-images 3 --min-drop 0.3"
        )
        with pytest.raises(ps.StoredCountsError, match="fewer than 3 errors were not counted"):
            run.sweep(min_drop=0.1)


def test_a_greedy_search_did_not_count_what_a_sweep_needs():
    with (
        data.search(method="greedy") as run,
        pytest.raises(ps.StoredCountsError, match="run 1 was a greedy search"),
    ):
        run.sweep()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"min_images": []}, "min_images needs at least one number"),
        ({"min_images": "20,30"}, "min_images takes one or more numbers, got '20,30'"),
        ({"min_images": [0]}, "min_images must be at least 1"),
        ({"min_drop": [0.3, 2]}, "min_drop must be between 0.001 and 1, got 2"),
        ({"min_drop": [None]}, "min_drop must be a finite number"),
    ],
)
def test_bad_values_are_refused(values, told):
    with data.search() as run, pytest.raises(ps.OptionError, match=told):
        run.sweep(**values)


def test_the_command_prints_the_grid(tmp_path):
    db = tmp_path / "prime.duckdb"
    data.search(into=db).close()
    grid = ["--min-images", "4,5", "--min-drop", "0.3,0.5"]
    cells = json.loads(succeed("sweep", db, *grid, "--format", "json").stdout)
    assert [(cell["min_images"], cell["min_drop"]) for cell in cells] == [
        (4, 0.3),
        (4, 0.5),
        (5, 0.3),
        (5, 0.5),
    ]
    assert [cell["failure_modes"] for cell in cells] == [3, 1, 2, 0]
    shown = succeed("sweep", db, *grid).stdout
    assert "2 tags" in shown
    assert "3 tags" not in shown
    assert "decided" not in shown
    assert "search the tables again" in fail("sweep", db, "--min-images", 3)
    assert "takes numbers such as 20,30,50, got '4,x'" in fail("sweep", db, "--min-images", "4,x")
