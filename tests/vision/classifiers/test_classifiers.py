"""One network in every form a classifier may come in: the same class, the same confidence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prime_sql.vision.network import need

torch = pytest.importorskip("torch")
timm = need("timm")
pil = need("PIL.Image")
from prime_sql.vision import architectures  # noqa: E402
from tests.vision.classifiers.answers import HALVES, answers, answers_of, load, same  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)

CATS = {"tabby, tabby cat", "tiger cat", "Egyptian cat"}

COFFEES = {"espresso", "coffee mug", "cup"}

FORMS = [
    "safetensors",
    "state dict",
    "training checkpoint",
    "timm's folder",
    "local-dir",
    "TorchScript",
    "torch.export",
    "pickled module",
    "ONNX",
    "function",
]


@pytest.fixture
def forms(folder: Path, lite0: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Return the arguments of `load` for every form."""
    module = type(sys)("lite0_functions")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(lite0))

    def predict(pictures: list[Any]) -> Any:
        return lite0(torch.stack([transform(picture) for picture in pictures])).softmax(dim=1)

    module.predict = predict
    monkeypatch.setitem(sys.modules, "lite0_functions", module)
    name = "timm:tf_efficientnet_lite0"
    return {
        "safetensors": {"model": name, "checkpoint": folder / "weights.safetensors"},
        "state dict": {"model": name[5:], "checkpoint": folder / "weights.pth"},
        "training checkpoint": {"model": name, "checkpoint": folder / "best.pth.tar"},
        "timm's folder": {"model": folder / "timm"},
        "local-dir": {"model": f"timm:local-dir:{folder / 'timm'}"},
        "TorchScript": {"model": folder / "traced.pt", **HALVES},
        "torch.export": {"model": folder / "two.pt2", "trust": True, **HALVES},
        "pickled module": {"model": folder / "module.pt", "trust": True, **HALVES},
        "ONNX": {"model": folder / "network.onnx", **HALVES},
        "function": {"model": "lite0_functions:predict", "labels": folder / "labels.txt"},
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_network_says_the_same(
    form: str, forms: dict[str, dict[str, Any]], lite0: Any, pictures: list[Any]
) -> None:
    assert list(forms) == FORMS
    config = timm.data.resolve_model_data_config(lite0)
    transform = timm.data.create_transform(**config, is_training=False)
    batch = torch.stack([transform(picture) for picture in pictures])
    names = timm.data.ImageNetInfo().label_descriptions()

    classifier = load(**forms[form])
    found = answers(classifier, pictures)

    same(found, answers_of(lite0, batch, names))
    assert found[0]["prediction"] in CATS
    assert found[1]["prediction"] in COFFEES
    # Whatever batch a picture is in, its answer is the same.
    same(
        answers(classifier, [pictures[1], pictures[0], pictures[1]]), [found[i] for i in (1, 0, 1)]
    )
    same(answers(classifier, pictures[:1]), found[:1])


def test_names_and_sizes(forms: dict[str, dict[str, Any]]) -> None:
    shown = {
        form: (classifier.name, classifier.pixels, classifier.classes_from)
        for form in ("safetensors", "timm's folder", "TorchScript", "ONNX", "function")
        for classifier in [load(**forms[form])]
    }
    imagenet = "timm's descriptions of the classes of imagenet-1k"
    assert shown == {
        "safetensors": ("tf_efficientnet_lite0:weights", 256, imagenet),
        "timm's folder": ("timm", 256, imagenet),
        "TorchScript": ("traced", 256, imagenet),
        "ONNX": ("network", 256, imagenet),
        "function": ("lite0_functions:predict", None, str(forms["function"]["labels"])),
    }
    assert load(**forms["ONNX"], name="mine").name == "mine"


def test_other_preparation(
    forms: dict[str, dict[str, Any]], lite0: Any, pictures: list[Any]
) -> None:
    wanted: dict[str, Any] = {
        "image_size": 160,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "resize": "squash",
    }
    batch = np.stack([np.asarray(p.resize((160, 160), pil.Resampling.BICUBIC)) for p in pictures])
    scaled = (batch / 255 - wanted["mean"]) / wanted["std"]
    expected = answers_of(
        lite0,
        torch.from_numpy(scaled).permute(0, 3, 1, 2).float(),
        timm.data.ImageNetInfo().label_descriptions(),
    )
    for form in ("safetensors", "TorchScript"):
        same(answers(load(**forms[form] | wanted), pictures), expected)
    assert load(**forms["TorchScript"] | wanted).pixels == 160


def test_duplicate_names_of_imagenet_stay_two_classes() -> None:
    names, _ = architectures.imagenet_classes(1000)
    assert names is not None
    assert len(set(names)) == 1000
    assert {name for name in names if name.startswith("crane")} == {
        "crane (n02012849)",
        "crane (n03126707)",
    }
    assert architectures.imagenet_classes(7) == (None, "")
