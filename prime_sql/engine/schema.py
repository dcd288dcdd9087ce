"""The schema ``prime`` of a database: the tables of runs, and the views of their images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.connection import is_made, stored_table, tables_of
from prime_sql.engine.errors import warn
from prime_sql.engine.options import LARGEST_MAX_TAGS
from prime_sql.engine.session import Session


@dataclass(frozen=True)
class StoredTable:
    """A table of schema ``prime`` that holds rows of runs.

    Attributes
    ----------
    name
        Its name, and that of the file of ``queries/engine/schema/`` that makes it.
    rows_of
        What its rows are about: ``run``, ``class``, ``mode``, ``tag set`` or ``image``. A copy of a
        warehouse's run gets the tables of tag sets and images only when something reads them.
    order
        The order in which a run's rows are read, so that output is the same every time.
    counted
        Whether a session has a relation of this name, from which a run is stored.
    offered
        Whether, in the `sql` of a run, the name means the rows of that run.
    """

    name: str
    rows_of: str
    order: tuple[str, ...] = ()
    counted: bool = False
    offered: bool = False


# All of them. A new table needs one more line here, and the file that makes it.
TABLES = (
    StoredTable("runs", "run", offered=True),
    StoredTable("classes", "class", ("class_name",), counted=True, offered=True),
    StoredTable(
        "failure_modes",
        "mode",
        ("-excess_errors", "class_name", "tags", "mode_id"),
        counted=True,
        offered=True,
    ),
    StoredTable("failure_mode_tags", "mode", ("mode_id", "tag"), counted=True, offered=True),
    StoredTable("failure_mode_chance", "mode", ("p_value", "mode_id"), offered=True),
    StoredTable(
        "success_modes",
        "mode",
        ("-accuracy_gain", "class_name", "tags", "mode_id"),
        offered=True,
    ),
    StoredTable("shuffles", "mode"),
    StoredTable("validation_runs", "mode"),
    StoredTable("validations", "mode", ("mode_id",), offered=True),
    StoredTable(
        "tag_sets",
        "tag set",
        ("class_name", "tag_count", "tags", "tag_1"),
        counted=True,
        offered=True,
    ),
    StoredTable("outcomes", "image", counted=True),
    StoredTable("vocabulary", "image", counted=True),
    StoredTable("tagged", "image", counted=True),
    StoredTable("rare_tags", "image", counted=True),
)
# The views of them that every database has, with the order in which a run's rows are read.
VIEWS = {"failure_mode_members": (), "failure_mode_images": ("mode_id", "image_id")}


def names(*rows_of: str) -> tuple[str, ...]:
    """Return the names of the tables whose rows are about these; all if none is given."""
    return tuple(table.name for table in TABLES if not rows_of or table.rows_of in rows_of)


def make(session: Session) -> None:
    """Make the tables, and the views of the images of failure modes."""
    make_tables(session)
    script(session, "engine/schema/views", largest=LARGEST_MAX_TAGS)


def make_tables(session: Session, only: Collection[str] | None = None) -> None:
    """Make the tables, empty; `only` those given if the database has the others."""
    made = [table.name for table in TABLES if only is None or table.name in only]
    # One script: the engine parses it once.
    session.script("publish", "\n".join(definition(name, session.schema) for name in made))


def definition(table: str, schema: str) -> str:
    """Return the script that makes a table, with its comments."""
    return queries.find(f"engine/schema/{table}").render(schema=schema)


def script(session: Session, path: str, **values: Any) -> None:
    """Run a script of ``queries/`` on the schema of the session."""
    sql = queries.find(path).render(session.dialect, schema=session.schema, **values)
    session.script("publish", sql)


def later_columns(session: Session) -> None:
    """Add what a database of an earlier version lacks, if anything."""
    known = tables_of(session.backend)
    lacking = [table.name for table in TABLES if table.name not in known]
    if lacking:
        make_tables(session, lacking)
    # Altering a table conflicts with everyone who reads it meanwhile, even if nothing changes.
    if "job" not in stored_table(session.backend, "runs").columns:
        script(session, "engine/schema/later_columns")


def last_number(session: Session) -> int:
    """Return the largest run number in any table, including those of incomplete runs."""
    sql = queries.find("engine/schema/last_number").render(schema=session.schema, tables=names())
    return int(session.execute("publish", sql)[0][0])


def leftovers(session: Session, tables: Collection[str]) -> dict[int, dict[str, int]]:
    """Return how many rows of which tables belong to no run, by their run number."""
    sql = queries.find("engine/schema/leftovers").render(schema=session.schema, tables=tables)
    found: dict[int, dict[str, int]] = {}
    for run_id, table, rows in session.execute("leftovers", sql):
        found.setdefault(int(run_id), {})[table] = int(rows)
    return found


def remove_leftovers(session: Session) -> None:
    """Remove rows that belong to no run from a DuckDB file before writing to it; warn of them.

    If a process was killed while it wrote a run, the engine may have brought back some of its
    rows.
    """
    if not is_made(session.backend) or session.file is None:
        return
    found = leftovers(session, _known(session))
    if not found:
        return
    with session.transaction():
        delete(session, sorted(found), "leftovers")
    warn(
        f"removed rows that belong to no run: {listed(found)}; a process was killed while it wrote "
        "them",
    )


def delete(session: Session, runs: list[int], step: str) -> None:
    """Delete all rows of runs; within a transaction."""
    sql = queries.find("engine/schema/prune").render(
        session.dialect, schema=session.schema, tables=_known(session), runs=runs
    )
    session.script(step, sql)


def _known(session: Session) -> list[str]:
    """Return the tables that the database has; earlier versions made fewer."""
    known = tables_of(session.backend)
    return [name for name in reversed(names()) if name in known]  # runs last


def listed(found: dict[int, dict[str, int]]) -> str:
    """Return which rows belong to no run, for a message."""
    return "; ".join(
        f"number {run_id} ({', '.join(f'{rows:,} of {table}' for table, rows in of_run.items())})"
        for run_id, of_run in sorted(found.items())
    )
