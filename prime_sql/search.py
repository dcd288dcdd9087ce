"""Options and inputs become a run: the order of the steps, and nothing else.

What each step computes stands in ``queries/search/``; the definition of a failure mode is section
3 of the PRIME paper (ICLR 2024), made exact.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ibis.backends import BaseBackend

from prime_sql import append as appends
from prime_sql import counting, inputs, limits, validate
from prime_sql.counting import count_tag_sets
from prime_sql.defaults import MIN_UNSEEN_IMAGES, NO_WAIT, TOLERANCE
from prime_sql.errors import OptionError, StoredCountsError
from prime_sql.inputs import Inputs
from prime_sql.limits import NO_LIMITS, Limits
from prime_sql.mirror import SCHEMA, Mirror, open_database
from prime_sql.options import LARGEST_MAX_TAGS, Options
from prime_sql.publish import Record, publish
from prime_sql.results import Run
from prime_sql.schema import remove_leftovers
from prime_sql.sources import read_twice, reading
from prime_sql.warehouse import Database, Destination, OnSql, Warehouse


@dataclass(frozen=True)
class Progress:
    """What a progress display needs: which step starts or has just ended, and with what count.

    Attributes
    ----------
    step
        A phrase such as ``tag sets``.
    size
        Tags in a set where the step belongs to one size, else None.
    done, total
        Steps behind, steps in all.
    count
        Rows that the step made, once it has ended; None while it runs.
    """

    step: str
    size: int | None
    done: int
    total: int
    count: int | None = None


OnProgress = Callable[[Progress], object]

# Where results go, the session in which images are counted, the one that publishes; the run_id.
Work = Callable[[Database, Warehouse, Warehouse, "Steps"], int]


def search(
    predictions: Any,
    tags: Any,
    *,
    into: Destination | BaseBackend = None,
    schema: str = SCHEMA,
    max_tags: int = Options.max_tags,
    min_images: int = Options.min_images,
    min_drop: float = Options.min_drop,
    necessity: tuple[float, ...] = Options.necessity,
    min_tag_images: int | None = Options.min_tag_images,
    max_absent: int = Options.max_absent,
    max_q: float | None = Options.max_q,
    method: str = Options.method,
    width: int = Options.width,
    group_by: str | tuple[str, ...] = Options.group_by,
    error: str | None = Options.error,
    where: str | None = Options.where,
    split: str | None = Options.split,
    find: str | None = Options.find,
    check: str | None = Options.check,
    image_id: str = Options.image_id,
    label: str = Options.label,
    prediction: str = Options.prediction,
    tag: str = Options.tag,
    score: str = Options.score,
    min_score: float | None = Options.min_score,
    wide: bool = Options.wide,
    job: str | None = None,
    append: bool = False,
    remove: Any = None,
    memory_limit: str | None = None,
    temp_dir: str | os.PathLike[str] | None = None,
    wait: float = NO_WAIT,
    on_sql: OnSql | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Find the failure modes of a classifier: minimal tag sets on which accuracy drops sharply.

    The search is exhaustive: it returns exactly the sets that satisfy the definition (PRIME
    paper, section 3).

    Parameters
    ----------
    predictions
        One row per image (and class): image_id, label, prediction and any other columns. A file
        or glob (Parquet, CSV, JSON lines), ``FILE.duckdb:TABLE``, a table name in `into`, or a
        Polars, pandas, Arrow or Ibis table.
    tags
        One row per image and tag (image_id, tag[, score]), in the same forms; a list column of
        tags, or with `wide` a boolean or 0/1 column per tag.
    into
        Where the results go, into its schema ``prime``: a DuckDB file (made if need be; runs are
        appended), an Ibis DuckDB connection, or None for memory. Or a warehouse, by its URL or an
        Ibis connection to PostgreSQL, Spark, ClickHouse or DataFusion: then `predictions` and
        `tags` are tables there, and images are counted there.
    schema
        The schema of a warehouse that the results go into, made if need be.
    max_tags, min_images, min_drop, necessity, min_tag_images, max_absent, max_q
        The definition of a failure mode; see `Options`. Accuracies and drops are fractions.
    method, width
        Whether all failure modes are searched for, or those that a greedy search comes across.
    group_by, error, where
        What the class is, when a prediction is wrong, and which predictions count.
    split, find, check
        A column of the predictions and two of its values: failure modes are found where it is
        `find` and checked on the unseen images where it is `check`; see `Run.validation`.
    image_id, label, prediction, tag, score, min_score, wide
        What the columns are called, and how tags are read.
    job
        Name of the job that makes the run, kept in ``runs``: runs of one job and the same options
        are compared with each other, wherever their tables came from; see `Run.previous`.
    append
        Add the tables to the latest run of the same job and options in `into`: a new run, the same
        as a search of everything, but counted from what is new where that suffices. See
        `Run.append`.
    remove
        With `append`, a table whose `image_id` column names images that are no longer to count.
    memory_limit
        What the process should take at most, about: ``500MB``, ``2GiB`` or ``75%`` of the memory
        there is. The database keeps to it while it is open; a connection of yours, in the search.
    temp_dir
        A folder for what does not fit; beside the database if left out.
    wait
        Seconds to wait for a DuckDB file `into` that another process has open.
    on_sql
        Called with a `Statement` after every statement.
    on_progress
        Called with a `Progress` before and after every step.

    Returns
    -------
    Run
        The run, with its tables as lazy relations.

    Raises
    ------
    OptionError
        When an option is out of range.
    InputError
        When a table is missing or breaks the definition of its columns; nothing is written.
    WarehouseError
        When the database cannot be opened, or refuses a statement; nothing is written. A
        `LimitError` when memory or a disk is not enough.

    Examples
    --------
    >>> import polars as pl
    >>> predictions = pl.DataFrame({
    ...     "image_id": range(8), "label": ["ape"] * 8, "prediction": ["ape"] * 4 + ["dog"] * 4})
    >>> tags = pl.DataFrame({"image_id": range(8), "tag": ["sit"] * 4 + ["hang"] * 4})
    >>> run = search(predictions, tags, min_images=4)
    >>> run.failure_modes.to_polars()["tags"].to_list()
    ['hang']
    """
    options = Options(
        max_tags=max_tags,
        min_images=min_images,
        min_drop=min_drop,
        necessity=necessity,
        min_tag_images=min_tag_images,
        max_absent=max_absent,
        max_q=max_q,
        method=method,
        width=width,
        group_by=group_by,  # type: ignore[arg-type]  # text is split by Options
        error=error,
        where=where,
        split=split,
        find=find,
        check=check,
        image_id=image_id,
        label=label,
        prediction=prediction,
        tag=tag,
        score=score,
        min_score=min_score,
        wide=wide,
    )
    _check_job(job)
    allowed = Limits.of(memory_limit, temp_dir)
    record = Record(job=job)
    if append:
        work = appends.appending(predictions, tags, remove, options, record)
    elif remove is not None:
        raise OptionError("remove names images of an earlier run: it goes with append")
    else:
        work = _searching(predictions, tags, options, record)
    return _run(
        into,
        on_sql,
        on_progress,
        _step_count(options),
        work,
        schema=schema,
        allowed=allowed,
        wait=wait,
    )


def search_with(
    predictions: Any,
    tags: Any,
    options: Options,
    *,
    into: Destination = None,
    record: Record,
    min_unseen_images: int = MIN_UNSEEN_IMAGES,
    tolerance: float = TOLERANCE,
    allowed: Limits = NO_LIMITS,
    append: bool = False,
    wait: float = NO_WAIT,
    on_sql: OnSql | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Search with options that are made already; see `search`.

    Parameters
    ----------
    record
        What is stored of the run beside what it finds.
    min_unseen_images, tolerance
        Of the check on the part `options.check`; see `Run.validate`.
    allowed
        Memory, and where temporary files go.
    append
        Whether the tables are added to the last run of the job, where it has one.
    wait
        Seconds to wait for a file that another process has open.
    """
    work = _searching(predictions, tags, options, record, min_unseen_images, tolerance)
    if append:
        work = appends.appending(predictions, tags, None, options, record, first=work)
    return _run(into, on_sql, on_progress, _step_count(options), work, allowed=allowed, wait=wait)


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
        database: Database, warehouse: Warehouse, session: Warehouse, steps: Steps
    ) -> int:
        steps.start("inputs")
        loaded = inputs.load(predictions, tags, options, warehouse, options.find)
        steps.end(loaded.rows["predictions"])
        _count(options, loaded, warehouse, steps)
        note = select_modes(options, loaded, warehouse, steps, frequent="tagged")
        unseen = None
        if options.check is not None:
            steps.start("unseen data")
            unseen = validate.check(
                predictions,
                tags,
                options,
                warehouse,
                part=options.check,
                min_unseen_images=min_unseen_images,
                tolerance=tolerance,
            )
            steps.end(unseen.images)
        steps.start("publish")
        # All tag sets that could have been failure modes are counted from the images.
        whole = options.max_q is not None
        with database.publishing(warehouse, session, images=whole) as after:
            run_id = publish(
                options, loaded, note, None, session, unseen, record=record, after=after
            )
        steps.end(loaded.rows["failure_modes"])
        return run_id

    return count_and_publish


def refilter(
    run: Run, *, job: str | None = None, on_sql: OnSql | None = None, **changes: Any
) -> Run:
    """Ask the stored counts of `run` for other thresholds; see `Run.refilter`."""
    options = run.options.replace(**changes)
    _check_job(job)
    # The counts of a refiltered run are narrower than those that it came from.
    counted = run.other(run.counted_run_id)
    if run.mirror is not None:
        run.mirror.load_counts(counted.run_id, counted.run_id)

    def select_and_publish(
        database: Database, _: Warehouse, warehouse: Warehouse, steps: Steps
    ) -> int:
        loaded = Inputs(dict(run.sources), warnings=list(run.warnings))
        loaded.rows = {
            name: run.row_counts[name]
            for name in ("predictions", "tag_rows", "images", "tags")
            if name in run.row_counts
        }
        _stored_counts(counted, options, warehouse)
        note = select_modes(options, loaded, warehouse, steps, frequent=None)
        with database.publishing(None, warehouse) as after:
            return publish(
                options,
                loaded,
                note,
                run.counted_run_id,
                warehouse,
                record=Record(job=job),
                after=after,
            )

    return _run(run.mirror or run.backend, on_sql, None, 1, select_and_publish, path=run.path)


def append(
    run: Run,
    predictions: Any,
    tags: Any,
    *,
    remove: Any = None,
    on_sql: OnSql | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Add tables to the images of `run`; see `Run.append`."""
    work = appends.appending(
        predictions, tags, remove, run.options, Record(job=run.job), run.run_id
    )
    into = run.mirror or run.backend
    return _run(into, on_sql, on_progress, _step_count(run.options), work, path=run.path)


def _check_job(job: str | None) -> None:
    if job is not None and (not isinstance(job, str) or not job.strip()):
        raise OptionError(f"job must be non-empty text, got {job!r}")


def _run(
    into: Destination | BaseBackend | Mirror,
    on_sql: OnSql | None,
    on_progress: OnProgress | None,
    step_count: int,
    work: Work,
    path: Any = None,
    schema: str = SCHEMA,
    allowed: Limits = NO_LIMITS,
    wait: float = NO_WAIT,
) -> Run:
    """Open the database, do the work in a session of its own, and keep it whole or not at all."""
    database = open_database(into, schema=schema, wait=wait)
    mirror = database if isinstance(database, Mirror) else None
    owned = database.owned and database is not into
    try:
        if mirror is not None and allowed != NO_LIMITS:
            raise OptionError(
                "memory_limit and temp_dir are settings of DuckDB; another engine has its own"
            )
        with limits.held(database.backend, allowed, owned=owned):
            warehouse = Warehouse(database.backend, on_sql)
            counted_in = database.counting(warehouse, on_sql)
            try:
                warehouse.check_writable()
                remove_leftovers(warehouse)  # says, too, where another version made the database
                run_id = work(database, counted_in, warehouse, Steps(on_progress, step_count))
            finally:
                if counted_in is not warehouse:
                    counted_in.close()
                warehouse.close()
        opened = database.backend
        backend = database.publish()
        if backend is not opened:  # a new file took its name
            limits.apply(backend, allowed)
        return Run(backend, run_id, path=path or database.path, owned=owned, mirror=mirror)
    except BaseException:
        if owned:
            database.discard()
        raise


class Steps:
    """Counts the steps for `on_progress`."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._tell = on_progress or (lambda progress: None)
        self._total = total
        self._done = 0
        self._now: tuple[str, int | None] = ("", None)

    def start(self, step: str, size: int | None = None) -> None:
        """Tell that a step begins."""
        self._now = step, size
        self._tell(Progress(step, size, self._done, self._total))

    def end(self, count: int) -> None:
        """Tell that it has ended, with so many rows."""
        self._done += 1
        self._tell(Progress(*self._now, self._done, self._total, count))


def _step_count(options: Options) -> int:
    return 1 + 2 + options.max_tags + 3 + (options.check is not None)


def _count(options: Options, loaded: Inputs, warehouse: Warehouse, steps: Steps) -> None:
    """Fill the session from ``predictions`` and ``tags`` up to ``tag_sets``."""
    step = partial(counting.step, warehouse)
    steps.start("outcomes")
    step("classes", min_images=options.min_images, min_drop=options.min_drop)
    step("outcomes")
    warehouse.drop("predictions")
    with reading("tags", loaded.sources["tags"]):
        plans = counting.tag_plans(warehouse)
    planned = partial(counting.planned_step, warehouse, plans)
    loaded.rows["images"] = planned("images")
    steps.end(loaded.rows["images"])

    steps.start("tagged")
    with reading("tags", loaded.sources["tags"]):
        loaded.rows["tags"] = step("vocabulary")
        planned("image_tags")
    inputs.check_tags(warehouse, loaded, options.max_absent, listed=plans is not None)
    planned("class_tags")
    warehouse.drop("image_tags")
    steps.end(
        step(
            "tagged",
            min_tag_images=options.tag_images,
            max_absent=options.max_absent,
            last_tag=loaded.rows["tags"],
        )
    )
    loaded.rows["rare_tags"] = step("rare_tags", min_tag_images=options.tag_images)
    warehouse.drop("class_tags")

    largest = 1  # To plan the joins of larger sets takes longer than a small search.

    def on_size(size: int, count: int | None) -> None:
        nonlocal largest
        if count is None:
            steps.start("tag sets", size)
        else:
            steps.end(count)
            largest = size if count else largest

    count_tag_sets(
        warehouse,
        options.max_tags,
        max_absent=options.max_absent,
        last_tag=loaded.rows["tags"],
        greedy=options.greedy,
        on_size=on_size,
    )

    steps.start("accuracies")
    step("tag_names", max_absent=options.max_absent, last_tag=loaded.rows["tags"])
    loaded.rows["tag_sets"] = counting.tag_sets(warehouse, largest)
    steps.end(loaded.rows["tag_sets"])


def select_modes(
    options: Options, loaded: Inputs, warehouse: Warehouse, steps: Steps, *, frequent: str | None
) -> str | None:
    """Fill ``failure_modes`` and ``failure_mode_tags``; return why there are none, or None."""
    step = partial(counting.step, warehouse)
    steps.start("failure modes")
    found = step(
        "failure_modes",
        min_images=options.min_images,
        min_drop=options.min_drop,
        necessity=[options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        grouping=grouping(options),
        largest=LARGEST_MAX_TAGS,
    )
    loaded.rows["failure_modes"] = found
    loaded.rows["failure_mode_tags"] = step("failure_mode_tags", max_tags=options.max_tags)
    steps.end(found)
    return None if found else _why_none(options, loaded, warehouse, frequent)


def grouping(options: Options) -> str:
    """Return what the class is, whatever the columns were called and however they are written."""
    standard = {options.label: "label", options.prediction: "prediction"}
    return json.dumps([standard.get(name, name) for name in options.group_by])


def _why_none(options: Options, loaded: Inputs, warehouse: Warehouse, frequent: str | None) -> str:
    facts = warehouse.check("why_none", min_images=options.min_images, frequent=frequent)
    loaded.rows.setdefault("tag_sets", facts["tag_sets"])
    one = " There is one class only." if facts["classes"] == 1 else ""
    if not facts["errors"]:
        return f"There are no errors: all {facts['images']:,} predictions are right.{one}"
    if facts["errors"] == facts["images"]:
        what = (
            "label and prediction are written alike" if options.error is None else "error is right"
        )
        return f"All {facts['images']:,} predictions are wrong; check that {what}.{one}"
    if not loaded.rows.get("tag_rows", 1):
        if options.min_score is not None:
            return f"No tag has a score of {options.min_score:g} or more. Lower min_score.{one}"
        return f"The tags table has no rows.{one}"
    if facts["largest_class"] < options.min_images:
        return (
            f"No class has {options.min_images} images; the largest has "
            f"{facts['largest_class']:,}. Lower min_images.{one}"
        )
    if not facts["frequent_tags"] and facts["frequent_tags"] is not None:
        return (
            f"No tag is frequent: none stands on {options.tag_images} images of a class. "
            f"Lower min_images or min_tag_images.{one}"
        )
    if not facts["tag_sets"]:
        return (
            "No tag has enough errors: at these thresholds a failure mode needs at least "
            f"{facts['fewest_errors']:,} misclassified images. Lower min_images or min_drop.{one}"
        )
    return (
        f"None of {facts['tag_sets']:,} counted tag sets has at least {options.min_images} images "
        f"and an accuracy at least {options.min_drop:g} below its class with every tag necessary. "
        f"The largest drop on {options.min_images} images or more is "
        f"{facts['largest_drop'] or 0:.3f}.{one}"
    )


def _stored_counts(run: Run, options: Options, warehouse: Warehouse) -> None:
    """Fill ``classes`` and ``tag_sets`` from a run, as a search with `options` would have.

    Raises
    ------
    StoredCountsError
        When the run did not count every tag set that the new thresholds could admit.
    """
    old = run.options
    if old.method == "greedy":
        raise StoredCountsError(
            f"run {run.run_id} was a greedy search, which counted some of the tag sets; for other "
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
    step = partial(counting.step, warehouse)
    step(
        "stored_classes",
        "classes",
        schema=warehouse.schema,
        run_id=run.run_id,
        min_images=options.min_images,
        min_drop=options.min_drop,
        counted_min_images=old.min_images,
        counted_min_drop=old.min_drop,
    )
    narrow = warehouse.check("stored_counts", min_images=options.min_images)
    if narrow["classes"]:
        raise StoredCountsError(
            f"run {run.run_id} counted tag sets with many errors only: in {narrow['classes']:,} "
            f"classes, for example {narrow['class_name']!r}, sets from {narrow['counted']} errors "
            f"on, and these thresholds admit sets with {narrow['needed']}; search the tables again "
            f"with --min-images {options.min_images} --min-drop {options.min_drop:g}"
        )
    step("stored_vocabulary", "vocabulary", schema=warehouse.schema, run_id=run.run_id)
    last_tag = warehouse.execute("vocabulary", "select coalesce(max(tag_id), 0) from vocabulary")
    step("tag_names", max_absent=options.max_absent, last_tag=last_tag[0][0])
    step(
        "stored_tag_sets",
        "tag_sets",
        schema=warehouse.schema,
        run_id=run.run_id,
        max_tags=options.max_tags,
        largest=LARGEST_MAX_TAGS,
        min_tag_images=options.tag_images,
    )
