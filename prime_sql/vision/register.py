"""A model as an SQL function of a DuckDB connection."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.backends.sql.datatypes import DuckDBType
from ibis.formats.pyarrow import PyArrowType

from prime_sql.engine.connection import raw
from prime_sql.engine.errors import OptionError, PrimeSqlError, first_line
from prime_sql.engine.interrupts import listen
from prime_sql.vision.functions import ImageFunction, has_accelerator
from prime_sql.vision.network import Model
from prime_sql.vision.specification import Specification


def register(
    connection: Backend | duckdb.DuckDBPyConnection,
    model: Model | Specification,
    name: str,
    **options: Any,
) -> ImageFunction:
    """Let SQL on a DuckDB connection call a model: ``select clip_embed(uri) from images``.

    The function takes a VARCHAR, a URI, or a BLOB, the bytes of a file. Ctrl-C in the main thread
    and ``interrupt()`` of a connection end it after the batch under way, in whichever connection it
    is called. A model that embeds texts, too, gets a second function, ``NAME_text``. A function of
    the same name is replaced.

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
        batch_size and threads, as for `embed`. On a CPU a batch is of 8 images if left out, so that
        it ends soon after an interrupt.

    Returns
    -------
    ImageFunction
        Its ``problems`` say why results are null.

    Raises
    ------
    OptionError
        When DuckDB or the user has a function of this name, or the connection is in a transaction
        that has begun its work.
    """
    if isinstance(model, Specification):
        given = dict(model.options).get("batch_size")
        loaded, options = model.load(), {**model.batches, "batch_size": given, **options}
    else:
        loaded = model
    if options.get("batch_size") is None:
        options["batch_size"] = 32 if has_accelerator() else _ON_A_CPU
    function = ImageFunction.over(loaded, name, **options)
    listen()
    _create(raw(connection), name, function, ["BLOB", "VARCHAR"], loaded.returns)
    texts = getattr(loaded, "embed_text_array", None)
    if texts is not None:
        _create(raw(connection), f"{name}_text", texts, ["VARCHAR"], loaded.returns)
    return function


_ON_A_CPU = 8  # images in a batch, of a second or less

# By name. DuckDB drops its reference to a function when its connection closes, but still calls it.
_made: dict[str, Any] = {}


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    function: Any,
    takes: Sequence[str],
    returns: pa.DataType,
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
        try:
            return function(column)
        except PrimeSqlError:
            raise
        except Exception as error:
            # DuckDB passes on all lines of an error that it does not know.
            raise PrimeSqlError(
                f"{name} failed: {type(error).__name__}: {first_line(error)}"
            ) from None

    kind = DuckDBType.to_string(PyArrowType.to_ibis(returns))
    *others, last = takes
    try:
        # A connection makes only one function of a name, so cursors make the others. They go first:
        # what a transaction of the connection has made, they would run into.
        for connected, each in [
            *((connection.cursor(), other) for other in others),
            (connection, last),
        ]:
            connected.create_function(
                name, call, [each], kind, type="arrow", null_handling="special"
            )
    except duckdb.TransactionException as error:
        raise OptionError(
            "the connection is in a transaction, which cannot take up a function any more; commit "
            "it or roll it back first"
        ) from error
    _made[name.lower()] = call
