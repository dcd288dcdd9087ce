"""Weights to train with, against plain Python sets."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prime_sql as ps
from tests import tables as data
from tests.examples import examples
from tests.generated import frames, options, tables
from tests.questions.pools import carried_by, fits, quietly, wanted_by

WEIGHED = ["image_id", "class_name", "failure_modes", "weight"]


def expected_weights(run, images, carried, *, normalise):
    """(image, class) → modes and weight, from (image, class) pairs and tags by image."""
    rates = {
        row["mode_id"]: (
            row["class_name"],
            row["errors"] / row["images"] / (row["class_errors"] / row["class_images"]),
        )
        for row in run.failure_modes.to_polars().to_dicts()
    }
    wanted = wanted_by(run)
    found = {}
    for image, class_name in images:
        own = [
            rate
            for mode, (name, rate) in rates.items()
            if name == class_name and fits(carried.get(image, set()), wanted[mode])
        ]
        found[image, class_name] = (len(own), max(own, default=1.0))
    if normalise:
        for class_name in {name for _, name in found}:
            keys = [key for key in found if key[1] == class_name]
            mean = sum(found[key][1] for key in keys) / len(keys)
            for key in keys:
                found[key] = (found[key][0], found[key][1] / mean)
    return found


def as_dict(relation):
    rows = relation.to_polars()
    assert rows.columns == WEIGHED
    assert rows.rows() == sorted(rows.rows(), key=lambda row: (row[1], row[0]))
    found = {(row[0], row[1]): row[2:] for row in rows.rows()}
    assert len(found) == rows.height
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, (modes, weight) in expected.items():
        assert found[key] == (modes, pytest.approx(weight, abs=1e-9)), key


@quietly
@examples(6)
@given(tables(), tables(), options(), st.booleans())
def test_weights_equal_brute_force_over_sets(example, training, chosen, normalise):
    predictions, tags = example
    with ps.search(*frames(predictions, tags), **chosen) as run:
        images = [(image, label) for image, label, _ in predictions]
        assert_same(
            as_dict(run.weights(normalise=normalise)),
            expected_weights(run, images, carried_by(tags), normalise=normalise),
        )
        rows, new_tags = training
        frame, tag_frame = frames(rows, new_tags)
        assert_same(
            as_dict(run.weights(frame.drop("prediction"), tag_frame, normalise=normalise)),
            expected_weights(
                run,
                [(image, label) for image, label, _ in rows],
                carried_by(new_tags),
                normalise=normalise,
            ),
        )


def test_weights_of_the_example(run):
    found = as_dict(run.weights(normalise=False))
    # ape: 5 of 16 are wrong; black + hang: 4 of 4, the first four images
    assert found["img-000", "ape"] == (1, pytest.approx(16 / 5))
    assert found["img-004", "ape"] == (0, 1.0)
    scaled = run.weights().to_polars()
    means = scaled.group_by("class_name").agg(pl.col("weight").mean())
    assert means["weight"].to_list() == pytest.approx([1.0] * 3)
    ratio = {row[0]: row[3] for row in scaled.rows()}
    assert ratio["img-000"] / ratio["img-004"] == pytest.approx(16 / 5)
    # A sampler draws each class as often as before.
    drawn = scaled.group_by("class_name").agg(pl.col("weight").sum(), images=pl.len())
    assert drawn["weight"].to_list() == pytest.approx(drawn["images"].to_list())


def test_weights_in_a_run_without_modes():
    with data.search(min_images=100) as run:
        assert run.failure_modes.to_polars().is_empty()
        for relation in (
            run.weights(),
            run.weights(data.frame(data.PREDICTIONS), data.frame(data.TAGS)),
        ):
            assert set(as_dict(relation).values()) == {(0, 1.0)}


@quietly
def test_weights_of_other_classes_and_columns():
    more = {"group_by": "region,label"}
    with data.search(min_images=2, **more) as run:
        training = data.frame(data.PREDICTIONS).drop("prediction")
        again = run.weights(training, data.frame(data.TAGS))
        assert run.failure_modes.to_polars().height
        assert as_dict(again) == as_dict(run.weights())
        where = as_dict(run.weights(training, data.frame(data.TAGS), where="region = 'north'"))
        assert {name.partition(" | ")[0] for _, name in where} == {"north"}
        with pytest.raises(ps.InputError, match=r"^training: predictions has no column 'region'"):
            run.weights(training.drop("region"), data.frame(data.TAGS))


def test_an_image_of_two_classes_has_two_weights():
    both = [{**row, "model": model} for row in data.PREDICTIONS for model in ("m1", "m2")]
    both = [{**row, "prediction": row["label"]} if row["model"] == "m2" else row for row in both]
    tags = data.frame(data.TAGS)
    with data.search(data.frame(both), group_by="model,label") as run:
        images = [(row["image_id"], f"{row['model']} | {row['label']}") for row in both]
        carried = carried_by(tags.select("image_id", "tag").rows())
        expected = expected_weights(run, images, carried, normalise=False)
        assert expected["img-000", "m1 | ape"][0] == 1
        assert expected["img-000", "m2 | ape"] == (0, 1.0)
        assert_same(as_dict(run.weights(normalise=False)), expected)
        again = run.weights(data.frame(both).drop("prediction"), tags, normalise=False)
        assert_same(as_dict(again), expected)


def test_a_refiltered_run_has_weights_of_its_modes(run):
    again = run.refilter(min_drop=0.47)
    assert 0 < again.row_counts["failure_modes"] < run.row_counts["failure_modes"]
    assert_same(
        as_dict(again.weights()),
        expected_weights(
            again,
            [(row["image_id"], row["label"]) for row in data.PREDICTIONS],
            carried_by((row["image_id"], row["tag"]) for row in data.TAGS),
            normalise=True,
        ),
    )


def test_bad_training_tables(run):
    training, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
    with pytest.raises(ps.OptionError, match="training needs tags as well"):
        run.weights(training)
    with pytest.raises(ps.OptionError, match="tags needs training as well"):
        run.weights(tags=tags)
    with pytest.raises(ps.OptionError, match="where applies to a training table"):
        run.weights(where="true")
    with pytest.raises(ps.InputError, match=r"training: predictions.* has no rows"):
        run.weights(training.clear(), tags)
    with pytest.raises(ps.InputError, match="training: predictions has no column 'label'"):
        run.weights(training.drop("label"), tags)
