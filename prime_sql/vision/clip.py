"""CLIP models of open_clip: images and texts become unit vectors in one space."""

from __future__ import annotations

import json
import logging
import os
import pickle
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from prime_sql.engine.errors import InputError, OptionError, PrimeSqlError, did_you_mean
from prime_sql.vision import clip_folders
from prime_sql.vision.network import Network, Place, need
from prime_sql.vision.settings import fingerprint

if TYPE_CHECKING:
    from PIL import Image

TEXTS = 256  # embedded at once
WEIGHTS = (".safetensors", ".bin", ".pth")  # the suffixes that open_clip looks for in a folder


class Clip:
    """An image tower and a text tower.

    Attributes
    ----------
    name
        ``MODEL/PRETRAINED``, the name of the folder, or the user's name for it.
    dimensions
        Numbers in one embedding.
    returns
        Arrow type of an embedding, a fixed-size list of float32.
    pixels
        Size of the pictures that it looks at.
    """

    def __init__(
        self, module: Any, transform: Any, tokenizer: Any, place: Place, name: str
    ) -> None:
        self.name = name
        self._module, self._tokenizer = module, tokenizer
        self._network = Network(module, transform, place, forward=module.encode_image)
        size = getattr(module.visual, "image_size", None)
        self.pixels: int | None = min(size) if isinstance(size, (tuple, list)) else size
        # Models do not agree on how a tower states its width, so embed one text.
        self.dimensions = self._texts(["a"]).shape[1]
        self.returns = pa.list_(pa.float32(), self.dimensions)

    @staticmethod
    def load(model: str, pretrained: str | None, place: Place, name: str | None = None) -> Clip:
        """Load a model by its open_clip name, from a hub or from a folder.

        Parameters
        ----------
        model
            ``ViT-B-32`` (with `pretrained`), ``hf-hub:ORGANISATION/NAME``, or a folder with
            ``open_clip_config.json`` and weights.
        pretrained
            Name of open_clip's weights for the model, such as ``laion2b_s34b_b79k``, or a
            checkpoint file.
        place
            Device and precision.
        name
            What to call it in tables.

        Raises
        ------
        OptionError
            When open_clip does not know the model or the weights.
        InputError
            When the weights cannot be obtained or do not fit.
        """
        open_clip = need("open_clip")
        place_of_it = model.removeprefix("local-dir:")
        in_folder = os.path.isdir(place_of_it)  # noqa: PTH112  # Path.is_dir raises on long names
        if pretrained is not None and (in_folder or model.startswith("hf-hub:")):
            raise OptionError(
                "a hub's model or a folder has its own weights; leave --pretrained out"
            )
        more: dict[str, Any] = {}
        if in_folder:
            folder = Path(place_of_it).absolute()
            _check_folder(folder)
            given, known_as = f"local-dir:{folder}", folder.name
        elif model.startswith("hf-hub:"):
            given, known_as = model, model.removeprefix("hf-hub:")
        else:
            given, known_as = model, f"{model}/{_weights(open_clip, model, pretrained)}"
            # OpenAI's weights were trained with another GELU than ViT-B-32's configuration has.
            weights = open_clip.get_pretrained_cfg(model, pretrained)
            more = {"force_quick_gelu": weights.get("quick_gelu", False)}
        try:
            if in_folder:
                more = clip_folders.overrides(folder)
            with _quiet():
                # Not create_model_and_transforms, which makes do with random weights.
                module, transform = open_clip.create_model_from_pretrained(
                    given, pretrained=pretrained, weights_only=True, **more
                )
                tokenizer = _tokenizer(open_clip, given)
        except pickle.UnpicklingError as error:
            raise InputError(
                f"cannot load {model}: its weights hold more than tensors, which could run code, "
                "and were not unpickled. Save them as safetensors"
            ) from error
        except Exception as error:  # from a hub, a file system, a configuration, a state dict
            raise InputError(
                f"cannot load {model}: {_why(error)}. A folder with open_clip_config.json and its "
                "weights needs no network"
            ) from error
        return Clip(module, transform, tokenizer, place, name or known_as)

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """Resize and crop one RGB picture."""
        return self._network.prepare(picture)

    def run(self, batch: list[np.ndarray]) -> pa.Array:
        """Return the embeddings of a batch of prepared pictures."""
        return self._as_arrow(self._network.run(batch).numpy())

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, float32 of shape (texts, dimensions)."""
        parts = [self._texts(texts[i : i + TEXTS]) for i in range(0, len(texts), TEXTS)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    def embed_text_array(self, texts: pa.ChunkedArray) -> pa.Array:
        """Return the embeddings of an Arrow array of texts; null for null."""
        there = texts.drop_null().to_pylist()
        found = self._as_arrow(self.embed_texts(there))
        if len(there) == len(texts):
            return found
        place = iter(range(len(there)))
        return found.take(
            pa.array(
                [next(place) if t is not None else None for t in texts.to_pylist()], pa.int64()
            )
        )

    def _texts(self, texts: Sequence[str]) -> np.ndarray:
        torch = need("torch")
        with torch.inference_mode():
            tokens = self._tokenizer(list(texts)).to(self._network.place.device)
            vectors: np.ndarray = self._module.encode_text(tokens).float().cpu().numpy()
        return _unit(vectors, self.name)

    def _as_arrow(self, vectors: np.ndarray) -> pa.Array:
        unit = _unit(vectors, self.name)
        return pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), self.dimensions)


def _unit(vectors: np.ndarray, name: str) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise PrimeSqlError(
            f"{name} gives numbers that are not finite; use --precision fp32, or other weights"
        )
    unit: np.ndarray = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def _tokenizer(open_clip: Any, model: str) -> Any:
    """Return the tokenizer of a model, without running code that comes with its weights."""
    text = (open_clip.get_model_config(model) or {}).get("text_cfg", {})
    # A configuration can ask for that; the argument overrules it.
    safe = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
    return open_clip.get_tokenizer(model, **safe)


def _why(error: Exception, limit: int = 300) -> str:
    """Return the beginning of an error's text; a state dict's error then lists its keys."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".") if len(text) <= limit else f"{text[: limit - 1]}…"


def _check_folder(folder: Path) -> None:
    config = folder / "open_clip_config.json"
    if not config.is_file():
        raise InputError(f"the folder {folder} has no open_clip_config.json")
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{config} is not JSON: {error}") from error
    if not any(file.suffix in WEIGHTS for file in folder.iterdir()):
        raise InputError(
            f"the folder {folder} has no weights: put a file *{', *'.join(WEIGHTS)} beside its "
            "open_clip_config.json"
        )


def _weights(open_clip: Any, model: str, pretrained: str | None) -> str:
    """Return the name of the weights; without any, a model would embed at random."""
    known = open_clip.list_models()
    if not model:
        raise OptionError("name a model, such as ViT-B-32, or a folder")
    if model not in known:
        raise OptionError(
            f"open_clip has no model {model!r}, and there is no such folder."
            f"{did_you_mean(model, known)}"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained is None:
        raise OptionError(
            f"name the weights of {model} with --pretrained: {', '.join(tags) or 'a file'}"
        )
    if pretrained.lower().replace("-", "_") in tags:
        return pretrained.lower().replace("-", "_")  # one name, however it was written
    if os.path.isfile(pretrained):  # noqa: PTH113
        return Path(pretrained).name
    raise OptionError(
        f"{model} has no weights {pretrained!r}, and there is no such file."
        f"{did_you_mean(pretrained, tags)} open_clip has: {', '.join(tags)}."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence open_clip's log and torch's warnings: what matters is in the error."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def weights(model: str, pretrained: str | None) -> dict[str, Any]:
    """Return what a CLIP model's embeddings depend on: its names, and the content of its files."""
    files: list[Path | None] = []
    known_as: list[str] = []
    # A file counts by its content, wherever it is; in names of weights open_clip takes - for _.
    for name in (model.removeprefix("local-dir:"), pretrained or ""):
        there = bool(name) and os.path.exists(name)  # noqa: PTH110  # Path's raises on long names
        files.append(Path(name) if there else None)
        known_as.append(Path(name).absolute().name if there else name.replace("-", "_"))
    return {
        "model": known_as[0],
        "pretrained": known_as[1] or None,
        "files": fingerprint(*files),
    }
