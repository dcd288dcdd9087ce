"""The functions of the package: search, open a run, ask a database."""

from __future__ import annotations

import os
from typing import Any

import polars as pl
from ibis.backends import BaseBackend

from prime_sql.discovery.publish import Record
from prime_sql.discovery.search import search_with
from prime_sql.discovery.steps import OnProgress
from prime_sql.discovery.stored import RELATIONS, RUN_SCHEMA, UNPUBLISHED, records
from prime_sql.engine.database import Destination, Opened
from prime_sql.engine.defaults import NO_WAIT, SCHEMA
from prime_sql.engine.errors import QueryError
from prime_sql.engine.limits import Limits
from prime_sql.engine.opening import Place, open_database
from prime_sql.engine.options import Options
from prime_sql.engine.relation import answer
from prime_sql.engine.session import OnSql
from prime_sql.questions.run import Run


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
    present: str | None = Options.present,
    split_tags: str | None = Options.split_tags,
    normalise_tags: bool = Options.normalise_tags,
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
        Where the results go, into schema ``prime``: a DuckDB file (created if need be; runs are
        appended), an Ibis DuckDB connection, or None for memory. Or a warehouse, by its URL or an
        Ibis connection to PostgreSQL, Spark, ClickHouse or DataFusion: then `predictions` and
        `tags` are tables there, and images are counted there.
    schema
        The schema of a warehouse that the results go into, created if need be.
    max_tags, min_images, min_drop, necessity, min_tag_images, max_absent, max_q
        The definition of a failure mode; see `Options`. Accuracies and drops are fractions.
    method, width
        Whether to search for all failure modes, or only those that a greedy search comes across.
    group_by, error, where
        What the class is, when a prediction is wrong, and which predictions count.
    split, find, check
        A column of the predictions and two of its values: failure modes are found where it is
        `find` and checked on the unseen images where it is `check`; see `Run.validation`.
    image_id, label, prediction, tag, score, min_score, wide, present, split_tags, normalise_tags
        What the columns are called, and how tags are read; see `Options`.
    job
        Name of the job that makes the run, kept in ``runs``: runs of one job and the same options
        are compared with each other, wherever their tables came from; see `Run.previous`.
    append
        Add the tables to the latest run of the same job and options in `into`. This makes a new
        run, the same as a search of everything, but counts only what is new where that suffices.
        See `Run.append`.
    remove
        With `append`, a table whose `image_id` column names images that no longer count.
    memory_limit
        Approximate memory limit of the process: ``500MB``, ``2GiB`` or ``75%`` of the memory of the
        machine. It applies to the database while it is open, to your own connection in the search.
    temp_dir
        A folder for what does not fit in memory; beside the database if left out.
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
        present=present,
        split_tags=split_tags,
        normalise_tags=normalise_tags,
    )
    return Run(
        search_with(
            predictions,
            tags,
            options,
            into=into,
            schema=schema,
            record=Record(job=job),
            allowed=Limits.of(memory_limit, temp_dir),
            append=append,
            full_first=False,
            remove=remove,
            wait=wait,
            on_sql=on_sql,
            on_progress=on_progress,
        )
    )


def open_run(
    database: Place,
    run_id: int | None = None,
    *,
    read_only: bool = True,
    schema: str = SCHEMA,
    wait: float = NO_WAIT,
) -> Run:
    """Open a stored run: the latest one, or number `run_id`.

    The database is a DuckDB file or connection; or a warehouse, by URL or connection, whose
    results are in `schema`. If another process has the file open, it is waited for `wait` seconds.

    A run that a failed job left unpublished can only be opened by its number.

    Raises
    ------
    WarehouseError
        When the database does not exist, is locked, or is not a DuckDB file.
    QueryError
        When it has no such run.
    """
    opened = open_database(database, schema=schema, read_only=read_only, wait=wait)
    try:
        return Run(Opened(opened, run_id, opened.owned))
    except BaseException:
        opened.discard()
        raise


def sql(
    database: Place,
    query: str,
    run_id: int | None = None,
    *,
    schema: str = SCHEMA,
    wait: float = NO_WAIT,
) -> pl.DataFrame:
    """Answer an SQL query over a database; see `Run.sql` and, for the other parameters, `open_run`.

    If the database has no run yet, or none that was published, the query is over its other
    tables.

    Raises
    ------
    WarehouseError
        When the database cannot be opened.
    QueryError
        When it has no such run, or the engine refuses the query.
    """
    opened = open_database(database, schema=schema, read_only=True, wait=wait)
    try:
        stored = records(opened.backend, None)
        if run_id is not None or any(each["status"] != UNPUBLISHED for each in stored):
            return Run(Opened(opened, run_id)).sql(query).to_polars()
        try:
            return answer(query, opened.backend).to_polars()
        except QueryError:
            if any(name in query for name in RELATIONS):
                Run(Opened(opened))  # says that there is none
            raise
    finally:
        opened.discard()


def runs(database: Place, *, schema: str = SCHEMA, wait: float = NO_WAIT) -> pl.DataFrame:
    """Return the runs of a database, oldest first, one row each; see `open_run`."""
    opened = open_database(database, schema=schema, read_only=True, wait=wait)
    try:
        return pl.DataFrame(records(opened.backend, None), schema=RUN_SCHEMA)
    finally:
        opened.discard()
