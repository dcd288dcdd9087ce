"""Runs that another engine stores, and their copies in DuckDB.

Images are counted where the tables live (`remote`). What is asked of a finished run, and what its
statistics take, works on a copy of its tables in memory; what that adds is stored with the run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import ibis
import pyarrow as pa
from ibis.backends import BaseBackend

from prime_sql import queries
from prime_sql.defaults import NO_WAIT
from prime_sql.errors import InputWarning, OptionError, WarehouseError, did_you_mean
from prime_sql.options import LARGEST_MAX_TAGS, finite_number
from prime_sql.remote import RemoteWarehouse, check_engine
from prime_sql.schema import TABLES, last_number, leftovers, listed, make
from prime_sql.sources import describe
from prime_sql.warehouse import (
    Database,
    Destination,
    OnSql,
    Warehouse,
    first_line,
    in_turn,
)

SCHEMA = "prime"

# How URLs begin, and the extra that has the packages.
EXTRAS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "clickhouse": "clickhouse",
    "pyspark": "spark",
    "datafusion": "datafusion",
}

# Copied when a run is opened: a row for each class or failure mode.
_MODES = (
    "classes",
    "failure_modes",
    "failure_mode_tags",
    "failure_mode_chance",
    "validations",
    "validation_runs",
    "shuffles",
    "success_modes",
)
# Copied when something is asked that reads them: rows for each tag set, or each image.
_COUNTS = ("tag_sets",)
_IMAGES = ("outcomes", "vocabulary", "tagged", "rare_tags")
# Relations of a session that a run is published from.
_COUNTED = ("classes", "failure_modes", "failure_mode_tags", "verdicts")
_FOUND = tuple(name for name in _MODES if name != "classes")
_VIEWS = ("failure_mode_members", "failure_mode_images")


class Mirror(Database):
    """Runs in a schema of another engine; asked and added to by way of a DuckDB in memory.

    Attributes
    ----------
    backend
        The DuckDB connection, with the schema ``prime`` of a database file in it.
    there
        The Ibis connection to the engine.
    results
        Name of the schema there.
    """

    def __init__(self, there: BaseBackend, results: str, *, owned: bool) -> None:
        check_engine(there)
        self.there: Any = there
        self.results = results
        self.path, self._partial = None, None
        self.owned = True
        self._opened = owned
        self._loaded: set[tuple[str, int]] = set()
        self.backend = ibis.duckdb.connect()
        warehouse = Warehouse(self.backend)
        try:
            with warehouse.transaction():
                make(warehouse)
        finally:
            warehouse.close()
        self._load_runs()

    def counting(self, warehouse: Warehouse, on_sql: OnSql | None) -> Warehouse:
        """Return the session in which images are counted: one on the engine."""
        return RemoteWarehouse(self.there, self.results, on_sql)

    def discard(self) -> None:
        """Close what this object opened."""
        self.backend.disconnect()
        if self._opened:
            self.there.disconnect()

    # Runs come here ---------------------------------------------------------------------------

    def load(self, run_id: int) -> None:
        """Copy what a run found; see `load_counts` for the rest."""
        for table in _MODES:
            self._load(table, run_id)

    def load_counts(self, run_id: int, counted_run_id: int) -> None:
        """Copy the tag sets of a run, and the images of the one that counted them."""
        for table in _COUNTS:
            self._load(table, run_id)
        for table in _IMAGES:
            self._load(table, counted_run_id)

    def _last_run(self) -> int:
        rows = self.backend.raw_sql("select coalesce(max(run_id), 0) from prime.runs").fetchall()
        return int(rows[0][0])

    def _load_runs(self) -> None:
        if "runs" not in self._tables_there():
            return
        have = self._here("runs").run_id.to_pyarrow().to_pylist()
        rows = self._there("runs")
        self._add("runs", rows.filter(rows.run_id.notin(have) if have else True).to_pyarrow())

    def _load(self, table: str, run_id: int) -> None:
        with in_turn(self.backend), in_turn(self.there):
            if (table, run_id) not in self._loaded:
                rows = self._there(table)
                self._add(table, rows.filter(rows.run_id == run_id).to_pyarrow())
                self._loaded.add((table, run_id))

    def _add(self, table: str, rows: pa.Table) -> None:
        if len(rows):
            names = ", ".join(map(queries.identifier, rows.column_names))
            self.backend.con.register("mirrored", rows)
            try:
                self.backend.raw_sql(f"insert into prime.{table} ({names}) from mirrored")
            finally:
                self.backend.con.unregister("mirrored")

    def _here(self, table: str) -> Any:
        return self.backend.table(table, database=(self.backend.current_catalog, "prime"))

    def _there(self, table: str) -> Any:
        return self.there.table(table, database=self.results)

    def _tables_there(self) -> list[str]:
        if self.results not in self.there.list_databases():
            return []
        return list(self.there.list_tables(database=self.results))

    # Runs go there ----------------------------------------------------------------------------

    @contextmanager
    def publishing(
        self, counted_in: Warehouse | None, warehouse: Warehouse, *, images: bool = False
    ) -> Iterator[int]:
        """Store what the block publishes in the mirror, in one transaction where there are such.

        Yields the largest run_id that is taken.

        Parameters
        ----------
        counted_in
            The session on the engine that counted; None where the stored counts of a run did.
        warehouse
            The session on the mirror, which gets the relations that a run is published from.
        images
            Whether publishing reads the images.
        """
        there = counted_in or self.counting(warehouse, None)
        assert isinstance(there, RemoteWarehouse)
        with self._as_it_was_on_failure(), there.transaction():
            self._make(there)
            there.lock("runs")
            self._load_runs()
            if counted_in is not None:
                self._fetch(there, warehouse, images=images)
            yield self._taken(there)
            run_id = self._last_run()
            if counted_in is None:
                self._store(there, run_id, (*_MODES, *_COUNTS))
            else:
                self._insert_counted(there, run_id)
                self._store(there, run_id, _FOUND)
            # Last: a run is complete when its row is there.
            self._store(there, run_id, ("runs",))
        self._loaded |= {(name, run_id) for name in _MODES}
        if counted_in is None or images:
            self._loaded |= {(name, run_id) for name in (*_COUNTS, *_IMAGES)}

    @contextmanager
    def _as_it_was_on_failure(self) -> Iterator[None]:
        """Take a run that could not be stored there out of the mirror again."""
        last = self._last_run()
        try:
            yield
        except BaseException:
            for table in ("runs", *_MODES, *_COUNTS, *_IMAGES):
                self.backend.raw_sql(f"delete from prime.{table} where run_id > {last}")
            raise

    def fetch(self, there: Warehouse, warehouse: Warehouse, *names: str) -> None:
        """Copy relations of a session on the engine into one on the mirror."""
        assert isinstance(there, RemoteWarehouse)
        for name in names:
            rows = there.fetch("publish", f"select * from {name}")
            warehouse.create_from(name, ibis.memtable(rows))

    def scope(self, run_id: int) -> str:
        """Return common table expressions in which stored tables of the engine mean one run."""
        schema = queries.identifier(self.results)
        return ",\n".join(
            f"{name} as (select * from {schema}.{name} where run_id = {run_id})"
            for name in ("failure_modes", "failure_mode_tags")
        )

    def store(self, run_id: int) -> None:
        """Store what was added to a run: verdicts, what chance gives, success modes."""
        there = RemoteWarehouse(self.there, self.results)
        with there.transaction():
            self._store(there, run_id, (*_FOUND, "runs"))

    def delete(self, runs: list[int], on_sql: OnSql | None = None) -> None:
        """Delete runs there, each with all its rows."""
        there = RemoteWarehouse(self.there, self.results, on_sql)
        which = ", ".join(map(str, runs))
        with there.transaction():
            # First: a run is complete while its row is there.
            for table in ("runs", *_MODES, *_COUNTS, *_IMAGES):
                old = f"{there.schema}.{table} where run_id in ({which})"
                there.execute("prune", f"delete from {old}")

    def _taken(self, there: RemoteWarehouse) -> int:
        """Return the largest number of a run, also of one that did not become complete.

        Warns of rows after the last complete run, and leaves them: another search may be about to
        complete them, where the engine has no transactions.
        """
        last = last_number(there)
        if last > self._last_run():
            found = leftovers(there, TABLES)
            warnings.warn(
                f"schema {self.results} holds rows that belong to no run: {listed(found)}. Another "
                "search is writing them, or was killed; if none is at work, delete the rows with "
                "such a run_id. They count in no run, and no later run gets their number",
                InputWarning,
                stacklevel=2,
            )
        return last

    def _fetch(self, there: RemoteWarehouse, warehouse: Warehouse, *, images: bool) -> None:
        self.fetch(there, warehouse, *(name for name in _COUNTED if there.has(name)))
        for name in (*_COUNTS, *_IMAGES):
            if images:
                self.fetch(there, warehouse, name)
            else:  # They stay there: what is published of them here is nothing.
                nothing = f"select * exclude run_id from {warehouse.schema}.{name} limit 0"
                warehouse.create(name, nothing)

    def _insert_counted(self, there: RemoteWarehouse, run_id: int) -> None:
        """Append what was counted, which never left the engine."""
        values: dict[str, Any] = {"schema": there.schema, "run_id": run_id}
        images = queries.find("publish/images").render(**values)
        results = queries.find("publish/results").render(largest=LARGEST_MAX_TAGS, **values)
        # Classes and tag sets; the failure modes may have been narrowed down since (max_q).
        for statement in (*queries.statements(images), *queries.statements(results)[:2]):
            there.execute("publish", statement)

    def _store(self, there: RemoteWarehouse, run_id: int, tables: Iterable[str]) -> None:
        for table in tables:
            here, away = self._here(table), self._there(table)
            rows = here.filter(here.run_id == run_id).to_pyarrow()
            stored = away.filter(away.run_id == run_id).select(*rows.column_names).to_pyarrow()
            if _sorted(stored.cast(rows.schema)) == _sorted(rows):
                continue
            if len(stored):  # what an engine cannot delete from, it says
                there.execute(
                    "publish", f"delete from {there.schema}.{table} where run_id = {run_id}"
                )
            there.insert(table, rows)

    def _make(self, there: RemoteWarehouse) -> None:
        """Make the schema with its tables and views, where they are missing."""
        known = self._tables_there()
        tables = [name for name in ("runs", *_MODES, *_COUNTS, *_IMAGES) if name not in known]
        views = [name for name in _VIEWS if name not in known]
        if "runs" in known and tables:
            raise WarehouseError(
                f"schema {self.results} was made by another version of prime_sql; name another one"
            )
        there.make_schema()
        for name in tables:
            there.make_table(name, self._here(name).schema())
        scripts = [
            queries.find("publish/tables").render(schema=there.schema),
            queries.find("validate/tables").render(schema=there.schema),
            queries.find("publish/views").render(schema=there.schema, largest=LARGEST_MAX_TAGS),
        ]
        for statement in (each for script in scripts for each in queries.statements(script)):
            there.make_view_or_comment(statement, {*tables, *views}, _VIEWS)


def open_database(
    into: Destination | BaseBackend | Mirror,
    *,
    schema: str = SCHEMA,
    read_only: bool = False,
    wait: float = NO_WAIT,
) -> Database:
    """Open where results go, or are: a DuckDB database, or a schema of another engine.

    Parameters
    ----------
    into
        As for `Database`; or an Ibis connection to an engine of `ENGINES`, or the URL of one, which
        may end in ``#`` and the name of the schema.
    schema
        Name of the schema there.
    read_only
        Whether a DuckDB file is opened for reading only.
    wait
        Seconds to wait for a DuckDB file that another process has open.

    Raises
    ------
    OptionError
        When `wait` is not such a number, or `into` is not a file.
    WarehouseError
        When it cannot be opened.
    """
    wait = check_wait(wait)
    is_file = isinstance(into, (str, os.PathLike)) and str(into) != ":memory:"
    if wait and (not is_file or "://" in str(into)):
        raise OptionError(
            "wait is for a DuckDB file that another process has open; a warehouse, a connection "
            "and memory are never waited for: leave it out"
        )
    if isinstance(into, Mirror):
        return into
    if isinstance(into, str) and "://" in into:
        url, _, named = into.partition("#")
        return Mirror(connect(url), named or schema, owned=True)
    if isinstance(into, BaseBackend) and into.name != "duckdb":
        return Mirror(into, schema, owned=False)
    return Database(into, read_only=read_only, wait=wait)


def check_wait(wait: float) -> float:
    """Return how many seconds to wait, checked.

    Raises
    ------
    OptionError
        When it is not such a number.
    """
    seconds = finite_number("wait", wait)
    if seconds < 0:
        raise OptionError(f"wait must be a number of seconds from 0 on, got {wait!r}")
    return seconds


def connect(url: str) -> BaseBackend:
    """Connect to the engine of a URL, such as ``postgres://user@host/database``.

    Raises
    ------
    WarehouseError
        When there is no such engine, its package is not installed, or it cannot be reached; the
        message does not hold the password.
    """
    scheme = url.partition("://")[0]
    if scheme not in EXTRAS:
        raise WarehouseError(
            f"{describe(url)} is no warehouse that a search runs in.{did_you_mean(scheme, EXTRAS)} "
            f"Known: {', '.join(f'{known}://…' for known in EXTRAS)}."
        )
    try:
        return ibis.connect(url)
    except ImportError as error:
        raise WarehouseError(
            f'{scheme} needs packages that are missing: pip install "prime-sql[{EXTRAS[scheme]}]"'
        ) from error
    except Exception as error:  # every engine has exceptions of its own
        why = first_line(error)
        password = urlsplit(url).password
        if password:
            why = why.replace(unquote(password), "***").replace(password, "***")
        raise WarehouseError(f"cannot connect to {describe(url)}: {why}") from None


def _sorted(rows: pa.Table) -> list[str]:
    return sorted(map(repr, rows.to_pylist()))
