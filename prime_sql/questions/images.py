"""Tables of a database with what is known about images: where they are, their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.connection import catalog_of, in_turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.expr.datatypes import DataType


def told_by(run: StoredRun) -> str:
    """Return what tells the errors of a class apart: within one prediction, their labels."""
    names = {run.options.prediction, "prediction"}
    return "label" if names & set(run.options.group_by) else "prediction"


def table_of_images(run: StoredRun) -> str | None:
    """Return the quoted name of the database's table of images, if it has URIs."""
    for schema in _schemas_of_images(run):
        if {"image_id", "uri"} <= {*_columns(run, schema, "images")}:
            return _quoted(run, schema, "images")
    return None


def table_of_pictures(run: StoredRun) -> tuple[str, str] | None:
    """Return the quoted names of the database's table of pictures and of its column of bytes.

    That is ``image_bytes``, or the one such column of ``images``.
    """
    for schema in _schemas_of_images(run):
        for table in ("image_bytes", "images"):
            columns = _columns(run, schema, table)
            binary = [name for name, kind in columns.items() if kind.is_binary()]
            if "image_id" in columns and len(binary) == 1:
                return _quoted(run, schema, table), queries.identifier(binary[0])
    return None


def _schemas_of_images(run: StoredRun) -> list[str]:
    """Return where to look: beside the predictions, if they are in this database; then main."""
    schema, _, table = run.sources.get("predictions", "").rpartition(".")
    with in_turn(run.backend):
        schemas = run.backend.list_databases(catalog=catalog_of(run.backend))
    beside = schema in schemas and table in _tables(run, schema)
    return [*([schema] if beside and schema != "main" else []), "main"]


def _tables(run: StoredRun, schema: str) -> list[str]:
    with in_turn(run.backend):
        return list(run.backend.list_tables(database=(catalog_of(run.backend), schema)))


def _columns(run: StoredRun, schema: str, table: str) -> Mapping[str, DataType]:
    if table not in _tables(run, schema):
        return {}
    with in_turn(run.backend):
        place = (catalog_of(run.backend), schema)
        return dict(run.backend.table(table, database=place).schema().items())


def _quoted(run: StoredRun, *names: str) -> str:
    return ".".join(map(queries.identifier, (catalog_of(run.backend), *names)))
