"""Verdicts on unseen data: counts against brute force, statistics against SciPy."""

import math
import warnings
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import prime_sql as ps
from tests import tables as data
from tests.examples import examples
from tests.questions.unseen import OPTIONS, SEEN, VALIDATED, modes, tables

# Tables of one class, on which the model is always wrong.
pytestmark = pytest.mark.filterwarnings("ignore:.* have no value in common:prime_sql.InputWarning")


@pytest.fixture(scope="module")
def shared():
    """A run for the tests that look at what `validate` returns, and at nothing it leaves."""
    with ps.search(*tables(SEEN), **OPTIONS) as run:
        assert run.failure_modes.to_polars()["tags"].to_list() == ["hang"]
        yield run


# The counts and the verdict of one mode -----------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "verdict"),
    [
        # 20 images, 15 right: 75 %; on 10 of them 5: exactly 0.30 - 0.05 below
        ([("ape", "hang", 10, 5), ("ape", "sit", 10, 0)], "holds"),
        ([("ape", "hang", 10, 9), ("ape", "sit", 10, 0)], "holds"),
        # 15 of 22 right, 6 of 11: 0.136 below
        ([("ape", "hang", 11, 5), ("ape", "sit", 11, 2)], "fails"),
        # 0.25 - 1 / 2,100: one error less in 1,000 images
        ([("ape", "hang", 1000, 499), ("ape", "sit", 1000, 0)], "fails"),
        ([("ape", "hang", 1000, 500), ("ape", "sit", 1000, 0)], "holds"),
        # Nine are too few, regardless of their accuracy.
        ([("ape", "hang", 9, 9), ("ape", "sit", 20, 0)], "undecided"),
        ([("ape", "hang", 9, 0), ("ape", "sit", 20, 9)], "undecided"),
        ([("ape", "sit", 20, 2)], "undecided"),
        ([("bee", "hang", 20, 20)], "undecided"),  # the class does not occur
    ],
)
def test_verdicts(shared, groups, verdict):
    (mode,) = modes(shared.validate(*tables(groups)))
    ape = [group for group in groups if group[0] == "ape"]
    hang = [group for group in ape if group[1] == "hang"]
    assert mode["verdict"] == verdict
    assert mode["unseen_images"] == sum(group[2] for group in hang)
    assert mode["unseen_errors"] == sum(group[3] for group in hang)
    assert mode["unseen_class_images"] == sum(group[2] for group in ape)
    assert mode["unseen_class_errors"] == sum(group[3] for group in ape)


def test_nothing_is_known_without_an_image(shared):
    (mode,) = modes(shared.validate(*tables([("bee", "hang", 20, 20)])))
    unknown = {name for name, value in mode.items() if value is None}
    assert unknown == {
        "unseen_accuracy",
        "unseen_accuracy_low",
        "unseen_accuracy_high",
        "unseen_class_accuracy",
        "unseen_accuracy_drop",
    }
    (mode,) = modes(shared.validate(*tables([("ape", "sit", 20, 5)])))
    assert mode["unseen_class_accuracy"] == 0.75
    assert mode["unseen_accuracy"] is mode["unseen_accuracy_drop"] is None


def test_the_user_says_how_many_images_and_how_close(shared):
    unseen = tables([("ape", "hang", 4, 2), ("ape", "sit", 4, 0)])  # 0.25 below

    def verdict(**options):
        return modes(shared.validate(*unseen, **options))[0]["verdict"]

    assert verdict() == "undecided"
    assert verdict(min_unseen_images=5) == "undecided"
    assert verdict(min_unseen_images=4) == "holds"
    assert verdict(min_unseen_images=4, tolerance=0.04) == "fails"
    assert verdict(min_unseen_images=4, tolerance=0) == "fails"
    assert verdict(min_unseen_images=1, tolerance=1) == "holds"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"min_unseen_images": 0}, "min_unseen_images must be at least 1, got 0"),
        ({"min_unseen_images": 2.5}, "min_unseen_images must be a whole number"),
        ({"tolerance": -0.1}, "tolerance must be between 0 and 1, got -0.1"),
        ({"tolerance": math.nan}, "tolerance must be a finite number"),
        ({"where": "label ="}, "where is not an SQL condition"),
        ({"label": ""}, "label must be non-empty text"),
    ],
)
def test_bad_options(shared, option, message):
    with pytest.raises(ps.OptionError, match=message):
        shared.validate(*tables(SEEN), **option)


# Against brute force ------------------------------------------------------------------------------

IMAGES = st.lists(
    st.tuples(st.sampled_from("pq"), st.sets(st.sampled_from("abcd")), st.booleans()),
    min_size=1,
    max_size=40,
)


def generated(images, prefix):
    predictions = pl.DataFrame(
        {
            "image_id": [f"{prefix}{n}" for n in range(len(images))],
            "label": [label for label, _, _ in images],
            "prediction": ["x" if error else label for label, _, error in images],
        }
    )
    pairs = [(f"{prefix}{n}", tag) for n, image in enumerate(images) for tag in sorted(image[1])]
    return predictions, pl.DataFrame(
        pairs, schema={"image_id": pl.String, "tag": pl.String}, orient="row"
    )


def expected(run, unseen, min_drop, least, tolerance):
    """Each mode's unseen counts and verdict, by looking at every image."""
    wanted, lacking = {}, {}
    for mode_id, tag, present in (
        run.sql("select mode_id, tag, present from failure_mode_tags").to_polars().rows()
    ):
        (wanted if present else lacking).setdefault(mode_id, set()).add(tag)
    # Nobody may have looked for a tag that no image carries: its absence says nothing.
    known = set().union(*(image[1] for image in unseen))
    found = {}
    for mode in run.failure_modes.to_polars().to_dicts():
        own = [image for image in unseen if image[0] == mode["class_name"]]
        key = mode["mode_id"]
        fitting = [
            image
            for image in own
            if wanted.get(key, set()) <= image[1]
            and not lacking.get(key, set()) & image[1]
            and lacking.get(key, set()) <= known
        ]
        errors, class_errors = (sum(image[2] for image in part) for part in (fitting, own))
        drop = None
        if fitting:
            drop = Fraction(errors, len(fitting)) - Fraction(class_errors, len(own))
        if len(fitting) < least:
            verdict = "undecided"
        else:
            enough = drop >= Fraction(str(min_drop)) - Fraction(str(tolerance))
            verdict = "holds" if enough else "fails"
        found[key] = (len(fitting), errors, len(own), class_errors, drop, verdict)
    return found


@examples(8)
@given(
    seen=IMAGES,
    unseen=IMAGES,
    min_drop=st.sampled_from([0.05, 0.2]),
    least=st.integers(1, 4),
    tolerance=st.sampled_from([0, 0.05, 0.1]),
    max_absent=st.integers(0, 2),
)
def test_validation_equals_brute_force(seen, unseen, min_drop, least, tolerance, max_absent):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ps.InputWarning)  # images without tags
        run = ps.search(
            *generated(seen, "s"),
            min_images=2,
            min_drop=min_drop,
            necessity=(0.0,),
            max_tags=3,
            max_absent=max_absent,
        )
        validation = run.validate(
            *generated(unseen, "u"), min_unseen_images=least, tolerance=tolerance
        )
    with run:
        rows = modes(validation)
        found = expected(run, unseen, min_drop, least, tolerance)
        assert [row["mode_id"] for row in rows] == run.failure_modes.to_polars()[
            "mode_id"
        ].to_list()
        for row in rows:
            images, errors, class_images, class_errors, drop, verdict = found[row["mode_id"]]
            assert (row["unseen_images"], row["unseen_errors"]) == (images, errors)
            assert (row["unseen_class_images"], row["unseen_class_errors"]) == (
                class_images,
                class_errors,
            )
            assert row["verdict"] == verdict
            if images:
                assert row["unseen_accuracy_drop"] == pytest.approx(float(drop))
                interval = stats.binomtest(images - errors, images).proportion_ci(method="wilson")
                assert row["unseen_accuracy_low"] == pytest.approx(interval.low, abs=1e-12)
                assert row["unseen_accuracy_high"] == pytest.approx(interval.high, abs=1e-12)
        check_summary(validation, rows, min_drop)


def check_summary(validation, rows, min_drop):
    """Compare the summary and the sizes with SciPy and with means worked out here."""
    (summary,) = validation.summary.to_polars().to_dicts()
    decided = [row for row in rows if row["verdict"] != "undecided"]
    assert summary["modes"] == len(rows)
    assert summary["decided"] == len(decided)
    for verdict in ("holds", "fails", "undecided"):
        assert summary[verdict] == sum(row["verdict"] == verdict for row in rows)
    drops = [row["accuracy_drop"] for row in decided]
    unseen_drops = [row["unseen_accuracy_drop"] for row in decided]
    if not decided:
        names = ("correlation", "share_reached", "mean_drop", "mean_unseen_drop")
        assert [summary[name] for name in names] == [None] * 4
    else:
        assert summary["mean_drop"] == pytest.approx(sum(drops) / len(drops))
        assert summary["mean_unseen_drop"] == pytest.approx(sum(unseen_drops) / len(drops))
        reached = sum(drop >= min_drop - 0.05 - 1e-9 for drop in unseen_drops)
        assert summary["share_reached"] == pytest.approx(reached / len(drops))
        if min(max(each) - min(each) for each in (drops, unseen_drops)) < 1e-9:
            assert summary["correlation"] is None
        else:
            correlation = stats.pearsonr(drops, unseen_drops).statistic
            assert summary["correlation"] == pytest.approx(correlation, abs=1e-9)
    sizes = validation.by_size.to_polars().to_dicts()
    assert [size["tag_count"] for size in sizes] == sorted(
        {row["tag_count"] for row in rows}, reverse=True
    )
    for size in sizes:
        own = [row for row in rows if row["tag_count"] == size["tag_count"]]
        settled = [row for row in own if row["verdict"] != "undecided"]
        assert (size["modes"], size["decided"]) == (len(own), len(settled))
        assert size["holds"] == sum(row["verdict"] == "holds" for row in own)
        for mean, drop in (
            ("mean_drop", "accuracy_drop"),
            ("mean_unseen_drop", "unseen_accuracy_drop"),
        ):
            if settled:
                assert size[mean] == pytest.approx(sum(row[drop] for row in settled) / len(settled))
            else:
                assert size[mean] is None


def test_a_mode_of_absent_tags_only():
    seen = [("ape", "sit", 30, 3), ("ape", "", 10, 9)]
    unseen = [("ape", "sit", 12, 0), ("ape", "hang", 7, 7), ("ape", "", 5, 4), ("bee", "", 9, 9)]
    with pytest.warns(ps.InputWarning, match="no tag"):
        run = ps.search(*tables(seen), max_absent=1, **OPTIONS)
    assert run.failure_modes.to_polars()["tags"].to_list() == ["not sit"]
    with pytest.warns(ps.InputWarning, match="14 of 33 images have no tag"):
        (mode,) = modes(run.validate(*tables(unseen)))
    assert (mode["unseen_images"], mode["unseen_errors"], mode["verdict"]) == (12, 11, "holds")


def test_a_run_without_failure_modes():
    with ps.search(*tables([("ape", "sit", 20, 2)]), **OPTIONS) as run:
        validation = run.validate(*tables(SEEN))
        assert validation.modes.columns == tuple(VALIDATED)
        assert validation.modes.to_polars().is_empty()
        assert validation.by_size.to_polars().is_empty()
        (summary,) = validation.summary.to_polars().to_dicts()
        assert (summary["modes"], summary["decided"], summary["correlation"]) == (0, 0, None)
        assert validation.sentence() == "On unseen data: there is no failure mode to check."


@pytest.mark.parametrize("max_absent", [0, 1])
def test_on_its_own_data_every_mode_is_as_found(max_absent):
    with data.search(max_absent=max_absent) as run:
        validation = run.validate(*map(data.frame, (data.PREDICTIONS, data.TAGS)))
        rows = modes(validation)
        assert len(rows) >= 3
        for row in rows:
            assert row["unseen_images"] == row["images"]
            assert row["unseen_accuracy_drop"] == row["accuracy_drop"]
            assert row["unseen_class_images"] == sum(
                each["label"] == row["class_name"] for each in data.PREDICTIONS
            )
