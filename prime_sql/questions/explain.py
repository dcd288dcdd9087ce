"""One failure mode, explained: which tags matter, what it is taken for, what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.errors import QueryError
from prime_sql.engine.options import LARGEST_MAX_TAGS, whole_number
from prime_sql.engine.relation import Relation, answer
from prime_sql.questions.images import table_of_images, told_by

_MOST_NAMED = 5


@dataclass(frozen=True)
class Explanation:
    """What is known about one failure mode.

    Attributes
    ----------
    mode_id
        The mode.
    mode
        Its row of ``failure_modes``.
    subsets
        One row per subset of its tags, from none (the class) to all (the mode): tags, tag_count,
        images, errors, accuracy, accuracy_drop (PRIME paper, Fig. 3, Tables 1 and 5).
    wrong_predictions
        One row per wrong prediction on its images: prediction, images, error_share (of the mode's
        errors), other_error_share (of the class's errors outside the mode). Most common first.
        Where the class is the prediction: one row per label instead of prediction.
    images
        Example images, hard ones (errors) before easy ones: image_id, label, prediction, error,
        uri. The uri comes from a table ``images(image_id, uri)`` of the database, beside the
        predictions or in schema main, and is null if there is none. The choice of images looks
        random but is the same every time.
    """

    mode_id: str
    mode: Relation
    subsets: Relation
    wrong_predictions: Relation
    images: Relation


def explain(run: StoredRun, mode_id: str, *, examples: int = 12) -> Explanation:
    """Explain one failure mode: its tags, what it is taken for, how it looks.

    Parameters
    ----------
    mode_id
        The mode, or the first characters of its mode_id.
    examples
        How many wrong images, and how many right ones, to show.

    Returns
    -------
    Explanation
        The accuracy on every subset of its tags, its wrong predictions, example images. (After
        a greedy search, which does not count every subset, some are missing.)

    Raises
    ------
    QueryError
        When no mode_id begins like this, or several do; the message names some.
    """
    if not isinstance(mode_id, str) or not mode_id.strip():
        raise QueryError(f"mode_id takes a mode_id or its first characters, got {mode_id!r}")
    examples = whole_number("examples", examples, lowest=0)
    mode_id = complete_mode_id(run, mode_id.strip())

    def ask(name: str, **values: Any) -> Relation:
        sql = queries.find(f"questions/explain/{name}").render(mode_id=mode_id, **values)
        return answer(sql, run.backend, run.scope("outcomes"))

    return Explanation(
        mode_id,
        mode=ask("mode"),
        subsets=ask("subsets", largest=LARGEST_MAX_TAGS),
        wrong_predictions=ask("wrong_predictions", column=told_by(run)),
        images=ask("images", examples=examples, images=table_of_images(run)),
    )


def complete_mode_id(run: StoredRun, beginning: str) -> str:
    """Return the one mode_id that begins like this."""
    known = queries.find("questions/explain/mode").render(mode_id=beginning)
    found = run.sql(known).to_polars().select("mode_id", "class_name", "tags").rows()
    if len(found) == 1:
        return str(found[0][0])
    if found:
        problem = f"{len(found):,} failure modes begin with {beginning!r}"
    else:
        problem = f"run {run.run_id} has no failure mode {beginning!r}"
        modes = run.failure_modes.to_polars()
        found = modes.select("mode_id", "class_name", "tags").rows()
        if not found:
            raise QueryError(f"{problem}; it has none at all. {run.note or ''}".strip())
    named = "; ".join(f"{each} ({group}: {tags})" for each, group, tags in found[:_MOST_NAMED])
    more = len(found) - _MOST_NAMED
    rest = f"; and {more:,} more, see failure_modes" if more > 0 else ""
    raise QueryError(f"{problem}. Choose one of {named}{rest}")
