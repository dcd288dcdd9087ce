"""Classifiers of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prime_sql.engine.errors import InputError
from prime_sql.vision.network import Network, need

torch = pytest.importorskip("torch")
timm = need("timm")
from prime_sql.vision import architectures  # noqa: E402
from tests.vision.classifiers.answers import CPU, answers, answers_of, load, same  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)


@pytest.mark.parametrize(("kind", "pixels"), [("vit", 32), ("resnet", 74)])
@pytest.mark.parametrize("prefix", ["", "hf:"])
def test_hugging_face(
    kind: str, pixels: int, prefix: str, hugging_face: dict[str, Path], pictures: list[Any]
) -> None:
    transformers = need("transformers")
    source = hugging_face[kind]
    network = transformers.AutoModelForImageClassification.from_pretrained(source)
    processor = transformers.AutoImageProcessor.from_pretrained(source)
    batch = processor(images=pictures, return_tensors="pt")["pixel_values"]

    classifier = load(f"{prefix}{source}")

    names = ["cat", "coffee", "dog"]
    wanted = answers_of(lambda_module(lambda x: network.eval()(x).logits), batch, names)
    same(answers(classifier, pictures), wanted, within=1e-5)
    assert (classifier.name, classifier.pixels, classifier.classes) == (kind, pixels, names)
    assert classifier.prepare(pictures[0]).dtype == np.uint8  # a quarter of the floats


def lambda_module(function: Any) -> Any:
    module = torch.nn.Identity()
    module.forward = function
    return module


def test_processors_that_do_more_than_scale_are_left_whole(pictures: list[Any]) -> None:
    transformers = need("transformers")
    for processor in (
        transformers.MobileViTImageProcessor(),  # swaps red and blue, and does not normalise
        transformers.EfficientNetImageProcessor(),  # does not resize bytes
    ):
        network = Network(torch.nn.Identity(), architectures._processor_transform(processor), CPU)
        pixels = processor(images=pictures[0], return_tensors="pt")["pixel_values"]
        assert torch.allclose(network.run([network.prepare(pictures[0])]), pixels, atol=1e-6)


def test_hugging_face_without_a_trained_classifier(
    hugging_face: dict[str, Path], tmp_path: Path
) -> None:
    transformers = need("transformers")
    whole = transformers.ViTModel.from_pretrained(hugging_face["vit"])
    whole.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"is not a trained classifier.*classifier"):
        load(tmp_path)
    transformers.BertConfig(num_hidden_layers=1).save_pretrained(tmp_path / "bert")
    with pytest.raises(InputError, match=r"bert could not be loaded: Unrecognized configuration"):
        load(tmp_path / "bert")


def test_safetensors_are_preferred(
    hugging_face: dict[str, Path], small: Any, tmp_path: Path, evil: Any
) -> None:
    timm.models.save_for_hf(small, tmp_path / "timm", safe_serialization="both")
    transformers = need("transformers")
    network = transformers.AutoModelForImageClassification.from_pretrained(hugging_face["vit"])
    network.save_pretrained(tmp_path / "vit")
    transformers.AutoImageProcessor.from_pretrained(hugging_face["vit"]).save_pretrained(
        tmp_path / "vit"
    )
    for folder in (tmp_path / "timm", tmp_path / "vit"):
        torch.save(evil(tmp_path / "pwned"), folder / "pytorch_model.bin")
        load(folder)
    assert not (tmp_path / "pwned").exists()
