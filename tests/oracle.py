"""A brute-force oracle of the failure-mode search, to check every engine against.

It restates the definition of a failure mode (PRIME, ICLR 2024, section 3) and nothing else: each
image's tag combinations are written out and counted, and the three conditions are evaluated in
exact fractions. There is no pruning, no bound and no SQL, and no code shared with the product or
with the benchmark's reference, so that a mistake there cannot be repeated here. It is meant for
small tables: an image with n frequent tags costs the sum of n choose k for k up to ``max_tags``.
Rows are taken as clean: blank tags, nulls and repeated predictions are the product's to handle.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from typing import TypeAlias

ImageId: TypeAlias = str | int
TagSet: TypeAlias = tuple[str, ...]

TOLERANCE = Fraction(1, 10**9)


@dataclass(frozen=True)
class Expected:
    """One failure mode; ``accuracy_without`` a tag is that on the images with all other tags."""

    class_name: str
    tags: TagSet
    images: int
    errors: int
    class_images: int
    class_errors: int
    accuracy_without: dict[str, float]

    @property
    def accuracy(self) -> float:
        return (self.images - self.errors) / self.images

    @property
    def class_accuracy(self) -> float:
        return (self.class_images - self.class_errors) / self.class_images

    @property
    def accuracy_drop(self) -> float:
        return self.class_accuracy - self.accuracy

    @property
    def excess_errors(self) -> float:
        """Errors beyond those that as many images of the class would have on average."""
        return self.errors - self.images * self.class_errors / self.class_images

    @property
    def error_coverage(self) -> float:
        """Share of the class's errors that carry the tags; NaN in a class without errors."""
        return self.errors / self.class_errors if self.class_errors else math.nan


@dataclass(frozen=True)
class _Class:
    """A class's totals and, for every tag set on one of its images, (images, errors)."""

    name: str
    images: int
    errors: int
    counts: dict[TagSet, tuple[int, int]]

    @property
    def accuracy(self) -> Fraction:
        return 1 - Fraction(self.errors, self.images)


def failure_modes(
    outcomes: Iterable[tuple[str, ImageId, bool]],
    tags: Iterable[tuple[ImageId, str]],
    *,
    max_tags: int = 4,
    min_images: int = 30,
    min_drop: float = 0.30,
    necessity: Sequence[float] = (0.10, 0.05, 0.025),
    min_tag_images: int | None = None,
    max_absent: int = 0,
) -> dict[tuple[str, TagSet], Expected]:
    """All failure modes, by (class name, sorted tags).

    Parameters
    ----------
    outcomes
        (class name, image id, is it an error). An image may be in several classes.
    tags
        (image id, tag). Repeated rows count once; images that no outcome knows are ignored.
    max_tags, min_images, min_drop
        l, s and a of the paper: largest set, fewest images, least drop of accuracy.
    necessity
        b2, b3, … of the paper; the last one is used again for larger sets, and b1 is 0.
    min_tag_images
        A tag counts in a class from so many images on; ``min_images`` where not given.
    max_absent
        How many tags of a set may be "not TAG": on the images that do not carry it. They come last
        in the set, and count in a class where both sides have ``min_tag_images`` images.
    """
    least_drop = _exact(min_drop)
    modes = {}
    for group in _classes(outcomes, tags, max_tags, min_images, min_tag_images, max_absent):
        for tag_set, (images, errors) in group.counts.items():
            if images < min_images:
                continue
            accuracy = 1 - Fraction(errors, images)
            if accuracy > group.accuracy - least_drop + TOLERANCE:
                continue
            without = {tag: _accuracy_without(group, tag_set, tag) for tag in tag_set}
            margin = _margin(len(tag_set), necessity)
            if any(other < accuracy + margin - TOLERANCE for other in without.values()):
                continue
            modes[group.name, tag_set] = Expected(
                class_name=group.name,
                tags=tag_set,
                images=images,
                errors=errors,
                class_images=group.images,
                class_errors=group.errors,
                accuracy_without={tag: float(other) for tag, other in without.items()},
            )
    return modes


def counted_sets(
    outcomes: Iterable[tuple[str, ImageId, bool]],
    tags: Iterable[tuple[ImageId, str]],
    *,
    max_tags: int = 4,
    min_images: int = 30,
    min_drop: float = 0.30,
    necessity: Sequence[float] = (0.10, 0.05, 0.025),
    min_tag_images: int | None = None,
    max_absent: int = 0,
) -> dict[tuple[str, TagSet], tuple[int, int]]:
    """(images, errors) of every tag set with as many errors as the smallest failure mode needs.

    Takes the arguments of `failure_modes`; ``necessity`` has no influence. Sets that no image
    carries do not appear, which matters only where the bound is 0 errors.
    """
    least_drop = _exact(min_drop)
    return {
        (group.name, tag_set): (images, errors)
        for group in _classes(outcomes, tags, max_tags, min_images, min_tag_images, max_absent)
        for tag_set, (images, errors) in group.counts.items()
        if errors >= min_images * (1 - group.accuracy + least_drop - TOLERANCE)
    }


def _classes(
    outcomes: Iterable[tuple[str, ImageId, bool]],
    tags: Iterable[tuple[ImageId, str]],
    max_tags: int,
    min_images: int,
    min_tag_images: int | None,
    max_absent: int,
) -> Iterator[_Class]:
    tags_of: defaultdict[ImageId, set[str]] = defaultdict(set)
    for image_id, tag in tags:
        tags_of[image_id].add(tag)
    classes: defaultdict[str, dict[ImageId, bool]] = defaultdict(dict)
    for class_name, image_id, error in outcomes:
        if image_id in classes[class_name]:
            raise ValueError(f"image {image_id!r} occurs twice in class {class_name!r}")
        classes[class_name][image_id] = bool(error)

    least = min_images if min_tag_images is None else min_tag_images
    for class_name, is_error in classes.items():
        support = Counter(tag for image_id in is_error for tag in tags_of.get(image_id, ()))
        frequent = {tag for tag, images in support.items() if images >= least}
        absent = {tag for tag in frequent if len(is_error) - support[tag] >= least}
        all_images: Counter[TagSet] = Counter()
        all_errors: Counter[TagSet] = Counter()
        for image_id, error in is_error.items():
            carried = tags_of.get(image_id, set())
            own = sorted(frequent & carried)
            lacked = [f"not {tag}" for tag in sorted(absent - carried)]
            for present, without in product(range(max_tags + 1), range(max_absent + 1)):
                if not 1 <= present + without <= max_tags:
                    continue
                for parts in product(combinations(own, present), combinations(lacked, without)):
                    tag_set = (*parts[0], *parts[1])
                    all_images[tag_set] += 1
                    all_errors[tag_set] += error
        counts = {tag_set: (all_images[tag_set], all_errors[tag_set]) for tag_set in all_images}
        yield _Class(class_name, len(is_error), sum(is_error.values()), counts)


def _accuracy_without(group: _Class, tag_set: TagSet, tag: str) -> Fraction:
    rest = tuple(other for other in tag_set if other != tag)
    if not rest:
        return group.accuracy
    images, errors = group.counts[rest]
    return 1 - Fraction(errors, images)


def _margin(size: int, necessity: Sequence[float]) -> Fraction:
    if size == 1:
        return Fraction(0)
    return _exact(necessity[min(size - 2, len(necessity) - 1)])


def _exact(number: float) -> Fraction:
    """The decimal that the user typed: 0.3 is three tenths, not the nearest binary number."""
    return Fraction(str(number))
