"""The stored images of a run, counted again with other errors or for other tag sets.

Fills a session as a search does, from the tables of the run: what chance alone gives (errors
shuffled), success modes (errors flipped), and how many tag sets there are (every image an error).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from prime_sql.discovery import counting
from prime_sql.discovery.stored import StoredRun
from prime_sql.engine.options import LARGEST_MAX_TAGS, Options, grouping
from prime_sql.engine.session import Session

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
    def of(run: StoredRun) -> Stored:
        """Return what the functions of this module need from an open run."""
        return Stored(run.run_id, run.counted_run_id, run.options)


def load(
    session: Session,
    stored: Stored,
    errors: Errors = "stored",
    *,
    seed: str | None = None,
    min_drop: float | None = None,
) -> int:
    """Fill ``classes`` and ``tagged`` of the session; return the largest tag_id of a tag.

    Parameters
    ----------
    session
        A session on the database of the run.
    stored
        The run.
    errors
        Which images are errors: those that are stored, as many others of each class (shuffled),
        those that were right (flipped), or every image.
    seed
        The seed that the errors are shuffled with.
    min_drop
        Count what a failure mode with this drop needs; every tag set with enough images if None.
    """
    options = stored.options
    common: dict[str, Any] = {"schema": session.schema}
    session.step(
        "discovery/recount/classes",
        run_id=stored.run_id,
        errors=errors,
        min_images=options.min_images,
        min_drop=min_drop,
        **common,
    )
    common["run_id"] = stored.counted_run_id
    session.step("discovery/recount/outcomes", errors=errors, seed=seed, **common)
    session.step("discovery/recount/class_tags", **common)
    session.step("discovery/refilter/stored_vocabulary", "vocabulary", **common)
    highest = "select coalesce(max(tag_id), 0) from vocabulary"
    last_tag = int(session.execute("vocabulary", highest)[0][0])
    session.step(
        "discovery/tagged",
        min_tag_images=options.tag_images,
        max_absent=options.max_absent,
        last_tag=last_tag,
    )
    session.drop("class_tags")
    return last_tag


def failure_modes(
    session: Session, options: Options, last_tag: int, *, exhaustive: bool = False
) -> int:
    """Search what `load` filled in, as the run did; return how many failure modes there are."""
    counting.count_tag_sets(
        session,
        options.max_tags,
        max_absent=options.max_absent,
        last_tag=last_tag,
        greedy=None if exhaustive else options.greedy,
    )
    session.step("discovery/tag_names", max_absent=options.max_absent, last_tag=last_tag)
    counting.tag_sets(session, options.max_tags)
    return session.step(
        "discovery/failure_modes",
        min_images=options.min_images,
        min_drop=options.min_drop,
        necessity=[options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        grouping=grouping(options),
        largest=LARGEST_MAX_TAGS,
    )


def clear(session: Session, options: Options) -> None:
    """Drop what `load` and `failure_modes` made: elsewhere, the names mean stored tables."""
    sizes = range(1, options.max_tags + 1)
    if options.max_tags > 1:  # see `counting.count_tag_sets`
        session.execute("drop", f"drop view if exists temp.members_{options.max_tags}")
    session.drop(
        *("classes", "outcomes", "class_tags", "vocabulary", "tagged", "tag_names"),
        *("tag_sets", "failure_modes", "members_1"),
        *(f"{name}_{size}" for name in ("candidates", "counts") for size in sizes),
        *(f"members_{size}" for size in sizes if 1 < size < options.max_tags),
    )
