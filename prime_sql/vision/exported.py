"""Networks in one file: ONNX, TorchScript, torch.export, and pickled modules."""

from __future__ import annotations

import os
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prime_sql.engine.errors import InputError, InputWarning, OptionError
from prime_sql.vision.architectures import Loaded, Preparation, timm_transform
from prime_sql.vision.network import Network, Place, need
from prime_sql.vision.weights import loading, read_pickle

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (
    ".onnx", ".pt", ".pth", ".ts", ".torchscript", ".pt2", ".bin", ".ckpt", ".tar", ".pkl",
    ".safetensors",
)  # fmt: skip

IMAGE_SIZE = 224  # assumed where a file does not say, as most networks have it
CROP = 0.875  # how much of the shorter side cropping keeps; timm's default

_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


def file_network(file: Path, *, place: Place, preparation: Preparation, trust: bool) -> Loaded:
    """Load a network with its weights from one file, whose content decides what it is.

    torch.export and torch.save unpickle Python objects, so their files need `trust`. ONNX and
    TorchScript are programs for interpreters of their own, which do not know Python; TorchScript
    can write files, though, so use it only from a source that you know.

    Raises
    ------
    InputError
        When it is not a network, or reading it could run code and it is not trusted.
    OptionError
        When an option contradicts what the file says of itself.
    """
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    if file.suffix.lower() == ".onnx":
        return _onnx(file, place, preparation)
    names = []
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return _torchscript(file, place, preparation)
    if any(
        name.endswith(("/archive_format", "serialized_exported_program.json")) for name in names
    ):
        return _export(file, place, preparation, trust)
    return _pickled(file, place, preparation, trust)


def file_transform(height: int, width: int, preparation: Preparation) -> tuple[Any, int]:
    """Return timm's default preprocessing with the user's changes, and the size it resizes to."""
    data = need("timm").data
    config = {
        "input_size": (3, height, width),
        "interpolation": "bicubic",
        "crop_pct": CROP,
        "crop_mode": "center",
        "mean": data.IMAGENET_DEFAULT_MEAN,
        "std": data.IMAGENET_DEFAULT_STD,
    }
    return timm_transform(config, replace(preparation, image_size=None))


def _size(file: Path, sides: tuple[Any, Any], preparation: Preparation) -> tuple[int, int]:
    """Return height and width: the file's own, if it has them, or what the user says."""
    wanted = preparation.image_size
    own = [side if isinstance(side, int) and side > 0 else None for side in sides]
    height, width = (side or wanted or IMAGE_SIZE for side in own)
    if wanted is not None and (height, width) != (wanted, wanted):
        raise OptionError(
            f"image_size is {wanted}, but {file} only takes {width} x {height} pixels; leave it out"
        )
    return height, width


def _check_precision(file: Path, place: Place) -> None:
    """Refuse a precision that was asked for: an exported network has its own."""
    torch = need("torch")
    if place.device.type != "cuda" and place.dtype != torch.float32:
        raise OptionError(
            f"precision is not used for {file}: it runs in the precision it was exported in"
        )


# torch's files ------------------------------------------------------------------------------------


def _torchscript(file: Path, place: Place, preparation: Preparation) -> Loaded:
    torch = need("torch")
    _check_precision(file, place)
    height, width = _size(file, (None, None), preparation)
    transform, pixels = file_transform(height, width, preparation)
    with loading(str(file)):
        module = torch.jit.load(file, map_location=place.device)
        module.eval()
        kinds = [tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()]
        kind = kinds[0] if kinds else torch.float32  # frozen, it has no parameters any more
        body = _network(module, transform, replace(place, dtype=kind))
    return Loaded(file.stem, body, pixels)


def _export(file: Path, place: Place, preparation: Preparation, trust: bool) -> Loaded:
    torch = need("torch")
    if not trust:
        raise InputError(
            f"{file} is written by torch.export, which unpickles what it reads, and that can run "
            "code; if you trust where it comes from, add --trust"
        )
    _check_precision(file, place)
    with loading(str(file)):
        program = torch.export.load(file)
        inputs = program.graph_signature.user_inputs
        values = [node.meta["val"] for node in program.graph.nodes if node.name in inputs]
        if len(values) != 1 or values[0].ndim != 4:
            raise InputError(f"{file} takes something other than one batch of pictures")
        batch, _, *sides = values[0].shape
        height, width = _size(file, (sides[0], sides[1]), preparation)
        transform, pixels = file_transform(height, width, preparation)
        program = need("torch.export.passes").move_to_device_pass(program, place.device)
        body = _network(
            _fixed(program.module(), batch if isinstance(batch, int) else None),
            transform,
            replace(place, dtype=values[0].dtype),
        )
    return Loaded(file.stem, body, pixels)


def _fixed(module: Callable[[Any], Any], size: int | None) -> Callable[[Any], Any]:
    """Return a module that takes batches of any size, from one that takes a single size."""
    if size is None:
        return module
    torch = need("torch")

    def run(pictures: Any) -> Any:
        parts = []
        for part in pictures.split(size):
            filler = part[-1:].expand(size - len(part), -1, -1, -1)
            parts.append(_tensor(module(torch.cat([part, filler])))[: len(part)])
        return torch.cat(parts)

    return run


def _pickled(file: Path, place: Place, preparation: Preparation, trust: bool) -> Loaded:
    torch = need("torch")
    content: Any = {}
    if file.suffix.lower() != ".safetensors":
        if trust:  # its classes are often in a module beside it
            import_from_here()
        content = read_pickle(file, trust)
    if isinstance(content, Mapping):
        raise InputError(
            f"{file} holds weights without a network; say whose they are: "
            f"--model timm:NAME --checkpoint {file}"
        )
    if not isinstance(content, torch.nn.Module):
        raise InputError(f"{file} holds a {type(content).__name__}, which is not a torch module")
    height, width = _size(file, (None, None), preparation)
    transform, pixels = file_transform(height, width, preparation)
    with loading(str(file)):
        content.eval().requires_grad_(False).to(device=place.device, dtype=place.dtype)
        body = _network(content, transform, place)
    return Loaded(file.stem, body, pixels)


def _network(module: Callable[[Any], Any], transform: Any, place: Place) -> Network:
    """Return a network around a module that is on its device already and may not be changed.

    It gets pictures with the channels first in memory: a module that was written for them, or
    traced on them, may `view` its results in ways that another order of channels does not allow.
    """
    torch = need("torch")
    return Network(
        torch.nn.Identity(),
        transform,
        place,
        forward=lambda batch: _tensor(module(batch.contiguous())),
    )


def _tensor(output: Any) -> Any:
    """Return the scores in what a module returned: alone, first of several, or named logits."""
    torch = need("torch")
    output = getattr(output, "logits", output)
    if isinstance(output, Mapping) and output:
        output = output.get("logits", next(iter(output.values())))
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not torch.is_tensor(output):
        raise InputError(
            f"the network returned a {type(output).__name__} instead of a tensor of class scores"
        )
    return output


def import_from_here() -> None:
    """Let modules in the current folder be imported, as `python` itself does."""
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


# ONNX ---------------------------------------------------------------------------------------------


def _onnx(file: Path, place: Place, preparation: Preparation) -> Loaded:
    runtime = need("onnxruntime")
    _check_precision(file, place)
    with loading(str(file)):
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about graphs, not results
        session = runtime.InferenceSession(str(file), options, providers=_providers(runtime, place))
    return _Session(file, session, preparation).loaded()


def _providers(runtime: Any, place: Place) -> list[Any]:
    """Return where onnxruntime runs."""
    providers: list[Any] = ["CPUExecutionProvider"]
    if place.device.type == "cuda":
        if "CUDAExecutionProvider" in runtime.get_available_providers():
            return [("CUDAExecutionProvider", {"device_id": place.device.index or 0}), *providers]
        warnings.warn(
            "this onnxruntime has no CUDA, so the model runs on the CPU; pip install "
            "onnxruntime-gpu instead",
            InputWarning,
            stacklevel=2,
        )
    return providers


class _Session:
    """An ONNX network: prepared pictures in, the first output that can be scores out."""

    def __init__(self, file: Path, session: Any, preparation: Preparation) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            named = ", ".join(f"{i.name} {i.shape}" for i in inputs)
            raise InputError(f"{file} takes {named} instead of one batch of pictures")
        batch, *rest = inputs[0].shape
        if rest[0] == 3:
            self._channels_first, sides = True, (rest[1], rest[2])
        elif rest[2] == 3:
            self._channels_first, sides = False, (rest[0], rest[1])
        else:
            raise InputError(f"{file} takes {inputs[0].shape}; pictures have 3 channels")
        if inputs[0].type not in _ONNX_TYPES:
            raise InputError(
                f"{file} takes {inputs[0].type}; export it for float32, float16 or uint8"
            )
        self._file, self._session, self._input = file, session, inputs[0].name
        self._dtype = _ONNX_TYPES[inputs[0].type]
        self._batch = batch if isinstance(batch, int) and batch > 0 else None
        if self._dtype is np.uint8 and (preparation.mean or preparation.std):
            raise OptionError(
                f"mean and std are not used for {file}: it takes bytes and scales them itself"
            )
        outputs = [o.name for o in session.get_outputs() if "float" in o.type or "double" in o.type]
        if not outputs:
            raise InputError(f"{file} returns no floating-point numbers, so no class scores")
        self._output = outputs[0]
        height, width = _size(file, sides, preparation)
        transform, self._pixels = file_transform(height, width, preparation)
        *self._steps, _, scaling = transform.transforms
        self._mean, self._std = (
            np.asarray(values, np.float32) for values in (scaling.mean, scaling.std)
        )

    def loaded(self) -> Loaded:
        return Loaded(self._file.stem, self, self._pixels)

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """Resize and crop; return bytes of shape (height, width, 3)."""
        for step in self._steps:
            picture = step(picture)
        return np.asarray(picture)

    def run(self, batch: list[np.ndarray]) -> np.ndarray:
        """Return the output for the batch."""
        pictures = np.stack(batch)
        if self._dtype is not np.uint8:
            scaled = (pictures.astype(np.float32) / 255 - self._mean) / self._std
            pictures = scaled.astype(self._dtype)
        if self._channels_first:
            pictures = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        parts = [self._run(part)[:count] for part, count in self._parts(pictures)]
        return np.concatenate(parts).astype(np.float32)

    def _run(self, pictures: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run([self._output], {self._input: pictures})[0])

    def _parts(self, pictures: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """Yield batches of the size that the file takes, and how many of their rows count."""
        size = self._batch or len(pictures)
        for start in range(0, len(pictures), size):
            part = pictures[start : start + size]
            filler = np.repeat(part[-1:], size - len(part), axis=0)
            yield np.concatenate([part, filler]), len(part)
