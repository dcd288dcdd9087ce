"""Do failure modes hold on unseen data? (PRIME paper, section 4.1)

Images are counted by `discovery.unseen`; the queries that read the verdicts are in
``queries/questions/validation/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prime_sql.discovery.stored import StoredRun
from prime_sql.discovery.unseen import Checked, check, options_for, store
from prime_sql.engine import queries
from prime_sql.engine.defaults import MIN_UNSEEN_IMAGES, TOLERANCE
from prime_sql.engine.errors import OptionError
from prime_sql.engine.options import Options, finite_number, whole_number
from prime_sql.engine.relation import Relation
from prime_sql.engine.schema import remove_leftovers
from prime_sql.engine.session import OnSql

_LONGEST_CONDITION = 60  # characters


@dataclass(frozen=True)
class Validation:
    """The failure modes of a run on unseen data; lazy, so always those of the latest validation.

    Attributes
    ----------
    modes
        One row per failure mode, in the order of ``failure_modes``: as found, on the unseen
        images, and the verdict. Holds: the unseen drop in accuracy reaches `min_drop` of the run
        less `tolerance`. Undecided: fewer than `min_unseen_images` images fit it.
    summary
        One row: how many modes are decided, hold, fail and are undecided; over the decided ones
        the correlation (Pearson) of the drops as found and unseen, the share whose unseen drop
        reaches `min_drop` less 0.05, and both mean drops. Figure 9 of the paper.
    by_size
        One row per number of tags: modes, and the mean drops over the decided ones. Table 2.
    sources
        Where the unseen predictions and tags came from.
    where
        The condition on the unseen predictions, or None.
    min_unseen_images, tolerance
        What the verdicts are based on.
    images
        Unseen images.
    warnings
        What was odd about the unseen data.
    """

    modes: Relation
    summary: Relation
    by_size: Relation
    sources: dict[str, str]
    where: str | None
    min_unseen_images: int
    tolerance: float
    images: int
    warnings: list[str]

    def sentence(self) -> str:
        """Return the summary as one line of text."""
        row = self.summary.to_arrow().to_pylist()[0]
        if not row["modes"]:
            line = "there is no failure mode to check"
        elif not row["decided"]:
            plural = " is" if row["modes"] == 1 else "s are all"
            line = (
                f"{row['modes']:,} failure mode{plural} undecided, on fewer than "
                f"{self.min_unseen_images} unseen images"
            )
        else:
            plural = "" if row["decided"] == 1 else "s"
            verb = "holds" if row["holds"] == 1 else "hold"
            line = f"{row['holds']:,} of {row['decided']:,} decided failure mode{plural} {verb}"
            if row["undecided"]:
                line += f", {row['undecided']:,} undecided"
            # Two points always lie on a line.
            if row["correlation"] is not None and row["decided"] > 2:
                line += f"; correlation of drops {row['correlation']:.2f}"
        where = " ".join((self.where or "").split())
        # A long condition would bury the message.
        part = f" ({where})" if 0 < len(where) <= _LONGEST_CONDITION else ""
        return f"On unseen data{part}: {line}."


def validate(
    run: StoredRun,
    predictions: Any,
    tags: Any,
    *,
    where: str | None = None,
    min_unseen_images: int = MIN_UNSEEN_IMAGES,
    tolerance: float = TOLERANCE,
    image_id: str | None = None,
    label: str | None = None,
    prediction: str | None = None,
    tag: str | None = None,
    score: str | None = None,
    min_score: float | None = None,
    wide: bool | None = None,
    present: str | None = None,
    split_tags: str | None = None,
    on_sql: OnSql | None = None,
) -> Validation:
    """Check the failure modes on data that the search did not see (PRIME paper, 4.1).

    The verdicts are stored and replace earlier ones of this run.

    Parameters
    ----------
    predictions, tags
        The unseen data, in the forms that `search` takes.
    where
        SQL condition on the unseen predictions, instead of the run's own.
    min_unseen_images
        A failure mode that fewer unseen images fit is undecided.
    tolerance
        A failure mode holds when its drop in accuracy on the unseen images reaches
        `min_drop` of the run less this; otherwise it fails.
    image_id, label, prediction, tag, score, min_score, wide, present, split_tags
        What the columns are called, and how tags are read; as in the run where left out, like
        what the class is and when a prediction is wrong.
    on_sql
        Called with a `Statement` after every statement.

    Raises
    ------
    OptionError
        When `min_unseen_images` or `tolerance` is out of range.
    InputError
        When a table is missing or breaks the definition of its columns; nothing is written.
    WarehouseError
        When the database is open for reading only, or refuses a statement.
    """
    columns = {
        "image_id": image_id,
        "label": label,
        "prediction": prediction,
        "tag": tag,
        "score": score,
        "min_score": min_score,
        "wide": wide,
        "present": present,
        "split_tags": split_tags,
    }
    return validate_with(
        run,
        predictions,
        tags,
        options_for(run.options, where, columns),
        min_unseen_images=min_unseen_images,
        tolerance=tolerance,
        on_sql=on_sql,
    )


def validate_with(
    run: StoredRun,
    predictions: Any,
    tags: Any,
    options: Options,
    *,
    min_unseen_images: int = MIN_UNSEEN_IMAGES,
    tolerance: float = TOLERANCE,
    on_sql: OnSql | None = None,
    shown: Callable[[Checked], Checked] = lambda checked: checked,
) -> Validation:
    """Validate with ready-made options; see `validate`.

    Parameters
    ----------
    options
        What the columns of the unseen data are called, and which predictions count.
    shown
        Takes out what must not be stored.
    """
    min_unseen_images = whole_number("min_unseen_images", min_unseen_images)
    tolerance = _fraction("tolerance", tolerance)
    with run.session(on_sql) as session:
        session.check_writable()
        remove_leftovers(session)
        counted_in = run.database.counting(session, on_sql)
        try:
            checked = check(
                predictions,
                tags,
                options,
                counted_in,
                scope=counted_in.scope(
                    {"failure_modes": run.run_id, "failure_mode_tags": run.run_id}
                ),
                min_unseen_images=min_unseen_images,
                tolerance=tolerance,
            )
            run.database.fetch(counted_in, session, "verdicts")
            with session.transaction():
                store(shown(checked), run.run_id, session)
            run.database.store(run.run_id)
        finally:
            if counted_in is not session:
                counted_in.close()
    validation = stored(run)
    assert validation is not None  # as of this transaction
    return validation


def stored(run: StoredRun) -> Validation | None:
    """Return the latest check of a run on unseen data, or None; see `Run.validation`."""
    rows = run.relation("validation_runs").to_arrow().to_pylist()
    if not rows:
        return None

    def ask(name: str, **values: Any) -> Relation:
        return run.sql(queries.find(f"questions/validation/{name}").render(**values))

    (record,) = rows
    return Validation(
        modes=ask("validated_modes"),
        summary=ask("validation_summary", min_drop=run.options.min_drop),
        by_size=ask("validation_by_size"),
        sources=json.loads(record["sources"]),
        where=record["condition"],
        min_unseen_images=record["min_unseen_images"],
        tolerance=record["tolerance"],
        images=record["images"],
        warnings=json.loads(record["warnings"]),
    )


def _fraction(name: str, value: Any) -> float:
    number = finite_number(name, value)
    if not 0 <= number <= 1:
        raise OptionError(f"{name} must be between 0 and 1, got {number:g}")
    return number
