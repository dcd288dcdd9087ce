"""What it takes to load a model, so that every process can have its own.

A loaded model cannot travel to the workers of a cluster, but its specification can: each worker
process loads the model once, with a thread for each core that it was given.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from prime_sql.engine.errors import OptionError, did_you_mean
from prime_sql.vision import loading
from prime_sql.vision.clip import Clip, weights
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.network import TAGS, Model, Place, batch_size_on, need
from prime_sql.vision.ram import KINDS, RamTagger
from prime_sql.vision.settings import fingerprint
from prime_sql.vision.texts import check_template
from prime_sql.vision.zero_shot import ZeroShotTagger, chosen

if TYPE_CHECKING:
    from PIL import Image

MODELS_IN_MEMORY = 4  # of one process; the least recently used goes first


@dataclass(frozen=True)
class Specification:
    """What a model is loaded from; made by `specify`.

    Attributes
    ----------
    step
        embed, tag or predict.
    model
        Its name, as for that step.
    options
        What else was given: pairs of a name and a value.
    """

    step: str
    model: str
    options: tuple[tuple[str, Any], ...]

    def load(self) -> Model:
        """Load the model into this process.

        Raises
        ------
        PrimeSqlError
            When it cannot be obtained, with the message of the step in DuckDB.
        """
        given = dict(self.options)
        place = Place.choose(given.pop("device", "auto"), given.pop("precision", "auto"))
        for name in _ABOUT_BATCHES:
            given.pop(name, None)
        files = {n: Path(given[n]) for n in ("checkpoint", "labels") if n in given}
        return _LOADERS[self.step](self.model, place=place, **given | files)

    @property
    def batches(self) -> dict[str, Any]:
        """How the function over the model is to work: options of an `ImageFunction`."""
        given = dict(self.options)
        place = Place.choose(given.get("device", "auto"), given.get("precision", "auto"))
        return {
            "batch_size": batch_size_on(place, given.get("batch_size")),
            "threads": given.get("threads"),
            "beside": place.device.type != "cpu",
        }

    def settings(self) -> str:
        """Return what the model's results depend on, with the content of its files, as JSON."""
        given = {n: v for n, v in self.options if n not in (*_ABOUT_BATCHES, "device", "precision")}
        if self.step == "embed":
            settings = weights(self.model, given.get("pretrained"))
        else:
            texts = [self.model, *(str(v) for n, v in given.items() if n in _FILES)]
            files = [Path(text) for text in texts if os.path.exists(text)]  # noqa: PTH110
            kept = {n: v for n, v in given.items() if n not in (*_FILES, "name", "trust")}
            name = Path(self.model).name
            settings = {"model": name, "files": fingerprint(*files), **kept}
            code = loading.code_of(self.model) if self.step == "predict" else None
            if code is not None:
                settings["code"] = code
        return json.dumps(settings, sort_keys=True, default=str)


def specify(step: str, model: str, /, **options: Any) -> Specification:
    """Say which model, without loading it: for `register`, and for the steps in Spark.

    Parameters
    ----------
    step
        ``embed``, ``tag`` or ``predict``.
    model
        As for `embed` and `predict`. For ``tag`` a CLIP model with `vocabulary`, or ``ram`` or
        ``ram++`` with `checkpoint`.
    options
        device, precision, batch_size and threads, as for `embed`. For ``embed``: pretrained and
        name. For ``predict``: those of the model, see `loading.load`. For ``tag``: those of
        `RamTagger.load`; or with a CLIP model pretrained, vocabulary (a list of tags), template,
        threshold and top_k. Its scores are cosine similarities: a single image has no mean to
        compare with, as `tag_clip` does.

    Returns
    -------
    Specification
        Small, and the same everywhere: its paths are those of the process that loads it.

    Raises
    ------
    OptionError
        When there is no such step, or it has no such option.
    """
    if step not in _LOADERS:
        steps = ", ".join(_LOADERS)
        raise OptionError(f"step must be one of {steps}, got {step!r}")
    takes = inspect.signature(_LOADERS[step]).parameters
    known = [*(n for n in takes if n not in ("model", "place")), *_OF_EVERY_STEP]
    for name in options:
        if name not in known:
            raise OptionError(
                f"{step} has no option {name!r}.{did_you_mean(name, known)} "
                f"It has: {', '.join(known)}."
            )
    for name in _ABOUT_BATCHES:
        if options.get(name) is not None and options[name] < 1:
            raise OptionError(f"{name} must be at least 1, got {options[name]}")
    if step == "tag" and model not in KINDS:
        if not options.get("vocabulary"):
            raise OptionError(
                f"tag with {model!r} needs a vocabulary, a list of tags; taggers that bring their "
                f"own are {' and '.join(KINDS)}"
            )
        check_template(options.get("template", _TEMPLATE))
    return Specification(
        step,
        os.fspath(model),
        tuple(sorted((n, _frozen(v)) for n, v in options.items() if v is not None)),
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(value) if isinstance(value, list) else value


# Loading ------------------------------------------------------------------------------------------

_TEMPLATE = "a photo of {}"


def _embedder(
    model: str, *, place: Place, pretrained: str | None = None, name: str | None = None
) -> Model:
    return Clip.load(model, pretrained, place, name)


def _tagger(
    model: str,
    *,
    place: Place,
    vocabulary: Sequence[str] = (),
    pretrained: str | None = None,
    template: str = _TEMPLATE,
    threshold: float | None = None,
    top_k: int | None = None,
    checkpoint: Path | None = None,
    image_size: int = 384,
    extra_tags: Sequence[str] = (),
    trust: bool = False,
    name: str | None = None,
) -> Model:
    if model not in KINDS:
        threshold, top_k = chosen(threshold, top_k, "none")
        return ClipTagger(
            Clip.load(model, pretrained, place, name or "clip"),
            vocabulary,
            template=template,
            threshold=threshold,
            top_k=top_k,
        )
    if checkpoint is None:
        raise OptionError(f"{model} needs a checkpoint, the file with its weights")
    tagger = RamTagger.load(
        model,
        checkpoint,
        image_size=image_size,
        threshold=threshold,
        extra_tags=extra_tags,
        place=place,
        trust=trust,
    )
    tagger.name = name or model
    return tagger


_LOADERS: dict[str, Callable[..., Model]] = {
    "embed": _embedder,
    "tag": _tagger,
    "predict": loading.load,
}
_ABOUT_BATCHES = ("batch_size", "threads")
_OF_EVERY_STEP = ("device", "precision", *_ABOUT_BATCHES)
_FILES = ("checkpoint", "labels", "pretrained")


class ClipTagger:
    """A CLIP model and a vocabulary as a tagger of single images: tags and cosine similarities."""

    returns = TAGS

    def __init__(
        self,
        clip: Clip,
        vocabulary: Sequence[str],
        *,
        template: str,
        threshold: float | None,
        top_k: int | None,
    ) -> None:
        self.name, self.pixels, self._clip = clip.name, clip.pixels, clip
        texts = clip.embed_texts([template.replace("{}", word) for word in vocabulary])
        self._tagger = ZeroShotTagger(
            vocabulary, texts, threshold=threshold, top_k=top_k, calibrate="none"
        )

    def prepare(self, picture: Image.Image) -> Any:
        """Resize and crop one RGB picture."""
        return self._clip.prepare(picture)

    def run(self, batch: list[Any]) -> pa.Array:
        """Return the tags of each prepared picture, with their scores."""
        embeddings = pa.chunked_array([self._clip.run(batch)])
        return self._tagger(embeddings, pa.chunked_array([pa.nulls(len(batch), pa.string())]))


# In a worker of a cluster -------------------------------------------------------------------------


@lru_cache(maxsize=MODELS_IN_MEMORY)
def in_this_process(specification: Specification) -> ImageFunction:
    """Return the function of a model that this process has loaded, or loads now."""
    cores = _cores_of_the_task()
    if cores is not None:
        # Several workers share a machine; if each took all cores, all would be slower.
        need("torch").set_num_threads(cores)
    batches = specification.batches
    batches["threads"] = batches["threads"] or cores
    return ImageFunction.over(specification.load(), specification.step, **batches)


def _cores_of_the_task() -> int | None:
    if "pyspark" not in sys.modules:
        return None
    from pyspark import TaskContext

    task = TaskContext.get()
    return None if task is None else task.cpus()
