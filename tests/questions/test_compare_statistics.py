"""Comparisons against brute force and SciPy."""

import math
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import prime_sql as ps
from tests import oracle
from tests import tables as data
from tests.examples import examples
from tests.generated import frames, options, tables
from tests.questions.comparisons import FIXED, MIRROR, PERSISTING, UNDECIDED, search
from tests.questions.counted import counted

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

SLOW = examples(4)


def wilson(errors, images):
    """The 95 % interval of an accuracy: the roots of (p - x)² = z² x (1 - x) / n."""
    z2, p = stats.norm.ppf(0.975) ** 2, 1 - errors / images
    a, b, c = 1 + z2 / images, -(2 * p + z2 / images), p * p
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def newcombe(errors_a, images_a, errors_b, images_b):
    a, b = 1 - errors_a / images_a, 1 - errors_b / images_b
    (low_a, high_a), (low_b, high_b) = wilson(errors_a, images_a), wilson(errors_b, images_b)
    low = b - a - math.hypot(b - low_b, high_a - a)
    return low, b - a + math.hypot(high_b - b, a - low_a)


def judged(mode, sides, found_in, chosen, q):
    """The status as the docstring of compare says it, in exact fractions."""
    if len(found_in) == 2:
        return PERSISTING
    finder, other = ("a", "b") if "a" in found_in else ("b", "a")
    images, errors, class_images, class_errors = sides[other]
    if images is None or images < chosen["min_images"]:
        return UNDECIDED
    drop = Fraction(errors, images) - Fraction(class_errors, class_images)
    least = Fraction(str(chosen["min_drop"]))
    better = Fraction(errors, images) < Fraction(sides[finder][1], sides[finder][0])
    if drop < least / 2 - oracle.TOLERANCE or (
        drop < least - oracle.TOLERANCE and better and q <= 0.05
    ):
        return FIXED if finder == "a" else "new"
    return PERSISTING


@SLOW
@given(tables(), tables(), options(), st.booleans())
def test_comparisons_equal_the_oracle(first, second, chosen, narrow):
    modes = {}
    for side, (predictions, tags) in (("a", first), ("b", second)):
        outcomes = [(label, image, label != guess) for image, label, guess in predictions]
        modes[side] = oracle.failure_modes(outcomes, tags, **chosen)
    sides = {
        "a": lambda key: counted(*first, key, chosen),
        "b": lambda key: counted(*second, key, chosen),
    }
    keys = sorted({*modes["a"], *modes["b"]})
    with ps.search(*frames(*first), **chosen) as a, ps.search(*frames(*second), **chosen) as b:
        # A refiltered run has fewer tag sets, and the same images.
        found = ps.compare(a, b.refilter(min_drop=chosen["min_drop"]) if narrow else b).to_polars()
    rows = {(row["class_name"], row["tags"], row["tag_count"]): row for row in found.to_dicts()}
    assert len(rows) == found.height == len(keys)
    compared = []
    for key in keys:
        counts = {side: sides[side](key) for side in "ab"}
        row = rows[key[0], " + ".join(key[1]), len(key[1])]
        found_in = {side for side in "ab" if key in modes[side]}
        assert {side for side in "ab" if row[f"is_mode_{side}"]} == found_in
        for side in "ab":
            images, errors, class_images, class_errors = counts[side]
            assert (row[f"images_{side}"], row[f"errors_{side}"]) == (images, errors)
            if images and class_images:
                drop = errors / images - class_errors / class_images
                assert row[f"accuracy_drop_{side}"] == pytest.approx(drop, abs=1e-12)
        if counts["a"][0] and counts["b"][0]:
            interval = newcombe(*counts["a"][1::-1], *counts["b"][1::-1])
            assert (row["change_low"], row["change_high"]) == pytest.approx(interval, abs=1e-9)
        if judged(key, counts, found_in, chosen, 1) != UNDECIDED:
            compared.append((key, counts, found_in, row))
        else:
            assert row["p_value"] is None
            assert row["status"] == UNDECIDED
    p_values = [
        stats.fisher_exact(
            [[images - errors, errors] for images, errors, *_ in (counts["a"], counts["b"])]
        ).pvalue
        for _, counts, _, _ in compared
    ]
    q_values = stats.false_discovery_control(p_values) if p_values else []
    for (key, counts, found_in, row), p, q in zip(compared, p_values, q_values, strict=True):
        assert row["p_value"] == pytest.approx(p, rel=1e-6)
        assert row["q_value"] == pytest.approx(q, rel=1e-6)
        assert row["status"] == judged(key, counts, found_in, chosen, q)


def test_fishers_test_at_sizes_where_factorials_overflow():
    counts = [(40, 16, 40, 15), (5000, 2000, 3000, 1100), (900, 360, 2500, 400), (50, 40, 20, 0)]
    groups = {"a": [], "b": []}
    for number, (images_a, errors_a, images_b, errors_b) in enumerate(counts):
        for side, images, errors in (("a", images_a, errors_a), ("b", images_b, errors_b)):
            groups[side] += [(f"c{number}", "hang", images, errors)]
            groups[side] += [(f"c{number}", "sky", images * 9, 0)]
    with search(*groups["a"]) as a, search(*groups["b"]) as b:
        found = ps.compare(a, b).to_polars().sort("class_name")
    expected = [stats.fisher_exact([[n - k, k], [m - j, j]]).pvalue for n, k, m, j in counts]
    assert found["p_value"].to_list() == pytest.approx(expected, rel=1e-6)
    assert found["q_value"].to_list() == pytest.approx(
        list(stats.false_discovery_control(expected)), rel=1e-6
    )
    assert found["change_low"].to_list() == pytest.approx(
        [newcombe(k, n, j, m)[0] for n, k, m, j in counts], abs=1e-9
    )


def test_absent_tags_are_counted_in_the_run_where_they_are_no_mode():
    right = [
        {**row, "prediction": row["label"] if number % 3 else row["prediction"]}
        for number, row in enumerate(data.PREDICTIONS)
    ]
    chosen = {"max_absent": 2, "min_images": 2, "min_drop": 0.1, "max_tags": 2}
    with data.search(**chosen) as a, data.search(data.frame(right), **chosen) as b:
        found = ps.compare(a, b).to_polars()
        assert found["tags"].str.contains("not ").any()
        # The same images in both runs, so the images of a mode are those in either.
        assert (found["images_a"] == found["images_b"]).all()
        for row in found.to_dicts():
            for side, run in (("a", a), ("b", b)):
                if row[f"is_mode_{side}"]:
                    mode = run.failure_modes.to_polars().filter(mode_id=row["mode_id"])
                    images, errors = mode.select("images", "errors").row(0)
                    assert (row[f"images_{side}"], row[f"errors_{side}"]) == (images, errors)
        wrong_b = {row["image_id"]: row["label"] != row["prediction"] for row in right}
        images_a = a.failure_mode_images.to_polars()
        for row in found.filter(pl.col("is_mode_a")).to_dicts():
            own = images_a.filter(mode_id=row["mode_id"])["image_id"]
            assert row["errors_b"] == sum(wrong_b[image] for image in own)


@SLOW
@given(tables(), tables(), options())
def test_the_other_way_round_new_is_fixed(first, second, chosen):
    with ps.search(*frames(*first), **chosen) as a, ps.search(*frames(*second), **chosen) as b:
        there = {row["mode_id"]: row for row in ps.compare(a, b).to_polars().to_dicts()}
        back = {row["mode_id"]: row for row in ps.compare(b, a).to_polars().to_dicts()}
    assert there.keys() == back.keys()
    for mode_id, row in there.items():
        other = back[mode_id]
        assert other["status"] == MIRROR.get(row["status"], row["status"])
        assert (other["p_value"] is None) == (row["p_value"] is None)
        if row["q_value"] is not None:
            assert other["q_value"] == pytest.approx(row["q_value"], rel=1e-6)
        if row["change_low"] is not None:
            assert other["change_high"] == pytest.approx(-row["change_low"], abs=1e-9)
