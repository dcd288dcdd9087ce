"""Which classifier the user means, and how to load it."""

from __future__ import annotations

import importlib
import json
import traceback
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prime_sql.engine.errors import InputError, OptionError, did_you_mean, first_line
from prime_sql.vision.architectures import (
    Preparation,
    timm_network,
    torchvision_network,
    transformers_network,
)
from prime_sql.vision.classifiers import Classifier, FunctionClassifier, NetworkClassifier
from prime_sql.vision.code import fingerprint
from prime_sql.vision.exported import SUFFIXES, file_network, import_from_here
from prime_sql.vision.network import Place, need

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

FORMS = (
    "a name of timm's or torchvision's (resnet50, timm:resnet50, torchvision:resnet50), a model of "
    "the Hugging Face hub (hf:ORG/NAME), a folder, a file (.onnx, .pt, .pth, .pt2), or a Python "
    "function (module:function)"
)

# The options that each form uses, and why it does not use the others.
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
        ``timm:NAME``, where NAME may be timm's ``hf-hub:ORG/NAME`` or ``local-dir:FOLDER``;
        ``torchvision:NAME``; NAME alone, timm's if it knows it; ``hf:ORG/NAME``; a folder that timm
        or transformers saved; an ONNX, TorchScript or torch.export file, or a pickled module;
        ``module:function``, a Python function that takes a list of RGB pictures and returns labels,
        pairs of a label and a confidence, or with `labels` an array of probabilities.
    checkpoint
        File with the weights for a timm or torchvision name: safetensors, or a state dict of
        torch. The size of its last layer is the number of classes.
    labels
        Text file with the names of the classes, one per line, in the order of the model's outputs.
        If left out: those that come with the model; else ImageNet's, if the number of classes
        fits; else the numbers from 0 on. `Classifier.classes_from` says which.
    image_size, mean, std, resize
        How to prepare pictures, see `Preparation`. If left out: what the model's library says; for
        a file, the size of its input or 224, ImageNet's mean and standard deviation, "crop".
    place
        Where to run, and in which precision. A function decides for itself.
    trust
        Let code that comes with the model run: pickled objects, a torch.export file, a Hugging
        Face model with code of its own. Otherwise nothing but tensors is unpickled.
    name
        What the column ``model`` says; made from `model` and `checkpoint` if left out.

    Raises
    ------
    OptionError
        When the model has no known form, or does not use an option.
    InputError
        When the model cannot be obtained, is not a classifier, or does not fit the labels.
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


def code_of(model: str) -> str | None:
    """Return a SHA-256 of the code of a Python function; None for a model of another form.

    Raises
    ------
    InputError
        When the code has changed since it was imported.
    """
    if ":" not in model or _form(model)[0] != "function":
        return None
    return fingerprint(model.partition(":")[0], _function(model))


# What the user means ------------------------------------------------------------------------------


def _form(model: str) -> tuple[str, str]:
    """Return the form of a model, a key of `_USES`, and the rest, which says which one."""
    if not model:
        raise OptionError(f"name a model: {FORMS}")
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
    """Return whose folder it is: timm's and transformers' configurations have different keys."""
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
        raise InputError(f"{file} has no labels; write one class name per line")
    if "" in names:
        raise InputError(f"{file}, line {names.index('') + 1}: a class has no name")
    return names


def _function(name: str) -> Callable[[list[Image.Image]], Any]:
    """Import ``module:function``."""
    module_name, _, attribute = name.partition(":")
    import_from_here()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(_broken(module_name, error)) from error
        raise InputError(
            f"there is no Python module {error.name!r}, neither installed nor in {Path.cwd()}; "
            f"a model is {FORMS}"
        ) from error
    except Exception as error:  # whatever its author wrote there
        raise InputError(_broken(module_name, error)) from error
    try:
        function: Any = reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        hint = did_you_mean(attribute, [n for n in dir(module) if not n.startswith("_")])
        raise InputError(f"{module_name} has no {attribute!r}.{hint}") from error
    if not callable(function):
        raise InputError(f"{name} is a {type(function).__name__}, which cannot be called")
    return function  # type: ignore[no-any-return]


def _broken(module: str, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        file, line = error.filename, error.lineno
    else:  # the last line of a file, below which only the machinery of imports is
        frames = traceback.extract_tb(error.__traceback__)
        file, line = next((f.filename, f.lineno) for f in reversed(frames) if f.filename[:1] != "<")
    return (
        f"the Python module {module} cannot be imported: {type(error).__name__}: "
        f"{first_line(error)} ({file}, line {line})"
    )
