"""The measure to compare with: failure modes by a depth-first search over NumPy bitsets.

It does the product's job from the same two Parquet files to the same list of failure modes, in
the way that an engineer who knows the problem would write it by hand: one bitset of images a tag,
`&` for a larger tag set, a bit count for its support, and the exact bound on errors to prune. It
shares no code with the product.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# Tag sets of one size: their members (sets, size), images (sets,) and errors (sets,).
Sets = tuple[Ints, Ints, Ints]

TOLERANCE = 1e-9
# Sets whose bitsets are combined at once when tags are tested for necessity: bounds memory.
BATCH = 2_048


@dataclass(frozen=True)
class Mode:
    """A failure mode with its tags in code point order."""

    class_name: str
    tags: tuple[str, ...]
    images: int
    errors: int


@dataclass(frozen=True)
class Found:
    """Result of a search.

    ``tag_sets`` is the number of sets that met the bound on errors; ``seconds`` has one entry a
    phase, load and search.
    """

    modes: list[Mode]
    tag_sets: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class Tables:
    """Images ordered by class, and one entry for each tag row, ordered by class as well."""

    class_names: list[str]
    tag_names: list[str]
    first_image: Ints  # of each class, and one past the last: (classes + 1,)
    first_row: Ints  # likewise in the tag rows
    error: Bools  # (images,)
    row_image: Ints  # (tag rows,)
    row_tag: Ints  # (tag rows,)


@dataclass(frozen=True)
class Bitsets:
    """A class's frequent tags over its misclassified and over its other images.

    Both arrays are (tags, words); splitting them makes pruning touch the errors alone.
    """

    wrong: Words
    right: Words

    @classmethod
    def of(cls, carried: Bools, error: Bools) -> Bitsets:
        return cls(pack(carried[:, error]), pack(carried[:, ~error]))

    def count(self, members: Ints) -> tuple[Ints, Ints]:
        """Images and errors of tag sets of one size."""
        images = np.empty(len(members), dtype=np.int64)
        errors = np.empty(len(members), dtype=np.int64)
        for start in range(0, len(members), BATCH):
            batch = slice(start, start + BATCH)
            errors[batch] = _size(np.bitwise_and.reduce(self.wrong[members[batch]], axis=1))
            right = _size(np.bitwise_and.reduce(self.right[members[batch]], axis=1))
            images[batch] = errors[batch] + right
        return images, errors


def search(
    predictions_path: str | Path,
    tags_path: str | Path,
    *,
    max_tags: int = 4,
    min_images: int = 30,
    min_drop: float = 0.30,
    necessity: Sequence[float] = (0.10, 0.05, 0.025),
    min_tag_images: int | None = None,
) -> Found:
    """Find all failure modes of predictions(image_id, label, prediction), tags(image_id, tag)."""
    started = time.perf_counter()
    tables = load(predictions_path, tags_path)
    loaded = time.perf_counter()

    least = min_images if min_tag_images is None else min_tag_images
    modes: list[Mode] = []
    tag_sets = 0
    for number, class_name in enumerate(tables.class_names):
        error = tables.error[tables.first_image[number] : tables.first_image[number + 1]]
        error_rate = float(error.mean())
        tags, carried = class_tags(tables, number, error, least)
        bitsets = Bitsets.of(carried, error)
        bound = fewest_errors(error_rate, min_images, min_drop)
        low: dict[int, list[Sets]] = {}
        for members, images, errors in depth_first(bitsets, bound, max_tags):
            tag_sets += len(members)
            kept = (images >= min_images) & (errors / images >= error_rate + min_drop - TOLERANCE)
            if kept.any():
                batch = members[kept], images[kept], errors[kept]
                low.setdefault(members.shape[1], []).append(batch)
        for batches in low.values():
            members, images, errors = (np.concatenate(part) for part in zip(*batches, strict=True))
            kept = necessary(bitsets, members, images, errors, error_rate, necessity)
            modes.extend(
                Mode(class_name, tuple(sorted(tables.tag_names[tags[i]] for i in row)), n, e)
                for row, n, e in zip(
                    members[kept].tolist(),
                    images[kept].tolist(),
                    errors[kept].tolist(),
                    strict=True,
                )
            )
    done = time.perf_counter()
    return Found(modes, tag_sets, {"load": loaded - started, "search": done - loaded})


def fewest_errors(error_rate: float, min_images: int, min_drop: float) -> int:
    """The fewest errors that a set with `min_images` images and the drop can have."""
    return max(1, math.ceil(min_images * (error_rate + min_drop - TOLERANCE)))


def load(predictions_path: str | Path, tags_path: str | Path) -> Tables:
    images = (
        pl.scan_parquet(predictions_path)
        .select(
            "image_id",
            class_name=pl.col("label"),
            error=pl.col("label") != pl.col("prediction"),
        )
        .sort("class_name", maintain_order=True)
        .with_row_index("image")
        .collect()
    )
    rows = (
        pl.scan_parquet(tags_path)
        .join(images.lazy().select("image_id", "image"), on="image_id")
        .select("image", "tag")
        .collect()
    )
    tag_names = rows["tag"].unique().sort().to_list()
    rows = rows.with_columns(
        pl.col("tag").cast(pl.Enum(tag_names)).to_physical(),
    ).sort("image")
    classes = images["class_name"].rle().struct.unnest()
    first_image = np.concatenate([[0], np.cumsum(classes["len"].to_numpy(), dtype=np.int64)])
    row_image = rows["image"].to_numpy().astype(np.int64)
    return Tables(
        class_names=classes["value"].to_list(),
        tag_names=tag_names,
        first_image=first_image,
        first_row=np.searchsorted(row_image, first_image),
        error=images["error"].to_numpy(),
        row_image=row_image,
        row_tag=rows["tag"].to_numpy().astype(np.int64),
    )


def class_tags(
    tables: Tables, number: int, error: Bools, min_tag_images: int
) -> tuple[Ints, Bools]:
    """Codes of a class's frequent tags, and which image carries them: (tags, images)."""
    rows = slice(tables.first_row[number], tables.first_row[number + 1])
    image = tables.row_image[rows] - tables.first_image[number]
    present = np.bincount(tables.row_tag[rows], minlength=len(tables.tag_names)) > 0
    tags = np.flatnonzero(present)
    column = np.cumsum(present) - 1
    carried = np.zeros((len(tags), len(error)), dtype=np.bool_)
    carried[column[tables.row_tag[rows]], image] = True  # a repeated row sets the same bit again
    # Rare tags first: then few tags are left to try where a search goes deep.
    support = carried.sum(axis=1)
    order = np.argsort(support, kind="stable")
    frequent = order[support[order] >= min_tag_images]
    return tags[frequent], carried[frequent]


def pack(carried: Bools) -> Words:
    padding = -carried.shape[1] % 64
    packed = np.packbits(np.pad(carried, ((0, 0), (0, padding))), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64)


def _size(bits: Words) -> Ints:
    sizes: Ints = np.bitwise_count(bits).sum(axis=-1, dtype=np.int64)
    return sizes


def depth_first(bitsets: Bitsets, bound: int, max_tags: int) -> Iterator[Sets]:
    """Tag sets with at least `bound` errors: their members, images and errors.

    Yields batches that share all members but the last: (sets, size), (sets,) and (sets,). Too few
    images are left to the caller: the bound leaves few such sets, so pruning by images as well
    would save little.
    """
    every = np.arange(len(bitsets.wrong))
    # A set to extend: its members, their bitsets (none yet), and the tags that may follow.
    stack: list[tuple[tuple[int, ...], Words | None, Words | None, Ints]] = [
        ((), None, None, every)
    ]
    while stack:
        prefix, prefix_wrong, prefix_right, candidates = stack.pop()
        wrong = bitsets.wrong[candidates]
        if prefix_wrong is not None:
            wrong &= prefix_wrong
        errors = _size(wrong)
        kept = errors >= bound
        tags, errors = candidates[kept], errors[kept]
        if not len(tags):
            continue
        wrong, right = wrong[kept], bitsets.right[tags]
        if prefix_right is not None:
            right &= prefix_right
        members = np.empty((len(tags), len(prefix) + 1), dtype=np.int64)
        members[:, :-1] = prefix
        members[:, -1] = tags
        yield members, errors + _size(right), errors
        if len(prefix) + 1 < max_tags:
            stack.extend(
                ((*prefix, tag), wrong[place], right[place], tags[place + 1 :])
                for place, tag in enumerate(tags[:-1].tolist())
            )


def necessary(
    bitsets: Bitsets,
    members: Ints,
    images: Ints,
    errors: Ints,
    class_error_rate: float,
    necessity: Sequence[float],
) -> Bools:
    """Whether accuracy without any one tag is better by b_k, for each set of `members`."""
    size = members.shape[1]
    error_rate = errors / images
    if size == 1:
        return class_error_rate <= error_rate + TOLERANCE
    margin = necessity[min(size - 2, len(necessity) - 1)]
    needed = np.ones(len(members), dtype=np.bool_)
    for left_out in range(size):
        images_without, errors_without = bitsets.count(np.delete(members, left_out, axis=1))
        needed &= errors_without / images_without <= error_rate - margin + TOLERANCE
    return needed
