"""Classifiers: pictures in, a class and a confidence out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from prime_sql.engine.errors import InputError, PrimeSqlError, did_you_mean, shorten
from prime_sql.vision.architectures import Loaded, imagenet_classes
from prime_sql.vision.network import need
from prime_sql.vision.weights import reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

RETURNS = pa.struct([("prediction", pa.string()), ("confidence", pa.float32())])

# How far the probabilities of a picture may be from 1 in sum: float16, rounded output.
_ROUNDING = 1e-2


class Classifier:
    """A model that names the class of each picture.

    Attributes
    ----------
    name
        What the column ``model`` says.
    returns
        ``prediction``, the class, and ``confidence``, its probability.
    pixels
        Size of the shorter side that the model looks at; None where that is unknown.
    classes
        Names of the classes in the order of the model's outputs; None where only it knows them.
    classes_from
        Where the names come from, in words.
    """

    returns = RETURNS

    def __init__(
        self, name: str, pixels: int | None, classes: Sequence[str] | None, classes_from: str
    ) -> None:
        self.name, self.pixels = name, pixels
        self.classes, self.classes_from = classes, classes_from

    def prepare(self, picture: Image.Image) -> Any:
        """Shape one RGB picture for the model; runs in worker threads."""
        raise NotImplementedError

    def run(self, batch: list[Any]) -> pa.Array:
        """Return prediction and confidence for each prepared picture of the batch."""
        raise NotImplementedError


# Networks -----------------------------------------------------------------------------------------


class NetworkClassifier(Classifier):
    """A network that returns one row of class scores for each picture."""

    def __init__(
        self,
        model: str,
        loaded: Loaded,
        labels: Sequence[str] | None,
        labels_from: str,
        name: str | None,
    ) -> None:
        self._model, self._body = model, loaded.body
        self.pixels = loaded.pixels
        scores = self._tried()
        # Decided once for all, so that a picture's confidence never depends on its batch.
        self._are_probabilities = bool(_are_probabilities(scores).all())
        count = scores.shape[1]
        if labels is not None and len(labels) != count:
            raise InputError(f"{labels_from} names {len(labels)} classes, {model} has {count}")
        classes, classes_from = labels, labels_from
        if classes is None and loaded.classes is not None and len(loaded.classes) == count:
            classes, classes_from = loaded.classes, loaded.classes_from
        if classes is None:
            classes, classes_from = imagenet_classes(count)
        if classes is None:
            classes, classes_from = [str(number) for number in range(count)], "their numbers"
        super().__init__(name or loaded.name, loaded.pixels, classes, classes_from)

    def prepare(self, picture: Image.Image) -> Any:
        """Resize and crop one RGB picture; runs in worker threads."""
        return self._body.prepare(picture)

    def run(self, batch: list[Any]) -> pa.Array:
        """Return the class with the highest score for each picture, and its probability."""
        scores = self._scores(batch)
        highest = scores.max(axis=1)
        broken = int(np.count_nonzero(~np.isfinite(highest)))
        if broken:
            raise InputError(
                f"{self._model} returned infinite scores, or none, for {broken} of {len(batch)} "
                "pictures; in precision fp32 it may not"
            )
        if self._are_probabilities:
            confidence = highest
        else:  # softmax, of which the highest score's numerator is exp(0)
            confidence = 1 / np.exp(scores - highest[:, None]).sum(axis=1)
        assert self.classes is not None
        return _answers([self.classes[i] for i in scores.argmax(axis=1)], confidence)

    def _tried(self) -> np.ndarray:
        """Return the scores of a few made-up pictures: better to fail now than in an hour."""
        pil = need("PIL.Image")
        noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
        pictures = [pil.new("RGB", (320, 240), colour) for colour in ("black", "grey", "white")]
        try:
            batch = [self.prepare(picture) for picture in [pil.fromarray(noise), *pictures]]
            return self._scores(batch)
        except PrimeSqlError:
            raise
        except Exception as error:
            size = f" of {self.pixels} pixels" if self.pixels else ""
            raise InputError(
                f"{self._model} does not take a batch of pictures{size}: {reason(error)}. Give the "
                "size that it was made for with --image-size"
            ) from error

    def _scores(self, batch: list[Any]) -> np.ndarray:
        scores = np.asarray(self._body.run(batch), np.float32)
        while scores.ndim > 2 and scores.shape[-1] == 1:  # pooled, but not flattened
            scores = scores[..., 0]
        if scores.ndim != 2 or len(scores) != len(batch) or scores.shape[1] < 2:
            raise InputError(
                f"{self._model} returned an array of shape {scores.shape} for {len(batch)} "
                "pictures; a classifier returns scores of shape (pictures, classes), of two "
                "classes or more"
            )
        return scores


def _are_probabilities(scores: np.ndarray) -> np.ndarray:
    """Return for each row whether it can be the probabilities of the classes."""
    sums: np.ndarray = scores.sum(axis=1)
    return (scores >= 0).all(axis=1) & (abs(sums - 1) <= _ROUNDING)


def _answers(prediction: Sequence[str], confidence: Any) -> pa.Array:
    return pa.StructArray.from_arrays(
        [pa.array(prediction, pa.string()), pa.array(confidence, pa.float32())],
        fields=list(RETURNS),
    )


# Functions ----------------------------------------------------------------------------------------


class _Answer(NamedTuple):
    label: str
    confidence: float | None


class FunctionClassifier(Classifier):
    """A Python function from pictures to labels; what it raises passes through to its author."""

    def __init__(
        self,
        name: str,
        function: Callable[[list[Image.Image]], Any],
        labels: Sequence[str] | None,
        labels_from: str,
    ) -> None:
        super().__init__(name, None, labels, labels_from or "the function")
        self._function = function

    def prepare(self, picture: Image.Image) -> Image.Image:
        """Return the picture; how to prepare it is up to the function."""
        return picture

    def run(self, batch: list[Image.Image]) -> pa.Array:
        """Return what the function says of each picture; confidence is null where it gives none.

        Raises
        ------
        InputError
            When that is not one label, pair or row of probabilities for each picture.
        """
        returned = self._function(batch)
        entries = _plain(returned)
        if entries is None:
            raise self._wrong(shorten(returned))
        if isinstance(entries, np.ndarray):
            answers = self._of_probabilities(entries, len(batch))
        else:
            answers = [self._answer(entry) for entry in entries]
        if len(answers) != len(batch):
            raise self._wrong(f"{len(answers)} answers for {len(batch)} pictures")
        return _answers([a.label for a in answers], [a.confidence for a in answers])

    def _of_probabilities(self, rows: np.ndarray, count: int) -> list[_Answer]:
        if rows.ndim != 2 or len(rows) != count:
            raise self._wrong(f"an array of shape {rows.shape} for {count} pictures")
        if self.classes is None:
            raise self._wrong("an array; say what its columns are with --labels FILE")
        if rows.shape[1] != len(self.classes):
            raise self._wrong(
                f"{rows.shape[1]} columns, and {self.classes_from} names {len(self.classes)}"
            )
        wrong = np.flatnonzero(~_are_probabilities(rows))
        if len(wrong):
            raise self._wrong(
                f"a row that is not probabilities: its sum is {rows[wrong[0]].sum():g}"
            )
        return [
            _Answer(self.classes[i], float(row[i]))
            for row, i in zip(rows, rows.argmax(axis=1), strict=True)
        ]

    def _answer(self, entry: Any) -> _Answer:
        label, confidence = entry, None
        if isinstance(entry, (tuple, list)) and len(entry) == 2:
            label, confidence = entry
        # Class names are often numbers, but True is more likely an answer to something else.
        if isinstance(label, bool) or not isinstance(label, (str, int, np.integer)):
            raise self._wrong(shorten(entry))
        if confidence is not None:
            try:
                confidence = float(confidence)
            except (TypeError, ValueError) as error:
                raise self._wrong(shorten(entry)) from error
            if not 0 <= confidence <= 1 + 1e-6:
                raise self._wrong(f"{shorten(entry)}; a confidence is between 0 and 1")
        label = str(label)
        if self.classes is not None and label not in self.classes:
            raise self._wrong(
                f"{shorten(label)}, which is not in {self.classes_from}."
                f"{did_you_mean(label, self.classes)}"
            )
        return _Answer(label, confidence)

    def _wrong(self, what: str) -> InputError:
        return InputError(
            f"{self.name} returned {what}. It must return one label for each picture, one pair of "
            "a label and a confidence, or an array of probabilities of shape (pictures, classes)"
        )


def _plain(returned: Any) -> list[Any] | np.ndarray | None:
    """Return a function's result as rows of numbers or as a list; None if it is neither."""
    if hasattr(returned, "detach"):  # a tensor, on whichever device, in whichever precision
        returned = returned.detach().cpu()
        returned = (returned.float() if returned.is_floating_point() else returned).numpy()
    if isinstance(returned, np.ndarray):
        rows = returned.ndim != 1 or returned.dtype.kind == "f"
        return (
            returned.astype(np.float32)
            if rows and returned.dtype.kind in "biuf"
            else returned.tolist()
        )
    if isinstance(returned, (str, bytes, Mapping)) or not hasattr(returned, "__iter__"):
        return None
    entries = [entry.tolist() if hasattr(entry, "tolist") else entry for entry in returned]
    alike = {len(entry) if isinstance(entry, list) else None for entry in entries}
    if (
        len(alike) == 1
        and alike.isdisjoint({None, 0})
        and all(isinstance(number, float) for entry in entries for number in entry)
    ):
        return np.array(entries, np.float32)
    return entries
