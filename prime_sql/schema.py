"""The schema ``prime`` of a database: the tables of runs, and the views of their images."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

from prime_sql import queries
from prime_sql.errors import InputWarning
from prime_sql.options import LARGEST_MAX_TAGS
from prime_sql.warehouse import Warehouse, is_made, stored_table, tables_of

# Every table of schema prime that holds rows of runs; the views follow them.
TABLES = (
    "failure_mode_chance",
    "shuffles",
    "success_modes",
    "validations",
    "validation_runs",
    "failure_mode_tags",
    "failure_modes",
    "tag_sets",
    "tagged",
    "rare_tags",
    "vocabulary",
    "outcomes",
    "classes",
    "runs",
)


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


def later_columns(warehouse: Warehouse) -> None:
    """Add what a database of an earlier version lacks, if anything."""
    # Who alters a table is in the way of all who read it meanwhile, even where nothing changes.
    has_job = "job" in stored_table(warehouse.backend, "runs").columns
    if not has_job or "rare_tags" not in tables_of(warehouse.backend):
        script(warehouse, "later_columns")


def last_number(warehouse: Warehouse) -> int:
    """Return the largest number of a run in any table, also of one that is not complete."""
    sql = queries.find("publish/last_number").render(schema=warehouse.schema, tables=TABLES)
    return int(warehouse.execute("publish", sql)[0][0])


def leftovers(warehouse: Warehouse, tables: Collection[str]) -> dict[int, dict[str, int]]:
    """Return how many rows of which tables are of no run, by the number that they have."""
    sql = queries.find("publish/leftovers").render(schema=warehouse.schema, tables=tables)
    found: dict[int, dict[str, int]] = {}
    for run_id, table, rows in warehouse.execute("leftovers", sql):
        found.setdefault(int(run_id), {})[table] = int(rows)
    return found


def remove_leftovers(warehouse: Warehouse) -> None:
    """Remove rows of no run from a DuckDB file, before anything is written; warn of them.

    Where a process was killed while it wrote a run, the engine may have brought back some of its
    rows.
    """
    backend = warehouse.backend
    if not is_made(backend) or warehouse.file is None:
        return
    known = tables_of(backend)
    tables = [table for table in TABLES if table in known]  # earlier versions made fewer
    found = leftovers(warehouse, tables)
    if not found:
        return
    with warehouse.transaction():
        sql = queries.find("publish/prune").render(
            warehouse.dialect, schema=warehouse.schema, tables=tables, runs=sorted(found)
        )
        warehouse.script("leftovers", sql)
    warnings.warn(
        f"removed rows that belong to no run: {listed(found)}; a process was killed while it wrote "
        "them",
        InputWarning,
        stacklevel=4,
    )


def listed(found: dict[int, dict[str, int]]) -> str:
    """Return which rows belong to no run, for a message."""
    return "; ".join(
        f"number {run_id} ({', '.join(f'{rows:,} of {table}' for table, rows in of_run.items())})"
        for run_id, of_run in sorted(found.items())
    )
