"""The search against the brute-force oracle, on tables that hypothesis makes up."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from prime_sql.discovery import counting
from prime_sql.engine.session import Session
from tests import oracle
from tests.examples import examples, seed
from tests.generated import PLANS, assert_same, frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


@pytest.mark.parametrize("plan", PLANS)
@examples(25)
@given(tables(), options())
def test_search_equals_the_oracle(plan, data, chosen):
    predictions, tags = data
    outcomes = [(label, image, label != guess) for image, label, guess in predictions]
    expected = oracle.failure_modes(outcomes, tags, **chosen)
    counted = oracle.counted_sets(outcomes, tags, **chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "plans", plan)
        with ps.search(*frames(predictions, tags), **chosen) as run:
            assert_same(run, expected, counted)
            images = run.failure_mode_images.to_polars()
            for mode in run.failure_modes.to_polars().to_dicts():
                assert images.filter(pl.col("mode_id") == mode["mode_id"]).height == mode["images"]
            assert (run.note is None) == bool(expected)


@examples(12)
@given(tables(), options(), st.sampled_from(["prediction", "model,label", "distance"]))
def test_custom_error_and_grouping_equal_the_oracle(data, chosen, how):
    predictions, tags = data
    rows = [
        {
            "image_id": image,
            "label": label,
            "prediction": guess,
            "model": model,
            "far": (len(image) + ord(guess[0]) + model) % 3,
        }
        for image, label, guess in predictions
        for model in (1, 2)
    ]
    if how == "prediction":
        keywords = {"group_by": "prediction", "where": "model = 2"}
        outcomes = [
            (row["prediction"], row["image_id"], row["label"] != row["prediction"])
            for row in rows
            if row["model"] == 2
        ]
    elif how == "model,label":
        keywords = {"group_by": "model,label"}
        outcomes = [
            (f"{row['model']} | {row['label']}", row["image_id"], row["label"] != row["prediction"])
            for row in rows
        ]
    else:
        keywords = {"error": "far > 1", "where": "model = 1"}
        outcomes = [
            (row["label"], row["image_id"], row["far"] > 1) for row in rows if row["model"] == 1
        ]
    with ps.search(pl.DataFrame(rows), frames([], tags)[1], **keywords, **chosen) as run:
        assert_same(
            run,
            oracle.failure_modes(outcomes, tags, **chosen),
            oracle.counted_sets(outcomes, tags, **chosen),
        )


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("max_tags", [5, 6])
def test_sets_of_five_and_six_tags(plan, max_tags, monkeypatch):
    monkeypatch.setattr(Session, "plans", plan)
    # Each tag left out rescues some images, so that all six are necessary.
    words = ["a", "b", "c", "d", "e", "f"]
    predictions, tags = [], []
    for copy in range(6):
        predictions.append((f"all{copy}", "ape", "bee"))
        tags += [(f"all{copy}", word) for word in words]
    for missing in words:
        for copy in range(3):
            predictions.append((f"{missing}{copy}", "ape", "ape"))
            tags += [(f"{missing}{copy}", word) for word in words if word != missing]
    outcomes = [(label, image, label != guess) for image, label, guess in predictions]
    chosen = {"max_tags": max_tags, "min_images": 6, "min_drop": 0.1}
    expected = oracle.failure_modes(outcomes, tags, **chosen)
    assert max(len(mode.tags) for mode in expected.values()) == max_tags
    with ps.search(*frames(predictions, tags), **chosen) as run:
        assert_same(run, expected, oracle.counted_sets(outcomes, tags, **chosen))


@pytest.mark.parametrize("limit", ["LONGEST", "MOST_BYTES", None])
def test_bit_strings_that_are_too_long_give_way_to_rows(limit, monkeypatch):
    """Both plans count the same, and classes of uneven length share one length of bits."""
    rows = 700
    predictions = pl.DataFrame({"image_id": range(rows)}).select(
        "image_id",
        label=pl.when(pl.col("image_id") % 7 == 0).then(pl.lit("small")).otherwise(pl.lit("large")),
        prediction=pl.when(pl.col("image_id") % 5 < 2).then(pl.lit("x")).otherwise(pl.lit("large")),
    )
    tags = pl.concat(
        predictions.filter(pl.col("image_id").hash(seed) % 3 > 0).select(
            "image_id", tag=pl.lit(f"t{seed}")
        )
        for seed in range(6)
    )
    found = []
    for plan in PLANS:
        monkeypatch.setattr(Session, "plans", plan)
        if limit is not None:
            monkeypatch.setattr(counting, limit, 100)
        statements = []
        with ps.search(
            predictions,
            tags,
            min_images=10,
            min_drop=0.01,
            on_sql=statements.append,
            necessity=(0.0,),
        ) as run:
            found.append(run.tag_sets.to_polars().drop("run_id"))
        bits = any("bit_or(" in s.sql for s in statements)
        assert bits == (plan is not None and limit is None)
    assert found[0].height > 100
    assert found[0].equals(found[1])


@pytest.mark.random
@pytest.mark.parametrize("tags_of_an_image", [2, 12])  # of 60
def test_pairs_are_counted_by_bits_and_by_rows_alike(tags_of_an_image, monkeypatch):
    """Whichever is less work is taken; the other finds the same."""
    chance = random.Random(seed(tags_of_an_image))
    predictions = [
        (f"i{n}", f"c{n % 2}", "x" if chance.random() < 0.4 else f"c{n % 2}") for n in range(1_200)
    ]
    tags = [
        (image, f"t{number}")
        for image, _, _ in predictions
        for number in chance.sample(range(60), tags_of_an_image)
    ]
    found, by_rows = [], []
    for share in (None, -1e9, 1e9):
        if share is not None:
            monkeypatch.setattr(counting, "_WORD_SHARE", share)
        statements = []
        with ps.search(
            *frames(predictions, tags),
            min_images=5,
            min_drop=0.01,
            max_tags=3,
            on_sql=statements.append,
        ) as run:
            found.append(run.tag_sets.to_polars().drop("run_id"))
        (pairs,) = (s.sql for s in statements if s.step == "candidates_2")
        by_rows.append("image_no" in pairs)
    assert by_rows == [tags_of_an_image == 2, False, True]
    assert found[0].filter(pl.col("tag_count") == 2).height > 10
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


@pytest.mark.parametrize("plan", PLANS)
def test_rounding_does_not_prune_a_set_that_lies_on_the_bound(plan, monkeypatch):
    """10 images times (0.1 + 0.2) is 3 errors, but 3.0000000000000004 in floating point."""
    monkeypatch.setattr(Session, "plans", plan)
    predictions = [(f"i{n}", "ape", "bee" if n < 3 or n >= 93 else "ape") for n in range(100)]
    tags = [(f"i{n}", "hang") for n in range(10)]
    with ps.search(*frames(predictions, tags), min_images=10, min_drop=0.2) as run:
        assert run.failure_modes.to_polars().select("tags", "images", "errors").rows() == [
            ("hang", 10, 3)
        ]


def test_many_tags_of_one_class_are_not_tried_in_pairs():
    """Two thousand tags make two million pairs; only those that occur are counted."""
    images = pl.DataFrame({"image_id": range(8_000)})
    predictions = images.select(
        "image_id",
        label=pl.lit("a"),
        prediction=pl.when(pl.col("image_id") % 3 == 0).then(pl.lit("b")).otherwise(pl.lit("a")),
    )
    tags = pl.concat(
        images.select("image_id", tag=pl.format("t{}", pl.col("image_id").hash(seed) % 2_000))
        for seed in range(4)
    )
    statements = []
    with ps.search(
        predictions, tags, max_tags=2, min_images=5, min_drop=0.3, on_sql=statements.append
    ) as run:
        assert run.tag_sets.to_polars().height > 500
    pairs = next(s.sql for s in statements if s.step == "candidates_2")
    assert "b.image_no = a.image_no" in pairs


def test_both_prunings_are_used():
    """Only misclassified images make candidates, and only survivors are counted."""
    predictions = [(f"i{n}", "ape", "ape" if n % 4 else "bee") for n in range(40)]
    tags = [(f"i{n}", tag) for n in range(40) for tag in ("a", "b")]
    tags += [(f"i{n}", "never wrong") for n in range(40) if n % 4]
    statements = []
    with ps.search(*frames(predictions, tags), min_images=5, on_sql=statements.append) as run:
        counted = set(run.tag_sets.to_polars()["tags"])
    assert counted == {"a", "b", "a + b"}  # 30 images carry "never wrong", none is an error
    candidates = [s for s in statements if s.step.startswith("candidates")]
    assert [s.rows for s in candidates] == [2, 1, 0, 0]


def test_mode_id_is_stable_and_depends_on_class_grouping_and_tags():
    predictions = [(f"i{n}", "ape", "bee" if n < 5 else "ape") for n in range(20)]
    tags = [(f"i{n}", tag) for n in range(5) for tag in ("a", "b")] + [("i9", "a + b")]
    with ps.search(*frames(predictions, tags), min_images=5) as first:
        ids = dict(first.failure_modes.to_polars().select("tags", "mode_id").iter_rows())
    # Other rows, another order, other options: the same modes.
    with ps.search(*frames(predictions[::-1], tags[::-1]), min_images=4, max_tags=1) as again:
        assert dict(again.failure_modes.to_polars().select("tags", "mode_id").iter_rows()) == ids
    grouped = frames(predictions, tags)[0].with_columns(kind=pl.col("label"))
    with ps.search(grouped, frames([], tags)[1], min_images=5, group_by="kind") as other:
        assert not set(other.failure_modes.to_polars()["mode_id"]) & set(ids.values())
    assert len(set(ids.values())) == len(ids) == 2


def test_a_tag_that_looks_like_two_is_another_mode():
    predictions = [(f"i{n}", "ape", "bee" if n < 12 else "ape") for n in range(60)]
    tags = [(f"i{n}", tag) for n in range(6) for tag in ("a", "b")]
    tags += [(f"i{n}", "a") for n in range(20, 30)] + [(f"i{n}", "b") for n in range(30, 40)]
    tags += [(f"i{n}", "a + b") for n in range(6, 12)]
    with ps.search(*frames(predictions, tags), min_images=6) as run:
        modes = run.failure_modes.to_polars()
        images = run.failure_mode_images.to_polars()
    assert modes["tags"].to_list() == ["a + b", "a + b"]
    assert modes["mode_id"].n_unique() == 2
    both = {
        frozenset(images.filter(pl.col("mode_id") == mode)["image_id"]) for mode in modes["mode_id"]
    }
    assert both == {frozenset(f"i{n}" for n in range(6)), frozenset(f"i{n}" for n in range(6, 12))}
