"""The schema ``prime`` of a database: the tables of runs, and the views of their images."""

from __future__ import annotations

from typing import Any

from prime_sql import queries
from prime_sql.options import LARGEST_MAX_TAGS
from prime_sql.warehouse import Warehouse


def make(warehouse: Warehouse) -> None:
    """Make the tables, and the views of the images of failure modes."""
    make_tables(warehouse)
    script(warehouse, "views", largest=LARGEST_MAX_TAGS)


def make_tables(warehouse: Warehouse) -> None:
    """Make the tables, which are empty."""
    script(warehouse, "tables")
    script(warehouse, "tables", folder="validate")


def script(warehouse: Warehouse, name: str, *, folder: str = "publish", **values: Any) -> None:
    """Run a script of ``queries/publish/`` on the schema of the session."""
    sql = queries.find(f"{folder}/{name}").render(
        warehouse.dialect, schema=warehouse.schema, **values
    )
    warehouse.script("publish", sql)
