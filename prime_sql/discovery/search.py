"""Options and inputs become a run: the order of the steps, and nothing else.

What each step computes is in ``queries/discovery/``; the definition of a failure mode is section
3 of the PRIME paper (ICLR 2024), made exact.
"""

from __future__ import annotations

from typing import Any

from ibis.backends import BaseBackend

from prime_sql.discovery import counting, inputs, unseen
from prime_sql.discovery.append import appending
from prime_sql.discovery.counting import count_tag_sets
from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.modes import select_modes
from prime_sql.discovery.publish import Record, publish
from prime_sql.discovery.steps import OnProgress, Steps, Work, carry_out
from prime_sql.discovery.tags import check_tags
from prime_sql.engine.database import Database, Destination, Opened
from prime_sql.engine.defaults import MIN_UNSEEN_IMAGES, NO_WAIT, SCHEMA, TOLERANCE
from prime_sql.engine.errors import OptionError
from prime_sql.engine.limits import NO_LIMITS, Limits
from prime_sql.engine.options import Options
from prime_sql.engine.session import OnSql, Session
from prime_sql.engine.sources import read_twice, reading


def search_with(
    predictions: Any,
    tags: Any,
    options: Options,
    *,
    into: Destination | BaseBackend = None,
    schema: str = SCHEMA,
    record: Record,
    min_unseen_images: int = MIN_UNSEEN_IMAGES,
    tolerance: float = TOLERANCE,
    allowed: Limits = NO_LIMITS,
    append: bool = False,
    full_first: bool = True,
    remove: Any = None,
    wait: float = NO_WAIT,
    on_sql: OnSql | None = None,
    on_progress: OnProgress | None = None,
) -> Opened:
    """Search with options that exist already; see `search`.

    Parameters
    ----------
    record
        What is stored with the run besides what it finds.
    min_unseen_images, tolerance
        For the check on the part `options.check`; see `Run.validate`.
    allowed
        Memory limit, and where temporary files go.
    append, full_first
        Whether the tables are added to the last run of the job; and whether they are searched in
        full if the job has none yet.
    wait
        Seconds to wait for a file that another process has open.
    """
    if remove is not None and not append:
        raise OptionError("remove names images of an earlier run: use it with append")
    work = _searching(predictions, tags, options, record, min_unseen_images, tolerance)
    if append:
        first = work if full_first else None
        work = appending(predictions, tags, remove, options, record, first=first)
    return carry_out(
        work,
        options,
        into,
        schema=schema,
        allowed=allowed,
        wait=wait,
        on_sql=on_sql,
        on_progress=on_progress,
    )


def _searching(
    predictions: Any,
    tags: Any,
    options: Options,
    record: Record,
    min_unseen_images: int = MIN_UNSEEN_IMAGES,
    tolerance: float = TOLERANCE,
) -> Work:
    """Return the work of a search, which returns the run_id."""
    if options.check is not None:
        predictions, tags = read_twice(predictions), read_twice(tags)

    def count_and_publish(
        database: Database, counted_in: Session, session: Session, steps: Steps
    ) -> int:
        steps.start("inputs")
        loaded = inputs.load(predictions, tags, options, counted_in, options.find)
        steps.end(loaded.rows["predictions"])
        _count(options, loaded, counted_in, steps)
        note = select_modes(options, loaded, counted_in, steps, frequent="tagged")
        checked = None
        if options.check is not None:
            steps.start("unseen data")
            checked = unseen.check(
                predictions,
                tags,
                options,
                counted_in,
                part=options.check,
                min_unseen_images=min_unseen_images,
                tolerance=tolerance,
            )
            steps.end(checked.images)
        steps.start("publish")
        # All tag sets that could have been failure modes are counted from the images.
        whole = options.max_q is not None
        with database.publishing(counted_in, session, images=whole) as after:
            run_id = publish(
                options, loaded, note, None, session, checked, record=record, after=after
            )
        steps.end(loaded.rows["failure_modes"])
        return run_id

    return count_and_publish


def _count(options: Options, loaded: Inputs, session: Session, steps: Steps) -> None:
    """Fill the session from ``predictions`` and ``tags`` up to ``tag_sets``."""
    step = session.step
    steps.start("outcomes")
    step("discovery/classes", min_images=options.min_images, min_drop=options.min_drop)
    step("discovery/outcomes")
    session.drop("predictions")
    with reading("tags", loaded.sources["tags"]):
        plans = counting.tag_plans(session)
    loaded.rows["images"] = step("discovery/images", plans=plans)
    steps.end(loaded.rows["images"])

    steps.start("tagged")
    with reading("tags", loaded.sources["tags"]):
        loaded.rows["tags"] = step("discovery/vocabulary")
        step("discovery/image_tags", plans=plans)
    check_tags(session, loaded, options, listed=plans is not None)
    step("discovery/class_tags", plans=plans)
    session.drop("image_tags")
    steps.end(
        step(
            "discovery/tagged",
            min_tag_images=options.tag_images,
            max_absent=options.max_absent,
            last_tag=loaded.rows["tags"],
        )
    )
    loaded.rows["rare_tags"] = step("discovery/rare_tags", min_tag_images=options.tag_images)
    session.drop("class_tags")

    largest = 1  # Planning the joins of larger sets takes longer than a small search.

    def on_size(size: int, count: int | None) -> None:
        nonlocal largest
        if count is None:
            steps.start("tag sets", size)
        else:
            steps.end(count)
            largest = size if count else largest

    count_tag_sets(
        session,
        options.max_tags,
        max_absent=options.max_absent,
        last_tag=loaded.rows["tags"],
        greedy=options.greedy,
        on_size=on_size,
    )

    steps.start("accuracies")
    step("discovery/tag_names", max_absent=options.max_absent, last_tag=loaded.rows["tags"])
    loaded.rows["tag_sets"] = counting.tag_sets(session, largest)
    steps.end(loaded.rows["tag_sets"])
