"""Other thresholds, answered from the stored counts of a run."""

from __future__ import annotations

from typing import Any

from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.modes import select_modes
from prime_sql.discovery.publish import Record, publish
from prime_sql.discovery.steps import Steps, carry_out
from prime_sql.discovery.stored import R, StoredRun
from prime_sql.engine.database import Database
from prime_sql.engine.errors import (
    StoredCountsError,
    shorten,
)
from prime_sql.engine.options import LARGEST_MAX_TAGS, Options
from prime_sql.engine.session import OnSql, Session


def refilter(
    run: R,
    *,
    min_drop: float | None = None,
    min_images: int | None = None,
    necessity: tuple[float, ...] | None = None,
    max_tags: int | None = None,
    min_tag_images: int | None = None,
    max_q: float | None = None,
    job: str | None = None,
    on_sql: OnSql | None = None,
) -> R:
    """Return a new run with other thresholds, answered from the stored counts.

    The result equals a new search with these options; thresholds left out stay as they are. The
    new run belongs to no job, unless one is named.

    Raises
    ------
    StoredCountsError
        When the stored counts do not suffice: the message says why, and nothing is written.
    """
    changes: dict[str, Any] = {
        "min_drop": min_drop,
        "min_images": min_images,
        "necessity": necessity,
        "max_tags": max_tags,
        "min_tag_images": min_tag_images,
        "max_q": max_q,
    }
    options = run.options.replace(
        **{name: value for name, value in changes.items() if value is not None}
    )
    record = Record(job=job)
    # The counts of a refiltered run are narrower than those that it came from.
    counted = run.other(run.counted_run_id)
    run.database.load_counts(counted.run_id, counted.run_id)

    def select_and_publish(database: Database, _: Session, session: Session, steps: Steps) -> int:
        loaded = Inputs(dict(run.sources), warnings=list(run.warnings))
        loaded.rows = {
            name: run.row_counts[name]
            for name in ("predictions", "tag_rows", "images", "tags")
            if name in run.row_counts
        }
        _stored_counts(counted, options, session)
        note = select_modes(options, loaded, session, steps, frequent=None)
        with database.publishing(None, session) as after:
            return publish(
                options, loaded, note, run.counted_run_id, session, record=record, after=after
            )

    opened = carry_out(select_and_publish, options, run.database, step_count=1, on_sql=on_sql)
    return run.other(opened.run_id)


def _stored_counts(run: StoredRun, options: Options, session: Session) -> None:
    """Fill ``classes`` and ``tag_sets`` from a run, as a search with `options` would have.

    Raises
    ------
    StoredCountsError
        When the run did not count every tag set that the new thresholds could admit.
    """
    old = run.options
    if old.method == "greedy":
        raise StoredCountsError(
            f"run {run.run_id} was a greedy search, which counted only some tag sets; for other "
            "thresholds search the tables again"
        )
    if options.max_tags > old.max_tags:
        raise StoredCountsError(
            f"run {run.run_id} counted sets of up to {old.max_tags} tags; for max_tags "
            f"{options.max_tags} search the tables again"
        )
    # A tag on fewer images than a set needs is in no set, but sets without it may be large.
    fewest = max(options.tag_images, 0 if old.max_absent else options.min_images)
    if fewest < old.tag_images:
        raise StoredCountsError(
            f"run {run.run_id} counted tags on {old.tag_images} images of a class or more; for "
            f"fewer ({fewest}) search the tables again, with "
            f"--min-images {options.min_images} --min-drop {options.min_drop:g}"
        )
    step = session.step
    step(
        "discovery/refilter/stored_classes",
        "classes",
        schema=session.schema,
        run_id=run.run_id,
        min_images=options.min_images,
        min_drop=options.min_drop,
        counted_min_images=old.min_images,
        counted_min_drop=old.min_drop,
    )
    narrow = session.check("discovery/checks/stored_counts", min_images=options.min_images)
    if narrow["classes"]:
        raise StoredCountsError(
            f"run {run.run_id} counted only tag sets with many errors: in {narrow['classes']:,} "
            f"classes, for example {shorten(narrow['class_name'])}, sets with at least "
            f"{narrow['counted']} errors, but these thresholds admit sets with "
            f"{narrow['needed']}; search the tables again "
            f"with --min-images {options.min_images} --min-drop {options.min_drop:g}"
        )
    step(
        "discovery/refilter/stored_vocabulary",
        "vocabulary",
        schema=session.schema,
        run_id=run.run_id,
    )
    last_tag = session.execute("vocabulary", "select coalesce(max(tag_id), 0) from vocabulary")
    step("discovery/tag_names", max_absent=options.max_absent, last_tag=last_tag[0][0])
    step(
        "discovery/refilter/stored_tag_sets",
        "tag_sets",
        schema=session.schema,
        run_id=run.run_id,
        max_tags=options.max_tags,
        largest=LARGEST_MAX_TAGS,
        min_tag_images=options.tag_images,
    )
