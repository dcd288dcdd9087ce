"""Chance: intervals and p-values against SciPy, q-values against a count of every tag set."""

import math
from fractions import Fraction
from itertools import combinations

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal
from scipy import stats

import prime_sql as ps
from prime_sql.engine import queries
from tests import oracle
from tests.examples import examples
from tests.generated import frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

LARGE = {"min_images": 10, "min_drop": 0.2, "max_tags": 3}


def p_value(mode):
    """P(so many errors or more) were the errors of the class dealt out at random."""
    return stats.hypergeom.sf(
        mode["errors"] - 1, mode["class_images"], mode["class_errors"], mode["images"]
    )


def planted(rng, images=400, tags=8, rate=0.2, planted=()):
    """A class of images with random tags; sets in `planted` are wrong four times in five."""
    carried = rng.random((images, tags)) < 0.3
    chance_of_error = np.full(images, rate)
    for tag_set in planted:
        chance_of_error[carried[:, tag_set].all(axis=1)] = 0.8
    wrong = rng.random(images) < chance_of_error
    predictions = [(f"i{n}", "ape", "bee" if wrong[n] else "ape") for n in range(images)]
    return predictions, [(f"i{n}", f"t{tag}") for n, tag in zip(*carried.nonzero(), strict=True)]


def eligible_sets(predictions, tags, max_tags, min_images):
    """Images and errors of every tag set that enough images of a class carry."""
    of_image: dict[str, set[str]] = {}
    for image, tag in tags:
        of_image.setdefault(image, set()).add(tag)
    found = {}
    for label in {row[1] for row in predictions}:
        rows = [
            (of_image.get(i, set()), guess != label)
            for i, own, guess in predictions
            if own == label
        ]
        errors = sum(wrong for _, wrong in rows)
        counts: dict[tuple[str, ...], list[int]] = {}
        for carried, wrong in rows:
            for size in range(1, max_tags + 1):
                for tag_set in combinations(sorted(carried), size):
                    count = counts.setdefault(tag_set, [0, 0])
                    count[0] += 1
                    count[1] += wrong
        for tag_set, (images, wrong) in counts.items():
            if images >= min_images:
                found[label, tag_set] = (len(rows), errors, images, wrong)
    return found


@examples(8)
@given(tables(), options())
def test_intervals_and_p_values_are_those_of_scipy(data, chosen):
    with ps.search(*frames(*data), **chosen) as run:
        modes = {mode["mode_id"]: mode for mode in run.failure_modes.to_polars().to_dicts()}
        chance = run.query("chance").to_polars().to_dicts()
        assert {row["mode_id"] for row in chance} == modes.keys()
        for row in chance:
            mode = modes[row["mode_id"]]
            test = stats.binomtest(mode["images"] - mode["errors"], mode["images"])
            interval = test.proportion_ci(0.95, method="wilson")
            assert row["accuracy_low"] == pytest.approx(interval.low, abs=1e-12)
            assert row["accuracy_high"] == pytest.approx(interval.high, abs=1e-12)
            assert row["p_value"] == pytest.approx(p_value(mode), rel=1e-9)
            assert row["q_value"] is row["family_wise_p"] is None


@pytest.mark.parametrize(
    ("class_images", "class_errors", "images", "errors"),
    [
        (1_000_000, 200_000, 300_000, 61_000),  # thousands of terms
        (1_000_000, 200_000, 100_000, 90_000),  # far too small for a double
        (160_000, 30_000, 30, 20),
        (60, 20, 50, 20),  # as many errors as there are
        (40, 39, 39, 39),
        (1300, 325, 30, 17),
        (5, 1, 1, 1),
        (100, 99, 2, 2),
    ],
)
def test_p_values_of_classes_of_every_size(class_images, class_errors, images, errors):
    numbers = f"{class_images} as class_images, {class_errors} as class_errors, "
    numbers += f"{images} as images, {errors} as errors"
    terms = queries._compiled(
        "{% from 'definitions.jinja' import terms %}{{ terms() }}", "duckdb"
    ).render()
    with duckdb.connect() as con:
        con.execute(
            f"create table tested as select *, {terms} as terms, 1 as tag_sets "
            f"from (select {numbers})"
        )
        digits = len(str(con.sql("select max(terms) from tested").fetchall()[0][0]))
        found = con.sql(queries.find("discovery/significance/p_values").render(digits=digits)).pl()[
            "p_value"
        ][0]
    exact = stats.hypergeom.sf(errors - 1, class_images, class_errors, images)
    assert found == pytest.approx(exact, rel=1e-6, abs=1e-300)


def test_one_p_value_by_counting_all_ways():
    ways = Fraction(
        sum(math.comb(6, k) * math.comb(14, 5 - k) for k in range(4, 6)), math.comb(20, 5)
    )
    predictions = [(f"i{n}", "ape", "bee" if n < 6 else "ape") for n in range(20)]
    tags = [(f"i{n}", "hang") for n in (0, 1, 2, 3, 19)] + [(f"i{n}", "sky") for n in range(20)]
    run = ps.search(*frames(predictions, tags), min_images=5)
    row = run.chance().to_polars().row(0, named=True)
    assert (row["tags"], row["images"], row["errors"]) == ("hang", 5, 4)
    assert row["p_value"] == pytest.approx(float(ways), rel=1e-12)
    # Eligible are hang, sky and both; hang and both have the same numbers, so that rank is 2.
    assert row["q_value"] == pytest.approx(float(ways) * 3 / 2, rel=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_q_values_are_those_of_all_eligible_sets(seed):
    rng = np.random.default_rng(seed)
    predictions, tags = planted(rng, images=250, planted=[(0, 1)] if seed % 2 else [])
    run = ps.search(*frames(predictions, tags), **LARGE)
    every = eligible_sets(predictions, tags, LARGE["max_tags"], LARGE["min_images"])
    p = {
        key: stats.hypergeom.sf(wrong - 1, of, errors, images)
        for key, (of, errors, images, wrong) in every.items()
    }
    adjusted = dict(zip(p, stats.false_discovery_control(list(p.values())), strict=True))
    rows = run.chance().to_polars().to_dicts()
    assert rows or not seed % 2
    for row in rows:
        exact = adjusted["ape", tuple(row["tags"].split(" + "))]
        # Never too small; the same where no uncounted set comes before the failure mode.
        assert row["q_value"] >= exact * (1 - 1e-9)
        assert row["q_value"] == pytest.approx(exact, rel=0.25)
    with ps.search(*frames(predictions, tags), **LARGE, max_q=0.05) as strict:
        assert strict.row_counts["eligible_tag_sets"] == len(every)


@pytest.mark.parametrize("chosen", [{"max_absent": 1}, {"max_tags": 1}, {"min_tag_images": 90}])
def test_eligible_sets_under_other_options(chosen):
    predictions, tags = planted(np.random.default_rng(1), images=300, planted=[(0, 1)])
    chosen = LARGE | chosen
    with ps.search(*frames(predictions, tags), **chosen, max_q=1) as run:
        eligible = run.row_counts["eligible_tag_sets"]
    outcomes = [(label, image, label != guess) for image, label, guess in predictions]
    (group,) = oracle._classes(
        outcomes,
        tags,
        chosen["max_tags"],
        chosen["min_images"],
        chosen.get("min_tag_images"),
        chosen.get("max_absent", 0),
    )
    images = [images for images, _ in group.counts.values()]
    assert eligible == sum(count >= chosen["min_images"] for count in images) > 3


def test_max_q_leaves_only_significant_failure_modes(tmp_path):
    predictions, tags = planted(np.random.default_rng(3), planted=[(0, 1)])
    path = tmp_path / "q.duckdb"
    with ps.search(*frames(predictions, tags), **LARGE, into=path) as plain:
        modes = plain.failure_modes.to_polars().drop("run_id")
        chance = plain.chance().to_polars()
        with plain.refilter(max_q=0.05) as narrow:
            refiltered = narrow.failure_modes.to_polars().drop("run_id")
    with ps.search(*frames(predictions, tags), **LARGE, into=path, max_q=0.05) as run:
        kept = run.failure_modes.to_polars().drop("run_id")
        significant = set(chance.filter(pl.col("q_value") <= 0.05)["mode_id"])
        assert 0 < len(significant) < modes.height
        assert set(kept["mode_id"]) == significant
        assert kept.equals(modes.filter(pl.col("mode_id").is_in(significant)))
        assert kept.equals(refiltered)
        assert set(run.failure_mode_tags.to_polars()["mode_id"]) == significant
        assert run.row_counts["failure_modes"] == len(significant)
        assert run.chance().to_polars()["q_value"].max() <= 0.05
    with ps.search(*frames(predictions, tags), **LARGE, into=path, max_q=1e-300) as none:
        assert none.failure_modes.to_polars().is_empty()
        assert "q-value of 1e-300 or less" in none.note
    # What was found before can be read without writing, what was not cannot.
    with ps.open_run(path, 1) as first:
        assert first.chance().to_polars().equals(chance)
    with ps.search(*frames(predictions, tags), **LARGE, into=path) as _:
        pass
    with ps.open_run(path) as last, pytest.raises(ps.WarehouseError, match="for reading only"):
        last.chance()


@pytest.mark.parametrize("value", [0, 1.5, "x", float("nan")])
def test_max_q_is_a_fraction(value):
    with pytest.raises(ps.OptionError, match="max_q must be"):
        ps.Options(max_q=value)


def test_chance_finds_nothing_in_noise_and_what_was_planted():
    """At most one run of noise in twenty has a significant mode; planted ones are found."""
    rng = np.random.default_rng(20)
    noise = 0
    for _ in range(24):
        with ps.search(*frames(*planted(rng, images=200)), **LARGE, max_q=0.05) as run:
            noise += bool(run.row_counts["failure_modes"])
    found = sets = 0
    for _ in range(6):
        predictions, tags = planted(rng, images=300, tags=6)
        for number, pair in enumerate([("a", "b"), ("c", "d")]):
            # Twice min_images images carry both tags, four in five of them wrong; as many carry
            # one tag alone, and are like all others.
            first = 100 * number
            both = range(first, first + 2 * LARGE["min_images"])
            for n, image in enumerate(both):
                predictions[image] = (f"i{image}", "ape", "ape" if n % 5 == 0 else "bee")
            tags += [(f"i{n}", tag) for tag in pair for n in both]
            for tag, start in zip(pair, (first + 20, first + 60), strict=True):
                tags += [(f"i{n}", tag) for n in range(start, start + 40)]
        with ps.search(*frames(predictions, tags), **LARGE, max_q=0.05) as run:
            modes = run.failure_modes.to_polars()["tags"].to_list()
        sets += 2
        found += ("a + b" in modes) + ("c + d" in modes)
    print(f"noise: {noise} of 24 runs; planted: {found} of {sets}")
    assert noise <= 3
    assert found / sets >= 0.95


def test_shuffles_deal_out_the_errors_of_each_class(tmp_path):
    predictions, tags = planted(np.random.default_rng(5), planted=[(0, 1)])
    predictions += [(f"j{n}", "cow", "bee" if n < 30 else "cow") for n in range(80)]
    tags += [(f"j{n}", f"t{n % 3}") for n in range(80)]
    with ps.search(*frames(predictions, tags), **LARGE, into=tmp_path / "n.duckdb") as run:
        before = run.failure_modes.to_polars()
        first = run.null(6, seed=7).to_polars()
        assert first["shuffle"].to_list() == [1, 2, 3, 4, 5, 6]
        # In their place; engines add numbers in any order, so that the last digits may differ.
        assert_frame_equal(run.null(6, seed=7).to_polars(), first)
        assert not run.null(6, seed=8).to_polars().drop("seed").equals(first.drop("seed"))
        assert run.failure_modes.to_polars().equals(before)
        run.null(6, seed=7)
        chance = run.chance().to_polars()
        for row in chance.to_dicts():
            as_unlikely = (first["smallest_p"] <= row["p_value"] * (1 + 1e-9)).sum()
            assert row["family_wise_p"] == pytest.approx((1 + as_unlikely) / 7)
        assert chance["family_wise_p"][0] == pytest.approx(1 / 7)


def test_a_shuffle_is_a_search_on_shuffled_predictions():
    """The same modes as a search on a table with those errors, dealt out by hand."""
    from prime_sql.discovery import recount
    from prime_sql.engine.session import Session

    predictions, tags = planted(np.random.default_rng(6), images=120, rate=0.3)
    chosen = {"min_images": 5, "min_drop": 0.1, "max_tags": 2, "max_absent": 1}
    with ps.search(*frames(predictions, tags), **chosen) as run:
        warehouse = Session(run.backend)
        stored = recount.Stored.of(run)
        last_tag = recount.load(warehouse, stored, "shuffled", seed="s", min_drop=0.1)
        recount.failure_modes(warehouse, run.options, last_tag)
        dealt = dict(
            warehouse.execute(
                "x",
                "select s.image_id, o.error from outcomes o join prime.outcomes s "
                "on s.class_id = o.class_id and s.image_no = o.stored_no",
            )
        )
        columns = "tags, images, errors, class_errors, accuracy_drop"
        found = sorted(warehouse.execute("x", f"select {columns} from temp.failure_modes"))
        warehouse.close()
    assert sum(dealt.values()) == sum(guess != label for _, label, guess in predictions)
    assert dealt != {image: int(guess != label) for image, label, guess in predictions}
    shuffled = [(image, label, "bee" if dealt[image] else label) for image, label, _ in predictions]
    with ps.search(*frames(shuffled, tags), **chosen) as again:
        expected = again.sql(f"select {columns} from failure_modes").to_polars().rows()
    assert found == sorted(expected) != []


@pytest.mark.parametrize(("shuffles", "seed"), [(0, 0), (1.5, 0), (3, -1), (True, 0), (10**40, 0)])
def test_shuffles_are_counted_in_whole_numbers(shuffles, seed):
    with (
        ps.search(*frames([("a", "x", "y")], [("a", "t")]), min_images=1) as run,
        pytest.raises(
            ps.OptionError, match=r"must be (a whole number|at least [01]|at most 10,000), got"
        ),
    ):
        run.null(shuffles, seed=seed)
