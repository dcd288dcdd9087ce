"""Models over images in Spark (extras: ``spark``, ``vision``): the functions that DuckDB calls.

`udf` and `register` are for queries of your own; `embed`, `tag_clip`, `tag_ram` and `predict` write
the tables that the steps of the same names write in DuckDB. Each worker process loads a model once.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from prime_sql import errors, queries
from prime_sql.errors import InputError, OptionError, PrimeSqlError, did_you_mean
from prime_sql.vision.embed import check_template
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.network import TAGS, need
from prime_sql.vision.specification import Specification, in_this_process, specify
from prime_sql.vision.steps import Done
from prime_sql.vision.tag import load_synonyms, written_synonyms
from prime_sql.vision.texts import load_texts
from prime_sql.vision.zero_shot import Sums, ZeroShotTagger, chosen
from prime_sql.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

EXTRA = "spark,vision"
ROWS = 256  # images in one Arrow batch, which the memory must hold; Spark's default is 10,000
_ROWS_SETTING = "spark.sql.execution.arrow.maxRecordsPerBatch"

# What each step returns for an image, in Spark's words.
RETURNS = {
    "embed": "array<float>",
    "tag": "array<struct<tag: string, score: float>>",
    "predict": "struct<prediction: string, confidence: float>",
}
_OURS = re.compile(r"^(?:prime_sql\.errors\.)(\w+): (.*)$", re.MULTILINE)


# For queries of one's own -------------------------------------------------------------------------


def udf(specification: Specification) -> Callable[[Column | str], Column]:
    """Return a model as a function of Spark's columns: ``classify("bytes")``.

    It takes a column of bytes of files, or of URIs that every worker can open. An image that
    cannot be used gives null; of ``predict``, whose result is a struct, both fields are null.

    Parameters
    ----------
    specification
        From `specify`. Wherever a worker loads the model, its paths must be.

    Raises
    ------
    InstallError
        When PySpark is not installed.
    """
    function: Callable[[Column | str], Column] = _pandas_udf(
        specification.step, _images_of(specification)
    )
    return function


def register(session: Any, specification: Specification, name: str) -> None:
    """Let SQL in Spark call a model: ``select clip_embed(bytes) from images``.

    A worker loads the model first, so that a wrong name is told at once. A model that embeds texts,
    too, gets a second function, ``NAME_text``. A function of the same name is replaced.

    Parameters
    ----------
    session
        A SparkSession, or Ibis' connection of one: Ibis calls the function by its name, see
        ``ibis.udf.scalar.builtin``.
    specification, name
        See `udf`; the function's name.

    Raises
    ------
    PrimeSqlError
        When a worker cannot load the model.
    """
    spark = getattr(session, "_session", session)
    _loaded(spark, specification)
    spark.udf.register(name, _pandas_udf(specification.step, _images_of(specification)))
    if specification.step == "embed":
        spark.udf.register(f"{name}_text", _pandas_udf("embed", _texts_of(specification)))


def _pandas_udf(step: str, apply: Callable[[pa.ChunkedArray], pa.Array]) -> Any:
    # Spark's Arrow functions come with 4.1; until then results go through pandas.
    functions = need("pyspark.sql.functions", EXTRA)

    def frames(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            results = apply(_column(pa.Array.from_pandas(batch)))
            rows = pa.chunked_array([results]).combine_chunks().flatten()
            names = [field.name for field in results.type]
            yield pd.DataFrame({n: r.to_pandas() for n, r in zip(names, rows, strict=True)})

    def series(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for batch in batches:
            results = apply(_column(pa.Array.from_pandas(batch)))
            listed = results.to_pylist() if step == "tag" else _lists(results).to_pandas()
            yield pd.Series(listed, dtype=object)

    return functions.pandas_udf(frames if step == "predict" else series, RETURNS[step])


def _images_of(specification: Specification) -> Callable[[pa.ChunkedArray], pa.Array]:
    def apply(column: pa.ChunkedArray) -> pa.Array:
        function = in_this_process(specification)
        results = function(column)
        function.problems.clear()  # nobody asks for them
        return results

    return apply


def _texts_of(specification: Specification) -> Callable[[pa.ChunkedArray], pa.Array]:
    def apply(column: pa.ChunkedArray) -> pa.Array:
        clip: Any = in_this_process(specification).model
        return clip.embed_text_array(column)

    return apply


def _column(values: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([values])


def _lists(results: pa.Array) -> pa.Array:
    """Return embeddings as lists of any length, the only ones that Spark knows."""
    if pa.types.is_fixed_size_list(results.type):
        return results.cast(pa.list_(results.type.value_type))
    return results


# Tables -------------------------------------------------------------------------------------------


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
    partition for each model. They are made if need be.

    Parameters
    ----------
    images
        One row for each image. Its partitions are what the workers share out.
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
        Embed all images anew; what the model did before goes.
    options
        name, device, precision, batch_size and threads, as for `prime_sql.vision.embed`. The
        threads are those of one task, as many as it has cores if left out.

    Raises
    ------
    InputError
        When a column is missing, an image_id is null or there twice, or no worker can have the
        weights.
    OptionError
        When an option is out of range, or the table has results of other settings.
    PrimeSqlError
        When the model cannot go on. What was written before stays.
    """
    specification = specify("embed", model, pretrained=pretrained, **options)
    with _Images(images, into, image_id, source, None) as job:
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
        See `classifiers.load`; its checkpoint and labels must be where each worker finds them.
    label
        Column of the class; it need not be there.
    options
        Those of the model in `prime_sql.vision.predict`, and those of `embed`.

    Raises
    ------
    InputError, OptionError, PrimeSqlError
        As for `embed`.
    """
    specification = specify("predict", model, **options)
    with _Images(images, into, image_id, source, label) as job:
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

    Rows go into ``tags(image_id, tag, score, tagger)``, and the images that were seen into
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
    specification = specify("tag", kind, checkpoint=checkpoint, **options)
    same = _read_synonyms(synonyms)
    with _Images(images, into, image_id, source, None) as job:
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

    Images that the model has not embedded yet are embedded first. From the embeddings all images
    of the table are tagged anew.

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
    check_template(template)
    threshold, top_k = chosen(threshold, top_k, calibrate)
    specification = specify("embed", model, pretrained=pretrained, **options)
    words, same = _read_words(vocabulary, column), _read_synonyms(synonyms)
    with _Images(images, into, image_id, source, label) as job:
        done = job.run(specification, embeddings, replace=False)
        start = time.perf_counter()
        texts = _embedded_texts(
            job.spark, specification, [template.replace("{}", w) for w in words]
        )
        tagger = ZeroShotTagger(words, texts, threshold=threshold, top_k=top_k, calibrate=calibrate)
        count = job.tag(tagger, name, (embeddings, done.model), table, same)
        seconds = done.seconds + time.perf_counter() - start
        return Done("tag", name, table, count, done.problems, seconds)


# A job --------------------------------------------------------------------------------------------

_MODEL_COLUMN = {"embed": "model", "tag": "tagger", "predict": "model"}
_TABLES = {"embed": "embeddings", "tag": "tags", "predict": "predictions"}
_WRITES = {"embed": "embedded", "tag": "tagged", "predict": "predicted"}


class _Images:
    """A table of images in Spark and the schema that results go into, while a step runs."""

    def __init__(
        self, images: DataFrame, into: str | None, image_id: str, source: str, label: str | None
    ) -> None:
        if not hasattr(images, "mapInArrow"):
            raise InputError(
                f"images is a {type(images).__name__}; give a Spark DataFrame, such as "
                "spark.table('images')"
            )
        self.spark: SparkSession = images.sparkSession
        self._schema = tuple(into.split(".")) if into else ()
        self._images = _selected(images, image_id, source, label)
        self._closing = ExitStack()

    def __enter__(self) -> _Images:
        with _as_ours():
            self._check()
        setting = self.spark.conf.get(_ROWS_SETTING)
        # A batch of Spark's size would hold gigabytes of pictures.
        rows = int(setting or 0)
        self.spark.conf.set(_ROWS_SETTING, str(rows if 0 < rows < ROWS else ROWS))
        self._closing.callback(self.spark.conf.set, _ROWS_SETTING, setting)
        self._view("images", self._images)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _check(self) -> None:
        F = need("pyspark.sql.functions", EXTRA)  # noqa: N806  # as all of Spark's users call it
        rows, ids, different = self._images.agg(
            F.count(F.lit(1)), F.count("image_id"), F.count_distinct("image_id")
        ).first()
        if ids < rows:
            raise InputError(
                f"images: {rows - ids:,} of {rows:,} rows have no image_id; fill it in or leave "
                "them out"
            )
        if different < ids:
            raise InputError(
                f"images: {ids - different:,} of {rows:,} rows have an image_id that another row "
                "has; leave one row for each image"
            )

    def _view(self, name: str, frame: DataFrame) -> None:
        frame.createOrReplaceTempView(f"prime_sql_{name}")
        self._closing.callback(self.spark.catalog.dropTempView, f"prime_sql_{name}")

    def _named(self, table: str) -> tuple[str, ...]:
        return (*self._schema, table)

    def _script(self, name: str, **values: Any) -> None:
        for statement in queries.statements(_render(name, **values), "spark"):
            self.spark.sql(statement)

    def run(
        self,
        specification: Specification,
        table: str,
        *,
        replace: bool,
        synonyms: list[list[str]] | None = None,
    ) -> Done:
        """Apply a model to the images that it has not done yet, and write what it returns."""
        start = time.perf_counter()
        step = specification.step
        loaded = _loaded(self.spark, specification)
        with _as_ours():
            self._make(step, table)
            seen_in = "tagged_images" if step == "tag" else table
            self._settle(table, loaded, synonyms or [], replace=replace)
            to_do = _render(
                "to_do",
                table=self._named(seen_in),
                model_column=_MODEL_COLUMN[step],
                model=loaded.name,
                replace=replace,
                in_bytes=self._images.schema["source"].dataType.typeName() == "binary",
            )
            outputs = _applied(self.spark.sql(to_do), specification)
            with self._kept(outputs):
                counts = self.spark.sql(
                    "select count(*), count(output) from prime_sql_outputs"
                ).first()
                assert counts is not None
                images, good = counts
                self._write(step, table, loaded.name, synonyms or [], replace=replace)
                values = {"problems": self._named("image_problems"), "step": step}
                found = self.spark.sql(_render("problems", model=loaded.name, **values))
                # Cut off from the table, which is written while it is read otherwise.
                self._view("problems", found.localCheckpoint())
                self._script("note_problems", model=loaded.name, **values)
        seconds = time.perf_counter() - start
        return Done(step, loaded.name, table, good, images - good, seconds, loaded.note)

    def tag(
        self,
        tagger: ZeroShotTagger,
        name: str,
        embedded: tuple[str, str],
        table: str,
        synonyms: list[list[str]],
    ) -> int:
        """Tag all images from their embeddings; return how many."""
        with _as_ours():
            self._make("tag", table)
            embeddings, model = embedded
            rows = self.spark.table(queries.identifier(self._named(embeddings), "spark"))
            own = rows.where(rows.model == model).select("image_id", "embedding")
            own = own.join(self._images.select("image_id", "label"), "image_id")
            tagger.fit_sums(_sums(own, tagger))
            with self._kept(_tagged(own, tagger)):
                self._write("tag", table, name, synonyms, replace=True)
                count = self.spark.sql("select count(*) from prime_sql_outputs").first()
        assert count is not None
        return int(count[0])

    def _make(self, step: str, table: str) -> None:
        self._script("images", problems=self._named("image_problems"))
        name = self._named(table)
        tagged = {"tagged_images": self._named("tagged_images")} if step == "tag" else {}
        self._script(_TABLES[step], table=name, **tagged)
        there = self.spark.table(queries.identifier(name, "spark")).columns
        column = _MODEL_COLUMN[step]
        if column not in there:
            raise InputError(
                f"there is a table {'.'.join(name)} without the column {column!r}; name another "
                "one with table="
            )

    def _settle(
        self, table: str, loaded: _Loaded, synonyms: list[list[str]], *, replace: bool
    ) -> None:
        """Note the settings of the model, so that results of two settings are never mixed."""
        # Hashed: Spark hides properties that look like a password.
        key = f"prime_sql.{hashlib.sha256(loaded.name.encode()).hexdigest()}"
        text = f"{loaded.settings}{synonyms}"
        value = hashlib.sha256(text.encode()).hexdigest()
        name = queries.identifier(self._named(table), "spark")
        known = {
            r["key"]: r["value"] for r in self.spark.sql(f"show tblproperties {name}").collect()
        }
        if known.get(key, value) != value and not replace:
            raise OptionError(
                f"{table} holds results of {loaded.name} with other settings; replace=True makes "
                "them anew, name= keeps both"
            )
        if known.get(key) != value:
            self.spark.sql(f"alter table {name} set tblproperties ('{key}' = '{value}')")

    @contextmanager
    def _kept(self, outputs: DataFrame) -> Iterator[None]:
        """Run the model, and keep what it returned on disk: several statements read it."""
        level = need("pyspark", EXTRA).StorageLevel.DISK_ONLY
        outputs.persist(level)
        try:
            self._view("outputs", outputs)
            yield
        finally:
            outputs.unpersist()

    def _write(
        self, step: str, table: str, model: str, synonyms: list[list[str]], *, replace: bool
    ) -> None:
        values: dict[str, Any] = {}
        if step == "tag":
            names = ("synonym", "tag")
            columns = [pa.array([pair[i] for pair in synonyms], pa.string()) for i in range(2)]
            same = pa.table(columns, names=names)
            self._view("synonyms", self.spark.createDataFrame(same))
            values["tagged_images"] = self._named("tagged_images")
        self._script(
            _WRITES[step], table=self._named(table), model=model, replace=replace, **values
        )


def _selected(images: DataFrame, image_id: str, source: str, label: str | None) -> DataFrame:
    functions = need("pyspark.sql.functions", EXTRA)
    if label == "label" and label not in images.columns:
        label = None
    for name in (image_id, source, label):
        if name is not None and name.partition(".")[0] not in images.columns:
            raise InputError(
                f"images has no column {name!r}.{did_you_mean(name, images.columns)} "
                f"It has: {', '.join(images.columns)}."
            )
    labels = functions.lit(None) if label is None else functions.col(label)
    found = images.select(
        functions.col(image_id).cast("string").alias("image_id"),
        labels.cast("string").alias("label"),
        functions.col(source).alias("source"),
    )
    kind = found.schema["source"].dataType.typeName()
    if kind not in ("binary", "string"):
        raise InputError(f"images: {source!r} is {kind}; give a column of bytes, or of URIs")
    return found


def _render(name: str, **values: Any) -> str:
    return queries.find(f"vision/{name}", "spark").render("spark", **values)


# What runs in the workers -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Loaded:
    """What a worker said of the model that it loaded: its name, and what its results depend on."""

    name: str
    settings: str
    note: str


def _loaded(spark: SparkSession, specification: Specification) -> _Loaded:
    """Load the model in a worker: nothing on the driver's machine need be as it is there.

    Raises
    ------
    PrimeSqlError
        What was raised in the worker.
    """

    def load(_: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
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
    with _as_ours():
        rows = spark.range(1, numPartitions=1).mapInArrow(
            load, ", ".join(f"{name} string" for name in names)
        )
        # Not first(): a worker that is not read to its end is stopped, and its model goes with it.
        (row,) = rows.collect()
    if row["error"]:
        raise getattr(errors, row["error"], PrimeSqlError)(row["name"])
    return _Loaded(row["name"], row["settings"], row["note"])


def _applied(to_do: DataFrame, specification: Specification) -> DataFrame:
    """Apply a model; return image_id, label, uri, has_source, output and reason."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            # Here, since a partition without images needs no model.
            function = in_this_process(specification)
            sources = batch.column("source")
            outputs = function(_column(sources))
            reasons = _reasons(function, sources, outputs)
            kept = [batch.column(name) for name in kept_names]
            yield pa.RecordBatch.from_arrays(
                [*kept, _lists(outputs), reasons], names=[*kept_names, "output", "reason"]
            )

    kept_names = ["image_id", "label", "uri", "has_source"]
    schema = "image_id string, label string, uri string, has_source boolean, "
    return to_do.mapInArrow(apply, f"{schema} output {RETURNS[specification.step]}, reason string")


def _reasons(function: ImageFunction, sources: pa.Array, outputs: pa.Array) -> pa.Array:
    """Take the reasons why images came out null from the function."""
    problems: dict[Any, str] = dict(function.problems)
    function.problems.clear()
    missing = outputs.is_null().to_pylist()
    return pa.array(
        [problems.get(sources[i].as_py()) if null else None for i, null in enumerate(missing)],
        pa.string(),
    )


def _embedded_texts(
    spark: SparkSession, specification: Specification, prompts: Sequence[str]
) -> np.ndarray:
    """Embed texts in the workers; return unit vectors, float32 of shape (texts, dimensions)."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            clip: Any = in_this_process(specification).model
            vectors = clip.embed_text_array(_column(batch.column("prompt")))
            yield pa.RecordBatch.from_arrays(
                [batch.column("place"), _lists(vectors)], names=["place", "embedding"]
            )

    with _as_ours():
        places = pa.array(range(len(prompts)), pa.int32())
        texts = pa.table([places, pa.array(prompts, pa.string())], names=["place", "prompt"])
        embedded = spark.createDataFrame(texts).mapInArrow(
            apply, "place int, embedding array<float>"
        )
        # Sorted here: Spark would embed them once to see what there is to sort, and once to sort.
        rows = sorted(embedded.collect(), key=lambda row: row["place"])
        return np.array([row["embedding"] for row in rows], np.float32)


def _vectors(batch: pa.RecordBatch) -> np.ndarray:
    lists = batch.column("embedding")
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(lists), -1)


def _sums(embedded: DataFrame, tagger: ZeroShotTagger) -> list[Sums]:
    """Return sums over the embeddings, a row for each label and part of a partition."""

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


def _tagged(embedded: DataFrame, tagger: ZeroShotTagger) -> DataFrame:
    """Return image_id and output, the tags of each embedding."""

    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            vectors = _vectors(batch)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            tags = tagger(_column(lists), _column(batch.column("label")))
            yield pa.RecordBatch.from_arrays(
                [batch.column("image_id"), tags.cast(TAGS)], names=["image_id", "output"]
            )

    return embedded.mapInArrow(apply, f"image_id string, output {RETURNS['tag']}")


@contextmanager
def _as_ours() -> Iterator[None]:
    """Raise what a worker raised of our errors as it was, without Spark's and Python's traces."""
    try:
        yield
    except PrimeSqlError:
        raise
    except Exception as error:
        # The last one: a trace ends with what happened, and tells first what led to it.
        found = _OURS.findall(str(error))
        if not found:
            raise
        name, message = found[-1]
        raise getattr(errors, name, PrimeSqlError)(message.strip()) from error


# Texts from the driver's side ---------------------------------------------------------------------


def _read_words(vocabulary: Any, column: str | None) -> list[str]:
    with _in_memory() as warehouse:
        load_texts(vocabulary, column, "vocabulary", warehouse)
        return [w for (w,) in warehouse.execute("vocabulary", "from temp.vocabulary order by 1")]


def _read_synonyms(source: Any) -> list[list[str]]:
    with _in_memory() as warehouse:
        load_synonyms(source, warehouse)
        return written_synonyms(warehouse)


@contextmanager
def _in_memory() -> Iterator[Warehouse]:
    warehouse = Warehouse(ibis.duckdb.connect())
    try:
        yield warehouse
    finally:
        warehouse.close()
