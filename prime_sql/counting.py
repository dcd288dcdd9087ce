"""From `classes` and `tagged` of a session to counted tag sets, size by size.

Every search ends here: the one for failure modes, and those that count the same images again with
other errors (chance, success modes). The files are ``queries/search/09`` to ``11``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from prime_sql import queries
from prime_sql.warehouse import Warehouse

# Bit strings of the DuckDB plan, by measurement: how many bits the longest may have, and how many
# bytes all those of single tags together.
_LONGEST = 65_536
_MOST_BYTES = 500_000_000


def step(
    warehouse: Warehouse,
    name: str,
    relation: str | None = None,
    *,
    folder: str = "search",
    view: bool = False,
    **values: Any,
) -> int:
    """Keep the answer of a file of ``queries/`` as a relation of the session; return its rows."""
    return _step(warehouse, warehouse.plans, name, relation, folder=folder, view=view, **values)


def count_tag_sets(
    warehouse: Warehouse,
    max_tags: int,
    *,
    max_absent: int = 0,
    last_tag: int = 0,
    accuracies: bool = True,
    greedy: tuple[int, int] | None = None,
    on_size: Callable[[int, int | None], object] | None = None,
) -> int:
    """Count the tag sets that have enough errors.

    Parameters
    ----------
    warehouse
        A session with ``classes`` (class_id, images, errors, min_errors) and ``tagged`` (class_id,
        tag_id, image_no with the errors first, error). Relations ``candidates_1`` …, ``members_1``
        … and ``counts_1`` … are made in it.
    max_tags
        Tags in the largest set.
    max_absent, last_tag
        How many of them may be absent ones, which have a tag_id beyond `last_tag`.
    accuracies
        Whether ``counts_1`` … are wanted, with the images of each set, or the candidates suffice.
    greedy
        Count only what grows from the least accurate sets: how many of each size and class, and
        the fewest images of a failure mode. None counts all.
    on_size
        Called with a size before it is counted, and with the number of its sets after it.

    Returns
    -------
    int
        How many tag sets there are.
    """
    plans, total = warehouse.plans, 0
    widths: dict[str, Any] = {}
    tell = on_size or (lambda size, count: None)
    for size in range(1, max_tags + 1):
        tell(size, None)
        if size == 1 or greedy is None:
            survivors = _step(
                warehouse,
                plans,
                "candidates",
                f"candidates_{size}",
                max_absent=max_absent,
                last_tag=last_tag,
                size=size,
            )
        else:
            if size == 2:
                sizes = _grow(warehouse, max_tags, max_absent, last_tag, *greedy)
            survivors = sizes[size]
        if size == 1 and plans is not None:
            plans, widths = _bit_strings(warehouse, plans, survivors)
        # The members of the largest sets are read once: not worth storing.
        once = size == max_tags > 1
        _step(warehouse, plans, "members", f"members_{size}", view=once, size=size, **widths)
        if accuracies:
            _step(warehouse, plans, "counts", f"counts_{size}", size=size)
        if size > 2:
            warehouse.drop(f"members_{size - 1}")
        total += survivors
        tell(size, survivors)
    return total


def _grow(
    warehouse: Warehouse, max_tags: int, max_absent: int, last_tag: int, width: int, min_images: int
) -> dict[int, int]:
    """Fill ``candidates_2`` … with what grows from the least accurate sets; return their rows."""
    grow = partial(step, warehouse, folder="greedy")
    grow("frequent")
    for size in range(1, max_tags + 1):
        if size > 1:
            grow("kept_members", size=size - 1)
            grow(
                "extended",
                size=size,
                min_images=min_images,
                max_absent=max_absent,
                last_tag=last_tag,
            )
        grow("kept", f"kept_{size}", size=size, width=width, min_images=min_images)
    sizes = range(max_tags, 1, -1)
    found = {
        size: grow("candidates", f"candidates_{size}", size=size, max_tags=max_tags)
        for size in sizes
    }
    warehouse.drop(
        "frequent", "kept_members", "extended", *(f"kept_{size}" for size in (1, *sizes))
    )
    return found


def _step(
    warehouse: Warehouse,
    plans: str | None,
    name: str,
    relation: str | None = None,
    *,
    folder: str = "search",
    view: bool = False,
    **values: Any,
) -> int:
    sql = queries.find(f"{folder}/{name}", plans).render(warehouse.dialect, **values)
    return warehouse.create(relation or name, sql, view=view)


def _bit_strings(
    warehouse: Warehouse, plans: str, frequent: int
) -> tuple[str | None, dict[str, int]]:
    """Return the plan for bit strings and their lengths, or that for rows where they are too long.

    Bit strings have one length for all classes. They pay while a tag set has an image in every few
    bits; with one huge class they are mostly zeros, and so is the padding of all others.
    """
    errors, right = warehouse.execute(
        "members_1", "select max(errors), max(images - errors) from classes"
    )[0]
    if max(errors, right) > _LONGEST or frequent * (errors + right) / 8 > _MOST_BYTES:
        return None, {}
    return plans, {"most_errors": max(errors, 1), "most_right": max(right, 1)}
