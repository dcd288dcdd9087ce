"""A real table at size: ImageNet-X with the predictions of four models.

The data are non-commercial and stay outside the project; they are read where they lie.
"""

from pathlib import Path

import polars as pl
import pytest

import prime_sql as ps
from prime_sql.engine.session import Session
from tests import oracle

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "imagenet_x"

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="ImageNet-X is not beside the checkout"),
    # Some images carry none of the 16 factors.
    pytest.mark.filterwarnings("ignore::prime_sql.InputWarning"),
]

OPTIONS = {"min_images": 20, "min_drop": 0.15}


def search(model, **options):
    return ps.search(
        DATA / "predictions.parquet",
        DATA / "tags.parquet",
        where=f"model = '{model}'",
        **{**OPTIONS, **options},
    )


@pytest.mark.parametrize(
    ("plan", "error"),
    [("duckdb", "label <> prediction"), (None, "metaclass <> predicted_metaclass")],
)
def test_modes_equal_the_oracle(plan, error, monkeypatch):
    monkeypatch.setattr(Session, "plans", plan)
    predictions = pl.read_parquet(DATA / "predictions.parquet").filter(model="ResNet50")
    tags = pl.read_parquet(DATA / "tags.parquet").select("image_id", "tag").rows()
    right, guess = error.split(" <> ")
    outcomes = predictions.select(
        "metaclass", "image_id", wrong=pl.col(right) != pl.col(guess)
    ).rows()
    expected = oracle.failure_modes(outcomes, tags, **OPTIONS)
    assert len(expected) > 20
    with search("ResNet50", group_by="metaclass", error=error) as run:
        found = {
            (row["class_name"], tuple(row["tags"].split(" + "))): (row["images"], row["errors"])
            for row in run.failure_modes.to_polars().to_dicts()
        }
        images = run.failure_mode_images.to_polars()
    assert found == {key: (mode.images, mode.errors) for key, mode in expected.items()}
    assert images.height == sum(mode.images for mode in expected.values())


def test_accuracy_by_factor_is_the_published_one():
    published = pl.read_csv(DATA / "expected_accuracy_per_factor.csv").drop(
        "worst_factor",
        "worst_100_classes",  # made from the others
    )
    predictions = pl.read_parquet(DATA / "predictions.parquet")
    assert published.height == 4
    for row in published.to_dicts():
        # One class for all images; a single error is enough for a factor to be counted.
        with ps.search(
            predictions.with_columns(everything=pl.lit("all")),
            DATA / "tags.parquet",
            where=f"model = '{row.pop('model')}'",
            group_by="everything",
            max_tags=1,
            min_images=1,
            min_drop=0.001,
        ) as run:
            found = dict(run.tag_sets.to_polars().select("tags", "accuracy").iter_rows())
            found["average"] = run.classes.to_polars()["accuracy"].item()
        assert found == row
