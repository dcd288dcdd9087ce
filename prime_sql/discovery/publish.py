"""A run becomes visible: whole, in one transaction, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from prime_sql.discovery import significance
from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.recount import Stored
from prime_sql.discovery.stored import COMPLETE
from prime_sql.discovery.unseen import Checked, store
from prime_sql.engine import schema
from prime_sql.engine.connection import is_made, tables_of
from prime_sql.engine.errors import OptionError
from prime_sql.engine.options import LARGEST_MAX_TAGS, Options
from prime_sql.engine.session import Session
from prime_sql.engine.version import __version__


@dataclass(frozen=True)
class Record:
    """What the row of a run in ``runs`` says besides what the search finds out.

    Attributes
    ----------
    job
        Name of the job that made it, or None.
    status
        `COMPLETE`; or `UNPUBLISHED` until its job has published what it makes of the run.
    options, sources
        Stored instead of those that were used, if these hold something that must not be stored.
    hide
        Applied to warnings and notes, for the same reason.

    Raises
    ------
    OptionError
        When `job` is not a name.
    """

    job: str | None = None
    status: str = COMPLETE
    options: Options | None = None
    sources: dict[str, str] | None = None
    hide: Callable[[str], str] = str

    def __post_init__(self) -> None:
        if self.job is not None and (not isinstance(self.job, str) or not self.job.strip()):
            raise OptionError(f"job must be non-empty text, got {self.job!r}")


def publish(
    options: Options,
    loaded: Inputs,
    note: str | None,
    counted_run_id: int | None,
    session: Session,
    checked: Checked | None = None,
    *,
    record: Record | None = None,
    after: int = 0,
    keep_images: Callable[[int], object] | None = None,
) -> int:
    """Append the session's relations to schema ``prime`` in one transaction.

    Parameters
    ----------
    options, loaded
        What the run was asked, and what it read.
    note
        Why there are no failure modes, or None.
    counted_run_id
        The run whose counts it rests on, or None if it counted for itself.
    session
        The session, with ``classes``, ``tag_sets``, ``failure_modes`` and ``failure_mode_tags``;
        for a run that counted, also ``outcomes``, ``vocabulary``, ``tagged`` and ``rare_tags``.
    checked
        Describes the session's ``verdicts`` on unseen data, if there are any.
    record
        What else the run's row says.
    after
        The largest run_id that is taken elsewhere.
    keep_images
        Called with the run_id, to store the images instead of ``queries/discovery/publish/01``.

    Returns
    -------
    int
        The run_id: the next number.
    """
    record = record or Record()
    with session.transaction():
        script = partial(schema.script, session)
        first = not is_made(session.backend)
        if first:
            schema.make_tables(session)
        else:
            schema.later_columns(session)
        run_id = max(schema.last_number(session), after) + 1
        if keep_images is not None:
            keep_images(run_id)
        elif counted_run_id is None:
            script("discovery/publish/images", run_id=run_id)
        script("discovery/publish/results", run_id=run_id, largest=LARGEST_MAX_TAGS)
        # The session's relations would hide the stored ones, which have the same names.
        session.drop(*(table.name for table in schema.TABLES if table.counted))
        session.execute("publish", f"use {session.schema}")
        if first:
            script("engine/schema/views", largest=LARGEST_MAX_TAGS)
        # No dashboard opens a database in memory. One of an earlier version may lack the views.
        if session.file and "v_runs" not in tables_of(session.backend):
            script("engine/schema/dashboard_views", largest=LARGEST_MAX_TAGS)
        if checked is not None:
            store(checked.shown(record.sources, record.hide), run_id, session)
        stored = Stored(run_id, counted_run_id or run_id, options)
        eligible = significance.fill(session, stored, q_values=options.max_q is not None)
        if eligible is not None and options.max_q is not None:
            loaded.rows["eligible_tag_sets"] = eligible
            found = loaded.rows["failure_modes"]
            loaded.rows["failure_modes"] = significance.keep_significant(
                session, stored, options.max_q
            )
            if found and not loaded.rows["failure_modes"]:
                note = (
                    f"None of {found:,} failure modes has a q-value of {options.max_q:g} or less, "
                    f"with {eligible:,} eligible tag sets."
                )
        _describe(run_id, counted_run_id or run_id, options, loaded, note, session, record)
    return run_id


def publish_nothing(options: Options, session: Session, record: Record) -> int:
    """Append a run without rows, to which SQL can be bound, with all tables and views of a run."""
    with session.transaction():
        if is_made(session.backend):
            schema.later_columns(session)
        else:
            schema.make(session)
        if "v_runs" not in tables_of(session.backend):
            schema.script(session, "engine/schema/dashboard_views", largest=LARGEST_MAX_TAGS)
        run_id = schema.last_number(session) + 1
        nothing = Inputs(record.sources or {}, rows={"failure_modes": 0})
        _describe(run_id, run_id, options, nothing, None, session, record)
    return run_id


def _describe(
    run_id: int,
    counted_run_id: int,
    options: Options,
    loaded: Inputs,
    note: str | None,
    session: Session,
    record: Record,
) -> None:
    """Append the row of a run."""
    schema.script(
        session,
        "discovery/publish/run",
        run_id=run_id,
        counted_run_id=counted_run_id,
        created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        version=__version__,
        status=record.status,
        options=(record.options or options).to_json(),
        sources=json.dumps(record.sources or loaded.sources),
        warnings=json.dumps([record.hide(warning) for warning in loaded.warnings]),
        note=None if note is None else record.hide(note),
        row_counts=json.dumps(loaded.rows),
        seconds=json.dumps({step: round(s, 4) for step, s in session.seconds.items()}),
        job=record.job,
    )
