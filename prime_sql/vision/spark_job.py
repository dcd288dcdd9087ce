"""A table of images in Spark, and the tables that the results of a step go into."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from prime_sql.engine import queries
from prime_sql.engine.errors import (
    InputError,
    OptionError,
    did_you_mean,
    shorten_list,
)
from prime_sql.vision.network import need
from prime_sql.vision.settings import LATER
from prime_sql.vision.spark_workers import (
    EXTRA,
    Loaded,
    applied,
    as_ours,
    load,
    sums_over,
    tagged,
)
from prime_sql.vision.specification import Specification
from prime_sql.vision.steps import Done
from prime_sql.vision.zero_shot import ZeroShotTagger

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 256  # images in one Arrow batch, all in memory at once; Spark's default is 10,000
_ROWS_SETTING = "spark.sql.execution.arrow.maxRecordsPerBatch"


_MODEL_COLUMN = {"embed": "model", "tag": "tagger", "predict": "model"}
_TABLES = {"embed": "embeddings", "tag": "tags", "predict": "predictions"}
_WRITES = {"embed": "embedded", "tag": "tagged", "predict": "predicted"}


class SparkJob:
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

    def __enter__(self) -> SparkJob:
        with as_ours():
            self._check()
        setting = self.spark.conf.get(_ROWS_SETTING)
        # A batch of Spark's default size would hold gigabytes of pictures.
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
        """Apply a model to the images that it has not processed yet, and write what it returns."""
        start = time.perf_counter()
        step = specification.step
        loaded = load(self.spark, specification)
        with as_ours():
            self._make(step, table)
            seen_in = "tagged_images" if step == "tag" else table
            self._settle(table, loaded, synonyms or [], replace=replace)
            to_do = _render(
                "todo/to_do",
                table=self._named(seen_in),
                model_column=_MODEL_COLUMN[step],
                model=loaded.name,
                replace=replace,
                in_bytes=self._images.schema["source"].dataType.typeName() == "binary",
            )
            outputs = applied(self.spark.sql(to_do), specification)
            with self._kept(outputs):
                counts = self.spark.sql(
                    "select count(*), count(output) from prime_sql_outputs"
                ).first()
                assert counts is not None
                images, good = counts
                self._write(step, table, loaded.name, synonyms or [], replace=replace)
                values = {"problems": self._named("image_problems"), "step": step}
                found = self.spark.sql(_render("write/problems", model=loaded.name, **values))
                # Cut off from the table, which would otherwise be read while it is written.
                self._view("problems", found.localCheckpoint())
                self._script("write/note_problems", model=loaded.name, **values)
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
        with as_ours():
            self._make("tag", table)
            embeddings, model = embedded
            rows = self.spark.table(queries.identifier(self._named(embeddings), "spark"))
            own = rows.where(rows.model == model).select("image_id", "embedding")
            own = own.join(self._images.select("image_id", "label"), "image_id")
            tagger.fit_sums(sums_over(own, tagger))
            with self._kept(tagged(own, tagger)):
                self._write("tag", table, name, synonyms, replace=True)
                count = self.spark.sql("select count(*) from prime_sql_outputs").first()
        assert count is not None
        return int(count[0])

    def _make(self, step: str, table: str) -> None:
        self._script("tables/images", problems=self._named("image_problems"))
        name = self._named(table)
        also = {"tagged_images": self._named("tagged_images")} if step == "tag" else {}
        self._script(f"tables/{_TABLES[step]}", table=name, **also)
        there = self.spark.table(queries.identifier(name, "spark")).columns
        column = _MODEL_COLUMN[step]
        if column not in there:
            raise InputError(
                f"there is a table {'.'.join(name)} without the column {column!r}; name another "
                "one with table="
            )

    def _settle(
        self, table: str, loaded: Loaded, synonyms: list[list[str]], *, replace: bool
    ) -> None:
        """Note the settings of the model, so that results of two settings are never mixed."""
        # Hashed: Spark hides properties that look like a password.
        key = f"prime_sql.{hashlib.sha256(loaded.name.encode()).hexdigest()}"
        settings = json.loads(loaded.settings)
        value = _hashed(settings, synonyms)
        # As earlier versions noted it.
        same = {value, _hashed({k: v for k, v in settings.items() if k not in LATER}, synonyms)}
        name = queries.identifier(self._named(table), "spark")
        known = {
            r["key"]: r["value"] for r in self.spark.sql(f"show tblproperties {name}").collect()
        }
        if known.get(key, value) not in same and not replace:
            raise OptionError(
                f"{table} holds results of {loaded.name} with other settings; replace=True "
                "recomputes them, name= keeps both"
            )
        if known.get(key) != value:
            self.spark.sql(f"alter table {name} set tblproperties ('{key}' = '{value}')")

    @contextmanager
    def _kept(self, outputs: DataFrame) -> Iterator[None]:
        """Run the model, and keep its results on disk, as several statements read them."""
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
            f"write/{_WRITES[step]}",
            table=self._named(table),
            model=model,
            replace=replace,
            **values,
        )


def _hashed(settings: dict[str, Any], synonyms: list[list[str]]) -> str:
    text = f"{json.dumps(settings, sort_keys=True)}{synonyms}"
    return hashlib.sha256(text.encode()).hexdigest()


def _selected(images: DataFrame, image_id: str, source: str, label: str | None) -> DataFrame:
    functions = need("pyspark.sql.functions", EXTRA)
    if label == "label" and label not in images.columns:
        label = None
    for name in (image_id, source, label):
        if name is not None and name.partition(".")[0] not in images.columns:
            raise InputError(
                f"images has no column {name!r}.{did_you_mean(name, images.columns)} "
                f"It has: {shorten_list(images.columns)}."
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
