"""A grid of thresholds, answered from the stored counts of one run."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.errors import (
    OptionError,
    StoredCountsError,
    shorten,
)
from prime_sql.engine.options import LARGEST_MAX_TAGS, Options, grouping
from prime_sql.engine.relation import Relation, answer
from prime_sql.questions.validation import stored


def sweep(
    run: StoredRun,
    *,
    min_images: int | Iterable[int] | None = None,
    min_drop: float | Iterable[float] | None = None,
) -> Relation:
    """Ask the stored counts for a grid of thresholds (PRIME paper, A.5 and A.15).

    One query answers the whole grid; nothing is stored. Each row says how many modes `refilter`
    would find at these thresholds, with the run's other options, ignoring `max_q`.

    Parameters
    ----------
    min_images, min_drop
        The values to combine; those of the run if left out.

    Returns
    -------
    Relation
        min_images, min_drop, failure_modes, modes_1 … modes_6 (by number of tags),
        error_coverage (share of all errors that are in at least one mode); for a validated run
        also decided (modes with enough unseen images), correlation (of their drops as found
        and unseen) and share_reached (share of them whose unseen drop reaches `min_drop` of
        the row less 0.05). A validation only has the modes of its own run, so these three are
        null in rows with other modes, such as those of looser thresholds: refilter to the
        loosest ones and validate that run.

    Raises
    ------
    OptionError
        When a value is out of range.
    StoredCountsError
        When the stored counts do not suffice for a cell: the message says which and why.
    """
    grid = [
        run.options.replace(min_images=images, min_drop=drop)
        for images in _values("min_images", min_images, run.options.min_images)
        for drop in _values("min_drop", min_drop, run.options.min_drop)
    ]
    cells = sorted(
        {
            (options.min_images, options.min_drop): {
                "min_images": options.min_images,
                "min_drop": options.min_drop,
                "tag_images": options.tag_images,
            }
            for options in grid
        }.items()
    )
    # The counts of a refiltered run are fewer than those of the run that it came from.
    counted = run.other(run.counted_run_id)
    _check(counted, run.options, [cell for _, cell in cells])
    sql = queries.find("questions/sweep/grid").render(
        cells=[cell for _, cell in cells],
        necessity=[run.options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        max_tags=run.options.max_tags,
        max_absent=run.options.max_absent,
        largest=LARGEST_MAX_TAGS,
        grouping=grouping(run.options),
        validated=stored(run) is not None,
    )
    scope = run.scope("tag_sets", "outcomes", "vocabulary", "tagged")
    return answer(sql, run.backend, scope)


def _values(name: str, values: Any, default: float) -> list[Any]:
    if values is None:
        return [default]
    if isinstance(values, Real):
        return [values]
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise OptionError(f"{name} takes one or more numbers, got {values!r}")
    listed = list(values)
    if not listed:
        raise OptionError(f"{name} needs at least one number")
    return listed


def _check(counted: StoredRun, options: Options, cells: list[dict[str, Any]]) -> None:
    """Raise a `StoredCountsError` where cells admit tag sets that were not counted."""
    old = counted.options
    if old.method == "greedy":
        raise StoredCountsError(
            f"run {counted.run_id} was a greedy search, which counts only some tag sets; for a "
            "sweep search the tables again with --method exhaustive"
        )
    sql = queries.find("questions/sweep/unanswered").render(
        cells=cells,
        counted_min_images=old.min_images,
        counted_min_drop=old.min_drop,
        counted_tag_images=old.tag_images,
        max_absent=old.max_absent,
    )
    missing = counted.sql(sql).to_polars().to_dicts()
    if not missing:
        return
    first = missing[0]
    count = len({(row["min_images"], row["min_drop"]) for row in missing})
    if first["class_name"] is None:
        why = (
            f"tags on fewer than {first['counted']:,} images of a class were not counted, and this "
            f"cell admits tags on {first['needed']:,}"
        )
    else:
        why = (
            f"in class {shorten(first['class_name'])} tag sets with fewer than "
            f"{first['counted']:,} errors were not counted, and this cell admits sets with "
            f"{first['needed']:,}"
        )
    least_images = min(cell["min_images"] for cell in cells)
    least_drop = min(cell["min_drop"] for cell in cells)
    raise StoredCountsError(
        f"run {counted.run_id} cannot answer {count:,} of {len(cells):,} cells, for example "
        f"min_images {first['min_images']}, min_drop {first['min_drop']:g}: {why}; leave those "
        f"cells out, or search the tables again with --min-images {least_images} --min-drop "
        f"{least_drop:g}"
    )
