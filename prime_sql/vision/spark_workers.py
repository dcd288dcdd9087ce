"""What runs in the workers of Spark: each process loads a model once, and applies it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from prime_sql.engine import errors
from prime_sql.engine.errors import PrimeSqlError
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.network import TAGS
from prime_sql.vision.specification import Specification, in_this_process
from prime_sql.vision.zero_shot import Sums, ZeroShotTagger

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EXTRA = "spark,vision"

# What each step returns for an image, in Spark's words.
RETURNS = {
    "embed": "array<float>",
    "tag": "array<struct<tag: string, score: float>>",
    "predict": "struct<prediction: string, confidence: float>",
}
_OURS = re.compile(rf"^{re.escape(errors.__name__)}\.(\w+): (.*)$", re.MULTILINE)


def as_column(values: pa.Array) -> pa.ChunkedArray:
    """Return an array in the form that DuckDB passes to functions."""
    return pa.chunked_array([values])


def as_lists(results: pa.Array) -> pa.Array:
    """Return embeddings as lists of any length, as Spark knows no others."""
    if pa.types.is_fixed_size_list(results.type):
        return results.cast(pa.list_(results.type.value_type))
    return results


@dataclass(frozen=True)
class Loaded:
    """What a worker says of the model that it loaded: its name, and what its results depend on."""

    name: str
    settings: str
    note: str


def load(spark: SparkSession, specification: Specification) -> Loaded:
    """Load the model in a worker, whose machine may differ from the driver's.

    Raises
    ------
    PrimeSqlError
        What was raised in the worker.
    """

    def say(_: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        said: list[str]
        try:
            model: Any = in_this_process(specification).model
            classes = getattr(model, "classes_from", None)
            note = f"Names of the classes: {classes}." if classes else ""
            said = ["", model.name, specification.settings(), note]
        except PrimeSqlError as error:
            said = [type(error).__name__, str(error), "", ""]
        yield pa.RecordBatch.from_pylist([dict(zip(names, said, strict=True))])

    names = ["error", "name", "settings", "note"]
    with as_ours():
        rows = spark.range(1, numPartitions=1).mapInArrow(
            say, ", ".join(f"{name} string" for name in names)
        )
        # Not first(): a worker whose output is not read to its end is stopped, with its model.
        (row,) = rows.collect()
    if row["error"]:
        raise getattr(errors, row["error"], PrimeSqlError)(row["name"])
    return Loaded(row["name"], row["settings"], row["note"])


def applied(to_do: DataFrame, specification: Specification) -> DataFrame:
    """Apply a model; return image_id, label, uri, has_source, output and reason."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            # Here, as a partition without images needs no model.
            function = in_this_process(specification)
            sources = batch.column("source")
            outputs = function(as_column(sources))
            reasons = _reasons(function, sources, outputs)
            kept = [batch.column(name) for name in kept_names]
            yield pa.RecordBatch.from_arrays(
                [*kept, as_lists(outputs), reasons], names=[*kept_names, "output", "reason"]
            )

    kept_names = ["image_id", "label", "uri", "has_source"]
    schema = "image_id string, label string, uri string, has_source boolean, "
    return to_do.mapInArrow(apply, f"{schema} output {RETURNS[specification.step]}, reason string")


def _reasons(function: ImageFunction, sources: pa.Array, outputs: pa.Array) -> pa.Array:
    """Take the reasons why results are null from the function."""
    problems: dict[Any, str] = dict(function.problems)
    function.problems.clear()
    missing = outputs.is_null().to_pylist()
    return pa.array(
        [problems.get(sources[i].as_py()) if null else None for i, null in enumerate(missing)],
        pa.string(),
    )


def embedded_texts(
    spark: SparkSession, specification: Specification, prompts: Sequence[str]
) -> np.ndarray:
    """Embed texts in the workers; return unit vectors, float32 of shape (texts, dimensions)."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            clip: Any = in_this_process(specification).model
            vectors = clip.embed_text_array(as_column(batch.column("prompt")))
            yield pa.RecordBatch.from_arrays(
                [batch.column("place"), as_lists(vectors)], names=["place", "embedding"]
            )

    with as_ours():
        places = pa.array(range(len(prompts)), pa.int32())
        texts = pa.table([places, pa.array(prompts, pa.string())], names=["place", "prompt"])
        embedded = spark.createDataFrame(texts).mapInArrow(
            apply, "place int, embedding array<float>"
        )
        # Sorted here, as Spark would embed them twice: to sample what it sorts, and to sort it.
        rows = sorted(embedded.collect(), key=lambda row: row["place"])
        return np.array([row["embedding"] for row in rows], np.float32)


def _vectors(batch: pa.RecordBatch) -> np.ndarray:
    lists = batch.column("embedding")
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(lists), -1)


def sums_over(embedded: DataFrame, tagger: ZeroShotTagger) -> list[Sums]:
    """Return sums over the embeddings, for each label and part of a partition."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = tagger.sums(_vectors(batch), batch.column("label").to_pylist())
            rows = [(s.label, s.images, s.of_similarities.ravel().tolist()) for s in found]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([row[place] for row in rows], kind)
                    for place, kind in enumerate((pa.string(), pa.int64(), pa.list_(pa.float64())))
                ],
                names=["label", "images", "sums"],
            )

    rows = embedded.mapInArrow(apply, "label string, images bigint, sums array<double>").collect()
    return [Sums(r["label"], r["images"], np.array(r["sums"]).reshape(2, -1)) for r in rows]


def tagged(embedded: DataFrame, tagger: ZeroShotTagger) -> DataFrame:
    """Return image_id and output, the tags of each embedding."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            vectors = _vectors(batch)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            tags = tagger(as_column(lists), as_column(batch.column("label")))
            yield pa.RecordBatch.from_arrays(
                [batch.column("image_id"), tags.cast(TAGS)], names=["image_id", "output"]
            )

    return embedded.mapInArrow(apply, f"image_id string, output {RETURNS['tag']}")


@contextmanager
def as_ours() -> Iterator[None]:
    """Raise our own errors as a worker raised them, without the traces of Spark and Python."""
    try:
        yield
    except PrimeSqlError:
        raise
    except Exception as error:
        # The last one: a trace begins with what led to an error, and ends with the error.
        found = _OURS.findall(str(error))
        if not found:
            raise
        name, message = found[-1]
        raise getattr(errors, name, PrimeSqlError)(message.strip()) from error
