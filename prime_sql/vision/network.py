"""A network on a device: what to install, where to run; prepared pictures in, tensors out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from prime_sql.engine.errors import InstallError, OptionError

if TYPE_CHECKING:
    import torch
    from PIL import Image

# What a tagger returns for an image.
TAGS = pa.list_(pa.struct([("tag", pa.string()), ("score", pa.float32())]))
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")


class Model(Protocol):
    """What turns pictures into an Arrow array: an embedder, a tagger or a classifier.

    Attributes
    ----------
    name
        What the column ``model`` (or ``tagger``) of its rows says.
    returns
        Arrow type of one picture's result.
    pixels
        Size of the shorter side that it looks at; large JPEGs are not decoded much beyond it.
        None decodes every picture in full.
    """

    name: str
    returns: pa.DataType
    pixels: int | None

    def prepare(self, picture: Image.Image) -> Any:
        """Shape one RGB picture for the model; runs in worker threads."""

    def run(self, batch: list[Any]) -> pa.Array:
        """Return one result of type `returns` for each prepared picture of the batch."""


def need(module: str, extra: str = "vision") -> ModuleType:
    """Import a package of an extra.

    Raises
    ------
    InstallError
        When it is not installed; the message has the command that installs it.
    """
    if module.partition(".")[0] in ("open_clip", "timm", "torchvision", "transformers"):
        _declare_missing_operators()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise InstallError(
            f"this needs the package {module}; install it: pip install 'prime-sql[{extra}]'"
        ) from error


def _declare_missing_operators() -> None:
    """Let torchvision be imported beside a CPU-only torch.

    Its wheel does not find its compiled operators there and fails with "operator torchvision::nms
    does not exist". Nothing here detects boxes, so declaring the two operators is enough.
    """
    torch = need("torch")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _libraries.append(library)  # an operator goes with its library
    except ModuleNotFoundError:
        pass  # `need` says so if torchvision itself is wanted


_libraries: list[Any] = []


@dataclass(frozen=True)
class Place:
    """Where a network runs, and in which precision."""

    device: torch.device
    dtype: torch.dtype

    @staticmethod
    def choose(device: str = "auto", precision: str = "auto") -> Place:
        """Return the accelerator if there is one, in bf16 on CUDA; else the CPU.

        Raises
        ------
        OptionError
            When the device is unknown or missing, or the precision is unknown.
        """
        torch = need("torch")
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        if device == "auto":
            device = "cuda" if cuda else "mps" if mps else "cpu"
        kind = device.partition(":")[0]
        if kind not in DEVICES:
            raise OptionError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
        if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
            raise OptionError(f"there is no {kind} device here; use cpu or auto")
        try:
            place = torch.device(device)
        except RuntimeError as error:
            raise OptionError(f"device is {device!r}, which torch does not know") from error
        if kind == "cuda" and (place.index or 0) >= torch.cuda.device_count():
            raise OptionError(f"there is no {device}; torch sees {torch.cuda.device_count()}")
        if precision not in PRECISIONS:
            raise OptionError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}"
            )
        half = precision == "bf16" or (precision == "auto" and kind == "cuda")
        return Place(place, torch.bfloat16 if half else torch.float32)


def batch_size_on(place: Place, batch_size: int | None = None) -> int:
    """Return how many images to give a model at once: the user's number, or the usual one.

    Raises
    ------
    OptionError
        When it is less than one.
    """
    if batch_size is None:
        # On a CPU, small batches stay in its caches.
        return {"cpu": 16, "cuda": 256}.get(place.device.type, 64)
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size


class Network:
    """A torch module with its preprocessing, on a device.

    Pictures travel as bytes and are scaled on the device: they take a quarter of the memory of
    floats, and the threads that decode have less to do.

    Parameters
    ----------
    module
        Takes float images of shape (batch, 3, height, width).
    transform
        What the library that made the module does to a PIL picture, ending in a tensor.
    place
        Device and precision.
    forward
        Called with the images instead of the module itself.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        transform: Any,
        place: Place,
        forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        torch = need("torch")
        self.place = place
        module.eval().requires_grad_(False)
        # Convolutions are faster with the channels last, which is how pictures come.
        module.to(place.device, place.dtype)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._forward = forward or module
        self._before, scaling = _split(transform)
        self._scaling = None
        if scaling is not None:
            mean, std = (
                torch.as_tensor(values, device=place.device, dtype=torch.float32).view(-1, 1, 1)
                for values in scaling
            )
            # (x / 255 - mean) / std as one multiplication and one addition
            self._scaling = (1 / (255 * std), -mean / std)

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """Resize and crop; return bytes of shape (height, width, 3), or a transform's floats."""
        for step in self._before:
            picture = step(picture)
        return np.asarray(picture)

    def run(self, batch: list[np.ndarray]) -> torch.Tensor:
        """Return the module's output for the batch, float32 on the CPU."""
        torch = need("torch")
        with torch.inference_mode():
            pictures = torch.from_numpy(np.stack(batch))
            if self.place.device.type == "cuda":
                pictures = pictures.pin_memory()
            pictures = pictures.to(self.place.device, non_blocking=True)
            if self._scaling is not None:
                pictures = pictures.permute(0, 3, 1, 2)  # a view: channels last in memory
                factor, offset = self._scaling
                pictures = torch.addcmul(offset, pictures.float(), factor)
            output = self._forward(pictures.to(self.place.dtype))
            return output.float().cpu()


def _split(transform: Any) -> tuple[list[Any], tuple[Any, Any] | None]:
    """Return the steps on a PIL picture, and mean and standard deviation of the last step.

    A transform that does not end in ToTensor and Normalize is kept as one step.
    """
    steps = getattr(transform, "transforms", None) or [transform]
    names = [type(step).__name__ for step in steps]
    for to_tensor in ("ToTensor", "MaybeToTensor"):
        if names[-2:] == [to_tensor, "Normalize"]:
            return steps[:-2], (steps[-1].mean, steps[-1].std)
    return [transform], None
