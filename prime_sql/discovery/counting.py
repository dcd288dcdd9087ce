"""From `classes` and `tagged` of a session to counted tag sets, size by size.

Every search ends here: the one for failure modes, and those that count the same images again with
other errors (chance, success modes). The files are ``queries/discovery/09`` to ``11``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.options import LARGEST_MAX_TAGS
from prime_sql.engine.session import Session

# Bits of a word in the DuckDB plan: a signed 128-bit integer, whose bits are counted in 8 bits.
_WORD = 126
# By measurement: what a word adds to the time of a pair, as a share of that of a pair by rows.
_WORD_SHARE = 0.05
# What DuckDB holds per thread for a column of a table while it is written, a few times over.
_COLUMN_BYTES = 4 * 262_144
# By measurement: how many bits of a kind a tag set may have, and how many bytes those of all single
# tags may take together.
LONGEST = 65_536
MOST_BYTES = 500_000_000
# Bytes of a row of the tags in lists, which are not written to disk, by measurement.
_LISTED_BYTES = 50
# Share of the engine's memory that a group of classes may take, by the estimate. The rest is for
# what is kept between steps, and for what the estimate leaves out.
_SHARE = 0.25
# Bytes of a counted set in a hash table, with its tags.
_COUNT_BYTES = 64


def count_tag_sets(
    session: Session,
    max_tags: int,
    *,
    max_absent: int = 0,
    last_tag: int = 0,
    accuracies: bool = True,
    greedy: tuple[int, int] | None = None,
    on_size: Callable[[int, int | None], object] | None = None,
) -> int:
    """Count the tag sets that have enough errors.

    Classes have no tag set in common, so they are counted in groups, one after the other, each
    small enough for the engine's memory; usually one group holds all.

    Parameters
    ----------
    session
        A session with ``classes`` (class_id, images, errors, min_errors) and ``tagged`` (class_id,
        tag_id, image_no with the errors first, error). Relations ``counts_1`` … are made in it, and
        others that are used only here.
    max_tags
        Tags in the largest set.
    max_absent, last_tag
        How many of them may be absent ones, which have a tag_id beyond `last_tag`.
    accuracies
        Whether ``counts_1`` … are wanted, with the images of each set, or only how many sets.
    greedy
        Count only what grows from the least accurate sets: how many of each size and class, and
        the fewest images of a failure mode. None counts all.
    on_size
        Called with a size before it is counted, and with the number of its sets once they are
        counted in all groups.

    Returns
    -------
    int
        How many tag sets there are.
    """
    tell = on_size or (lambda size, count: None)
    tell(1, None)
    absent: dict[str, Any] = {"max_absent": max_absent, "last_tag": last_tag}
    survivors = session.step("discovery/candidates", "candidates_1", size=1, **absent)
    groups = _groups(session)
    split = len(groups) > 1
    if split:
        session.step("discovery/groups/all_candidates")
        session.step("discovery/groups/tagged_by_class", "tagged")
    found: Counter[int] = Counter()
    for group in groups:
        if split:
            survivors = session.step(
                "discovery/groups/group_candidates",
                "candidates_1",
                first_class=group.first,
                last_class=group.last,
            )
        sizes = _count_group(
            session, group, survivors, max_tags, absent, accuracies, greedy, group is groups[0]
        )
        for size, count in sizes:
            if count is None:
                if size > 1 or group is not groups[0]:  # reported already
                    tell(size, None)
            else:
                found[size] += count
                if group is groups[-1]:
                    tell(size, found[size])
    if split:
        session.drop("all_candidates")
    return found.total()


def _count_group(
    session: Session,
    group: Group,
    survivors: int,
    max_tags: int,
    absent: dict[str, Any],
    accuracies: bool,
    greedy: tuple[int, int] | None,
    first: bool,
) -> Iterator[tuple[int, int | None]]:
    """Count the sets that grow from ``candidates_1``; yield each size before and after counting."""
    plans, words = _words(session, group, survivors)
    for size in range(1, max_tags + 1):
        yield size, None
        if size > 1 and greedy is None:
            values = words["candidates"]
            if size == 2 and plans is not None:
                values = {**values, "pairs_by_rows": _pairs_by_rows(session, words)}
            survivors = session.step(
                "discovery/candidates",
                f"candidates_{size}",
                plans=plans,
                size=size,
                **absent,
                **values,
            )
        elif size > 1:
            assert greedy is not None
            if size == 2:
                sizes = _grow(session, max_tags, absent["max_absent"], absent["last_tag"], *greedy)
            survivors = sizes[size]
        # By bits, larger sets are counted by pairs; they have members if others grow from them.
        if plans is None or size < 3 or (size < max_tags and greedy is None):
            members = words["members"]
            if plans is not None and (size > 2 or not accuracies):
                members = {**members, "right_words": 0}
            # The members of the largest sets are read once: not worth storing.
            once = size == max_tags > 1
            session.step(
                "discovery/members", f"members_{size}", plans=plans, view=once, size=size, **members
            )
        if accuracies:
            session.step(
                "discovery/counts",
                f"counts_{size}",
                plans=plans,
                add=not first,
                size=size,
                **words["counts"],
            )
        if size > (2 if plans is None else 3):
            session.drop(f"members_{size - 1}")
        yield size, survivors
    if plans is not None and max_tags > 2:
        session.drop("members_2")


def tag_plans(session: Session) -> str | None:
    """Return the plan for a list of tags for each image, or None if memory is too short for it."""
    memory = session.memory
    if session.plans is None or memory is None:
        return session.plans
    rows = session.execute("work", "select count(*) from tags")[0][0]
    return session.plans if rows * _LISTED_BYTES <= memory * _SHARE else None


def tag_sets(session: Session, max_tags: int) -> int:
    """Make ``tag_sets`` from ``counts_1`` … and ``tag_names``; return how many there are."""
    sizes = range(1, max_tags + 1)
    parts = [[*sizes]]
    memory = session.memory
    if memory is not None:
        # Each size joins tables of its own. If memory is short, one follows the other.
        counts = "select sum(estimated_size) from duckdb_tables() where table_name in "
        names = ", ".join(f"'counts_{size}'" for size in sizes)
        rows = session.execute("work", f"{counts}({names})")[0][0]
        if rows * _COUNT_BYTES * max_tags > memory * _SHARE:
            parts = [[size] for size in sizes]
    total = 0
    for part in parts:
        total += session.step(
            "discovery/tag_sets",
            add=part is not parts[0],
            sizes=part,
            largest=LARGEST_MAX_TAGS,
        )
    return total


@dataclass(frozen=True)
class Group:
    """Classes that are counted together: their numbers, and their share of the estimate."""

    first: int
    last: int
    bytes: int


def _groups(session: Session) -> list[Group]:
    """Return the classes of ``candidates_1`` in groups that fit into memory, by an estimate."""
    everything = Group(0, 2**31 - 1, 0)
    memory = session.memory
    if memory is None:
        return [everything]
    work = queries.find("discovery/groups/work", session.plans).render(session.dialect)
    groups: list[Group] = []
    for number, size in session.execute("work", work):
        last = groups[-1] if groups else None
        if last is not None and last.bytes + size <= memory * _SHARE:
            groups[-1] = Group(last.first, number, last.bytes + size)
        else:
            groups.append(Group(number, number, size))
    return groups if len(groups) > 1 else [everything]


def _grow(
    session: Session, max_tags: int, max_absent: int, last_tag: int, width: int, min_images: int
) -> dict[int, int]:
    """Fill ``candidates_2`` … with what grows from the least accurate sets; return their rows."""
    grow = session.step
    grow("discovery/greedy/frequent")
    for size in range(1, max_tags + 1):
        if size > 1:
            grow("discovery/greedy/kept_members", size=size - 1)
            grow(
                "discovery/greedy/extended",
                size=size,
                min_images=min_images,
                max_absent=max_absent,
                last_tag=last_tag,
            )
        grow("discovery/greedy/kept", f"kept_{size}", size=size, width=width, min_images=min_images)
    sizes = range(max_tags, 1, -1)
    found = {
        size: grow(
            "discovery/greedy/candidates", f"candidates_{size}", size=size, max_tags=max_tags
        )
        for size in sizes
    }
    session.drop("frequent", "kept_members", "extended", *(f"kept_{size}" for size in (1, *sizes)))
    return found


def _words(
    session: Session, group: Group, frequent: int
) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """Return the plan for bits with the parameters of its files, or that for rows.

    All classes of a group have the same number of bits. Bits pay off while a tag set has an image
    in every few of them; with one huge class they are mostly zeros, in all other classes too. Words
    are columns; if memory is too short for that many, a bit string holds all.
    """
    by_rows: dict[str, dict[str, Any]] = {"candidates": {}, "members": {}, "counts": {}}
    if session.plans is None:
        return None, by_rows
    errors, right = session.execute(
        "members_1",
        "select coalesce(max(errors), 0), coalesce(max(images - errors), 0) from classes "
        f"where class_id between {group.first} and {group.last}",
    )[0]
    if max(errors, right) > LONGEST or frequent * (errors + right) / 8 > MOST_BYTES:
        return None, by_rows
    most = {"most_errors": max(errors, 1), "most_right": max(right, 1)}
    bits = _WORD
    words = {
        "error_words": -(-most["most_errors"] // bits),
        "right_words": -(-most["most_right"] // bits),
    }
    memory, columns = session.memory, sum(words.values())
    if memory is not None and columns * _COLUMN_BYTES * session.threads > memory * _SHARE:
        bits, words = 0, dict.fromkeys(words, 1)
    return session.plans, {
        "candidates": {"error_words": words["error_words"]},
        "members": {**words, **most, "bits": bits},
        "counts": {**words, "bits": bits},
    }


def _pairs_by_rows(session: Session, words: dict[str, dict[str, Any]]) -> bool:
    """Return whether counting the pairs that errors carry is less work than trying all."""
    if not words["members"]["bits"]:
        return True
    sql = queries.find("discovery/pairs", session.plans).render(session.dialect)
    carried, tried = session.execute("pairs", sql)[0]
    return bool(carried < tried * (1 + words["candidates"]["error_words"] * _WORD_SHARE))
