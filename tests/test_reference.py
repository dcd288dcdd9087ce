"""The benchmark's reference against the oracle, and the generated data against its recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.__main__ import main
from benchmarks.datasets import RECIPES, Files, Recipe, generate
from benchmarks.reference import search
from tests import oracle
from tests.examples import seed

SMALL = Recipe(
    name="small",
    seed=5,
    classes=3,
    images_per_class=400,
    tags_per_class=(12, 15),
    tags_per_image=4,
    vocabulary=30,
    accuracy=0.8,
    planted=3,
    support=(30, 80),
    classes_per_chunk=2,
)
OPTIONS: list[dict[str, Any]] = [
    {"min_images": 20, "min_drop": 0.2},
    {"min_images": 10, "min_drop": 0.25, "max_tags": 3, "necessity": (0.1, 0.0)},
    {"min_images": 10, "min_drop": 0.1, "max_tags": 2, "necessity": (0.0,)},
    {"min_images": 12, "min_drop": 0.3, "max_tags": 5, "min_tag_images": 40},
    {"min_images": 15, "min_drop": 0.05, "max_tags": 1, "min_tag_images": 2},
]


def check(data: Files, options: dict[str, Any]) -> int:
    """Compare the two searches of `data`; give the number of failure modes."""
    outcomes = [
        (label, image_id, label != prediction)
        for image_id, label, prediction in pl.read_parquet(data.predictions).rows()
    ]
    tags = pl.read_parquet(data.tags).rows()
    expected = oracle.failure_modes(outcomes, tags, **options)
    found = search(data.predictions, data.tags, **options)

    assert {(m.class_name, m.tags): (m.images, m.errors) for m in found.modes} == {
        key: (mode.images, mode.errors) for key, mode in expected.items()
    }
    assert len(found.modes) == len(expected)
    assert found.tag_sets == len(oracle.counted_sets(outcomes, tags, **options))
    return len(expected)


@pytest.mark.parametrize("options", OPTIONS)
def test_reference_equals_oracle_on_generated_data(options: dict[str, Any], tmp_path: Path) -> None:
    assert check(generate(SMALL, tmp_path), options) > 0


@pytest.mark.random
@pytest.mark.parametrize("number", range(6))
def test_reference_equals_oracle_on_ties_and_untidy_rows(number: int, tmp_path: Path) -> None:
    """Few images and round thresholds, so that many sets lie exactly on one."""
    rng = np.random.default_rng(seed(number))
    images = 60
    # Repeated tag rows, tags of unknown images, images without tags, one image in two classes.
    tags = {
        "image_id": [f"n{number}" for number in rng.integers(0, images + 10, size=220)],
        "tag": [f"tag {number}" for number in rng.integers(0, 6, size=220)],
    }
    predictions = {
        "image_id": [f"n{number}" for number in range(images)] + ["n0"],
        "label": [*rng.choice(["ape", "bear"], size=images), "cat"],
        "prediction": rng.choice(["ape", "bear"], size=images + 1).tolist(),
    }
    data = Files(tmp_path / "predictions.parquet", tmp_path / "tags.parquet")
    pl.DataFrame(predictions).write_parquet(data.predictions)
    pl.DataFrame(tags).write_parquet(data.tags)
    for min_drop in (0.05, 0.1, 0.25):
        check(data, {"min_images": 3, "min_drop": min_drop, "necessity": (0.1, 0.0)})


def test_recipe_is_kept_and_gives_the_same_rows_again(tmp_path: Path) -> None:
    first = generate(SMALL, tmp_path / "a")
    again = generate(SMALL, tmp_path / "b")
    predictions, tags = pl.read_parquet(first.predictions), pl.read_parquet(first.tags)
    assert predictions.equals(pl.read_parquet(again.predictions))
    assert tags.equals(pl.read_parquet(again.tags))

    assert predictions.height == SMALL.images
    assert predictions["image_id"].n_unique() == SMALL.images
    assert predictions["label"].n_unique() == SMALL.classes
    accuracy = (predictions["label"] == predictions["prediction"]).mean()
    assert accuracy == pytest.approx(SMALL.accuracy, abs=0.05)
    assert tags.height / SMALL.images == pytest.approx(SMALL.tags_per_image, rel=0.1)
    assert not tags.is_duplicated().any()
    assert not tags["tag"].str.contains(" + ", literal=True).any()


def test_chunks_do_not_change_the_rows(tmp_path: Path) -> None:
    one = Recipe(**{**SMALL.__dict__, "classes_per_chunk": 1})
    assert pl.read_parquet(generate(one, tmp_path).tags).equals(
        pl.read_parquet(generate(SMALL, tmp_path).tags)
    )


def test_mixed_images_stand_in_no_order_of_classes(tmp_path: Path) -> None:
    mixed = Recipe(**{**SMALL.__dict__, "mixed": True})
    data = generate(mixed, tmp_path)
    predictions = pl.read_parquet(data.predictions)
    assert predictions["label"].rle().len() > SMALL.classes
    assert predictions["image_id"].is_sorted()
    assert check(data, OPTIONS[0]) > 0


def test_recipes_have_the_sizes_they_are_named_for() -> None:
    sizes = {name: (recipe.images, recipe.classes) for name, recipe in RECIPES.items()}
    assert sizes == {
        "living17": (88_400, 17),
        "celeba": (100_000, 2),
        "imagenet": (1_280_000, 1_000),
    }
    assert all(len(set(recipe.tag_names())) >= 40 for recipe in RECIPES.values())


def test_command_measures_the_reference(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    arguments = ["--reference-only", "--only", "celeba", "--data", str(tmp_path)]
    assert main([*arguments, "--json", str(report)]) == 0
    assert "celeba" in capfd.readouterr().out
    (result,) = json.loads(report.read_text(encoding="utf-8"))["results"]
    assert result["rows"]["images"] == 100_000
    assert result["median"]["reference_seconds"] > 0
