"""A run: its tables as lazy relations, SQL over them, and the named questions."""

from __future__ import annotations

import json
import os
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import ibis
import polars as pl
from ibis.backends.duckdb import Backend

from prime_sql import queries
from prime_sql.answers import Relation, answer
from prime_sql.errors import QueryError, WarehouseError, did_you_mean
from prime_sql.options import LARGEST_MAX_TAGS, Options
from prime_sql.sources import CSV, PARQUET
from prime_sql.warehouse import catalog_of, first_line, in_turn, is_made, stored_table

if TYPE_CHECKING:
    from prime_sql.mirror import Mirror

COMPLETE = "complete"
UNPUBLISHED = "unpublished"  # its job did not publish what it made of the run

# The relations of a run, each with the order that makes its output the same every time.
RELATIONS: dict[str, tuple[str, ...]] = {
    "failure_modes": ("-excess_errors", "class_name", "tags", "mode_id"),
    "tag_sets": ("class_name", "tag_count", "tags", "tag_1"),
    "classes": ("class_name",),
    "failure_mode_tags": ("mode_id", "tag"),
    "failure_mode_images": ("mode_id", "image_id"),
    "failure_mode_chance": ("p_value", "mode_id"),
    "success_modes": ("-accuracy_gain", "class_name", "tags", "mode_id"),
    "validations": ("mode_id",),
}
# Those that a warehouse's run is asked for only where they are wanted.
_OF_IMAGES = ("tag_sets", "failure_mode_images")


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
    mirror
        Of a run in a warehouse, the database in memory that holds a copy of it; else None.
    """

    def __init__(
        self,
        backend: Backend,
        run_id: int | None = None,
        *,
        path: Path | None = None,
        owned: bool = False,
        mirror: Mirror | None = None,
    ) -> None:
        record = records(backend, run_id)
        where = path or "the database"
        if run_id is None:
            published = [each for each in record if each["status"] != UNPUBLISHED]
            if record and not published:
                raise QueryError(
                    f"{where} holds no run but what jobs that failed left unpublished, the last "
                    f"one as run {record[-1]['run_id']}; name its number to open it"
                )
            record = published
        if not record:
            raise QueryError(
                f"{where} holds no run"
                if run_id is None
                else f"{where} holds no run {run_id}; `prime-sql runs` lists them"
            )
        self._backend = backend
        self.mirror = mirror
        self.path = path
        self._owned = owned
        self.run_id: int = record[-1]["run_id"]
        self.counted_run_id: int = record[-1]["counted_run_id"]
        self.created_at: datetime = record[-1]["created_at"]
        self.version: str = record[-1]["version"]
        self.note: str | None = record[-1]["note"]
        self.options = Options.from_json(record[-1]["options"])
        self.sources: dict[str, str] = json.loads(record[-1]["sources"])
        self.warnings: list[str] = json.loads(record[-1]["warnings"])
        self.row_counts: dict[str, int] = json.loads(record[-1]["row_counts"])
        self.job: str | None = record[-1]["job"]
        self.seconds: dict[str, float] = json.loads(record[-1]["seconds"])
        if mirror is not None:
            mirror.load(self.run_id)

    @property
    def backend(self) -> Backend:
        """The Ibis connection that the relations live on."""
        if self.mirror is not None:
            self.mirror.load_counts(self.run_id, self.counted_run_id)
        return self._backend

    def other(self, run_id: int) -> Self:
        """Return another run of the database, on the same connection."""
        return type(self)(self._backend, run_id, path=self.path, mirror=self.mirror)

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

        A connection that the user brought, or that belongs to the run that was refiltered, stays
        open.
        """
        if self._owned and self.mirror is not None:
            self.mirror.discard()
        elif self._owned:
            self._backend.disconnect()

    @property
    def failure_modes(self) -> Relation:
        """One row per failure mode, worst (most excess errors) first."""
        return self._relation("failure_modes")

    @property
    def tag_sets(self) -> Relation:
        """One row per counted tag set: all with enough errors to be, or lead to, a mode."""
        return self._relation("tag_sets")

    @property
    def classes(self) -> Relation:
        """One row per class: images, errors, accuracy."""
        return self._relation("classes")

    @property
    def failure_mode_tags(self) -> Relation:
        """One row per mode and tag, with the accuracy without that tag."""
        return self._relation("failure_mode_tags")

    @property
    def failure_mode_images(self) -> Relation:
        """One row per mode and image, to join with any table that has an image_id."""
        return self._relation("failure_mode_images")

    def _relation(self, name: str) -> Relation:
        backend = self.backend if name in _OF_IMAGES else self._backend
        table = stored_table(backend, name)
        order = [ibis.desc(key[1:]) if key[0] == "-" else key for key in RELATIONS[name]]
        return Relation(table.filter(table.run_id == self.run_id).order_by(order))

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
        return ",\n".join(
            f"{name} as (select * from {catalog}.prime.{name} where run_id = {run_id})"
            for name, run_id in (runs | dict.fromkeys(counted, self.counted_run_id)).items()
        )

    def sql(self, query: str) -> Relation:
        """Return the answer to an SQL query; ``failure_modes`` and the others mean this run.

        Every other table of the database can be joined; ``prime.failure_modes`` holds all runs.

        Raises
        ------
        QueryError
            When the engine refuses the query; the message is the engine's.
        """
        return answer(query, self.backend, self.scope())

    def query(self, name: str, /, **parameters: Any) -> Relation:
        """Answer a named question of ``queries/ask/`` or ``queries/rank/``.

        Parameters
        ----------
        name
            A file there, without number and ending: ``near_misses``.
        **parameters
            Those that the file's header declares. Thresholds default to those of the run. A
            `table` is the name of a table in the database or a file; where it is left out, it is
            the one table with the column asked for.

        Raises
        ------
        QueryError
            When the question, a parameter or the table is unknown.
        """
        question = queries.question(name)
        declared = {parameter.name for parameter in question.parameters}
        values = {key: value for key, value in parameters.items() if value is not None}
        options = self.options.replace(
            **{key: _threshold(key, values[key]) for key in _THRESHOLDS if key in values}
        )
        thresholds = {
            "min_images": options.min_images,
            "min_drop": options.min_drop,
            "necessity": [options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        }
        values |= {key: value for key, value in thresholds.items() if key in {*declared, *values}}
        needed = {parameter.name for parameter in question.parameters if parameter.default is None}
        if "table" in declared and needed <= set(values) <= declared:
            with in_turn(self.backend):
                values["table"] = self._metadata(values.get("table"), values)
        if question.path.parent.name == "rank":
            from prime_sql import rank  # the two modules need each other

            return rank.ask(self, question, values)
        return self.sql(question.render(**values))

    def _metadata(self, name: str | None, values: dict[str, Any]) -> str:
        """Return the quoted name of the table that a question joins with."""
        image_id = values.get("image_id", "image_id")
        wanted = [image_id, *(values[key] for key in ("column", "measure") if values.get(key))]
        wanted = list(dict.fromkeys(wanted))
        # The schema alone is ambiguous in a database file of the same name.
        catalog = self.backend.current_catalog
        if name is None:
            rows = self.backend.raw_sql(
                "select table_schema, table_name, list(column_name) "
                "from information_schema.columns "
                "where table_schema not in ('prime', 'information_schema', 'pg_catalog') "
                "and table_catalog = current_database() group by all order by all"
            ).fetchall()
            fitting = [
                (schema, table) for schema, table, columns in rows if {*wanted} <= {*columns}
            ]
            if len(fitting) != 1:
                found = ", ".join(
                    table if schema == "main" else f"{schema}.{table}" for schema, table in fitting
                )
                everywhere = {column for _, _, columns in rows for column in columns}
                hint = "".join(
                    did_you_mean(column, everywhere)
                    for column in wanted
                    if column not in everywhere
                )
                raise QueryError(
                    f"{'several tables have' if fitting else 'no table of the database has'} "
                    f"{' and '.join(map(repr, wanted))}{': ' if fitting else ''}{found}.{hint} "
                    "Name one with the parameter table (a table of the database or a file)."
                )
            return ".".join(queries.identifier(part) for part in (catalog, *fitting[0]))
        name = str(name)
        if os.path.isfile(name):  # noqa: PTH113  # Path.is_file raises where a name is too long
            lower = name.lower()
            reader = self.backend.read_json
            if lower.endswith(PARQUET):
                reader = self.backend.read_parquet
            elif lower.endswith(CSV):
                reader = self.backend.read_csv
            try:
                table = reader(name)
            except duckdb.Error as error:
                raise QueryError(f"cannot read {name}: {first_line(error)}") from error
            columns, quoted = table.columns, queries.identifier(table.get_name())
        else:
            schema, _, bare = name.rpartition(".")
            place = (catalog, schema or "main")
            if not schema and bare in self.backend.list_tables(database=("temp", "main")):
                place = ("temp", "main")  # which a job joins with
            known = self.backend.list_tables(database=place)
            if bare not in known:
                raise QueryError(f"there is no table or file {name!r}.{did_you_mean(bare, known)}")
            columns = self.backend.table(bare, database=place).columns
            quoted = ".".join(queries.identifier(part) for part in (*place, bare))
        for column in wanted:
            if column not in columns:
                raise QueryError(f"{name} has no column {column!r}.{did_you_mean(column, columns)}")
        return quoted


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


def records(backend: Backend, run_id: int | None) -> list[dict[str, Any]]:
    """Return the rows of ``runs``, oldest first: all of them, or that of `run_id`."""
    with in_turn(backend):
        return _records(backend, run_id) if is_made(backend) else []


def _records(backend: Backend, run_id: int | None) -> list[dict[str, Any]]:
    if run_id is not None and (not isinstance(run_id, Real) or isinstance(run_id, bool)):
        raise QueryError(
            f"there is no run {run_id!r}; give its number, as `prime-sql runs` lists it"
        )
    # Not through Ibis: looking up the columns takes it a tenth of the time of a small search.
    table = queries.identifier((backend.current_catalog, "prime", "runs"))
    rows = "" if run_id is None else f" where run_id = {queries.literal(run_id)}"
    cursor = backend.raw_sql(f"select * from {table}{rows} order by run_id")
    columns = [column[0] for column in cursor.description]
    found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    lacking = [name for name in RUN_SCHEMA if name not in columns and name != "job"]
    if lacking:
        raise WarehouseError(
            "schema prime was not made by this version of prime_sql: the table runs has no column "
            f"{lacking[0]!r}"
        )
    # A run of an earlier version may have no job; the next one that is stored adds the column.
    return [{name: row.get(name) for name in RUN_SCHEMA} for row in found]


_THRESHOLDS = ("min_images", "min_drop", "necessity")


def _threshold(name: str, value: Any) -> Any:
    """Read a threshold that a command line hands over as text."""
    if not isinstance(value, str):
        return value
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError as error:
        raise QueryError(f"{name} takes a number, got {value!r}") from error
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
