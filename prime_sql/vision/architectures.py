"""Networks known by name, of timm, torchvision and Hugging Face, with their weights."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from prime_sql.engine.errors import InputError, OptionError, shorten
from prime_sql.vision.network import Network, Place, need
from prime_sql.vision.weights import fitted, loading, read_weights, weights_in

if TYPE_CHECKING:
    import torch
    from PIL import Image

RESIZES = ("crop", "squash")


@dataclass(frozen=True)
class Preparation:
    """How to prepare pictures where the user says so; None means as the model does.

    Attributes
    ----------
    image_size
        Side of the square that the network sees, in pixels.
    mean, std
        Of each channel, with colours scaled to 0 … 1.
    resize
        "crop" keeps shapes and cuts out the middle; "squash" keeps the whole picture.

    Raises
    ------
    OptionError
        When a value is out of range.
    """

    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: str | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise OptionError(f"image_size must be at least 1, got {self.image_size}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and (len(values) != 3 or not np.isfinite(values).all()):
                raise OptionError(
                    f"{name} must be three numbers, one for each of red, green and blue, "
                    f"got {shorten(values)}"
                )
        if self.std is not None and min(self.std) <= 0:
            raise OptionError(f"std must be greater than 0, got {shorten(self.std)}")
        if self.resize is not None and self.resize not in RESIZES:
            raise OptionError(f"resize must be crop or squash, got {self.resize!r}")

    def given(self) -> list[str]:
        """Return the names of the values that the user gave."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


class Body(Protocol):
    """What prepares pictures and returns scores of shape (batch, classes)."""

    def prepare(self, picture: Image.Image) -> Any:
        """Shape one RGB picture; runs in worker threads."""

    def run(self, batch: list[Any]) -> Any:
        """Return one row of scores for each prepared picture."""


@dataclass(frozen=True)
class Loaded:
    """A network that is ready to run; `classes` are its own, if it has any."""

    name: str
    body: Body
    pixels: int | None
    classes: Sequence[str] | None = None
    classes_from: str = ""


def timm_network(
    name: str, *, place: Place, checkpoint: Path | None, preparation: Preparation, trust: bool
) -> Loaded:
    """Load a network by its timm name, with its own weights or with those of a checkpoint.

    Raises
    ------
    InputError
        When the weights cannot be obtained or do not fit.
    """
    timm = need("timm")
    source, _, where = name.partition(":") if ":" in name else ("", "", name)
    instead = (
        ""
        if source == "local-dir"
        else "; without a way to the hub, give the weights with --checkpoint FILE, or a folder "
        "that has them and timm's config.json with --model FOLDER"
    )
    with loading(name, instead):
        size: dict[str, Any] = {}
        if preparation.image_size is not None:
            # Position embeddings are made for one size; convolutional networks take any.
            sketch = timm.create_model(name)
            if sketch.pretrained_cfg.get("fixed_input_size"):
                size = {"img_size": preparation.image_size}
        network: Any
        if checkpoint is None:
            own: dict[str, Any] = {}
            if source == "local-dir":
                # Read here: older timm takes a pickle where safetensors are beside it.
                state = read_weights(weights_in(Path(where)), trust)
                own = {"pretrained_cfg_overlay": {"source": "", "file": None, "state_dict": state}}
            network = timm.create_model(name, pretrained=True, **size, **own)
            network.pretrained_cfg.pop("state_dict", None)
        else:
            network = fitted(
                lambda classes: timm.create_model(name, num_classes=classes, **size),
                read_weights(checkpoint, trust),
                f"{checkpoint} does not fit {name}",
            )
        if not network.num_classes:
            raise InputError(
                f"{name} has no classifier, it returns features; give the weights of one that was "
                "trained on it with --checkpoint FILE"
            )
        transform, pixels = timm_transform(
            timm.data.resolve_model_data_config(network), preparation
        )
        body = Network(network, transform, place)

    config = network.pretrained_cfg
    if source == "local-dir":
        where = Path(where).resolve().name
    elif not source and checkpoint is None:  # says which of an architecture's weights it chose
        where = ".".join(filter(None, (config["architecture"], config.get("tag"))))
    labels = config.get("label_names")
    return Loaded(
        where if checkpoint is None else f"{where}:{checkpoint.stem}",
        body,
        pixels,
        [str(label) for label in labels] if labels else None,
        "the model's config",
    )


def timm_transform(config: Mapping[str, Any], preparation: Preparation) -> tuple[Any, int]:
    """Return timm's preprocessing with the user's changes, and the size it resizes to."""
    timm = need("timm")
    config = dict(config)
    if preparation.image_size is not None:
        config["input_size"] = (3, preparation.image_size, preparation.image_size)
    for name in ("mean", "std"):
        config[name] = getattr(preparation, name) or config[name]
    if preparation.resize == "crop":
        config["crop_mode"] = "center"
    elif preparation.resize == "squash":
        config |= {"crop_mode": "squash", "crop_pct": 1.0}
    pixels = math.ceil(max(config["input_size"][-2:]) / config["crop_pct"])
    return timm.data.create_transform(**config, is_training=False), pixels


def imagenet_classes(count: int) -> tuple[list[str] | None, str]:
    """Return ImageNet's class names, if one of its sets has that many classes, and their source."""
    data = need("timm").data
    subset = data.infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return None, ""
    info = data.ImageNetInfo(subset)
    names, synsets = info.label_descriptions(), info.label_names()
    # A crane is a bird and a machine; under one name they would be one class.
    several = {name for name, times in Counter(names).items() if times > 1}
    return [
        f"{name} ({synset})" if name in several else name
        for name, synset in zip(names, synsets, strict=True)
    ], f"timm's descriptions of the classes of {subset}"


def torchvision_network(
    name: str, *, place: Place, checkpoint: Path | None, preparation: Preparation, trust: bool
) -> Loaded:
    """Load a network by its torchvision name, with its default weights or a checkpoint's.

    Raises
    ------
    InputError
        When the weights cannot be obtained or do not fit.
    """
    models = need("torchvision").models
    weights = models.get_model_weights(name).DEFAULT
    instead = "; without a way to the hub, give the weights with --checkpoint FILE"
    with loading(f"torchvision:{name}", instead):
        network: Any
        if checkpoint is None:
            # torchvision unpickles the file it downloads. So it is first read without unpickling,
            # which refuses anything but weights.
            weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
            network = models.get_model(name, weights=weights)
        else:
            state = read_weights(checkpoint, trust)
            network = fitted(
                lambda classes: models.get_model(
                    name, num_classes=classes, **_arguments(name, preparation, state)
                ),
                state,
                f"{checkpoint} does not fit torchvision:{name}",
            )
        transform, pixels = torchvision_transform(weights.transforms(), preparation)
        body = Network(network, transform, place)
    return Loaded(
        name if checkpoint is None else f"{name}:{checkpoint.stem}",
        body,
        pixels,
        weights.meta["categories"],
        f"torchvision's {weights}",
    )


def _arguments(
    name: str, preparation: Preparation, state: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """Return what building a network for the weights takes besides its name."""
    if name in ("googlenet", "inception_v3"):
        # Their pretrained weights, where training nearly always starts, expect other colours.
        auxiliary = any(key.lower().startswith("aux") for key in state)
        return {"transform_input": True, "aux_logits": auxiliary, "init_weights": False}
    if name.startswith("vit_") and preparation.image_size is not None:
        return {"image_size": preparation.image_size}
    return {}


def torchvision_transform(preset: Any, preparation: Preparation) -> tuple[Any, int]:
    """Return a preset's steps one by one with the user's changes, and the size it resizes to.

    The preset is one module; taken apart, it lets pictures travel to the device as bytes.
    """
    transforms = need("torchvision").transforms
    (crop,), (resize,) = preset.crop_size, preset.resize_size
    if preparation.image_size is not None:
        crop, resize = preparation.image_size, round(resize * preparation.image_size / crop)
    how = {"interpolation": preset.interpolation, "antialias": preset.antialias}
    if preparation.resize == "squash":
        resize = crop
        shape = [transforms.Resize((crop, crop), **how)]
    else:
        shape = [transforms.Resize(resize, **how), transforms.CenterCrop(crop)]
    scaling = transforms.Normalize(preparation.mean or preset.mean, preparation.std or preset.std)
    return transforms.Compose([*shape, transforms.ToTensor(), scaling]), resize


def transformers_network(source: str, *, place: Place, trust: bool) -> Loaded:
    """Load an image classifier from the Hugging Face hub, or from a folder in its format.

    Raises
    ------
    InputError
        When it cannot be obtained, or is not a classifier.
    """
    need("torchvision")
    transformers = need("transformers")
    folder = Path(source).is_dir()
    instead = (
        ""
        if folder
        else "; without a way to the hub, give a folder that save_pretrained made with "
        "--model FOLDER"
    )
    with loading(source, instead):
        # Pickled weights are read as weights only, and only where there are no safetensors.
        network, report = transformers.AutoModelForImageClassification.from_pretrained(
            source, trust_remote_code=trust, output_loading_info=True
        )
        if report["missing_keys"]:
            raise InputError(
                f"{source} is not a trained classifier: it has no weights for "
                f"{', '.join(sorted(report['missing_keys'])[:3])}"
            )
        processor = transformers.AutoImageProcessor.from_pretrained(source, trust_remote_code=trust)
        body = Network(
            network,
            _processor_transform(processor),
            place,
            forward=lambda pictures: network(pixel_values=pictures, return_dict=True).logits,
        )
    labels = network.config.id2label
    return Loaded(
        Path(source).resolve().name if folder else source,
        body,
        _processor_pixels(processor),
        [str(labels[number]) for number in sorted(labels)],
        "the model's config",
    )


def _processor_transform(processor: Any) -> Any:
    """Return what a processor does to a picture, in steps if they give the same result.

    Processors differ in what they do after resizing. Whether one only scales bytes to mean and
    standard deviation is found by trying.
    """
    transforms = need("torchvision").transforms

    def whole(picture: Image.Image) -> np.ndarray:
        return np.asarray(processor(images=picture, return_tensors="pt")["pixel_values"][0])

    def resized(picture: Image.Image) -> np.ndarray:
        pixels = processor(
            images=picture, do_rescale=False, do_normalize=False, return_tensors="pt"
        )["pixel_values"][0]
        return np.asarray(pixels).transpose(1, 2, 0)

    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    picture = need("PIL.Image").fromarray(noise)
    with contextlib.suppress(Exception):  # some cannot leave the scaling out
        steps = transforms.Compose(
            [
                resized,
                transforms.ToTensor(),
                transforms.Normalize(processor.image_mean, processor.image_std),
            ]
        )
        same = np.allclose(steps(picture).numpy(), whole(picture), atol=1e-5)
        if same and resized(picture).dtype == np.uint8:
            return steps
    return whole


def _processor_pixels(processor: Any) -> int | None:
    size: dict[str, int] = dict(getattr(processor, "size", None) or {})
    if not size or not size.keys() <= {"height", "width", "shortest_edge"}:
        return None
    crop: float = getattr(processor, "crop_pct", None) or 1
    return math.ceil(max(size.values()) / crop)
