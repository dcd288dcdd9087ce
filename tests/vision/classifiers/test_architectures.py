"""Networks of timm and torchvision with checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prime_sql.engine.errors import InputError
from prime_sql.vision.network import need

torch = pytest.importorskip("torch")
timm = need("timm")
pil = need("PIL.Image")
from prime_sql.vision.architectures import Preparation, torchvision_transform  # noqa: E402
from tests.vision.classifiers.answers import answers, answers_of, load, same  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)


def test_classes_are_counted_in_the_checkpoint(
    small: Any, labels: Path, tmp_path: Path, pictures: list[Any]
) -> None:
    # As Lightning saves it: under the name of an attribute, beside other weights.
    state = {f"model.{key}": value for key, value in small.state_dict().items()}
    torch.save({"state_dict": {**state, "loss.weight": torch.ones(5)}}, tmp_path / "last.ckpt")
    numbered = load("timm:resnet10t", checkpoint=tmp_path / "last.ckpt")
    assert numbered.classes == ["0", "1", "2", "3", "4"]
    assert numbered.classes_from == "their numbers"
    named = load("timm:resnet10t", checkpoint=tmp_path / "last.ckpt", labels=labels)
    assert named.classes == ["cat", "Bär", "dog", "cat", "elephant"]

    config = timm.data.resolve_model_data_config(small)
    transform = timm.data.create_transform(**config, is_training=False)
    batch = torch.stack([transform(picture) for picture in pictures])
    same(answers(numbered, pictures), answers_of(small, batch, numbered.classes))
    same(answers(named, pictures), answers_of(small, batch, named.classes))


def test_label_names_in_timms_config(small: Any, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    timm.models.save_for_hf(
        small, tmp_path / "mine", model_config={"label_names": names}, safe_serialization=True
    )
    classifier = load(tmp_path / "mine")
    assert (classifier.classes, classifier.classes_from) == (names, "the model's config")
    assert classifier.name == "mine"


def test_size_of_position_embeddings(tmp_path: Path) -> None:
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=96)
    torch.save(network.state_dict(), tmp_path / "vit.pth")
    classifier = load("vit_tiny_patch16_224", checkpoint=tmp_path / "vit.pth", image_size=96)
    assert classifier.prepare(pil.new("RGB", (300, 200))).shape == (96, 96, 3)
    with pytest.raises(InputError, match=r"vit.pth does not fit vit_tiny_patch16_224: size mism"):
        load("vit_tiny_patch16_224", checkpoint=tmp_path / "vit.pth")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("mobilenet_v3_small", 7, {}),
        ("squeezenet1_1", 7, {}),  # its last layer is a convolution
        ("mobilenet_v3_small", 1000, {"image_size": 112}),
    ],
)
def test_torchvision_checkpoint(
    name: str, given: int, expected: dict[str, int], tmp_path: Path, pictures: list[Any]
) -> None:
    models = need("torchvision").models
    torch.manual_seed(1)
    network = models.get_model(name, weights=None, num_classes=given)
    for parameter in network.parameters():  # far apart, where the random ones are nearly equal
        parameter.data *= 1.5
    torch.save({"model": network.state_dict(), "epoch": 1}, tmp_path / "mine.pth")
    classifier = load(f"torchvision:{name}", checkpoint=tmp_path / "mine.pth", **expected)

    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms(
        **({"crop_size": 112, "resize_size": 128} if expected else {"crop_size": 224})
    )
    names = weights.meta["categories"] if given == 1000 else [str(i) for i in range(given)]
    batch = torch.stack([preset(picture) for picture in pictures])
    same(answers(classifier, pictures), answers_of(network, batch, list(names)))
    assert classifier.name == f"{name}:mine"


def test_torchvisions_preset_in_steps(pictures: list[Any]) -> None:
    models = need("torchvision").models
    for name in models.list_models(module=models):
        preset = models.get_model_weights(name).DEFAULT.transforms()
        transform, pixels = torchvision_transform(preset, Preparation())
        if name in ("resnet18", "swin_v2_t", "inception_v3"):
            for picture in pictures:
                assert torch.equal(transform(picture), preset(picture))
        assert preset.resize_size == [pixels]


def test_torchvision_weights_are_read_as_weights_before_they_are_unpickled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, evil: Any
) -> None:
    weights = need("torchvision").models.get_model_weights("mobilenet_v3_small").DEFAULT
    cached = tmp_path / "hub" / "checkpoints" / Path(weights.url).name
    cached.parent.mkdir(parents=True)
    torch.save(evil(tmp_path / "pwned"), cached)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(InputError, match="pickled Python objects"):
        load("torchvision:mobilenet_v3_small")
    assert not (tmp_path / "pwned").exists()


def test_default_weights_of_torchvision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pictures: list[Any]
) -> None:
    models = need("torchvision").models
    torch.manual_seed(2)
    network = models.get_model("mobilenet_v3_small", weights=None)
    weights = models.get_model_weights("mobilenet_v3_small").DEFAULT
    cached = tmp_path / "checkpoints" / Path(weights.url).name
    cached.parent.mkdir()
    torch.save(network.state_dict(), cached)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    classifier = load("torchvision:mobilenet_v3_small")
    batch = torch.stack([weights.transforms()(picture) for picture in pictures])
    same(answers(classifier, pictures), answers_of(network, batch, weights.meta["categories"]))
    assert classifier.classes_from == "torchvision's MobileNet_V3_Small_Weights.IMAGENET1K_V1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv.weight": "x"}, "holds no weights, only"),
        ([1, 2], "holds no weights, only"),
        ({"other.weight": "tensor"}, r"does not fit resnet10t: it lacks \d+ weights such as conv1"),
    ],
)
def test_checkpoints_that_do_not_fit(content: Any, message: str, tmp_path: Path) -> None:
    if content == {"other.weight": "tensor"}:
        content = {"other.weight": torch.zeros(2)}
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=message):
        load("timm:resnet10t", checkpoint=tmp_path / "x.pth")


def test_damaged_and_missing_checkpoints(tmp_path: Path) -> None:
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(InputError, match=rf"{name} is damaged"):
            load("timm:resnet10t", checkpoint=tmp_path / name)
        (tmp_path / name).unlink()
        with pytest.raises(InputError, match="there is no file"):
            load("timm:resnet10t", checkpoint=tmp_path / name)
