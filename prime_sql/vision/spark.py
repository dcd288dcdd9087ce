"""Models over images in Spark (extras: ``spark``, ``vision``), with the functions DuckDB calls.

`udf` and `register` are for queries of your own; `embed`, `tag_clip`, `tag_ram` and `predict` write
the tables that the steps of the same names write in DuckDB. Each worker process loads a model once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prime_sql.engine.database import Database
from prime_sql.engine.errors import OptionError
from prime_sql.engine.session import Session
from prime_sql.vision.spark_functions import register, udf
from prime_sql.vision.spark_job import ROWS, SparkJob
from prime_sql.vision.spark_workers import EXTRA, RETURNS, embedded_texts
from prime_sql.vision.specification import specify
from prime_sql.vision.steps import Done
from prime_sql.vision.tagging import load_synonyms, written_synonyms
from prime_sql.vision.texts import check_template, load_texts
from prime_sql.vision.zero_shot import ZeroShotTagger, chosen

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = [
    "EXTRA",
    "RETURNS",
    "ROWS",
    "embed",
    "predict",
    "register",
    "tag_clip",
    "tag_ram",
    "udf",
]


def embed(
    images: DataFrame,
    model: str,
    pretrained: str | None = None,
    *,
    into: str | None = None,
    table: str = "embeddings",
    image_id: str = "image_id",
    source: str = "bytes",
    replace: bool = False,
    **options: Any,
) -> Done:
    """Embed the images of a table that a model has not embedded yet.

    Rows go into ``embeddings(image_id, embedding, model)``, and images that cannot be used into
    ``image_problems(image_id, uri, reason, step, model)``: tables of the session's catalog, with a
    partition for each model, which are created if need be.

    Parameters
    ----------
    images
        One row for each image. The workers share out its partitions.
    model, pretrained
        See `Clip.load`.
    into
        The schema, such as ``vision`` or ``catalog.vision``; the session's own if left out.
    table
        Where the rows go.
    image_id, source
        Columns of `images`: the image, and the bytes of its file or a URI that every worker can
        open.
    replace
        Embed all images again, and remove the model's earlier results. Which images are done is
        told by image_id alone: an image with other bytes under the same id needs this.
    options
        name, device, precision, batch_size and threads, as for `prime_sql.vision.embed`. The
        threads are those of one task; if left out, one per core of the task.

    Raises
    ------
    InputError
        When a column is missing, an image_id is null or occurs twice, or a worker cannot obtain
        the weights.
    OptionError
        When an option is out of range, or the table has results of other settings.
    PrimeSqlError
        When the model cannot go on. What was written before stays.
    """
    _refuse(options)
    specification = specify("embed", model, pretrained=pretrained, **options)
    with SparkJob(images, into, image_id, source, None) as job:
        return job.run(specification, table, replace=replace)


def predict(
    images: DataFrame,
    model: str,
    *,
    into: str | None = None,
    table: str = "predictions",
    image_id: str = "image_id",
    source: str = "bytes",
    label: str = "label",
    replace: bool = False,
    **options: Any,
) -> Done:
    """Classify the images of a table that a model has not classified yet.

    Rows go into ``predictions(image_id, label, prediction, confidence, model)``.

    Parameters
    ----------
    images, into, table, image_id, source, replace
        As for `embed`.
    model
        See `loading.load`; each worker must find its checkpoint and labels.
    label
        Column of the class, which is optional.
    options
        Those of the model in `prime_sql.vision.predict`, and those of `embed`.

    Raises
    ------
    InputError, OptionError, PrimeSqlError
        As for `embed`.
    """
    _refuse(options)
    specification = specify("predict", model, **options)
    with SparkJob(images, into, image_id, source, label) as job:
        return job.run(specification, table, replace=replace)


def tag_ram(
    images: DataFrame,
    checkpoint: str,
    *,
    kind: str = "ram",
    synonyms: Any = None,
    into: str | None = None,
    table: str = "tags",
    image_id: str = "image_id",
    source: str = "bytes",
    replace: bool = False,
    **options: Any,
) -> Done:
    """Tag the images of a table that RAM or RAM++ has not tagged yet.

    Rows go into ``tags(image_id, tag, score, tagger)``, and the images that were processed into
    ``tagged_images``.

    Parameters
    ----------
    images, into, table, image_id, source, replace
        As for `embed`.
    checkpoint, kind, synonyms
        As for `prime_sql.vision.tag_ram`.
    options
        Those of `prime_sql.vision.tag_ram`, and those of `embed`.

    Raises
    ------
    InputError, OptionError, PrimeSqlError
        As for `embed`.
    """
    _refuse(options)
    specification = specify("tag", kind, checkpoint=checkpoint, **options)
    same = _read_synonyms(synonyms)
    with SparkJob(images, into, image_id, source, None) as job:
        return job.run(specification, table, replace=replace, synonyms=same)


def tag_clip(
    images: DataFrame,
    vocabulary: Any,
    model: str,
    pretrained: str | None = None,
    *,
    column: str | None = None,
    template: str = "a photo of {}",
    threshold: float | None = None,
    top_k: int | None = None,
    calibrate: str = "all",
    synonyms: Any = None,
    name: str = "clip",
    into: str | None = None,
    table: str = "tags",
    embeddings: str = "embeddings",
    image_id: str = "image_id",
    source: str = "bytes",
    label: str = "label",
    **options: Any,
) -> Done:
    """Tag images with the words of a vocabulary that lie close to them in a CLIP model's space.

    Images that the model has not embedded yet are embedded first. Then all images of the table
    are tagged again, from the embeddings.

    Parameters
    ----------
    images, into, image_id, source, label
        As for `predict`.
    vocabulary, column, model, pretrained, template, threshold, top_k, calibrate, synonyms, name
        As for `prime_sql.vision.tag_clip`.
    table, embeddings
        Where the tags go, and the table of `embed`.
    options
        device, precision, batch_size and threads, as for `embed`.

    Raises
    ------
    InputError, OptionError, PrimeSqlError
        As for `embed`.
    """
    _refuse(options)
    check_template(template)
    threshold, top_k = chosen(threshold, top_k, calibrate)
    specification = specify("embed", model, pretrained=pretrained, **options)
    words, same = _read_words(vocabulary, column), _read_synonyms(synonyms)
    with SparkJob(images, into, image_id, source, label) as job:
        done = job.run(specification, embeddings, replace=False)
        start = time.perf_counter()
        texts = embedded_texts(job.spark, specification, [template.replace("{}", w) for w in words])
        tagger = ZeroShotTagger(words, texts, threshold=threshold, top_k=top_k, calibrate=calibrate)
        count = job.tag(tagger, name, (embeddings, done.model), table, same)
        seconds = done.seconds + time.perf_counter() - start
        return Done("tag", name, table, count, done.problems, seconds)


def _refuse(options: dict[str, Any]) -> None:
    """Refuse options of `load_images`, which has no counterpart here."""
    for name in ("prune", "prune_all", "dry_run"):
        if name in options:
            raise OptionError(
                f"{name} is for images in DuckDB. In Spark the images stay in a table of yours, "
                "which nothing is noted of: leave images that are gone out of it, delete their "
                "results by image_id, and use replace=True where bytes have changed"
            )


# Texts, read by the driver ------------------------------------------------------------------------


def _read_words(vocabulary: Any, column: str | None) -> list[str]:
    with _in_memory() as session:
        load_texts(vocabulary, column, "vocabulary", session)
        return [w for (w,) in session.execute("vocabulary", "from temp.vocabulary order by 1")]


def _read_synonyms(source: Any) -> list[list[str]]:
    with _in_memory() as session:
        load_synonyms(source, session)
        return written_synonyms(session)


@contextmanager
def _in_memory() -> Iterator[Session]:
    database = Database(None)
    try:
        with Session(database.backend) as session:
            yield session
    finally:
        database.discard()
