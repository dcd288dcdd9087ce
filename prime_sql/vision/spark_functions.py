"""Models as functions of Spark, for queries of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from prime_sql.vision.network import need
from prime_sql.vision.spark_workers import EXTRA, RETURNS, as_column, as_lists, load
from prime_sql.vision.specification import Specification, in_this_process

if TYPE_CHECKING:
    from pyspark.sql import Column


def udf(specification: Specification) -> Callable[[Column | str], Column]:
    """Return a model as a function of Spark's columns: ``classify("bytes")``.

    It takes a column of bytes of files, or of URIs that every worker can open. An image that
    cannot be used gives null; of ``predict``, whose result is a struct, both fields are null.

    Parameters
    ----------
    specification
        From `specify`. Its paths must exist wherever a worker loads the model.

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

    A worker loads the model first, so that a wrong name is reported at once. A model that also
    embeds texts gets a second function, ``NAME_text``. A function of the same name is replaced.

    Parameters
    ----------
    session
        A SparkSession, or Ibis's connection to one: Ibis calls the function by its name, see
        ``ibis.udf.scalar.builtin``.
    specification, name
        See `udf`; the function's name.

    Raises
    ------
    PrimeSqlError
        When a worker cannot load the model.
    """
    spark = getattr(session, "_session", session)
    load(spark, specification)
    spark.udf.register(name, _pandas_udf(specification.step, _images_of(specification)))
    if specification.step == "embed":
        spark.udf.register(f"{name}_text", _pandas_udf("embed", _texts_of(specification)))


def _pandas_udf(step: str, apply: Callable[[pa.ChunkedArray], pa.Array]) -> Any:
    # Spark has Arrow functions from 4.1 on; until then results go through pandas.
    functions = need("pyspark.sql.functions", EXTRA)

    def frames(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            results = apply(as_column(pa.Array.from_pandas(batch)))
            rows = pa.chunked_array([results]).combine_chunks().flatten()
            names = [field.name for field in results.type]
            yield pd.DataFrame({n: r.to_pandas() for n, r in zip(names, rows, strict=True)})

    def series(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for batch in batches:
            results = apply(as_column(pa.Array.from_pandas(batch)))
            listed = results.to_pylist() if step == "tag" else as_lists(results).to_pandas()
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
