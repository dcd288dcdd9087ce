"""Weights of networks: read from files without running code, and fitted to a network."""

from __future__ import annotations

import argparse
import contextlib
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prime_sql.engine.errors import InputError, PrimeSqlError, shorten
from prime_sql.vision.network import need

if TYPE_CHECKING:
    import torch

IMAGENET_CLASSES = 1000

# Where training scripts keep the weights in a checkpoint; they test the averaged ones.
_WEIGHTS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")


def weights_in(folder: Path) -> Path:
    """Return the file with the weights in a folder.

    Raises
    ------
    InputError
        When there is none, or there are several.
    """
    for pattern in ("model.safetensors", "*.safetensors", "pytorch_model.bin", "*.bin", "*.pth"):
        files = sorted(folder.glob(pattern))
        if len(files) > 1:
            raise InputError(
                f"{folder} holds {files[0].name} and {files[1].name}; say which with "
                "--checkpoint FILE"
            )
        if files:
            return files[0]
    raise InputError(f"{folder} holds no weights, such as model.safetensors")


@contextlib.contextmanager
def loading(model: str, instead: str = "") -> Iterator[None]:
    """Turn whatever a library raises into the message that `model` could not be loaded."""
    try:
        # torch prints its downloads to where a command's result goes.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except PrimeSqlError:
        raise
    except Exception as error:  # a network, a cache, a file, a configuration: anything
        text = str(error)
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
            raise InputError(
                f"{model} holds pickled Python objects, which can run code when they are read; "
                "have its weights saved as safetensors"
            ) from error
        if "trust_remote_code" in text:
            instead = "; if you trust where it comes from, let it run its own code with --trust"
        raise InputError(f"{model} could not be loaded: {reason(error)}{instead}") from error


def reason(error: BaseException) -> str:
    """Return the meaningful lines of an error."""
    lines = [line.strip() for line in str(error).splitlines()]
    inner = [line for line in lines if re.match(r"\w+Error: ", line)]  # TorchScript's own traceback
    text = " ".join(filter(None, inner[-1:] or lines[:2])) or type(error).__name__
    if isinstance(error, KeyError):
        text = f"KeyError {text}"
    return (text if len(text) <= 300 else f"{text[:299]}…").rstrip(".:;")


def read_pickle(file: Path, trust: bool) -> Any:
    """Read a file that torch.save wrote.

    Raises
    ------
    InputError
        When it is damaged, or holds more than tensors and plain values and is not trusted.
    """
    torch = need("torch")
    try:
        # timm's and torchvision's training scripts save their arguments with the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        if trust:
            raise InputError(f"{file} could not be read: {reason(error)}") from error
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"holds {named[1]}, more" if named else "is damaged, or holds more"
        raise InputError(
            f"{file} {what} than tensors: pickled Python objects, which can run code when they are "
            "read; if you trust where it comes from, add --trust"
        ) from error
    except Exception as error:  # not torch's at all, cut off, classes that are missing
        raise InputError(f"{file} could not be read by torch: {reason(error)}") from error


def read_weights(file: Path, trust: bool) -> dict[str, torch.Tensor]:
    """Read the weights in a checkpoint: a safetensors file, or one that torch.save wrote.

    Raises
    ------
    InputError
        When there are none, or reading them could run code and the file is not trusted.
    """
    torch = need("torch")
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    content: Any
    if file.suffix.lower() == ".safetensors":
        try:
            content = need("safetensors.torch").load_file(file)
        except Exception as error:
            raise InputError(f"{file} is damaged: {reason(error)}") from error
    else:
        content = read_pickle(file, trust)
    if isinstance(content, Mapping):
        nested = [content.get(key) for key in _WEIGHTS]
        content = next(
            (part for part in nested if isinstance(part, (Mapping, torch.nn.Module))), content
        )
    if isinstance(content, torch.nn.Module):
        content = content.state_dict()
    weights = {}
    if isinstance(content, Mapping):
        weights = {key: value for key, value in content.items() if torch.is_tensor(value)}
    if not weights:
        raise InputError(f"{file} holds no weights, only {shorten(content)}")
    return weights


def fitted(build: Callable[[int], Any], weights: Mapping[str, torch.Tensor], complaint: str) -> Any:
    """Build a network with as many classes as the weights have, and load them into it."""
    network = build(IMAGENET_CLASSES)
    own = network.state_dict()
    weights = _unwrapped(weights, own)
    # The layers that differ only in their outputs are the last ones, whatever their names.
    classes = {
        len(weights[key])
        for key, tensor in own.items()
        if tensor.shape[:1] == (IMAGENET_CLASSES,)
        and key in weights
        and weights[key].shape[:1] != tensor.shape[:1]
        and weights[key].shape[1:] == tensor.shape[1:]
    }
    if len(classes) == 1:
        network = build(classes.pop())
    try:
        missing, unexpected = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # shapes; the first line only names the class
        raise InputError(f"{complaint}: {str(error).splitlines()[1].strip()}") from error
    # Old checkpoints lack the number of batches that they were trained on, which is not used.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        lacks = f"it lacks {len(missing)} weights such as {missing[0]}" if missing else ""
        has = f"it has {len(unexpected)} more such as {unexpected[0]}" if unexpected else ""
        raise InputError(f"{complaint}: {' and '.join(filter(None, (lacks, has)))}")
    return network


def _unwrapped(
    weights: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Remove the prefix under which a trainer keeps the network: ``module.``, ``model.``, …"""
    first = next(iter(own))
    found = [key for key in weights if key.endswith(f".{first}")]
    if first in weights or len(found) != 1:
        return weights
    prefix = found[0].removesuffix(first)
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }
