"""New images are added to a run and to its stored counts; the result equals a full search.

The new run is over the images of the earlier one, with the new ones instead of older ones of the
same image_id. The tag sets of a class are counted again only if the stored ones do not suffice (a
new class, one in which fewer errors than before make a set count, or one in which a tag became
frequent), or if the class changed so much that counting it again is faster. Elsewhere, the counted
sets change by what the changed images carry; any other set that may have enough errors now has one
on a changed image, and is counted on its own. The steps are in ``queries/discovery/append/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from prime_sql.discovery import counting, inputs
from prime_sql.discovery.append_base import check_options, latest, published
from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.modes import select_modes
from prime_sql.discovery.publish import Record, publish
from prime_sql.discovery.steps import OnProgress, carry_out
from prime_sql.discovery.stored import R, StoredRun
from prime_sql.discovery.tags import check_tags
from prime_sql.engine import schema
from prime_sql.engine.database import Database, Opened
from prime_sql.engine.errors import InputError, StoredCountsError, shorten
from prime_sql.engine.options import Options
from prime_sql.engine.session import OnSql, Session
from prime_sql.engine.sources import describe, reading

if TYPE_CHECKING:
    from prime_sql.discovery.steps import Steps, Work

# By measurement: if more of the images of a class changed, counting it again is faster.
MOST_CHANGED = 0.05
# Views of the session whose names later steps or stored tables have as well.
_VIEWS = ("stored_images", "stored_tags", "images")


def append(
    run: R,
    predictions: Any = None,
    tags: Any = None,
    *,
    remove: Any = None,
    on_sql: OnSql | None = None,
    on_progress: OnProgress | None = None,
) -> R:
    """Return a new run over the images of this one and new ones, counting only what is new.

    The result equals a search of everything with this run's options.

    Parameters
    ----------
    predictions
        New images, in the forms that `search` takes. If the run has an image of this
        image_id, the new rows replace all its old ones, which may move it to another class.
        Rows that the run's `where` leaves out do not count, and replace nothing. None for no
        new predictions.
    tags
        Tags of the new images, and of old ones whose tags changed: all tags of an image that
        the table names are replaced (by none if none of its tags counts). Images that the table
        does not name keep the tags that they had in the run. Tags of images without a
        prediction are not kept for later. None for no new tags.
    remove
        A table whose `image_id` column names images that no longer count.
    on_sql, on_progress
        As in `search`.

    Raises
    ------
    OptionError
        When the run cannot be appended to: a greedy search, or one with a `split` or with a
        condition that asks another table.
    StoredCountsError
        When an earlier version of prime_sql made the run.
    InputError
        When a table is missing or breaks the definition of its columns; nothing is written.
    WarehouseError
        When the database is open for reading only, or refuses a statement.

    Notes
    -----
    With a `max_q`, all eligible tag sets are counted as in a full search.
    """
    work = appending(predictions, tags, remove, run.options, Record(job=run.job), run.run_id)
    opened = carry_out(work, run.options, run.database, on_sql=on_sql, on_progress=on_progress)
    return run.other(opened.run_id)


def appending(
    predictions: Any,
    tags: Any,
    remove: Any,
    options: Options,
    record: Record,
    run_id: int | None = None,
    first: Work | None = None,
) -> Work:
    """Return the work of an append, which returns the run_id; see `search`.

    With `run_id`, that run is appended to, else the `latest`. With `first`, that work is done
    instead if the job has no published run.
    """
    check_options(options)

    def append_and_publish(
        database: Database, counted_in: Session, session: Session, steps: Steps
    ) -> int:
        database.check_appendable()
        if first is not None and all(each["job"] != record.job for each in published(database)):
            return first(database, counted_in, session, steps)
        base = (
            latest(database, record.options or options, record.job)
            if run_id is None
            else StoredRun(Opened(database, run_id))
        )
        # A run that `refilter` made rests on the images of another one.
        counted = base.other(base.counted_run_id)
        if "rare_tags" not in counted.row_counts:
            raise StoredCountsError(
                f"run {counted.run_id} was made by a version of prime_sql that did not store rare "
                "tags, which new images may make frequent; search everything in full once, without "
                "append"
            )
        steps.start("inputs")
        removed = inputs.load_removed(remove, options, session)
        loaded = inputs.load(predictions, tags, options, session, appended=True)
        new = record.sources or loaded.sources
        loaded.sources = {name: base.sources[name] for name in ("predictions", "tags")}
        loaded.sources["appended_to"] = f"run {base.run_id}"
        loaded.sources |= {f"appended_{name}": source for name, source in new.items()}
        if remove is not None:
            loaded.sources["removed"] = describe(remove)
        loaded.rows["new_predictions"] = loaded.rows["predictions"]
        loaded.rows["removed_images"] = removed
        steps.end(loaded.rows["predictions"])
        _unite(options, counted, loaded, session, steps)
        _add(options, counted, loaded, session, steps)
        note = select_modes(options, loaded, session, steps, frequent="single_tags")
        steps.start("publish")
        for view in _VIEWS:
            session.execute("drop", f"drop view if exists temp.{view}")
        with database.publishing(session, session) as after:
            kept = replace(record, sources=None)  # including those of the earlier runs
            keep = partial(_keep_images, options, counted, session)
            new_id = publish(
                options, loaded, note, None, session, record=kept, after=after, keep_images=keep
            )
        steps.end(loaded.rows["failure_modes"])
        return new_id

    return append_and_publish


def _unite(
    options: Options, counted: StoredRun, loaded: Inputs, session: Session, steps: Steps
) -> None:
    """Fill the session with the images of the run and the new ones, up to ``tag_counts``."""
    step = session.step
    run: dict[str, Any] = {"schema": session.schema, "run_id": counted.run_id}
    steps.start("outcomes")
    session.create("new_predictions", "select * from predictions")
    step("discovery/append/stored_images", view=True, **run)
    step("discovery/append/named_images")
    _check_removed(counted, loaded, session)
    with reading("tags", loaded.sources.get("appended_tags", "none")):
        step("discovery/append/places")
        step("discovery/append/present_images")
        step(
            "discovery/append/classes",
            min_images=options.min_images,
            min_drop=options.min_drop,
            **run,
        )
        # An image that is predicted again, or removed, leaves all its old classes.
        loaded.rows["predictions"], gone, new = session.execute(
            "classes",
            "select (select cast(coalesce(sum(images), 0) as bigint) from classes), "
            "(select count(distinct image_id) from named_images where replaced = 1), "
            "(select count(distinct image_id) from new_predictions)",
        )[0]
        if not loaded.rows["predictions"]:
            raise InputError(
                f"no image of run {counted.run_id} is left, and there is no new one; a run needs "
                "predictions"
            )
        loaded.rows["images"] = counted.row_counts["images"] - gone + new
        step("discovery/append/class_numbers", **run)
        step("discovery/append/known_tags", **run)
        step("discovery/append/stored_tags", view=True, **run)
        step("discovery/append/named_tags")
        step("discovery/append/new_tags")
    step("discovery/append/retagged")
    step("discovery/append/current_tags")
    step("discovery/append/outcomes", **run)
    steps.end(loaded.rows["images"])
    steps.start("tagged")
    step("discovery/append/changes")
    step("discovery/append/change_tags")
    step("discovery/append/tag_counts", **run)
    loaded.rows["tags"] = step("discovery/append/vocabulary")
    session.create("images", "select image_id from outcomes group by image_id", view=True)
    check_tags(session, loaded, options, "discovery/checks/appended_tags")
    loaded.rows["new_tag_rows"] = loaded.rows["tag_rows"]
    loaded.rows["tag_rows"], loaded.rows["rare_tags"] = session.execute(
        "tag_counts",
        "select cast(coalesce(sum(images), 0) as bigint), cast(coalesce(sum(case when images < "
        f"{options.tag_images} then images end), 0) as bigint) from tag_counts",
    )[0]
    step("discovery/append/tag_numbers", **run)
    step("discovery/append/loose_tags", min_tag_images=options.tag_images, **run)
    steps.end(loaded.rows["tag_rows"] - loaded.rows["rare_tags"])


def _keep_images(options: Options, counted: StoredRun, session: Session, run_id: int) -> None:
    """Store the images in the session as those of the run."""
    schema.script(
        session,
        "discovery/append/appended_images",
        run_id=run_id,
        stored_run_id=counted.run_id,
        min_tag_images=options.tag_images,
    )


def _check_removed(counted: StoredRun, loaded: Inputs, session: Session) -> None:
    if not loaded.rows["removed_images"]:
        return
    found = session.check("discovery/checks/removed_images")
    if found["again"]:
        raise InputError(
            f"{found['again']:,} images are both in remove and in the new predictions, for example "
            f"{shorten(found['again_example'])}; a new prediction replaces the old one anyway: "
            "leave them out of one of the two"
        )
    if found["unknown"]:
        loaded.warn(
            f"{found['unknown']:,} of {found['images']:,} images to remove are not in run "
            f"{counted.run_id}, for example {shorten(found['unknown_example'])}"
        )


def _add(
    options: Options, counted: StoredRun, loaded: Inputs, session: Session, steps: Steps
) -> None:
    """Fill ``counts_1`` … from the stored counts and the changed images, then ``tag_sets``."""
    step = session.step
    run: dict[str, Any] = {"schema": session.schema, "run_id": counted.run_id}
    absent: dict[str, Any] = {"max_absent": options.max_absent, "last_tag": loaded.rows["tags"]}
    sizes = range(1, options.max_tags + 1)

    steps.start("tag sets", 1)
    session.step("discovery/tag_names", **absent)
    step("discovery/append/single_tags", min_tag_images=options.tag_images, **absent)
    step("discovery/append/counted_tags", min_tag_images=counted.options.tag_images, **absent)
    recounted = step(
        "discovery/append/open_classes",
        min_images=counted.options.min_images,
        min_drop=counted.options.min_drop,
        most_changed=MOST_CHANGED,
        **run,
    )
    loaded.rows["recounted_classes"] = recounted
    if recounted:
        step("discovery/append/open_tagged", "tagged", **run, **absent)
        with _only_open_classes(session):
            counting.count_tag_sets(session, options.max_tags, **absent)
    loaded.rows["recounted_tag_sets"] = 0
    for size in sizes:
        if size == 1:
            passing = step("discovery/append/passing_tags", "passing_1")
            step("discovery/append/changed_tags", "changed_1", **absent)
        else:
            steps.start("tag sets", size)
            if size == 2:
                plans, widths = _bits(session, "errors")
                step("discovery/append/error_members", plans=plans, **run, **absent, **widths)
            step("discovery/append/stored_sets", size=size, **run)
            step("discovery/append/changed_sets", f"changed_{size}", size=size, **absent)
            step("discovery/append/set_changes", size=size)
            loaded.rows["recounted_tag_sets"] += step("discovery/append/unknown_sets", size=size)
            step("discovery/append/new_sets", f"new_sets_{size}", plans=plans, size=size)
            passing = step("discovery/append/passing_sets", f"passing_{size}", size=size)
        if recounted:
            passing += session.execute("work", f"select count(*) from counts_{size}")[0][0]
        steps.end(passing)
    steps.start("accuracies")
    step("discovery/append/passing_tags", "counts_1", add=bool(recounted))
    if options.max_tags > 1:
        if plans is not None:
            plans, widths = _bits(session, "images")
        step("discovery/append/set_rows", plans=plans, sizes=sizes[1:], **run, **absent, **widths)
        for size in sizes[1:]:
            step(
                "discovery/append/counts",
                f"counts_{size}",
                plans=plans,
                add=bool(recounted),
                size=size,
            )
    loaded.rows["tag_sets"] = counting.tag_sets(session, options.max_tags)
    steps.end(loaded.rows["tag_sets"])


def _bits(session: Session, whose: str) -> tuple[str | None, dict[str, Any]]:
    """Return the plan for bit strings of errors or images and their length, or the one for rows."""
    if session.plans is None:
        return None, {}
    most, tags = session.execute(
        "work",
        f"select (select coalesce(max({whose}), 0) from classes), (select count(*) from passing_1)",
    )[0]
    if most > counting.LONGEST or most * tags / 8 > counting.MOST_BYTES:
        return None, {}
    return session.plans, {f"most_{whose}": max(most, 1)}


@contextmanager
def _only_open_classes(session: Session) -> Iterator[None]:
    """In the block, ``classes`` holds only those that are counted again."""
    session.execute("classes", "alter table temp.classes rename to every_class")
    session.create(
        "classes",
        "select e.* from every_class as e inner join open_classes as w on w.class_id = e.class_id",
    )
    yield
    session.drop("classes")
    session.execute("classes", "alter table temp.every_class rename to classes")
