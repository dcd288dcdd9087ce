"""Retention: delete the old runs of a database, whole, and leave the others as they were."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import polars as pl

from prime_sql.discovery.stored import RUN_SCHEMA, UNPUBLISHED, records
from prime_sql.engine.defaults import NO_WAIT
from prime_sql.engine.errors import QueryError, WarehouseError, did_you_mean
from prime_sql.engine.opening import Place, open_database
from prime_sql.engine.options import whole_number
from prime_sql.engine.session import OnSql
from prime_sql.questions.history import series


def prune(
    database: Place,
    *,
    keep: int,
    job: str | None = None,
    dry_run: bool = False,
    wait: float = NO_WAIT,
    on_sql: OnSql | None = None,
) -> pl.DataFrame:
    """Delete old runs: of those that are compared with each other, all but the latest.

    Runs with other options, of another job, or without a job from other predictions, are counted
    separately; see `Run.previous`. All are deleted in one transaction, or none.

    Parameters
    ----------
    database
        A DuckDB file, an Ibis DuckDB connection, or a warehouse as in `open_run`.
    keep
        How many runs of each kind to keep, 1 or more. A run is also kept as long as one that is
        kept uses its counts (`Run.refilter`). Runs that their job never published do not count,
        and are deleted like the others.
    job
        Leave the runs of other jobs alone.
    dry_run
        Delete nothing.
    wait
        Seconds to wait for a file that another process has open.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    polars.DataFrame
        The runs that were, or would be, deleted: their rows of `runs`.

    Raises
    ------
    OptionError
        When `keep` is not such a number.
    QueryError
        When there is no run of this job.
    WarehouseError
        When the database cannot be opened or is open for reading only; nothing is deleted.

    Notes
    -----
    DuckDB reuses the space of deleted rows, and makes the file smaller where the free space is at
    its end.
    """
    keep = whole_number("keep", keep)
    opened = open_database(database, read_only=dry_run, wait=wait)
    try:
        if opened.is_new:
            raise WarehouseError(f"there is no database {opened.path}")
        stored = records(opened.backend, None)
        jobs = {record["job"] for record in stored if record["job"] is not None}
        if job is not None and job not in jobs:
            known = f" Jobs: {', '.join(sorted(jobs))}." if jobs else " No run has a job."
            raise QueryError(f"there is no run of job {job!r}.{did_you_mean(job, jobs) or known}")
        old = outdated(stored, keep, job)
        gone = pl.DataFrame([row for row in stored if row["run_id"] in old], schema=RUN_SCHEMA)
        if old and not dry_run:
            opened.delete(sorted(old), on_sql)
        return gone
    finally:
        opened.discard()


def outdated(stored: list[dict[str, Any]], keep: int, job: str | None = None) -> set[int]:
    """Return which runs to delete, given the rows of ``runs``, oldest first."""
    later: dict[Hashable, int] = {}
    later_complete: dict[Hashable, int] = {}
    old: set[int] = set()
    needed: set[int] = set()
    for record in reversed(stored):
        kind = series(record)
        unpublished = record["status"] == UNPUBLISHED
        behind = (later if unpublished else later_complete).get(kind, 0)
        chosen = job is None or record["job"] == job
        if chosen and behind >= keep and record["run_id"] not in needed:
            old.add(record["run_id"])
        else:
            needed.add(record["counted_run_id"])
        later[kind] = later.get(kind, 0) + 1
        if not unpublished:
            later_complete[kind] = later_complete.get(kind, 0) + 1
    return old
