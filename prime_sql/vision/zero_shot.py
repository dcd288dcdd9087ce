"""Zero-shot tags: an image carries a tag whose text is close to it in a CLIP model's space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa

from prime_sql.engine.errors import OptionError
from prime_sql.vision.network import TAGS

CALIBRATIONS = ("class", "all", "none")
FEWEST = 10  # images for which a class gets a mean and deviation of its own
CELLS = 4_000_000  # similarities in memory at once; a vocabulary may hold 100,000 tags


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each tag's cosine similarity, arrays of length tags."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Sums:
    """Sums over some images of one label, from which means and deviations follow.

    Attributes
    ----------
    label
        None where it does not matter.
    images
        How many.
    of_similarities
        Of the cosine similarities and of their squares, shape (2, tags).
    """

    label: str | None
    images: int
    of_similarities: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        both = self.of_similarities + other.of_similarities
        return Sums(self.label, self.images + other.images, both)


class ZeroShotTagger:
    """Scores a vocabulary on embeddings of images.

    A cosine similarity says little by itself: some texts are close to every image, and all names
    for a class are close to all its images. So the score is the number of standard deviations by
    which the similarity exceeds the tag's mean, over the images of the class or over all images.

    Parameters
    ----------
    vocabulary
        The tags.
    texts
        Their embeddings: unit vectors, float32 of shape (tags, dimensions).
    threshold
        Lowest score of a tag; no limit if None.
    top_k
        Most tags of an image; no limit if None.
    calibrate
        ``class``, ``all`` or ``none``: what the mean and deviation are taken over. With ``none``
        the score is the cosine similarity.

    Raises
    ------
    OptionError
        When an option is out of range; see `check_options`.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        texts: np.ndarray,
        *,
        threshold: float | None,
        top_k: int | None,
        calibrate: str,
    ) -> None:
        check_options(threshold, top_k, calibrate)
        self._vocabulary = pa.array(list(vocabulary), pa.string())
        # In single precision, the last digits of a product depend on its place in the batch: equal
        # texts would not tie, and a tag at the threshold would come and go.
        self._texts = texts.astype(np.float64)
        self._threshold, self._top_k, self._calibrate = threshold, top_k, calibrate
        self._all = Scale(np.zeros(len(texts)), np.ones(len(texts)))
        self._classes: dict[str | None, Scale] = {}

    def fit(self, batches: Iterable[tuple[np.ndarray, Sequence[str | None]]]) -> None:
        """Take means and deviations from embeddings, shape (images, dimensions), and labels."""
        self.fit_sums(sums for batch in batches for sums in self.sums(*batch))

    def sums(self, embeddings: np.ndarray, labels: Sequence[str | None]) -> Iterator[Sums]:
        """Yield what `fit_sums` needs to know of a part of the images, for each of its labels."""
        if self._calibrate == "none":
            return
        for part in self._slices(len(labels)):
            similarities, known = self._similarities(embeddings[part]), labels[part]
            names = np.array(known if self._calibrate == "class" else [None] * len(known), object)
            for name in dict.fromkeys(names):
                own = similarities[names == name]
                yield Sums(name, len(own), np.stack([own.sum(axis=0), (own**2).sum(axis=0)]))

    def fit_sums(self, parts: Iterable[Sums]) -> None:
        """Take means and deviations from the sums over all parts of the images."""
        by_label: dict[str | None, Sums] = {}
        for part in parts:
            before = by_label.get(part.label)
            by_label[part.label] = part if before is None else before + part
        if not by_label:
            return
        everything = reduce(Sums.__add__, by_label.values())
        self._all = _scale(everything.images, everything.of_similarities)
        self._classes = {
            name: _scale(sums.images, sums.of_similarities)
            for name, sums in by_label.items()
            # A few images say little about a class, and a missing label is not a class.
            if sums.images >= FEWEST and name is not None
        }

    def scores(self, embeddings: np.ndarray, labels: Sequence[str | None]) -> np.ndarray:
        """Return scores, float32 of shape (images, tags)."""
        scores = self._similarities(embeddings)
        if self._calibrate != "none":
            names = np.array(labels, dtype=object)
            for name in dict.fromkeys(labels):
                scale = self._classes.get(name, self._all)
                own = names == name
                scores[own] = (scores[own] - scale.mean) / scale.deviation
        return scores.astype(np.float32)

    def __call__(self, embeddings: pa.ChunkedArray, labels: pa.ChunkedArray) -> pa.Array:
        """Return the tags of each image with their scores, highest first; null for null."""
        there = embeddings.drop_null().combine_chunks()
        width = self._texts.shape[1]
        vectors = there.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        known = [
            label
            for label, e in zip(labels.to_pylist(), embeddings.is_valid(), strict=True)
            if e.as_py()
        ]
        slices = list(self._slices(len(known))) or [slice(0)]
        tags = pa.concat_arrays([self._select(self.scores(vectors[s], known[s])) for s in slices])
        if len(there) == len(embeddings):
            return tags
        valid = embeddings.is_valid().to_numpy()
        places = np.where(valid, np.cumsum(valid) - 1, -1)
        return tags.take(pa.array(places, mask=~valid))

    def _similarities(self, embeddings: np.ndarray) -> np.ndarray:
        found: np.ndarray = embeddings.astype(np.float64) @ self._texts.T
        return found

    def _slices(self, images: int) -> Iterator[slice]:
        size = max(1, CELLS // max(1, len(self._texts)))
        return (slice(first, first + size) for first in range(0, images, size))

    def _select(self, scores: np.ndarray) -> pa.Array:
        keep = np.ones(scores.shape, bool)
        if self._threshold is not None:
            keep = scores >= self._threshold
        if self._top_k is not None and self._top_k < scores.shape[1]:
            # Ties go to the tag that comes first in the vocabulary. A full sort takes far longer.
            least = np.partition(scores, -self._top_k, axis=1)[:, [-self._top_k]]
            above, tied = scores > least, scores == least
            left = self._top_k - above.sum(axis=1, keepdims=True)
            keep &= above | (tied & (tied.cumsum(axis=1) <= left))
        image, tag = np.nonzero(keep)
        score = scores[image, tag]
        order = np.lexsort((tag, -score, image))
        offsets = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
        pairs = pa.StructArray.from_arrays(
            [self._vocabulary.take(pa.array(tag[order])), pa.array(score[order], pa.float32())],
            fields=list(TAGS.value_type),
        )
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pairs)


def chosen(
    threshold: float | None, top_k: int | None, calibrate: str
) -> tuple[float | None, int | None]:
    """Return threshold and top_k, checked, with defaults if neither is given.

    Raises
    ------
    OptionError
        When an option is out of range.
    """
    if threshold is None and top_k is None:
        threshold, top_k = (None, 10) if calibrate == "none" else (2.5, None)
    check_options(threshold, top_k, calibrate)
    return threshold, top_k


def check_options(threshold: float | None, top_k: int | None, calibrate: str) -> None:
    """Refuse options of a `ZeroShotTagger` that are out of range.

    Raises
    ------
    OptionError
        When one is, or when every image would carry every tag.
    """
    if calibrate not in CALIBRATIONS:
        raise OptionError(f"calibrate must be one of {', '.join(CALIBRATIONS)}, got {calibrate!r}")
    if threshold is not None and not math.isfinite(threshold):
        raise OptionError(f"threshold must be a finite number, got {threshold}")
    if top_k is not None and top_k < 1:
        raise OptionError(f"top_k must be at least 1, got {top_k}")
    if threshold is None and top_k is None:
        raise OptionError("give a threshold, top_k or both: every image is close to every tag")


def _scale(count: int, sums: np.ndarray) -> Scale:
    mean = sums[0] / count
    variance = np.maximum(sums[1] / count - mean**2, 0)
    # A tag that is equally close to all images tells none of them apart.
    deviation = np.sqrt(variance)
    return Scale(mean, np.where(deviation > 1e-6, deviation, np.inf))
