"""A stored run: its tables as lazy relations, and SQL over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from numbers import Real
from typing import Any, Self, TypeVar

import ibis
import polars as pl
from ibis.backends.duckdb import Backend

from prime_sql.engine import queries
from prime_sql.engine.connection import catalog_of, in_turn, is_made, rows_of, stored_table
from prime_sql.engine.database import Database, Opened
from prime_sql.engine.errors import QueryError, WarehouseError
from prime_sql.engine.options import Options
from prime_sql.engine.relation import Relation, answer
from prime_sql.engine.schema import TABLES, VIEWS, names, remove_leftovers
from prime_sql.engine.session import OnSql, Session, scope

COMPLETE = "complete"
UNPUBLISHED = "unpublished"  # its job did not publish what it made of the run

# The relations of a run that its `sql` knows, each with the order in which its rows are read.
RELATIONS = {table.name: table.order for table in TABLES if table.offered and table.order} | {
    name: order for name, order in VIEWS.items() if order
}
# Those that are copied from a warehouse's run only when they are needed.
_OF_IMAGES = (*names("tag set", "image"), *VIEWS)


# A method that returns another run returns one of its own class.
R = TypeVar("R", bound="StoredRun")


class StoredRun:
    """One run in a database: its tables.

    Attributes
    ----------
    run_id
        Its number in the database, from 1.
    options
        All options of the search.
    row_counts
        Rows by table: predictions, images, tags, tag_rows, tag_sets, failure_modes, …
    seconds
        Seconds by step, in the order of the steps.
    warnings
        What was odd about the input.
    note
        Why there are no failure modes, or None.
    sources
        Where predictions and tags came from.
    counted_run_id
        The run that counted: itself, or the one that `refilter` asked.
    job
        Name of the job that made it, or None.
    path
        The DuckDB file, or None.
    database
        Where it is stored, with the open connection.
    """

    def __init__(self, opened: Opened | Backend, run_id: int | None = None) -> None:
        if not isinstance(opened, Opened):
            opened = Opened(Database(opened), run_id)
        self.database = opened.database
        self.path = opened.database.path
        self._owned = opened.owned
        record = _record(opened)
        self.run_id: int = record["run_id"]
        self.counted_run_id: int = record["counted_run_id"]
        self.created_at: datetime = record["created_at"]
        self.version: str = record["version"]
        self.note: str | None = record["note"]
        self.options = Options.from_json(record["options"])
        self.sources: dict[str, str] = json.loads(record["sources"])
        self.warnings: list[str] = json.loads(record["warnings"])
        self.row_counts: dict[str, int] = json.loads(record["row_counts"])
        self.job: str | None = record["job"]
        self.seconds: dict[str, float] = json.loads(record["seconds"])
        self.database.load(self.run_id)

    @property
    def mirror(self) -> Database | None:
        """Of a run in a warehouse, the database in memory that holds a copy of it; else None."""
        return self.database.mirror

    @property
    def backend(self) -> Backend:
        """The Ibis connection that the relations live on."""
        self.database.load_counts(self.run_id, self.counted_run_id)
        return self.database.backend

    def other(self, run_id: int | None) -> Self:
        """Return another run of the database, on the same connection, which it leaves open."""
        return type(self)(Opened(self.database, run_id))

    def within(self, session: Session) -> Self:
        """Return the run as a session sees it, beside the relations of the session."""
        database = Database(session.backend)
        database.path = self.path
        return type(self)(Opened(database, self.run_id))

    def session(self, on_sql: OnSql | None = None) -> Session:
        """Return a session on the database of the run; `with` closes it and drops its relations."""
        return Session(self.backend, on_sql)

    @contextmanager
    def writing(self, on_sql: OnSql | None = None) -> Iterator[Session]:
        """Open a session that adds to the run: everything that is written in it, or nothing.

        Raises
        ------
        WarehouseError
            When the database is open for reading only.
        """
        with self.session(on_sql) as session:
            if session.read_only:
                raise WarehouseError(
                    "the database is open for reading only, but the answer is stored in it; open "
                    "it with open_run(…, read_only=False), or connect without read_only"
                )
            remove_leftovers(session)
            with session.transaction():
                yield session
            self.database.store(self.run_id)

    def __repr__(self) -> str:
        modes = self.row_counts["failure_modes"]
        place = f" in {self.path}" if self.path else ""
        return f"<Run {self.run_id}{place}: {modes:,} failure modes>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, so that another process can write to the file.

        A connection that the user passed in, or that belongs to the run that was refiltered, stays
        open.
        """
        if self._owned:
            self.database.discard()

    @property
    def failure_modes(self) -> Relation:
        """One row per failure mode, worst (most excess errors) first."""
        return self.relation("failure_modes")

    @property
    def tag_sets(self) -> Relation:
        """One row per counted tag set: all with enough errors to be, or lead to, a mode."""
        return self.relation("tag_sets")

    @property
    def classes(self) -> Relation:
        """One row per class: images, errors, accuracy."""
        return self.relation("classes")

    @property
    def failure_mode_tags(self) -> Relation:
        """One row per mode and tag, with the accuracy without that tag."""
        return self.relation("failure_mode_tags")

    @property
    def failure_mode_images(self) -> Relation:
        """One row per mode and image, to join with any table that has an image_id."""
        return self.relation("failure_mode_images")

    def relation(self, name: str) -> Relation:
        """Return the rows of this run in a stored table, in an order that is always the same."""
        backend = self.backend if name in _OF_IMAGES else self.database.backend
        table = stored_table(backend, name)
        rows = table.filter(table.run_id == self.run_id)
        order = [ibis.desc(key[1:]) if key[0] == "-" else key for key in RELATIONS.get(name, ())]
        return Relation(rows.order_by(order) if order else rows)

    def scope(self, *counted: str) -> str:
        """Return common table expressions in which the names of stored tables mean this run.

        Parameters
        ----------
        *counted
            Tables of the images to add, which the run that counted holds: ``outcomes``,
            ``vocabulary``, ``tagged``.
        """
        catalog = queries.identifier(catalog_of(self.backend))
        runs = dict.fromkeys((*RELATIONS, "runs"), self.run_id)
        runs |= dict.fromkeys(counted, self.counted_run_id)
        return scope(f"{catalog}.prime", runs)

    def sql(self, query: str) -> Relation:
        """Return the answer to an SQL query; ``failure_modes`` and the others mean this run.

        Every other table of the database can be joined; ``prime.failure_modes`` holds all runs.

        Raises
        ------
        QueryError
            When the engine refuses the query; the message is the engine's.
        """
        return answer(query, self.backend, self.scope())


RUN_SCHEMA: dict[str, Any] = {
    "run_id": pl.Int32,
    "counted_run_id": pl.Int32,
    "created_at": pl.Datetime("us"),
    "status": pl.String,
    "version": pl.String,
    "options": pl.String,
    "sources": pl.String,
    "warnings": pl.String,
    "note": pl.String,
    "row_counts": pl.String,
    "seconds": pl.String,
    "job": pl.String,
}


def _record(opened: Opened) -> dict[str, Any]:
    """Return the row of ``runs`` of a run."""
    backend, run_id = opened.database.backend, opened.run_id
    record = records(backend, run_id)
    where = opened.database.path or "the database"
    if run_id is None:
        published = [each for each in record if each["status"] != UNPUBLISHED]
        if record and not published:
            raise QueryError(
                f"{where} holds only runs that failed jobs left unpublished, the last "
                f"one as run {record[-1]['run_id']}; give its number to open it"
            )
        record = published
    if not record:
        raise QueryError(
            f"{where} holds no run"
            if run_id is None
            else f"{where} holds no run {run_id}; `prime-sql runs` lists them"
        )
    return record[-1]


def records(backend: Backend, run_id: int | None) -> list[dict[str, Any]]:
    """Return the rows of ``runs``, oldest first: all of them, or that of `run_id`."""
    with in_turn(backend):
        return _records(backend, run_id) if is_made(backend) else []


def _records(backend: Backend, run_id: int | None) -> list[dict[str, Any]]:
    if run_id is not None and (not isinstance(run_id, Real) or isinstance(run_id, bool)):
        raise QueryError(
            f"there is no run {run_id!r}; give its number, as `prime-sql runs` lists it"
        )
    table = queries.identifier((backend.current_catalog, "prime", "runs"))
    rows = "" if run_id is None else f" where run_id = {queries.literal(run_id)}"
    found = rows_of(backend, f"select * from {table}{rows} order by run_id")
    lacking = [name for name in RUN_SCHEMA if name not in (found or [RUN_SCHEMA])[0]]
    lacking = [name for name in lacking if name != "job"]
    if lacking:
        raise WarehouseError(
            "schema prime was not made by this version of prime_sql: the table runs has no column "
            f"{lacking[0]!r}"
        )
    # A run of an earlier version may have no job; the next one that is stored adds the column.
    return [{name: row.get(name) for name in RUN_SCHEMA} for row in found]
