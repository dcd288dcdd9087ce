"""A run becomes visible: whole, in one transaction, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from prime_sql import __version__, chance, schema
from prime_sql.inputs import Inputs
from prime_sql.options import LARGEST_MAX_TAGS, Options
from prime_sql.recount import Stored
from prime_sql.stored import COMPLETE
from prime_sql.validate import Checked, store
from prime_sql.warehouse import Warehouse, is_made, tables_of

# The relations of a session that are stored under the same names.
_PUBLISHED = (
    "classes",
    "outcomes",
    "vocabulary",
    "tagged",
    "rare_tags",
    "tag_sets",
    "failure_modes",
    "failure_mode_tags",
)


@dataclass(frozen=True)
class Record:
    """What the row of a run in ``runs`` says that the search does not find out.

    Attributes
    ----------
    job
        Name of the job that made it, or None.
    status
        `COMPLETE`; or `UNPUBLISHED` until its job has published what it makes of the run.
    options, sources
        In the place of those that were used, where these hold what is not to be stored.
    hide
        What is done to warnings and notes, for the same reason.
    """

    job: str | None = None
    status: str = COMPLETE
    options: Options | None = None
    sources: dict[str, str] | None = None
    hide: Callable[[str], str] = str


def publish(
    options: Options,
    loaded: Inputs,
    note: str | None,
    counted_run_id: int | None,
    warehouse: Warehouse,
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
        The run whose counts it rests on, or None where it counted itself.
    warehouse
        The session, with ``classes``, ``tag_sets``, ``failure_modes`` and ``failure_mode_tags``;
        for a run that counted also ``outcomes``, ``vocabulary``, ``tagged`` and ``rare_tags``.
    checked
        Describes the session's ``verdicts`` on unseen data, where there are any.
    record
        What else is to be said of it.
    after
        The largest run_id that is taken elsewhere.
    keep_images
        Called with the run_id, to store the images in the place of ``queries/publish/02``.

    Returns
    -------
    int
        The run_id: the next number.
    """
    record = record or Record()
    with warehouse.transaction():
        script = partial(schema.script, warehouse)
        first = not is_made(warehouse.backend)
        if first:
            schema.make_tables(warehouse)
        else:
            schema.later_columns(warehouse)
        run_id = max(schema.last_number(warehouse), after) + 1
        if keep_images is not None:
            keep_images(run_id)
        elif counted_run_id is None:
            script("images", run_id=run_id)
        script("results", run_id=run_id, largest=LARGEST_MAX_TAGS)
        # The session's relations would hide the stored ones, which have the same names.
        warehouse.drop(*_PUBLISHED)
        warehouse.execute("publish", f"use {warehouse.schema}")
        if first:
            script("views", largest=LARGEST_MAX_TAGS)
        # No dashboard opens a database in memory. One of an earlier version may lack the views.
        if warehouse.file and "v_runs" not in tables_of(warehouse.backend):
            script("dashboard_views", largest=LARGEST_MAX_TAGS)
        if checked is not None:
            store(checked.shown(record.sources, record.hide), run_id, warehouse)
        stored = Stored(run_id, counted_run_id or run_id, options)
        eligible = chance.fill(warehouse, stored, q_values=options.max_q is not None)
        if eligible is not None and options.max_q is not None:
            loaded.rows["eligible_tag_sets"] = eligible
            found = loaded.rows["failure_modes"]
            loaded.rows["failure_modes"] = chance.keep_significant(warehouse, stored, options.max_q)
            if found and not loaded.rows["failure_modes"]:
                note = (
                    f"None of {found:,} failure modes has a q-value of {options.max_q:g} or less, "
                    f"with {eligible:,} eligible tag sets."
                )
        script(
            "run",
            run_id=run_id,
            counted_run_id=counted_run_id or run_id,
            created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            version=__version__,
            status=record.status,
            options=(record.options or options).to_json(),
            sources=json.dumps(record.sources or loaded.sources),
            warnings=json.dumps([record.hide(warning) for warning in loaded.warnings]),
            note=None if note is None else record.hide(note),
            row_counts=json.dumps(loaded.rows),
            seconds=json.dumps({step: round(s, 4) for step, s in warehouse.seconds.items()}),
            job=record.job,
        )
    return run_id
