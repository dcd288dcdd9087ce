"""Generated data sets of three usual sizes, with failure modes planted in them.

Tags are drawn image by image from a skewed popularity that depends on the image's scene, so that
some tags come together and most do not. A few tag sets of each class are then made hard: images
that carry one of them are mostly misclassified. Seeds are fixed, one a class, so that a data set
is the same on every machine and however it is cut into chunks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Part of the cache folder's name: raise it when the code below changes what is generated.
GENERATOR: Final = 1

LIVING17_CLASSES = (
    "ape",
    "bear",
    "beetle",
    "butterfly",
    "crab",
    "domestic cat",
    "domestic dog",
    "fox",
    "grouse",
    "lizard",
    "monkey",
    "parrot",
    "salamander",
    "snake",
    "spider",
    "turtle",
    "wolf",
)

# CelebA's attributes with the share of images that carry each, rounded: 9 tags an image.
CELEBA_TAGS = {
    "5 o'clock shadow": 0.11,
    "arched eyebrows": 0.27,
    "attractive": 0.51,
    "bags under eyes": 0.20,
    "bald": 0.02,
    "bangs": 0.15,
    "big lips": 0.24,
    "big nose": 0.23,
    "black hair": 0.24,
    "blond hair": 0.15,
    "blurry": 0.05,
    "brown hair": 0.21,
    "bushy eyebrows": 0.14,
    "chubby": 0.06,
    "double chin": 0.05,
    "eyeglasses": 0.07,
    "goatee": 0.06,
    "gray hair": 0.04,
    "heavy makeup": 0.39,
    "high cheekbones": 0.46,
    "male": 0.42,
    "mouth slightly open": 0.48,
    "mustache": 0.04,
    "narrow eyes": 0.12,
    "no beard": 0.83,
    "oval face": 0.28,
    "pale skin": 0.04,
    "pointy nose": 0.28,
    "receding hairline": 0.08,
    "rosy cheeks": 0.07,
    "sideburns": 0.06,
    "smiling": 0.48,
    "straight hair": 0.21,
    "wavy hair": 0.32,
    "wearing earrings": 0.19,
    "wearing hat": 0.05,
    "wearing lipstick": 0.47,
    "wearing necklace": 0.12,
    "wearing necktie": 0.07,
    "young": 0.77,
}

_QUALITIES = """
    black blue bright brown bushy calm clean colourful cracked crowded curved dark dead deep dense
    distant dry dusty empty foggy frozen gray green huge indoor large lit long muddy narrow old
    open orange pale patterned pink purple rainy red rough round rusty shaded shallow sharp shiny
    small smooth snowy striped sunny tall thick thin tiny white wild wooden yellow
"""
_THINGS = """
    arm bag bank bark basket beach bench bird board boat book bottle box branch bridge building
    bush cage car chair cloud couch curtain ear eye face feather fence field flower food forest
    glass grass ground hair hand hang hill house ice leaf lamp log man mirror moss mountain mouth
    mud net paw person plant pole pond rail river road rock roof rope sand sea shell shore sign
    sky snow stick stone street sunset table tail tent tower toy tree wall water web window wing
"""


@dataclass(frozen=True)
class Recipe:
    """How a data set is drawn; two equal recipes give equal files.

    Parameters
    ----------
    tags_per_class
        Fewest and most different tags in a class.
    vocabulary
        Number of tag names that the classes draw theirs from; 0 means CelebA's attributes.
    accuracy
        Mean accuracy of the classes, planted sets included.
    planted
        Tag sets of each class that are made hard, of 1, 2, 3, 2 and 3 tags in turn.
    support
        Fewest and most images of a planted set.
    mixed
        Whether images are in random order, not class by class.
    """

    name: str
    seed: int
    classes: int
    images_per_class: int
    tags_per_class: tuple[int, int]
    tags_per_image: float
    vocabulary: int
    accuracy: float
    planted: int
    support: tuple[int, int]
    scenes: int = 6
    mixed: bool = False
    classes_per_chunk: int = 17

    @property
    def images(self) -> int:
        return self.classes * self.images_per_class

    def class_names(self) -> list[str]:
        if self.classes == len(LIVING17_CLASSES):
            return list(LIVING17_CLASSES)
        return [f"class {number:04d}" for number in range(self.classes)]

    def tag_names(self) -> list[str]:
        if not self.vocabulary:
            return list(CELEBA_TAGS)
        names = [f"{first} {second}" for first in _QUALITIES.split() for second in _THINGS.split()]
        chosen = np.random.default_rng(self.seed).permutation(len(names))[: self.vocabulary]
        return [names[index] for index in chosen]


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="living17",
            seed=17,
            classes=17,
            images_per_class=5_200,
            tags_per_class=(100, 150),
            tags_per_image=12,
            vocabulary=400,
            accuracy=0.85,
            planted=8,
            support=(60, 200),
        ),
        Recipe(
            name="celeba",
            seed=40,
            classes=2,
            images_per_class=50_000,
            tags_per_class=(40, 40),
            tags_per_image=9,
            vocabulary=0,
            accuracy=0.90,
            planted=10,
            support=(100, 1_500),
            mixed=True,
        ),
        Recipe(
            name="imagenet",
            seed=1000,
            classes=1_000,
            images_per_class=1_280,
            tags_per_class=(100, 100),
            tags_per_image=10,
            vocabulary=3_000,
            accuracy=0.78,
            planted=4,
            support=(40, 110),
            classes_per_chunk=50,
        ),
    )
}


@dataclass(frozen=True)
class Files:
    """Where a data set lies: predictions(image_id, label, prediction), tags(image_id, tag)."""

    predictions: Path
    tags: Path


def files(recipe: Recipe, folder: Path) -> Files:
    """Paths of a data set below `folder`, which differ as soon as the recipe does."""
    fingerprint = hashlib.sha256(f"{GENERATOR} {recipe!r}".encode()).hexdigest()[:8]
    home = folder / f"{recipe.name}-{fingerprint}"
    return Files(home / "predictions.parquet", home / "tags.parquet")


def generate(recipe: Recipe, folder: Path) -> Files:
    """Write a data set below `folder`, unless it lies there already.

    Memory stays at one chunk of classes: each becomes one row group of either file.
    """
    made = files(recipe, folder)
    if made.predictions.exists() and made.tags.exists():
        return made
    made.predictions.parent.mkdir(parents=True, exist_ok=True)
    # A killed process must not leave half a file behind that the next one takes for whole.
    parts = [path.with_suffix(f".{os.getpid()}.part") for path in (made.tags, made.predictions)]
    text = pa.string()
    outcome_schema = pa.schema({"image_id": text, "label": text, "prediction": text})
    tag_schema = pa.schema({"image_id": text, "tag": text})
    with (
        pq.ParquetWriter(parts[0], tag_schema, compression="zstd") as tag_file,
        pq.ParquetWriter(parts[1], outcome_schema, compression="zstd") as outcome_file,
    ):
        for outcomes, tags in _chunks(recipe):
            outcome_file.write_table(outcomes)
            tag_file.write_table(tags)
    parts[0].replace(made.tags)
    parts[1].replace(made.predictions)
    return made


def _chunks(recipe: Recipe) -> Iterator[tuple[pa.Table, pa.Table]]:
    class_names = pa.array(recipe.class_names())
    tag_names = pa.array(recipe.tag_names())
    digits = len(str(recipe.images))
    first_image = 0
    for start in range(0, recipe.classes, recipe.classes_per_chunk):
        stop = min(start + recipe.classes_per_chunk, recipe.classes)
        drawn = [_draw_class(recipe, number) for number in range(start, stop)]
        labels = np.repeat(np.arange(start, stop), recipe.images_per_class)
        predictions = np.concatenate([prediction for prediction, _, _ in drawn])
        offsets = range(0, len(labels), recipe.images_per_class)
        tag_image = np.concatenate(
            [image + offset for offset, (_, image, _) in zip(offsets, drawn, strict=True)]
        )
        tag_name = np.concatenate([name for _, _, name in drawn])
        if recipe.mixed:
            order = np.random.default_rng([recipe.seed, start, 1]).permutation(len(labels))
            labels, predictions = labels[order], predictions[order]
            place = np.empty_like(order)
            place[order] = np.arange(len(order))
            by_place = np.argsort(place[tag_image], kind="stable")
            tag_image, tag_name = place[tag_image][by_place], tag_name[by_place]
        image_ids = _image_ids(first_image, len(labels), digits)
        first_image += len(labels)
        outcomes = {
            "image_id": image_ids,
            "label": class_names.take(pa.array(labels)),
            "prediction": class_names.take(pa.array(predictions)),
        }
        tags = {
            "image_id": image_ids.take(pa.array(tag_image)),
            "tag": tag_names.take(pa.array(tag_name)),
        }
        yield pa.table(outcomes), pa.table(tags)


def _image_ids(first: int, count: int, digits: int) -> pa.Array:
    numbers = pc.cast(pa.array(np.arange(first, first + count)), pa.string())
    return pc.binary_join_element_wise("n", pc.utf8_lpad(numbers, digits, "0"), "")


def _draw_class(recipe: Recipe, number: int) -> tuple[Ints, Ints, Ints]:
    """One class: the predicted class of each image, then image and tag of each tag row."""
    rng = np.random.default_rng([recipe.seed, number])
    images = recipe.images_per_class
    names, popularity = _class_tags(recipe, rng)

    # A scene makes some tags likelier and others rarer; over all scenes popularity stays.
    affinity = rng.lognormal(sigma=0.6, size=(recipe.scenes, len(names)))
    affinity /= affinity.mean(axis=0)
    chance = np.minimum(popularity * affinity, 0.95).astype(np.float32)
    scene = rng.integers(recipe.scenes, size=images)
    carried: Bools = rng.random((images, len(names)), dtype=np.float32) < chance[scene]

    # Every tag makes an image a little easier or harder, so that accuracies vary smoothly too.
    effect = rng.normal(scale=0.15, size=len(names)).astype(np.float32)
    ease = carried.astype(np.float32) @ effect
    hard, accuracy_on_hard = _plant(recipe, rng, carried, popularity)
    target = rng.normal(recipe.accuracy, 0.02) * images
    elsewhere = np.clip((target - accuracy_on_hard[hard].sum()) / (~hard).sum(), 0, 1)
    # A logistic model of what is right, cut where the class reaches its accuracy.
    score = ease + rng.logistic(size=images)
    right = np.where(
        hard,
        rng.random(images) < accuracy_on_hard,
        score >= np.quantile(score[~hard], 1 - elsewhere),
    )

    # Classes near a class by number are the ones it is taken for.
    distance = 1 + (rng.geometric(0.3, size=images) - 1) % (recipe.classes - 1)
    prediction = np.where(right, number, (number + distance) % recipe.classes)
    tag_image, tag_column = np.nonzero(carried)
    return prediction, tag_image, names[tag_column]


def _class_tags(recipe: Recipe, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Tags of a class, as positions in the vocabulary, and the share of images with each."""
    if not recipe.vocabulary:
        return np.arange(len(CELEBA_TAGS)), np.array(list(CELEBA_TAGS.values()))
    count = rng.integers(recipe.tags_per_class[0], recipe.tags_per_class[1] + 1)
    names = rng.permutation(recipe.vocabulary)[:count]
    popularity = (np.arange(count) + 4.0) ** -0.8
    return names, popularity * recipe.tags_per_image / popularity.sum()


def _plant(
    recipe: Recipe, rng: np.random.Generator, carried: Bools, popularity: Floats
) -> tuple[Bools, Floats]:
    """Choose hard tag sets; give the images that carry one, and the accuracy of each image."""
    hard = np.zeros(len(carried), dtype=np.bool_)
    accuracy = np.ones(len(carried))
    columns = np.ascontiguousarray(carried.T)
    sizes = [(1, 2, 3, 2, 3)[number % 5] for number in range(recipe.planted)]
    weights = popularity / popularity.sum()
    for size in sizes:
        for _ in range(200):
            # Single tags are taken evenly, as the popular ones are on too many images.
            tags = rng.choice(len(columns), size, replace=False, p=weights if size > 1 else None)
            on_set = columns[tags].all(axis=0)
            if recipe.support[0] <= on_set.sum() <= recipe.support[1]:
                hard |= on_set
                accuracy[on_set] = np.minimum(accuracy[on_set], rng.uniform(0.1, 0.4))
                break
    return hard, accuracy
