"""Few failure modes instead of many: an order, near-duplicates, overlaps, and a greedy cover.

What each step computes is in ``queries/questions/rank/``; this module has their order. All of them
read which images a mode has, as numbers: that is computed once per call, in a session of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.defaults import ORDERS, OVERLAP, TOP
from prime_sql.engine.errors import OptionError, did_you_mean
from prime_sql.engine.options import whole_number
from prime_sql.engine.relation import Relation
from prime_sql.engine.session import OnSql, Session


@dataclass(frozen=True)
class Summary:
    """The failure modes of a run in short.

    Attributes
    ----------
    cover
        The modes that explain most errors, in the order in which they were picked; see
        `cover`.
    modes
        How many failure modes the run has.
    hidden
        How many of them were left out as near-duplicates.
    errors
        How many errors the run has, in all classes.
    complete
        Whether no other mode would explain another error.
    """

    cover: pl.DataFrame
    modes: int
    hidden: int
    errors: int
    complete: bool

    @property
    def explained(self) -> int:
        """How many errors the modes of the cover have."""
        return int(self.cover["new_errors"].sum())


def summarize(
    run: StoredRun,
    top: int | None = TOP,
    by: str = "excess_errors",
    overlap: float | None = OVERLAP,
    on_sql: OnSql | None = None,
) -> Summary:
    """Cover the errors of `run` greedily, and count what is not shown; see `cover`."""
    check(top=top, by=by, overlap=overlap)
    with _session(run, on_sql) as session:
        # If nothing is hidden, look for exact copies only: that costs next to nothing.
        share = 1.0 if overlap is None else overlap
        session.step("questions/rank/families", scope=run.scope(), by=by, overlap=share)
        left = session.step("questions/rank/mode_errors", "errors_0", hide=overlap is not None)
        session.step("questions/rank/picks", pick=1)
        pick = 1
        while left and (top is None or pick <= top):
            if pick > 1:
                session.step("questions/rank/picks", add=True, pick=pick)
            left = session.step("questions/rank/unexplained", f"errors_{pick}", pick=pick)
            session.drop(f"errors_{pick - 1}")
            pick += 1
        session.step("questions/rank/cover", scope=run.scope())
        cover = cast(pl.DataFrame, pl.from_arrow(session.fetch("cover", "from cover")))
        counts = "select count(*), coalesce(sum(case when hidden then 1 else 0 end), 0) from"
        ((modes, hidden),) = session.execute("families", f"{counts} families")
        all_errors = f"with {run.scope()}\nselect coalesce(sum(errors), 0) from classes"
        ((run_errors,),) = session.execute("cover", all_errors)
    return Summary(
        cover=cover,
        modes=int(modes),
        hidden=0 if overlap is None else int(hidden),
        errors=int(run_errors),
        complete=not left,
    )


def cover(
    run: StoredRun,
    *,
    top: int | None = TOP,
    by: str = "excess_errors",
    overlap: float | None = OVERLAP,
    on_sql: OnSql | None = None,
) -> Relation:
    """Pick the few failure modes that explain most errors, greedily.

    Each is the one with most of the errors (images of a class) that none above it has; in a tie,
    the better-ranked one.

    Parameters
    ----------
    top
        How many at most; None continues until no mode has another error.
    by
        What modes are ranked by: ``excess_errors``, ``drop``, ``p`` (the p-value, smallest
        first) or ``images``; ties are broken by class and tags.
    overlap
        Near-duplicates, which share at least this much of their images with a better-ranked
        mode, are left out; None leaves out nothing. See `families`.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        rank (order of the picks), mode_id, class_name, tags, images, errors, accuracy,
        accuracy_drop, new_errors (those that no mode above has), cumulative_errors,
        cumulative_coverage (share of all errors of the run).

    Raises
    ------
    OptionError
        When `top`, `by` or `overlap` is out of range.
    """
    return Relation.of(summarize(run, top, by, overlap, on_sql).cover)


def overlaps(run: StoredRun, *, min_jaccard: float = 0.5) -> Relation:
    """Return pairs of failure modes of one class that share images, most alike first.

    Parameters
    ----------
    min_jaccard
        Smallest share of the images of the two modes that both have, from 0 to 1.

    Returns
    -------
    Relation
        class_name, tags, other_tags, jaccard, shared_images, shared_errors, images,
        other_images, share, other_share (of each one's images), mode_id, other_mode_id.

    Raises
    ------
    OptionError
        When `min_jaccard` is out of range.
    """
    return ask(run, queries.question("overlaps"), {"min_jaccard": min_jaccard})


def families(run: StoredRun, *, overlap: float = OVERLAP, by: str = "excess_errors") -> Relation:
    """Return every failure mode with the one that represents it.

    A mode is a near-duplicate when at least `overlap` of its images are those of a
    better-ranked mode of its class. It is hidden behind the best such mode, and represented
    by that one or, if that is hidden too, by the one that represents it.

    Parameters
    ----------
    overlap
        A share, above 0 and at most 1.
    by
        What modes are ranked by; see `cover`.

    Returns
    -------
    Relation
        place (rank among all modes), class_name, tags, hidden, share (of its images that the
        representative has; may be less than `overlap` if there are modes in between),
        representative_tags, images, errors, accuracy, accuracy_drop, excess_errors, mode_id,
        hidden_by (a mode_id), representative_id.

    Raises
    ------
    OptionError
        When `overlap` or `by` is out of range.
    """
    return ask(run, queries.question("families"), {"overlap": overlap, "by": by})


def ask(run: StoredRun, question: queries.Query, values: dict[str, Any]) -> Relation:
    """Answer a question that reads `mode_images` beside the tables of the run."""
    check(**values)
    sql = question.render(**values)
    with _session(run, values.get("on_sql")) as session:
        # Created first, so that the statement is shown and timed like all others.
        session.create("answer", f"with {run.scope()}\nselect * from (\n{sql}\n)")
        return Relation.of(session.fetch("answer", "from answer"))


def check(
    *,
    top: Any = None,
    by: Any = None,
    overlap: Any = None,
    min_jaccard: Any = None,
    **others: Any,
) -> None:
    """Refuse values that are out of range for the questions of ``queries/questions/rank/``.

    Raises
    ------
    OptionError
        When a value is out of range; numbers may be text, as a command line hands them over.
    """
    if by is not None and by not in ORDERS:
        raise OptionError(
            f"by must be one of {', '.join(ORDERS)}, got {by!r}.{did_you_mean(str(by), ORDERS)}"
        )
    if top is not None:
        whole_number("top", top)
    for name, value, least in (("overlap", overlap, 0.0), ("min_jaccard", min_jaccard, -1.0)):
        if value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not least < number <= 1 or (least < 0 and number < 0):
            span = "above 0 and at most 1" if least == 0 else "from 0 to 1"
            raise OptionError(f"{name} must be a share, {span}, got {value!r}")


@contextmanager
def _session(run: StoredRun, on_sql: OnSql | None) -> Iterator[Session]:
    """Open a session that holds `mode_images`."""
    with run.session(on_sql) as session:
        session.step("questions/rank/mode_images", scope=run.scope(), schema=session.schema)
        yield session
