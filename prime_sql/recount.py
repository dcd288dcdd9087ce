"""The stored images of a run, counted again with other errors, or other tag sets counted.

Fills a session as a search does, from the tables of the run: what chance alone gives (errors
shuffled), success modes (errors flipped), and how many tag sets there are (every image an error).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from prime_sql import counting, queries
from prime_sql.answers import Relation
from prime_sql.errors import OptionError, WarehouseError
from prime_sql.options import LARGEST_MAX_TAGS, Options
from prime_sql.results import Run
from prime_sql.schema import remove_leftovers
from prime_sql.warehouse import OnSql, Warehouse

Errors = Literal["stored", "shuffled", "flipped", "every"]


@dataclass(frozen=True)
class Stored:
    """A run in the database of a session.

    Attributes
    ----------
    run_id, counted_run_id
        The run, and the one whose images it rests on.
    options
        Its options.
    """

    run_id: int
    counted_run_id: int
    options: Options

    @staticmethod
    def of(run: Run) -> Stored:
        """Return what the functions of this module need of an open run."""
        return Stored(run.run_id, run.counted_run_id, run.options)


@contextmanager
def writing(run: Run, on_sql: OnSql | None = None) -> Iterator[Warehouse]:
    """Open a session that adds to a stored run: all that is written in it, or nothing.

    Raises
    ------
    WarehouseError
        When the database is open for reading only.
    """
    warehouse = Warehouse(run.backend, on_sql)
    try:
        if warehouse.read_only:
            raise WarehouseError(
                "the database is open for reading only, and the answer is kept in it; open it with "
                "open_run(…, read_only=False), or without read_only where it was connected"
            )
        remove_leftovers(warehouse)
        with warehouse.transaction():
            yield warehouse
        if run.mirror is not None:
            run.mirror.store(run.run_id)
    finally:
        warehouse.close()


def load(
    warehouse: Warehouse,
    stored: Stored,
    errors: Errors = "stored",
    *,
    seed: str | None = None,
    min_drop: float | None = None,
) -> int:
    """Fill ``classes`` and ``tagged`` of the session; return the largest tag_id of a tag.

    Parameters
    ----------
    warehouse
        A session.
    stored
        The run.
    errors
        Which images are errors: those that are stored, as many others of each class (shuffled),
        those that were right (flipped), or every image.
    seed
        What the errors are shuffled by.
    min_drop
        Count what a failure mode with this drop needs; every tag set with enough images if None.
    """
    options = stored.options
    common: dict[str, Any] = {"folder": "recount", "schema": warehouse.schema}
    counting.step(
        warehouse,
        "classes",
        run_id=stored.run_id,
        errors=errors,
        min_images=options.min_images,
        min_drop=min_drop,
        **common,
    )
    common["run_id"] = stored.counted_run_id
    counting.step(warehouse, "outcomes", errors=errors, seed=seed, **common)
    counting.step(warehouse, "class_tags", **common)
    common["folder"] = "search"
    counting.step(warehouse, "stored_vocabulary", "vocabulary", **common)
    highest = "select coalesce(max(tag_id), 0) from vocabulary"
    last_tag = int(warehouse.execute("vocabulary", highest)[0][0])
    counting.step(
        warehouse,
        "tagged",
        min_tag_images=options.tag_images,
        max_absent=options.max_absent,
        last_tag=last_tag,
    )
    warehouse.drop("class_tags")
    return last_tag


def failure_modes(
    warehouse: Warehouse, options: Options, last_tag: int, *, exhaustive: bool = False
) -> int:
    """Search what `load` has filled in, as the run did; return how many failure modes there are."""
    from prime_sql.search import grouping  # the two modules need each other

    counting.count_tag_sets(
        warehouse,
        options.max_tags,
        max_absent=options.max_absent,
        last_tag=last_tag,
        greedy=None if exhaustive else options.greedy,
    )
    counting.step(warehouse, "tag_names", max_absent=options.max_absent, last_tag=last_tag)
    counting.tag_sets(warehouse, options.max_tags)
    return counting.step(
        warehouse,
        "failure_modes",
        min_images=options.min_images,
        min_drop=options.min_drop,
        necessity=[options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        grouping=grouping(options),
        largest=LARGEST_MAX_TAGS,
    )


def clear(warehouse: Warehouse, options: Options) -> None:
    """Free what `load` and `failure_modes` made: the names mean stored tables elsewhere."""
    sizes = range(1, options.max_tags + 1)
    if options.max_tags > 1:  # see `counting.count_tag_sets`
        warehouse.execute("drop", f"drop view if exists temp.members_{options.max_tags}")
    warehouse.drop(
        *("classes", "outcomes", "class_tags", "vocabulary", "tagged", "tag_names"),
        *("tag_sets", "failure_modes", "members_1"),
        *(f"{name}_{size}" for name in ("candidates", "counts") for size in sizes),
        *(f"members_{size}" for size in sizes if 1 < size < options.max_tags),
    )


def success_modes(run: Run, min_gain: float | None = None, on_sql: OnSql | None = None) -> int:
    """Fill ``prime.success_modes``; see `Run.success_modes`."""
    options = run.options
    if min_gain is not None:
        try:
            options = options.replace(min_drop=min_gain)
        except OptionError as error:
            raise OptionError(str(error).replace("min_drop", "min_gain")) from error
    stored = Stored(run.run_id, run.counted_run_id, options)
    with writing(run, on_sql) as warehouse:
        last_tag = load(warehouse, stored, "flipped", min_drop=options.min_drop)
        found = failure_modes(warehouse, options, last_tag)
        sql = queries.find("recount/success_modes").render(run_id=run.run_id)
        table = f"{warehouse.schema}.success_modes"
        warehouse.execute("success_modes", f"delete from {table} where run_id = {run.run_id}")
        warehouse.execute("success_modes", f"insert into {table}\n{sql}")
    return found


def missed(run: Run, on_sql: OnSql | None = None) -> Relation:
    """Search a run's images exhaustively; see `Run.missed`."""
    if run.options.max_q is not None:
        raise OptionError(
            "what a greedy search missed is told from all that it found; search again without max_q"
        )
    warehouse = Warehouse(run.backend, on_sql)
    try:
        last_tag = load(warehouse, Stored.of(run), min_drop=run.options.min_drop)
        failure_modes(warehouse, run.options, last_tag, exhaustive=True)
        counting.step(
            warehouse, "missed", folder="recount", schema=warehouse.schema, run_id=run.run_id
        )
        rows = warehouse.backend.table("missed").to_pyarrow()
    finally:
        warehouse.close()
    return Relation.of(rows)
