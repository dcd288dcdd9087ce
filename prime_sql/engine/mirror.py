"""Runs that another engine stores, and their copies in DuckDB.

Images are counted where the tables live (`remote`). Questions about a finished run, and its
statistics, work on a copy of its tables in memory; what they add is stored with the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ibis
import pyarrow as pa
from ibis.backends import BaseBackend

from prime_sql.engine import queries
from prime_sql.engine.connection import in_turn
from prime_sql.engine.database import Database
from prime_sql.engine.errors import (
    OptionError,
    WarehouseError,
    warn,
)
from prime_sql.engine.extensions import download_none
from prime_sql.engine.limits import NO_LIMITS, Limits
from prime_sql.engine.options import LARGEST_MAX_TAGS
from prime_sql.engine.remote import RemoteSession, check_engine
from prime_sql.engine.schema import (
    TABLES,
    VIEWS,
    definition,
    last_number,
    leftovers,
    listed,
    make,
    names,
)
from prime_sql.engine.session import OnSql, Session

# Copied when a run is opened.
_MODES = names("class", "mode")
# Copied when something is asked that reads them.
_COUNTS, _IMAGES = names("tag set"), names("image")
# What is found on the copy, and stored with the run.
_FOUND = names("mode")
# Relations of a session that a run is published from, except those of tag sets and images.
_COUNTED = (
    *(table.name for table in TABLES if table.counted and table.name in _MODES),
    "verdicts",
)


class Mirror(Database):
    """Runs in a schema of another engine, queried and added to through a DuckDB in memory.

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
        self.backend = download_none(ibis.duckdb.connect())
        with Session(self.backend) as session, session.transaction():
            make(session)
        self._load_runs()

    def counting(self, session: Session, on_sql: OnSql | None) -> Session:
        """Return the session in which images are counted: one on the engine."""
        return RemoteSession(self.there, self.results, on_sql)

    @property
    def mirror(self) -> Mirror:
        """The object itself: a copy of another engine's runs."""
        return self

    @contextmanager
    def limited(self, allowed: Limits, *, owned: bool) -> Iterator[None]:
        """Refuse memory limits: they are settings of DuckDB."""
        if allowed != NO_LIMITS:
            raise OptionError(
                "memory_limit and temp_dir are settings of DuckDB; another engine has its own"
            )
        yield

    def check_appendable(self) -> None:
        """Refuse to append."""
        raise OptionError(
            "runs in a warehouse cannot be appended to, only those in a DuckDB database; search in "
            "full, without append"
        )

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
        self, counted_in: Session | None, session: Session, *, images: bool = False
    ) -> Iterator[int]:
        """Store what the block publishes in the mirror, in one transaction if the engine has them.

        Yields the largest run_id that is taken.

        Parameters
        ----------
        counted_in
            The session on the engine that counted; None if the counts are those of a stored run.
        session
            The session on the mirror, which gets the relations that a run is published from.
        images
            Whether publishing reads the images.
        """
        there = counted_in or self.counting(session, None)
        assert isinstance(there, RemoteSession)
        with self._as_it_was_on_failure(), there.transaction():
            self._make(there)
            there.lock("runs")
            self._load_runs()
            if counted_in is not None:
                self._fetch(there, session, images=images)
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
        """Remove a run from the mirror if it could not be stored there."""
        last = self._last_run()
        try:
            yield
        except BaseException:
            for table in names():
                self.backend.raw_sql(f"delete from prime.{table} where run_id > {last}")
            raise

    def fetch(self, there: Session, session: Session, *names: str) -> None:
        """Copy relations of a session on the engine into one on the mirror."""
        assert isinstance(there, RemoteSession)
        for name in names:
            rows = there.fetch("publish", f"select * from {name}")
            session.create_from(name, ibis.memtable(rows))

    def store(self, run_id: int) -> None:
        """Store what was added to a run: verdicts, what chance alone gives, success modes."""
        there = RemoteSession(self.there, self.results)
        with there.transaction():
            self._store(there, run_id, (*_FOUND, "runs"))

    def delete(self, runs: list[int], on_sql: OnSql | None = None) -> None:
        """Delete runs there, each with all its rows."""
        there = RemoteSession(self.there, self.results, on_sql)
        which = ", ".join(map(str, runs))
        with there.transaction():
            # First: a run is complete while its row is there.
            for table in names():
                old = f"{there.schema}.{table} where run_id in ({which})"
                there.execute("prune", f"delete from {old}")

    def _taken(self, there: RemoteSession) -> int:
        """Return the largest run number, including that of an incomplete run.

        Warns of rows after the last complete run, and leaves them: if the engine has no
        transactions, another search may be about to complete them.
        """
        last = last_number(there)
        if last > self._last_run():
            found = leftovers(there, names())
            warn(
                f"schema {self.results} holds rows that belong to no run: {listed(found)}. Another "
                "search is writing them, or was killed; if none is running, delete the rows with "
                "such a run_id. No run counts them, and no later run gets their number",
            )
        return last

    def _fetch(self, there: RemoteSession, session: Session, *, images: bool) -> None:
        self.fetch(there, session, *(name for name in _COUNTED if there.has(name)))
        for name in (*_COUNTS, *_IMAGES):
            if images:
                self.fetch(there, session, name)
            else:  # They stay there: nothing of them is published here.
                nothing = f"select * exclude run_id from {session.schema}.{name} limit 0"
                session.create(name, nothing)

    def _insert_counted(self, there: RemoteSession, run_id: int) -> None:
        """Append what was counted, which never left the engine."""
        values: dict[str, Any] = {"schema": there.schema, "run_id": run_id}
        images = queries.find("discovery/publish/images").render(**values)
        results = queries.find("discovery/publish/results").render(
            largest=LARGEST_MAX_TAGS, **values
        )
        # Classes and tag sets; the failure modes may have been narrowed down since (max_q).
        for statement in (*queries.statements(images), *queries.statements(results)[:2]):
            there.execute("publish", statement)

    def _store(self, there: RemoteSession, run_id: int, tables: Iterable[str]) -> None:
        for table in tables:
            here, away = self._here(table), self._there(table)
            rows = here.filter(here.run_id == run_id).to_pyarrow()
            stored = away.filter(away.run_id == run_id).select(*rows.column_names).to_pyarrow()
            if _sorted(stored.cast(rows.schema)) == _sorted(rows):
                continue
            if len(stored):  # an engine that cannot delete says so
                there.execute(
                    "publish", f"delete from {there.schema}.{table} where run_id = {run_id}"
                )
            there.insert(table, rows)

    def _make(self, there: RemoteSession) -> None:
        """Make the schema with its tables and views, if they are missing."""
        known = self._tables_there()
        tables = [name for name in names() if name not in known]
        views = [name for name in VIEWS if name not in known]
        if "runs" in known and tables:
            raise WarehouseError(
                f"schema {self.results} was made by another version of prime_sql; name another one"
            )
        there.make_schema()
        for name in tables:
            there.make_table(name, self._here(name).schema())
        scripts = [definition(name, there.schema) for name in names()]
        views_of = queries.find("engine/schema/views")
        scripts.append(views_of.render(schema=there.schema, largest=LARGEST_MAX_TAGS))
        for statement in (each for script in scripts for each in queries.statements(script)):
            there.make_view_or_comment(statement, {*tables, *views}, VIEWS)


def _sorted(rows: pa.Table) -> list[str]:
    return sorted(map(repr, rows.to_pylist()))
