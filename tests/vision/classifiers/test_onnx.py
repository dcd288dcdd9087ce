"""Networks in ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prime_sql.engine.errors import InputError, OptionError
from prime_sql.vision.network import need

torch = pytest.importorskip("torch")
pil = need("PIL.Image")
from tests.vision.classifiers.answers import HALVES, answers, load, same  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)


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
        (("n", 3, 8), "FLOAT", {}, {}, "instead of one batch of pictures"),
        (("n", 3, 8, 8), "FLOAT", {"extra": True}, {}, "instead of one batch of pictures"),
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
