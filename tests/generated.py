"""Tables and options that hypothesis makes up, and a run of them beside the oracle."""

import math

import polars as pl
from hypothesis import strategies as st

PLANS = [None, "duckdb"]  # the portable files, and DuckDB's overrides

TAGS = ["a", "b", "c", "d", "ä + ö", "E"]


@st.composite
def tables(draw):
    """Predictions of a few classes, and tags that are dense enough for sets of four."""
    predictions = []
    tags = []
    for label in draw(st.lists(st.sampled_from(["ape", "bee", "cow"]), min_size=1, max_size=3)):
        for _ in range(draw(st.integers(1, 14))):
            image = f"i{len(predictions)}"
            predictions.append((image, label, draw(st.sampled_from(["ape", "bee", "cow", label]))))
            carried = draw(st.lists(st.sampled_from(TAGS), max_size=8))  # repeats on purpose
            tags += [(image, tag) for tag in carried]
    tags += [("unknown", "a")] * draw(st.integers(0, 2))
    tags += [("i0", "b")]  # a tag that fits, so that the tables have an image in common
    return predictions, tags


def options():
    # Fractions of small counts, so that many sets lie exactly on a threshold.
    drops = [1 / 12, 0.1, 1 / 6, 0.2, 0.25, 0.3, 1 / 3, 0.5]
    margins = [0.0, 0.025, 0.05, 0.1, 1 / 6, 0.25]
    return st.fixed_dictionaries(
        {
            "max_tags": st.integers(1, 4),
            "min_images": st.integers(1, 6),
            "min_drop": st.sampled_from(drops),
            "necessity": st.lists(st.sampled_from(margins), min_size=1, max_size=3).map(tuple),
            "min_tag_images": st.none() | st.integers(1, 8),
            "max_absent": st.integers(0, 2),
        }
    )


def frames(predictions, tags):
    return (
        pl.DataFrame(predictions, schema=["image_id", "label", "prediction"], orient="row"),
        pl.DataFrame(tags, schema=["image_id", "tag"], orient="row"),
    )


def assert_same(run, expected, counted):
    """Compare every column of every table of the run with the oracle."""
    sets = {
        (row["class_name"], tuple(row[f"tag_{i}"] for i in range(1, row["tag_count"] + 1))): row
        for row in run.tag_sets.to_polars().to_dicts()
    }
    assert {key: (row["images"], row["errors"]) for key, row in sets.items()} == counted
    modes = {}
    for row in run.failure_modes.to_polars().to_dicts():
        tags = tuple(row["tags"].split(" + "))
        for key in expected:  # " + " may be inside a tag
            if key[0] == row["class_name"] and " + ".join(key[1]) == row["tags"]:
                tags = key[1]
        modes[row["class_name"], tags] = row
    assert modes.keys() == expected.keys()
    margins = {}
    for row in run.failure_mode_tags.to_polars().to_dicts():
        margins[row["mode_id"], row["tag"] if row["present"] else f"not {row['tag']}"] = row
    for key, mode in expected.items():
        row = modes[key]
        assert (row["images"], row["errors"]) == (mode.images, mode.errors)
        assert (row["class_images"], row["class_errors"]) == (mode.class_images, mode.class_errors)
        assert row["tag_count"] == len(mode.tags)
        for column in (
            "accuracy",
            "class_accuracy",
            "accuracy_drop",
            "excess_errors",
            "error_coverage",
        ):
            assert math.isclose(row[column], getattr(mode, column), abs_tol=1e-12), column
        for tag, accuracy in mode.accuracy_without.items():
            margin = margins.pop((row["mode_id"], tag))
            assert math.isclose(margin["accuracy_without"], accuracy, abs_tol=1e-12)
            assert math.isclose(margin["necessity_margin"], accuracy - mode.accuracy, abs_tol=1e-12)
    assert not margins
