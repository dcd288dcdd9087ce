"""Which classifier a user means, and with which options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError
from prime_sql.vision.network import need

torch = pytest.importorskip("torch")
timm = need("timm")
pil = pytest.importorskip("PIL.Image")
from prime_sql.vision.classifiers import RETURNS  # noqa: E402
from tests.tables import warned  # noqa: E402
from tests.vision.classifiers.answers import load  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)

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
        ("", OptionError, "name a model"),
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
        ("cat\n\ndog\n", "line 2: a class has no name"),
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


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("n02123045", r"1 labels such as 'n02123045', 5 classes such as 'a tabby'; every"),
        (
            "A_tabby",
            r"'A_tabby', 5 classes such as 'a tabby', which differ only in upper and lower",
        ),
        ("a tabby", None),
    ],
)
@pytest.mark.filterwarnings("ignore:.* has the content:prime_sql.InputWarning")
def test_labels_that_are_no_class(
    folder: str, message: str | None, small: Any, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    torch.save(small.state_dict(), tmp_path / "small.pth")
    (tmp_path / "names.txt").write_text("a tabby\na pug\na bus\na cup\na pen\n")
    (tmp_path / "photos" / folder).mkdir(parents=True)
    pil.new("RGB", (40, 30)).save(tmp_path / "photos" / folder / "1.png")
    vision.load_images(tmp_path / "photos", into=tmp_path / "d.duckdb")
    vision.predict(
        tmp_path / "d.duckdb",
        "timm:resnet10t",
        checkpoint=tmp_path / "small.pth",
        labels=tmp_path / "names.txt",
    )
    told = warned(recwarn)
    assert bool(told) == (message is not None)
    assert message is None or re.search(rf"no label of the images is a class.*{message}", told[0])


def test_importing_is_cheap() -> None:
    code = "import sys, prime_sql.vision.classifiers; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "False"


def test_returns() -> None:
    assert str(RETURNS) == "struct<prediction: string, confidence: float>"
