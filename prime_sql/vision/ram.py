"""RAM and RAM++, taggers of the package recognize-anything: pictures in, scored tags out."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from prime_sql.engine.errors import InputError, InstallError, OptionError
from prime_sql.vision.network import TAGS, Network, Place, need

if TYPE_CHECKING:
    import torch
    from PIL import Image


# The function of ram.models that builds it, the published checkpoint and where that is.
KINDS = {
    "ram": (
        "ram",
        "ram_swin_large_14m.pth",
        "https://huggingface.co/spaces/xinyu1205/Recognize_Anything-Tag2Text",
    ),
    "ram++": (
        "ram_plus",
        "ram_plus_swin_large_14m.pth",
        "https://huggingface.co/xinyu1205/recognize-anything-plus-model",
    ),
}
IMAGE_SIZES = (224, 384)  # the package has configurations of Swin-L for these two
EXTRA_TAG_THRESHOLD = 0.5  # what the package uses for tags that the model was not trained on
INSTALL = "pip install git+https://github.com/xinyu1205/recognize-anything.git"
_INSTALL_IT = f"install it: {INSTALL}"
_BROKEN = "the package ram does not work here"
CLIP = "git+https://github.com/openai/CLIP.git"  # PyPI's clip is something else


class RamTagger:
    """RAM or RAM++ as a `Model`: every tag above its threshold, with its score.

    The package's ``generate_tag`` returns only names, so the logits are read off the last layer
    while it runs. Scores are their sigmoids, to which the package applies its thresholds.

    Parameters
    ----------
    kind
        ``ram`` or ``ram++``, as the column ``tagger`` says.
    model
        What ``ram.models.ram`` or ``ram_plus`` return.
    transform
        What the package does to a picture.
    pixels
        Side of the square that the model sees.
    place
        Device and precision.
    threshold
        A tag is kept above it; None uses the model's own threshold of each tag.
    """

    returns = TAGS

    def __init__(
        self,
        kind: str,
        model: Any,
        transform: Any,
        pixels: int,
        place: Place,
        threshold: float | None = None,
    ) -> None:
        self.name = kind
        self.pixels: int | None = pixels
        self._model = model
        self._dtype = place.dtype
        # Weights stay float32, as the package mixes in float32; autocast does the rest.
        place = Place(place.device, need("torch").float32)
        self._network = Network(model, transform, place, self._logits)
        names = [str(tag) for tag in self._model.tag_list]
        self._tags = pa.array(names, pa.string())
        self._rank = np.empty(len(names), np.int64)
        self._rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        if threshold is None:
            self._thresholds = model.class_threshold.float().cpu().numpy().copy()
        else:
            self._thresholds = np.full(len(names), threshold, dtype=np.float32)
        self._thresholds[list(self._model.delete_tag_index)] = np.inf

    @staticmethod
    def load(
        kind: str,
        checkpoint: Path,
        *,
        image_size: int = 384,
        threshold: float | None = None,
        extra_tags: Sequence[str] = (),
        place: Place | None = None,
        trust: bool = False,
    ) -> RamTagger:
        """Build a tagger from a published checkpoint, or from one fine-tuned from it.

        Parameters
        ----------
        kind
            ``ram`` or ``ram++``.
        checkpoint
            File with its weights, for the large Swin encoder.
        image_size
            384, which the published weights were trained on, or 224, for which the package needs
            a SciPy below 1.14 to interpolate them.
        threshold
            From 0 to below 1, for all tags; None for the model's own threshold of each tag, and
            0.5 for the extra ones.
        extra_tags
            Scored in addition to the model's tags; tags that the model knows stay as they are. A
            tag is represented by CLIP's mean of its name in many sentences. RAM++ knows each of
            its own tags by 51 descriptions, which a name alone does not have: it scores an extra
            tag as one with a single description, less reliably than its own.
        place
            Device and precision; the best available if None.
        trust
            Unpickle whatever the checkpoint holds, not only weights; this may run code.

        Raises
        ------
        OptionError
            When an option is out of range.
        InputError
            When the checkpoint is missing, holds more than weights, or does not fit.
        InstallError
            When the package, or something that it needs, is missing or too new for it.
        """
        if kind not in KINDS:
            raise OptionError(f"kind must be ram or ram++, got {kind!r}")
        if image_size not in IMAGE_SIZES:
            raise OptionError(f"image_size of {kind} must be 224 or 384, got {image_size}")
        if threshold is not None and not 0 <= threshold < 1:
            raise OptionError(f"threshold must be from 0 to below 1, got {threshold}")
        if isinstance(extra_tags, str) or not all(tag.strip() for tag in extra_tags):
            raise OptionError(f"extra_tags must be a list of names, got {extra_tags!r}")
        place = place or Place.choose()
        builder, published, where = KINDS[kind]
        checkpoint = Path(checkpoint)
        if not checkpoint.is_file():
            raise InputError(f"there is no checkpoint {checkpoint}; get {published} from {where}")
        build = getattr(_module("ram.models"), builder, None)
        if build is None:
            raise InstallError(f"the installed package ram has no {kind}; {_INSTALL_IT}")
        get_transform = _module("ram.transform").get_transform
        with _quietly(), _unpickling(trust):
            try:
                model = build(pretrained=str(checkpoint), image_size=image_size, vit="swin_l")
            except pickle.UnpicklingError as error:
                hint = "" if trust else " (trust reads such a file too, which may run code from it)"
                raise InputError(f"checkpoint {checkpoint} is not weights alone{hint}") from error
            except (AttributeError, NotImplementedError, OSError) as error:
                raise InstallError(f"{_BROKEN}: {_first(error)}") from error
            except (LookupError, TypeError, RuntimeError, EOFError) as error:
                raise _unfit(checkpoint, kind, f": {_first(error)}") from error
        # The package loads what has the right name, and does not mention the rest.
        if not model.label_embed.any():
            raise _unfit(checkpoint, kind, ", it has no label_embed")
        known_tags = set(model.tag_list.tolist())
        extra = [tag for tag in dict.fromkeys(extra_tags) if tag not in known_tags]
        if extra:
            _add(model, extra)
        return RamTagger(kind, model, get_transform(image_size), image_size, place, threshold)

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """Resize to the square that the model sees."""
        return self._network.prepare(picture)

    def run(self, batch: list[Any]) -> pa.Array:
        """Return each picture's tags, highest score first, then by name."""
        scores = self._network.run(batch).sigmoid().numpy()
        picture, tag = np.nonzero(scores > self._thresholds)
        order = np.lexsort((self._rank[tag], -scores[picture, tag], picture))
        picture, tag = picture[order], tag[order]
        ends = np.searchsorted(picture, np.arange(len(batch) + 1))
        tags = pa.StructArray.from_arrays(
            [self._tags.take(pa.array(tag)), pa.array(scores[picture, tag], pa.float32())],
            fields=list(TAGS.value_type),
        )
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), tags)

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits, of shape (batch, tags)."""
        autocast = need("torch").autocast
        half = self._dtype.itemsize < 4
        seen: list[torch.Tensor] = []
        hook = self._model.fc.register_forward_hook(lambda _layer, _in, out: seen.append(out))
        try:
            with autocast(images.device.type, dtype=self._dtype, enabled=half):
                self._model.generate_tag(images)
        finally:
            hook.remove()
        (logits,) = seen  # of shape (batch, tags, 1)
        return logits.squeeze(-1)


def _add(model: Any, tags: list[str]) -> None:
    """Add tags to the model's list.

    Each tag is scored by itself: the decoder's layers attend to the picture, not to other tags.
    """
    torch = need("torch")
    embed = _module("ram.utils").build_openset_label_embedding
    with _quietly():
        try:
            added = embed(tags)[0].detach().float().cpu()
        except RuntimeError as error:  # a tag that is too long for CLIP, for example
            raise OptionError(f"extra_tags cannot be embedded: {_first(error)}") from error
    # RAM++ weighs a tag's descriptions by a softmax; equal ones amount to a single one.
    descriptions = len(model.label_embed) // model.num_class
    added = added.repeat_interleave(descriptions, dim=0)
    labels = torch.cat([model.label_embed.detach(), added])
    model.label_embed = torch.nn.Parameter(labels, requires_grad=False)
    thresholds = torch.full((len(tags),), EXTRA_TAG_THRESHOLD)
    model.class_threshold = torch.cat([model.class_threshold, thresholds])
    model.tag_list = np.concatenate([model.tag_list, tags])
    # generate_tag looks every tag up in both lists.
    model.tag_list_chinese = np.concatenate([model.tag_list_chinese, tags])
    model.num_class += len(tags)


def _module(name: str) -> ModuleType:
    """Import a module of the package ram."""
    need("torchvision")  # before the package does: with a CPU-only torch it needs help
    try:
        with _quietly():
            return importlib.import_module(name)
    except ImportError as error:
        if error.name == "ram":
            raise InstallError(f"RAM needs the package ram; {_INSTALL_IT}") from error
        if isinstance(error, ModuleNotFoundError) and error.name:
            if error.name.startswith("ram."):
                message = f"the installed package ram is a different one; {_INSTALL_IT}"
            else:
                missing = CLIP if error.name == "clip" else error.name
                message = f"the package ram needs {error.name}; install it: pip install {missing}"
            raise InstallError(message) from error
        raise InstallError(
            f"{_BROKEN}: {_first(error)}; it was made for transformers 4.25 and breaks from 4.56 on"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the package's prints off the output, and the process's warnings on.

    It prints every layer, and switches all warnings off as it is imported.
    """
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _unpickling(trust: bool) -> Iterator[None]:
    """Decide what the package's ``torch.load``, which does not say, may unpickle.

    Before torch 2.6 that means anything, since then only weights; this is torch's own switch.
    """
    safe, unsafe = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = {name: os.environ.pop(name, None) for name in (safe, unsafe)}
    os.environ[unsafe if trust else safe] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _unfit(checkpoint: Path, kind: str, why: str) -> InputError:
    return InputError(f"checkpoint {checkpoint} is not one of {kind} with the large Swin{why}")


def _first(error: Exception, limit: int = 200) -> str:
    """Return the beginning of an error's text, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
