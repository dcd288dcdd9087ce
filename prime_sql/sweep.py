"""A grid of thresholds, answered from the stored counts of one run."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any

from prime_sql import queries
from prime_sql.answers import Relation, answer
from prime_sql.errors import OptionError, StoredCountsError
from prime_sql.options import LARGEST_MAX_TAGS, Options

if TYPE_CHECKING:
    from prime_sql.results import Run


def sweep(run: Run, *, min_images: Any = None, min_drop: Any = None) -> Relation:
    """Ask the stored counts of `run` for a grid of thresholds; see `Run.sweep`."""
    from prime_sql.search import grouping

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
    # The counts of a refiltered run are narrower than those that it came from.
    counted = run.other(run.counted_run_id)
    _check(counted, run.options, [cell for _, cell in cells])
    sql = queries.find("sweep/grid").render(
        cells=[cell for _, cell in cells],
        necessity=[run.options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        max_tags=run.options.max_tags,
        max_absent=run.options.max_absent,
        largest=LARGEST_MAX_TAGS,
        grouping=grouping(run.options),
        validated=run.validation is not None,
    )
    stored = run.scope("tag_sets", "outcomes", "vocabulary", "tagged")
    return answer(sql, run.backend, stored)


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


def _check(counted: Run, options: Options, cells: list[dict[str, Any]]) -> None:
    """Raise a `StoredCountsError` where cells admit tag sets that were not counted."""
    old = counted.options
    if old.method == "greedy":
        raise StoredCountsError(
            f"run {counted.run_id} was a greedy search, which counted some of the tag sets; for a "
            "sweep search the tables again with --method exhaustive"
        )
    sql = queries.find("sweep/unanswered").render(
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
            f"tags were counted on {first['counted']:,} images of a class or more, and this cell "
            f"admits tags on {first['needed']:,}"
        )
    else:
        why = (
            f"in class {first['class_name']!r} tag sets were counted from {first['counted']:,} "
            f"errors on, and this cell admits sets with {first['needed']:,}"
        )
    least_images = min(cell["min_images"] for cell in cells)
    least_drop = min(cell["min_drop"] for cell in cells)
    raise StoredCountsError(
        f"run {counted.run_id} cannot answer {count:,} of {len(cells):,} cells, for example "
        f"min_images {first['min_images']}, min_drop {first['min_drop']:g}: {why}; leave those "
        f"cells out, or search the tables again with --min-images {least_images} --min-drop "
        f"{least_drop:g}"
    )
