"""Two runs compared: verdicts by hand, statistics against SciPy, counts against brute force."""

import json
import math
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import prime_sql as ps
from tests import data, oracle
from tests.examples import examples
from tests.test_cli import fail, succeed
from tests.test_search import frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

SLOW = examples(4)


def search(*groups, **changes):
    """Search images given as (label, tags, images, errors)."""
    predictions, tags = [], []
    for label, names, images, errors in groups:
        for number in range(images):
            image = f"i{len(predictions)}"
            predictions.append((image, label, "other" if number < errors else label))
            tags += [(image, tag) for tag in names.split()]
    chosen = {"min_images": 20, "min_drop": 0.32, "max_tags": 2, **changes}
    return ps.search(*frames(predictions, tags), **chosen)


def ape(images, errors, rest=None, **changes):
    """One class, in which ``hang`` has so many images and errors, and the others have none."""
    return search(
        ("ape", "hang", images, errors),
        ("ape", "sky", 200 - images if rest is None else rest, 0),
        **changes,
    )


def statuses(a, b):
    found = ps.compare(a, b).to_polars()
    return {(row["class_name"], row["tags"]): row["status"] for row in found.to_dicts()}


FIXED, PERSISTING, UNDECIDED = "fixed", "persisting", "undecided"
MIRROR = {"new": "fixed", "fixed": "new"}


# In A, 16 of 40 images with the tag are wrong, of 200 in the class: a drop of 0.4 - 0.08 = 0.32.
@pytest.mark.parametrize(
    ("images", "errors", "status"),
    [
        (40, 16, PERSISTING),  # a failure mode still
        (40, 15, PERSISTING),  # a drop of 0.30: by a hair
        (40, 8, PERSISTING),  # exactly half of min_drop, and not significant
        (40, 7, FIXED),  # below half of it
        (40, 0, FIXED),
        (20, 7, PERSISTING),  # a drop of 0.315
        (20, 1, FIXED),
        (19, 1, UNDECIDED),  # the tag is not frequent any more
        (0, 0, UNDECIDED),
    ],
)
def test_a_mode_of_the_first_run(images, errors, status):
    with ape(40, 16) as a, ape(images, errors) as b:
        assert statuses(a, b) == {("ape", "hang"): status}
        assert statuses(b, a) == {("ape", "hang"): MIRROR.get(status, status)}


def test_a_significant_change_decides_between_half_the_drop_and_the_drop():
    # Drops of 0.32 and 0.2, of 40 images in 200 and of 400 in 2,000.
    with ape(40, 16) as a, ape(40, 10) as b:
        few = ps.compare(a, b).to_polars().row(0, named=True)
    with ape(400, 160, 1600) as a, ape(400, 100, 1600) as b:
        many = ps.compare(a, b).to_polars().row(0, named=True)
        back = ps.compare(b, a).to_polars().row(0, named=True)
    assert few["accuracy_drop_b"] == many["accuracy_drop_b"] == pytest.approx(0.2)
    assert (few["status"], many["status"], back["status"]) == (PERSISTING, FIXED, "new")
    assert few["q_value"] > 0.05 > many["q_value"] == back["q_value"]


def test_a_change_is_judged_by_its_q_value_not_by_its_p_value():
    groups = [(f"c{n:02}", "hang", 120, 48) for n in range(12)]
    rest = [(f"c{n:02}", "sky", 480, 0) for n in range(12)]
    # c00 falls to a drop of 0.2: p is about 0.02. All others stay as they are.
    with search(*groups, *rest) as a, search(("c00", "hang", 120, 30), *groups[1:], *rest) as b:
        row = ps.compare(a, b).to_polars().filter(pl.col("class_name") == "c00")
        row = row.row(0, named=True)
    assert row["p_value"] < 0.05 < row["q_value"]
    assert row["status"] == PERSISTING


def test_a_significant_change_above_the_threshold_is_not_fixed():
    # In B the mode is not minimal any more, and far better, but its drop is still that of a mode.
    a = search(("ape", "hang sun", 200, 190), ("ape", "hang", 200, 0), ("ape", "sun", 600, 0))
    b = search(("ape", "hang sun", 200, 110), ("ape", "hang", 200, 105), ("ape", "sun", 600, 0))
    with a, b:
        found = ps.compare(a, b).to_polars()
        rows = {row["tags"]: row for row in found.to_dicts()}
        assert rows["hang + sun"]["q_value"] < 1e-10
        assert rows["hang + sun"]["accuracy_drop_b"] > 0.32
        assert rows["hang + sun"]["status"] == PERSISTING
        assert not rows["hang + sun"]["is_mode_b"]


def test_a_class_that_became_as_bad_as_the_mode_has_no_failure_mode():
    # Accuracy on the set did not change; that on the class fell to it.
    with (
        search(("ape", "hang", 100, 50), ("ape", "sky", 400, 0)) as a,
        search(("ape", "hang", 100, 50), ("ape", "sky", 400, 180)) as b,
    ):
        row = ps.compare(a, b).to_polars().row(0, named=True)
        assert (row["status"], row["accuracy_change"], row["p_value"]) == (FIXED, 0.0, 1.0)


def test_a_class_or_a_tag_that_the_other_run_lacks_is_undecided():
    bee = ("bee", "wing", 40, 30), ("bee", "sky", 200, 0)
    with search(*bee, ("ape", "sky", 200, 0)) as a, search(("ape", "sky", 200, 0)) as b:
        row = ps.compare(a, b).to_polars().row(0, named=True)
        assert row["status"] == UNDECIDED
        assert row["images_a"] == 40
        assert {row[name] for name in ("images_b", "class_accuracy_b", "p_value", "q_value")} == {
            None
        }
        assert statuses(b, a) == {("bee", "wing"): UNDECIDED}


def test_too_few_images_are_undecided_though_they_were_counted():
    with ape(40, 16, min_tag_images=5) as a, ape(10, 0, min_tag_images=5) as b:
        row = ps.compare(a, b).to_polars().row(0, named=True)
        assert row["status"] == UNDECIDED
        assert (row["images_b"], row["accuracy_b"], row["q_value"]) == (10, 1.0, None)
        assert row["change_low"] < 0.4 < row["change_high"]


def test_the_thresholds_are_those_of_the_run_that_found_the_mode():
    for errors in (15, 5):  # drops of 0.3 and of 0.1, in both runs
        with (
            ape(40, errors) as a,
            ape(40, errors, min_drop=0.1) as b,
            pytest.warns(ps.InputWarning, match=r"min_drop 0\.32 and 0\.1\).*did not look"),
        ):
            assert statuses(a, b) == {("ape", "hang"): PERSISTING}


def test_runs_that_mean_something_else_are_refused():
    predictions, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
    with data.search() as a:
        with (
            data.search(group_by="prediction") as b,
            pytest.raises(ps.QueryError, match="their classes are not the same"),
        ):
            ps.compare(a, b)
        with (
            data.search(error="label <> prediction and region = 'north'") as b,
            pytest.raises(ps.QueryError, match="their errors are not the same"),
        ):
            ps.compare(a, b)
        # The name of a column is no difference.
        renamed = predictions.rename({"label": "truth"})
        with ps.search(renamed, tags, label="truth", group_by="truth", **data.OPTIONS) as b:
            assert set(statuses(a, b).values()) == {PERSISTING}


def test_runs_of_one_file_of_two_files_and_of_memory(tmp_path):
    one, other = tmp_path / "one.duckdb", tmp_path / "prime.duckdb"
    right = [{**row, "prediction": row["label"]} for row in data.PREDICTIONS]
    for path in (one, other):
        data.search(into=path).close()
    data.search(data.frame(right), into=one).close()
    expected = dict.fromkeys([("cat", "toy"), ("bear", "snow"), ("ape", "black + hang")], FIXED)
    with ps.open_run(one, 1) as a, ps.open_run(one, 2) as b, ps.open_run(other) as c:
        assert statuses(a, b) == expected
        assert statuses(c, b) == expected
        with data.search() as memory:
            assert set(statuses(memory, c).values()) == {PERSISTING}
            assert set(statuses(b, memory).values()) == {"new"}


def test_two_runs_without_modes_have_nothing_to_compare():
    with ape(40, 0) as a, ape(40, 1) as b:
        found = ps.compare(a, b)
        assert found.to_polars().height == 0
        assert found.columns[:5] == ("status", "mode_id", "class_name", "tags", "tag_count")


# The statistics, and the counts of sets that are failure modes in one run only --------------------


def counted(predictions, tags, key, chosen):
    """Images and errors with the tags of a mode, and of its class; None where not known."""
    class_name, names = key
    carried = {}
    for image, tag in tags:
        carried.setdefault(image, set()).add(tag)
    rows = [
        (carried.get(image, set()), label != guess)
        for image, label, guess in predictions
        if label == class_name
    ]
    if not rows:
        return None, None, None, None
    totals = len(rows), sum(error for _, error in rows)
    for name in names:
        support = sum(name.removeprefix("not ") in own for own, _ in rows)
        if support < (chosen["min_tag_images"] or chosen["min_images"]):
            return None, None, *totals
    errors = [
        error
        for own, error in rows
        if all((name.removeprefix("not ") in own) != name.startswith("not ") for name in names)
    ]
    return len(errors), sum(errors), *totals


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


# The command --------------------------------------------------------------------------------------


def test_the_command_compares_runs_of_one_file_and_of_two(tmp_path):
    one, other = tmp_path / "one.duckdb", tmp_path / "other.duckdb"
    right = [{**row, "prediction": row["label"]} for row in data.PREDICTIONS]
    data.search(into=one).close()
    data.search(data.frame(right), into=one).close()
    data.search(into=other, min_drop=0.2).close()
    shown = succeed("compare", one, 1, 2)
    assert shown.stdout.startswith("0 new, 0 persisting, 3 fixed, 0 undecided")
    rows = json.loads(succeed("compare", one, 2, 1, "--format", "json").stdout)
    assert [row["status"] for row in rows] == ["new"] * 3
    assert succeed("compare", one, 2, 2).stdout.startswith("Neither run 2 nor run 2 has failure")
    told = succeed("compare", one, 1, 1, "--other", other)
    assert "Warning: the runs have other thresholds (min_drop 0.3 and 0.2)" in told.stderr
    assert told.stdout.startswith("0 new, 3 persisting")
    assert "holds no run 7" in fail("compare", one, 1, 7)


def test_search_of_several_models_stores_a_run_each_and_compares_two(tmp_path):
    rows = [{**row, "net": "old's"} for row in data.PREDICTIONS]
    rows += [{**row, "prediction": row["label"], "net": 2} for row in data.PREDICTIONS]
    rows += [{**row, "net": "3"} for row in data.PREDICTIONS]
    rows = [{**row, "net": str(row["net"])} for row in rows]
    predictions = data.write(rows, tmp_path / "predictions.parquet")
    tags = data.write(data.TAGS, tmp_path / "tags.parquet")
    db = tmp_path / "prime.duckdb"
    line = ["search", predictions, tags, "--min-images", 4, "--max-tags", 2, "--model", "net"]
    told = succeed(*line, "--models", "old's, 2", "--db", db)
    assert told.stdout.startswith("0 new, 0 persisting, 3 fixed, 0 undecided")
    assert f"Run 2, of 2, is in {db}." in told.stderr
    assert ps.runs(db).height == 2
    three = ["--models", "old's,2,3", "--where", "region = 'north'", "--min-drop", 0.2]
    listed = json.loads(succeed(*line, *three, "--format", "json").stdout)
    assert [row["model"] for row in listed] == ["old's", "2", "3"]
    assert [row["accuracy"] for row in listed][1] == 1
    north = sum(row["region"] == "north" for row in data.PREDICTIONS)
    assert {row["images"] for row in listed} == {north}
    assert "two or more names" in fail(*line, "--models", "2")
    assert "no --from-run" in fail("search", "--db", db, "--from-run", 1, "--models", "2,3")


def test_a_misspelt_model_leaves_nothing_behind(tmp_path):
    pl.DataFrame(
        {"image_id": ["a", "a"], "label": "x", "prediction": "y", "model": ["r50", "vit"]}
    ).write_csv(tmp_path / "p.csv")
    pl.DataFrame({"image_id": ["a"], "tag": ["t"]}).write_csv(tmp_path / "t.csv")
    tables = [f"{tmp_path}/p.csv", f"{tmp_path}/t.csv"]
    said = fail("search", *tables, "--models", "r50,vti", "--db", f"{tmp_path}/m.duckdb")
    assert "predictions.model is nowhere 'vti'. Did you mean 'vit'?" in said
    assert not (tmp_path / "m.duckdb").exists()
