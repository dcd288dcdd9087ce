"""Failure modes on unseen images: counts and verdicts in a session (PRIME paper, section 4.1)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prime_sql.discovery import inputs
from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.tags import check_tags
from prime_sql.engine import queries
from prime_sql.engine.defaults import MIN_UNSEEN_IMAGES, TOLERANCE
from prime_sql.engine.errors import shorten
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import reading


@dataclass(frozen=True)
class Checked:
    """What a session holds in ``verdicts``, as the database will describe it."""

    sources: dict[str, str]
    condition: str | None
    min_unseen_images: int
    tolerance: float
    images: int
    warnings: list[str]

    def shown(self, sources: dict[str, str] | None, hide: Callable[[str], str]) -> Checked:
        """Return a copy without what must not be stored; see `publish.Record`."""
        return dataclasses.replace(
            self,
            sources=sources or self.sources,
            condition=None if self.condition is None else hide(self.condition),
            warnings=[hide(warning) for warning in self.warnings],
        )


def check(
    predictions: Any,
    tags: Any,
    options: Options,
    session: Session,
    *,
    part: str | None = None,
    scope: str = "",
    min_unseen_images: int = MIN_UNSEEN_IMAGES,
    tolerance: float = TOLERANCE,
) -> Checked:
    """Load the unseen data and fill ``verdicts``, one row for each failure mode.

    Parameters
    ----------
    predictions, tags, options, part
        The unseen data; see `inputs.load`.
    session
        The session. Its ``predictions``, ``tags``, ``images`` and ``image_tags`` are replaced.
    scope
        Common table expressions in which ``failure_modes`` and ``failure_mode_tags`` are found;
        relations of the session if left out.
    min_unseen_images, tolerance
        What the verdicts are based on.
    """
    step = session.step
    # First, while the names still mean the stored tables.
    step("discovery/unseen/wanted_tags", scope=scope)
    (most,) = session.execute(
        "wanted_tags",
        "select coalesce(max(tags), 1) from "
        "(select count(*) as tags from wanted_tags group by mode_id) as sizes",
    )[0]
    session.drop("source_predictions_rows", "source_tags_rows")
    loaded = inputs.load(predictions, tags, options, session, part)
    images = step("discovery/unseen/unseen_images", "images")
    with reading("tags", loaded.sources["tags"]):
        step("discovery/unseen/unseen_vocabulary")
        step("discovery/unseen/unseen_image_tags", "image_tags")
    check_tags(session, loaded, options.replace(max_absent=0), vocabulary=False)
    warn_of_unknown_tags(session, loaded)
    step("discovery/unseen/unseen_classes")
    step("discovery/unseen/unseen_tagged")
    session.drop("image_tags", "predictions")
    step("discovery/unseen/unseen_counts", most=most)
    session.drop("unseen_tagged")
    step(
        "discovery/unseen/verdicts",
        min_unseen_images=min_unseen_images,
        least_drop=options.min_drop - tolerance,
    )
    condition = loaded.part or options.where
    if loaded.part and options.where:
        condition = f"{loaded.part} and ({options.where})"
    return Checked(
        loaded.sources,
        condition,
        min_unseen_images,
        tolerance,
        images,
        loaded.warnings,
    )


def warn_of_unknown_tags(session: Session, loaded: Inputs) -> None:
    """Warn of absent tags that no image of these data carries: their modes are left out."""
    sql = queries.find("discovery/unseen/unknown_tags", session.plans).render(session.dialect)
    tags, example, modes = session.execute("unknown_tags", sql)[0]
    if tags:
        loaded.warn(
            f"{modes:,} failure modes need the absence of a tag that no image carries here, for "
            f"example {shorten(example)}; no image counts for them, since nobody may have looked "
            "for the tag"
        )


def store(checked: Checked, run_id: int, session: Session) -> None:
    """Store the session's ``verdicts`` instead of earlier ones; within a transaction."""
    sql = queries.find("discovery/unseen/store", session.plans).render(
        session.dialect,
        schema=session.schema,
        run_id=run_id,
        created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        sources=json.dumps(checked.sources),
        condition=checked.condition,
        min_unseen_images=checked.min_unseen_images,
        tolerance=checked.tolerance,
        images=checked.images,
        warnings=json.dumps(checked.warnings),
    )
    session.script("publish", sql)


def options_for(options: Options, where: str | None, columns: dict[str, Any]) -> Options:
    """Return the options of a run for other data, whose columns may have other names."""
    columns = {name: value for name, value in columns.items() if value is not None}
    if columns.get("wide"):
        # A wide table has no scores, and no column of tags.
        columns = {"min_score": None, "split_tags": None, **columns}
    elif "wide" in columns:
        columns = {"present": None, **columns}
    # The class is the label (or the prediction) here too, even under another name.
    standard = {options.label: "label", options.prediction: "prediction"}
    return options.replace(
        **columns,
        group_by=tuple(standard.get(name, name) for name in options.group_by),
        where=where,
        split=None,
        find=None,
        check=None,
    )
