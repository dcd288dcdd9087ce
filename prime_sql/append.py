"""New images are added to a run, and its stored counts with them: the result of a full search.

The new run is over the images of the earlier one, with the new ones in the place of older ones of
the same image_id. The tag sets of a class are counted anew only where the stored ones do not hold
the answer: a new class, one in which fewer errors than before make a set count, and one in which
a tag became frequent; and where so much of a class changed that it takes less time. Elsewhere the
counted sets change by what the changed images carry; and what else may have enough errors now has
one on a changed image, and is counted set by set. The steps are in ``queries/append/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ibis.backends.duckdb import Backend

from prime_sql import counting, inputs, schema
from prime_sql.errors import InputError, OptionError, StoredCountsError, shorten
from prime_sql.inputs import Inputs
from prime_sql.options import Options
from prime_sql.publish import Record, publish
from prime_sql.results import Run
from prime_sql.sources import describe, reading
from prime_sql.stored import UNPUBLISHED, records
from prime_sql.warehouse import Database, Warehouse

if TYPE_CHECKING:
    from prime_sql.search import Steps, Work

# By measurement: where more of the images of a class changed, to count it anew takes less time.
MOST_CHANGED = 0.05
# Views of the session whose names later steps, or stored tables, have as well.
_VIEWS = ("stored_images", "stored_tags", "images")


def check_options(options: Options) -> None:
    """Refuse what can only be had from all tables at once.

    Raises
    ------
    OptionError
        When the options are of such a search.
    """
    if options.method == "greedy":
        raise OptionError(
            "a greedy search is not appended to: which sets it grows depends on all images; "
            "search in full, without append, or with method exhaustive"
        )
    if options.split is not None:
        raise OptionError(
            "a search with split, find and check is not appended to: the unseen images of earlier "
            "runs are not stored; search in full, or without split and validate the run"
        )
    conditions = {
        name: inputs.parse_condition(name, getattr(options, name), Warehouse.dialect)
        for name in ("error", "where")
    }
    if inputs.has_subquery(conditions):
        raise OptionError(
            "a condition that asks another table is not appended to: its answer for the images of "
            "earlier runs may have changed; search in full, without append"
        )


def latest(backend: Backend, options: Options, job: str | None) -> Run:
    """Return the run that is appended to: the latest published one of the job and the options.

    Raises
    ------
    StoredCountsError
        When there is none, or several could be meant.
    """
    first = "search everything in full once, without append"
    published = _published(backend)
    if not published:
        raise StoredCountsError(f"there is no run to append to yet: {first}")
    whose = "without a job" if job is None else f"of job {job!r}"
    of_job = [each for each in published if each["job"] == job]
    if not of_job:
        jobs = sorted({each["job"] for each in published if each["job"] is not None})
        known = f"; there are runs of {', '.join(map(repr, jobs))}" if jobs else ""
        raise StoredCountsError(f"there is no run {whose} to append to{known}: {first}")
    fitting = [each for each in of_job if Options.from_json(each["options"]) == options]
    if not fitting:
        raise StoredCountsError(
            f"no run {whose} has these options: {_differences(of_job[-1], options)}; append with "
            f"the options of a run, or {first}"
        )
    if job is None:
        origins = {Run(backend, each["run_id"]).sources["predictions"]: each for each in fitting}
        if len(origins) > 1:
            some = ", ".join(f"{each['run_id']} ({name})" for name, each in origins.items())
            raise StoredCountsError(
                f"several runs could be appended to, of different predictions: {some}; say which "
                "with open_run(DATABASE, NUMBER, read_only=False).append(…), or give each its job"
            )
    return Run(backend, fitting[-1]["run_id"])


def _published(backend: Backend) -> list[dict[str, Any]]:
    return [each for each in records(backend, None) if each["status"] != UNPUBLISHED]


def _differences(record: dict[str, Any], options: Options) -> str:
    stored = asdict(Options.from_json(record["options"]))
    other = [
        f"{name} {stored[name]!r} there, {value!r} here"
        for name, value in asdict(options).items()
        if stored[name] != value
    ]
    return f"the latest is run {record['run_id']}, with {', '.join(other)}"


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

    With `run_id`, that run is appended to, else the `latest`. With `first`, that is done instead
    where the job has no published run.
    """
    check_options(options)

    def append_and_publish(
        database: Database, counted_in: Warehouse, warehouse: Warehouse, steps: Steps
    ) -> int:
        from prime_sql.search import select_modes  # the two modules need each other

        if counted_in.is_remote:
            raise OptionError(
                "runs in a warehouse are not appended to, only those in a DuckDB database; search "
                "in full, without append"
            )
        if first is not None and all(
            each["job"] != record.job for each in _published(warehouse.backend)
        ):
            return first(database, counted_in, warehouse, steps)
        base = (
            latest(warehouse.backend, record.options or options, record.job)
            if run_id is None
            else Run(warehouse.backend, run_id)
        )
        # A run that was refiltered rests on the images of another one.
        counted = Run(warehouse.backend, base.counted_run_id)
        if "rare_tags" not in counted.row_counts:
            raise StoredCountsError(
                f"run {counted.run_id} was made by a version of prime_sql that did not store rare "
                "tags, which new images may make frequent; search everything in full once, without "
                "append"
            )
        steps.start("inputs")
        removed = inputs.load_removed(remove, options, warehouse)
        loaded = inputs.load(predictions, tags, options, warehouse, appended=True)
        new = record.sources or loaded.sources
        loaded.sources = {name: base.sources[name] for name in ("predictions", "tags")}
        loaded.sources["appended_to"] = f"run {base.run_id}"
        loaded.sources |= {f"appended_{name}": source for name, source in new.items()}
        if remove is not None:
            loaded.sources["removed"] = describe(remove)
        loaded.rows["new_predictions"] = loaded.rows["predictions"]
        loaded.rows["removed_images"] = removed
        steps.end(loaded.rows["predictions"])
        _unite(options, counted, loaded, warehouse, steps)
        _add(options, counted, loaded, warehouse, steps)
        note = select_modes(options, loaded, warehouse, steps, frequent="single_tags")
        steps.start("publish")
        for view in _VIEWS:
            warehouse.execute("drop", f"drop view if exists temp.{view}")
        with database.publishing(warehouse, warehouse) as after:
            kept = replace(record, sources=None)  # those of the earlier runs, too
            keep = partial(_keep_images, options, counted, warehouse)
            published = publish(
                options, loaded, note, None, warehouse, record=kept, after=after, keep_images=keep
            )
        steps.end(loaded.rows["failure_modes"])
        return published

    return append_and_publish


def _unite(
    options: Options, counted: Run, loaded: Inputs, warehouse: Warehouse, steps: Steps
) -> None:
    """Fill the session with the images of the run and the new ones, up to ``tag_counts``."""
    step = partial(counting.step, warehouse, folder="append")
    run: dict[str, Any] = {"schema": warehouse.schema, "run_id": counted.run_id}
    steps.start("outcomes")
    warehouse.create("new_predictions", "select * from predictions")
    step("stored_images", view=True, **run)
    step("named_images")
    _check_removed(counted, loaded, warehouse)
    with reading("tags", loaded.sources.get("appended_tags", "none")):
        step("places")
        step("present_images")
        step("classes", min_images=options.min_images, min_drop=options.min_drop, **run)
        # An image that is predicted anew, or goes, does so in all classes.
        loaded.rows["predictions"], gone, new = warehouse.execute(
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
        step("class_numbers", **run)
        step("known_tags", **run)
        step("stored_tags", view=True, **run)
        step("named_tags")
        step("new_tags")
    step("retagged")
    step("current_tags")
    step("outcomes", **run)
    steps.end(loaded.rows["images"])
    steps.start("tagged")
    step("changes")
    step("change_tags")
    step("tag_counts", **run)
    loaded.rows["tags"] = step("vocabulary")
    warehouse.create("images", "select image_id from outcomes group by image_id", view=True)
    inputs.check_tags(warehouse, loaded, options.max_absent, "appended_tags")
    loaded.rows["new_tag_rows"] = loaded.rows["tag_rows"]
    loaded.rows["tag_rows"], loaded.rows["rare_tags"] = warehouse.execute(
        "tag_counts",
        "select cast(coalesce(sum(images), 0) as bigint), cast(coalesce(sum(case when images < "
        f"{options.tag_images} then images end), 0) as bigint) from tag_counts",
    )[0]
    step("tag_numbers", **run)
    step("loose_tags", min_tag_images=options.tag_images, **run)
    steps.end(loaded.rows["tag_rows"] - loaded.rows["rare_tags"])


def _keep_images(options: Options, counted: Run, warehouse: Warehouse, run_id: int) -> None:
    """Store what is in the session of the images as those of the run."""
    schema.script(
        warehouse,
        "appended_images",
        run_id=run_id,
        stored_run_id=counted.run_id,
        min_tag_images=options.tag_images,
    )


def _check_removed(counted: Run, loaded: Inputs, warehouse: Warehouse) -> None:
    if not loaded.rows["removed_images"]:
        return
    found = warehouse.check("removed_images")
    if found["again"]:
        raise InputError(
            f"{found['again']:,} images are both to remove and in the new predictions, for example "
            f"{shorten(found['again_example'])}; a new prediction replaces the old one anyway: "
            "leave them out of one of the two"
        )
    if found["unknown"]:
        loaded.warn(
            f"{found['unknown']:,} of {found['images']:,} images to remove are not in run "
            f"{counted.run_id}, for example {shorten(found['unknown_example'])}"
        )


def _add(
    options: Options, counted: Run, loaded: Inputs, warehouse: Warehouse, steps: Steps
) -> None:
    """Fill ``counts_1`` … from the stored counts and the changed images, then ``tag_sets``."""
    step = partial(counting.step, warehouse, folder="append")
    run: dict[str, Any] = {"schema": warehouse.schema, "run_id": counted.run_id}
    absent: dict[str, Any] = {"max_absent": options.max_absent, "last_tag": loaded.rows["tags"]}
    sizes = range(1, options.max_tags + 1)

    steps.start("tag sets", 1)
    counting.step(warehouse, "tag_names", **absent)
    step("single_tags", min_tag_images=options.tag_images, **absent)
    step("counted_tags", min_tag_images=counted.options.tag_images, **absent)
    anew = step(
        "open_classes",
        min_images=counted.options.min_images,
        min_drop=counted.options.min_drop,
        most_changed=MOST_CHANGED,
        **run,
    )
    loaded.rows["recounted_classes"] = anew
    if anew:
        step("open_tagged", "tagged", **run, **absent)
        with _only_open_classes(warehouse):
            counting.count_tag_sets(warehouse, options.max_tags, **absent)
    loaded.rows["recounted_tag_sets"] = 0
    for size in sizes:
        if size == 1:
            passing = step("passing_tags", "passing_1")
            step("changed_tags", "changed_1", **absent)
        else:
            steps.start("tag sets", size)
            if size == 2:
                plans, widths = _bits(warehouse, "errors")
                planned = partial(counting.planned_step, warehouse, plans, folder="append")
                planned("error_members", **run, **absent, **widths)
            step("stored_sets", size=size, **run)
            step("changed_sets", f"changed_{size}", size=size, **absent)
            step("set_changes", size=size)
            loaded.rows["recounted_tag_sets"] += step("unknown_sets", size=size)
            planned("new_sets", f"new_sets_{size}", size=size)
            passing = step("passing_sets", f"passing_{size}", size=size)
        if anew:
            passing += warehouse.execute("work", f"select count(*) from counts_{size}")[0][0]
        steps.end(passing)
    steps.start("accuracies")
    step("passing_tags", "counts_1", add=bool(anew))
    if options.max_tags > 1:
        if plans is not None:
            plans, widths = _bits(warehouse, "images")
        planned = partial(counting.planned_step, warehouse, plans, folder="append")
        planned("set_rows", sizes=sizes[1:], **run, **absent, **widths)
        for size in sizes[1:]:
            planned("counts", f"counts_{size}", add=bool(anew), size=size)
    loaded.rows["tag_sets"] = counting.tag_sets(warehouse, options.max_tags)
    steps.end(loaded.rows["tag_sets"])


def _bits(warehouse: Warehouse, whose: str) -> tuple[str | None, dict[str, Any]]:
    """Return the plan for bit strings of errors or images and their length, or the one for rows."""
    if warehouse.plans is None:
        return None, {}
    most, tags = warehouse.execute(
        "work",
        f"select (select coalesce(max({whose}), 0) from classes), (select count(*) from passing_1)",
    )[0]
    if most > counting.LONGEST or most * tags / 8 > counting.MOST_BYTES:
        return None, {}
    return warehouse.plans, {f"most_{whose}": max(most, 1)}


@contextmanager
def _only_open_classes(warehouse: Warehouse) -> Iterator[None]:
    """In the block, ``classes`` are those that are counted anew."""
    warehouse.execute("classes", "alter table temp.classes rename to every_class")
    warehouse.create(
        "classes",
        "select e.* from every_class as e inner join open_classes as w on w.class_id = e.class_id",
    )
    yield
    warehouse.drop("classes")
    warehouse.execute("classes", "alter table temp.every_class rename to classes")
