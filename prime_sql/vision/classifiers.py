"""A classifier from what the user names: pictures in, a class and a confidence out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from prime_sql.errors import InputError, OptionError, PrimeSqlError, did_you_mean, shorten
from prime_sql.vision.architectures import (
    Loaded,
    Preparation,
    imagenet_classes,
    reason,
    timm_network,
    torchvision_network,
    transformers_network,
)
from prime_sql.vision.exported import SUFFIXES, file_network, import_from_here
from prime_sql.vision.network import Place, need

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

RETURNS = pa.struct([("prediction", pa.string()), ("confidence", pa.float32())])

FORMS = (
    "a name of timm's or torchvision's (resnet50, timm:resnet50, torchvision:resnet50), a model of "
    "the Hugging Face hub (hf:ORG/NAME), a folder, a file (.onnx, .pt, .pth, .pt2), or a Python "
    "function (module:function)"
)

# The options each form has a use for, and why it has none for the others.
_PREPARATION = ("image_size", "mean", "std", "resize")
_USES = {
    "timm": ("checkpoint", "labels", *_PREPARATION),
    "torchvision": ("checkpoint", "labels", *_PREPARATION),
    "hf": ("labels",),
    "file": ("labels", *_PREPARATION),
    "function": ("labels",),
}
_REASONS = {
    "hf": "its own processor prepares the pictures, and its weights come with it",
    "file": "its weights are in the file",
    "function": "the function prepares the pictures, and has its own weights",
}
# How far the probabilities of a picture may be from 1 in sum: float16, rounded output.
_ROUNDING = 1e-2


class Classifier:
    """A model that names the class of each picture.

    Attributes
    ----------
    name
        Stands in the column ``model``.
    returns
        ``prediction``, the class, and ``confidence``, its probability.
    pixels
        Size of the shorter side that the model looks at; None where it is not known.
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


def load(
    model: str,
    *,
    checkpoint: Path | None = None,
    labels: Path | None = None,
    image_size: int | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    resize: str | None = None,
    place: Place,
    trust: bool = False,
    name: str | None = None,
) -> Classifier:
    """Load a classifier.

    Parameters
    ----------
    model
        ``timm:NAME``, with timm's ``hf-hub:ORG/NAME`` and ``local-dir:FOLDER`` among the names;
        ``torchvision:NAME``; NAME alone, timm's if it knows it; ``hf:ORG/NAME``; a folder that timm
        or transformers saved; an ONNX, TorchScript or torch.export file, or a pickled module;
        ``module:function``, a Python function that takes a list of RGB pictures and returns labels,
        pairs of a label and a confidence, or with `labels` an array of probabilities.
    checkpoint
        File with the weights for a name of timm's or torchvision's: safetensors, or a state dict
        of torch's. It has as many classes as its last layer.
    labels
        Text file with the names of the classes, one a line, in the order of the model's outputs.
        In its place: those that come with the model; ImageNet's, if it has as many classes; the
        numbers from 0 on. `Classifier.classes_from` says which.
    image_size, mean, std, resize
        How to prepare pictures, see `Preparation`. In their place: what the model's library says;
        for a file, the size of its input or 224, ImageNet's mean and standard deviation, "crop".
    place
        Where to run, and in which precision. A function goes its own way.
    trust
        Let code run that comes with the model: pickled objects, a torch.export file, a Hugging
        Face model with code of its own. Otherwise nothing is unpickled but tensors.
    name
        Stands in the column ``model``; made from `model` and `checkpoint` if left out.

    Raises
    ------
    OptionError
        When the model is of no known form, or has no use for an option.
    InputError
        When the model cannot be had, is no classifier, or does not fit the labels.
    InstallError
        When a package is missing.
    """
    preparation = Preparation(image_size, mean, std, resize)
    form, rest = _form(model)
    given = [*preparation.given()]
    given += [n for n, value in (("checkpoint", checkpoint), ("labels", labels)) if value]
    for option in given:
        if option not in _USES[form]:
            raise OptionError(f"{option} is not used for {model}: {_REASONS[form]}")
    classes = None if labels is None else _read_labels(labels)

    if form == "function":
        if place.device.type != "cuda" and place.dtype != need("torch").float32:
            raise OptionError(f"precision is not used for {model}: {_REASONS[form]}")
        return FunctionClassifier(name or model, _function(rest), classes, str(labels or ""))
    if form == "timm":
        loaded = timm_network(
            rest, place=place, checkpoint=checkpoint, preparation=preparation, trust=trust
        )
    elif form == "torchvision":
        loaded = torchvision_network(
            rest, place=place, checkpoint=checkpoint, preparation=preparation, trust=trust
        )
    elif form == "hf":
        loaded = transformers_network(rest, place=place, trust=trust)
    else:
        loaded = file_network(Path(rest), place=place, preparation=preparation, trust=trust)
    return NetworkClassifier(model, loaded, classes, str(labels or ""), name)


# What the user means ------------------------------------------------------------------------------


def _form(model: str) -> tuple[str, str]:
    """Return the form of a model, a key of `_USES`, and what is left to say which one."""
    if not model:
        raise OptionError(f"which model? It is {FORMS}")
    prefix, colon, rest = model.partition(":")
    if colon and prefix == "timm":
        return "timm", _timm_name(rest)
    if colon and prefix in ("hf-hub", "local-dir"):
        return "timm", model
    if colon and prefix == "torchvision":
        known = _torchvision_names()
        if rest not in known:
            raise OptionError(f"torchvision has no classifier {rest!r}.{did_you_mean(rest, known)}")
        return "torchvision", rest
    if colon and prefix == "hf":
        return "hf", rest

    path = Path(model).expanduser()
    if path.is_dir() and (path / "config.json").is_file():
        return _folder(path)
    if path.is_file() or path.suffix.lower() in SUFFIXES:
        return "file", str(path)
    if colon and all(part.isidentifier() for part in [*prefix.split("."), *rest.split(".")]):
        return "function", model
    if path.is_dir() and not need("timm").is_model(model):
        raise InputError(f"the folder {model} has no config.json, which says what model it is")
    if any(sign in model for sign in "/\\:"):
        hub = f", hf:{model} would be one of the hub" if model.count("/") == 1 else ""
        raise InputError(f"there is no file or folder {model!r}{hub}; a model is {FORMS}")
    timm_names, torchvision_names = need("timm").list_models(), _torchvision_names()
    if need("timm").is_model(model):
        return "timm", _timm_name(model)
    if model in torchvision_names:
        return "torchvision", model
    raise OptionError(
        f"neither timm nor torchvision has a model {model!r}."
        f"{did_you_mean(model, [*timm_names, *torchvision_names])} A model is {FORMS}"
    )


def _timm_name(name: str) -> str:
    timm = need("timm")
    if name.partition(":")[0] in ("hf-hub", "local-dir"):
        return name
    if not timm.is_model(name):
        if Path(name).is_dir():
            return f"local-dir:{name}"
        raise OptionError(f"timm has no model {name!r}.{did_you_mean(name, timm.list_models())}")
    architecture, _, tag = name.partition(".")
    if tag and not timm.is_model_pretrained(name):
        known = timm.list_models(f"{architecture}.*", pretrained=True)
        raise OptionError(f"timm has no weights {name!r}.{did_you_mean(name, known)}")
    return name


def _torchvision_names() -> list[str]:
    models = need("torchvision").models
    names: list[str] = models.list_models(module=models)  # without detection, video, …
    return names


def _folder(folder: Path) -> tuple[str, str]:
    """Return whose folder it is: timm's and transformers' configurations name different things."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / 'config.json'} is not JSON: {error}") from error
    if "model_type" in config:
        return "hf", str(folder)
    if "architecture" in config:
        return "timm", f"local-dir:{folder}"
    raise InputError(
        f"{folder / 'config.json'} names neither an architecture, as timm's does, nor a "
        "model_type, as transformers' does"
    )


def _read_labels(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels in {file} cannot be read: {error}") from error
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise InputError(f"{file} has no labels; write the name of one class a line")
    if "" in names:
        raise InputError(f"{file}, line {names.index('') + 1}: a class without a name")
    return names


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
        # Seen once for all, so that a picture's confidence never depends on its batch.
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
        """Return the scores of a few made-up pictures: better to fail now than after an hour."""
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
    """Return for each row whether it can be probabilities of classes."""
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
    """A Python function from pictures to labels; what it raises passes through, for its author."""

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
                f"a row that is no probabilities, their sum is {rows[wrong[0]].sum():g}"
            )
        return [
            _Answer(self.classes[i], float(row[i]))
            for row, i in zip(rows, rows.argmax(axis=1), strict=True)
        ]

    def _answer(self, entry: Any) -> _Answer:
        label, confidence = entry, None
        if isinstance(entry, (tuple, list)) and len(entry) == 2:
            label, confidence = entry
        # Names of classes are often numbers, but True is more likely an answer to something else.
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
                f"{label!r}, which is not in {self.classes_from}."
                f"{did_you_mean(label, self.classes)}"
            )
        return _Answer(label, confidence)

    def _wrong(self, what: str) -> InputError:
        return InputError(
            f"{self.name} returned {what}. It is to return one label for each picture, one pair of "
            "a label and a confidence, or an array of probabilities of shape (pictures, classes)"
        )


def _plain(returned: Any) -> list[Any] | np.ndarray | None:
    """Return what a function returned as rows of numbers, as a list, or None for neither."""
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


def _function(name: str) -> Callable[[list[Image.Image]], Any]:
    """Import ``module:function``."""
    module_name, _, attribute = name.partition(":")
    import_from_here()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and one that it imports is not
        raise InputError(
            f"there is no Python module {error.name!r}, neither installed nor in {Path.cwd()}; "
            f"a model is {FORMS}"
        ) from error
    try:
        function: Any = reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        hint = did_you_mean(attribute, [n for n in dir(module) if not n.startswith("_")])
        raise InputError(f"{module_name} has no {attribute!r}.{hint}") from error
    if not callable(function):
        raise InputError(f"{name} is a {type(function).__name__}, which cannot be called")
    return function  # type: ignore[no-any-return]
