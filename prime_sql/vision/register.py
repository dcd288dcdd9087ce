"""A model as an SQL function of a DuckDB connection."""

from __future__ import annotations

import contextlib
from typing import Any

import duckdb
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.backends.sql.datatypes import DuckDBType
from ibis.formats.pyarrow import PyArrowType

from prime_sql.engine.connection import raw
from prime_sql.engine.errors import OptionError
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.network import Model
from prime_sql.vision.specification import Specification


def register(
    connection: Backend | duckdb.DuckDBPyConnection,
    model: Model | Specification,
    name: str,
    **options: Any,
) -> ImageFunction:
    """Let SQL on a DuckDB connection call a model: ``select clip_embed(uri) from images``.

    A model that embeds texts, too, gets a second function, ``NAME_text``. A function of the same
    name is replaced.

    Parameters
    ----------
    connection
        Of DuckDB itself or of Ibis.
    model
        An embedder, a tagger or a classifier, loaded or described by `specify`. In Spark
        `prime_sql.vision.spark.register` takes the latter.
    name
        The function's name. Ibis numbers the names of its UDFs, so this adds it directly.
    options
        batch_size and threads, as for `embed`.

    Returns
    -------
    ImageFunction
        Its ``problems`` say why results are null.

    Raises
    ------
    OptionError
        When DuckDB or the user has a function of this name.
    """
    if isinstance(model, Specification):
        loaded, options = model.load(), {**model.batches, **options}
    else:
        loaded = model
    function = ImageFunction.over(loaded, name, **options)
    _create(raw(connection), name, function, loaded.returns)
    texts = getattr(loaded, "embed_text_array", None)
    if texts is not None:
        _create(raw(connection), f"{name}_text", texts, loaded.returns)
    return function


# By name. DuckDB drops its reference to a function when its connection closes, but still calls it.
_made: dict[str, Any] = {}


def _create(
    connection: duckdb.DuckDBPyConnection, name: str, function: Any, returns: pa.DataType
) -> None:
    with contextlib.suppress(duckdb.InvalidInputException):
        connection.remove_function(name)
    known = "select count(*) from duckdb_functions() where lower(function_name) = lower(?)"
    if connection.cursor().execute(known, [name]).fetchall() != [(0,)]:
        if name.lower() not in _made:
            raise OptionError(f"the database has a function {name} already; choose another name")
        # Made by another connection; only one that made an overload of it may remove it.
        connection.create_function(
            name, lambda first, second: first, ["VARCHAR", "VARCHAR"], "VARCHAR", type="arrow"
        )
        connection.remove_function(name)

    def call(column: pa.ChunkedArray) -> pa.Array:
        return function(column)

    kind = DuckDBType.to_string(PyArrowType.to_ibis(returns))
    connection.create_function(name, call, ["VARCHAR"], kind, type="arrow", null_handling="special")
    _made[name.lower()] = call
