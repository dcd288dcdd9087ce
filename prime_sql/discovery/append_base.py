"""Which run to append to."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from prime_sql.discovery.conditions import has_subquery, parse_condition
from prime_sql.discovery.stored import UNPUBLISHED, StoredRun, records
from prime_sql.engine.database import Database, Opened
from prime_sql.engine.errors import (
    OptionError,
    StoredCountsError,
    shorten,
)
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session


def check_options(options: Options) -> None:
    """Refuse options of a search that needs all tables at once.

    Raises
    ------
    OptionError
        When the options are of such a search.
    """
    if options.method == "greedy":
        raise OptionError(
            "a greedy search cannot be appended to: which sets it grows depends on all images; "
            "search in full, without append, or with method exhaustive"
        )
    if options.split is not None:
        raise OptionError(
            "a search with split, find and check cannot be appended to: the unseen images of "
            "earlier runs are not stored; search in full, or without split and validate the run"
        )
    conditions = {
        name: parse_condition(name, getattr(options, name), Session.dialect)
        for name in ("error", "where")
    }
    if has_subquery(conditions):
        raise OptionError(
            "a search whose condition asks another table cannot be appended to: its answer for the "
            "images of earlier runs may have changed; search in full, without append"
        )


def latest(database: Database, options: Options, job: str | None) -> StoredRun:
    """Return the run to append to: the latest published one with this job and these options.

    Raises
    ------
    StoredCountsError
        When there is none, or several could be meant.
    """
    first = "search everything in full once, without append"
    found = published(database)
    if not found:
        raise StoredCountsError(f"there is no run to append to yet: {first}")
    whose = "without a job" if job is None else f"of job {job!r}"
    of_job = [each for each in found if each["job"] == job]
    if not of_job:
        jobs = sorted({each["job"] for each in found if each["job"] is not None})
        known = f"; there are runs of {', '.join(map(repr, jobs))}" if jobs else ""
        raise StoredCountsError(f"there is no run {whose} to append to{known}: {first}")
    fitting = [each for each in of_job if Options.from_json(each["options"]) == options]
    if not fitting:
        raise StoredCountsError(
            f"no run {whose} has these options: {_differences(of_job[-1], options)}; append with "
            f"the options of a run, or {first}"
        )
    if job is None:
        origins = {json.loads(each["sources"])["predictions"]: each for each in fitting}
        if len(origins) > 1:
            some = ", ".join(f"{each['run_id']} ({name})" for name, each in origins.items())
            raise StoredCountsError(
                f"several runs could be appended to, of different predictions: {some}; say which "
                "with open_run(DATABASE, NUMBER, read_only=False).append(…), or give each its job"
            )
    return StoredRun(Opened(database, fitting[-1]["run_id"]))


def published(database: Database) -> list[dict[str, Any]]:
    """Return the rows of ``runs`` of all runs that are published, oldest first."""
    return [each for each in records(database.backend, None) if each["status"] != UNPUBLISHED]


def _differences(record: dict[str, Any], options: Options) -> str:
    stored = asdict(Options.from_json(record["options"]))
    other = [
        f"{name} {shorten(stored[name])} there, {shorten(value)} here"
        for name, value in asdict(options).items()
        if stored[name] != value
    ]
    return f"the latest is run {record['run_id']}, with {', '.join(other)}"
