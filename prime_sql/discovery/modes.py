"""From counted tag sets to failure modes; and, if there are none, why."""

from __future__ import annotations

from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.steps import Steps
from prime_sql.engine.options import LARGEST_MAX_TAGS, Options, grouping
from prime_sql.engine.session import Session


def select_modes(
    options: Options, loaded: Inputs, session: Session, steps: Steps, *, frequent: str | None
) -> str | None:
    """Fill ``failure_modes`` and ``failure_mode_tags``; return why there are none, or None."""
    step = session.step
    steps.start("failure modes")
    found = step(
        "discovery/failure_modes",
        min_images=options.min_images,
        min_drop=options.min_drop,
        necessity=[options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        grouping=grouping(options),
        largest=LARGEST_MAX_TAGS,
    )
    loaded.rows["failure_modes"] = found
    loaded.rows["failure_mode_tags"] = step(
        "discovery/failure_mode_tags", max_tags=options.max_tags
    )
    steps.end(found)
    return None if found else _why_none(options, loaded, session, frequent)


def _why_none(options: Options, loaded: Inputs, session: Session, frequent: str | None) -> str:
    facts = session.check(
        "discovery/checks/why_none", min_images=options.min_images, frequent=frequent
    )
    loaded.rows.setdefault("tag_sets", facts["tag_sets"])
    one = " There is only one class." if facts["classes"] == 1 else ""
    if not facts["errors"]:
        return f"There are no errors: all {facts['images']:,} predictions are right.{one}"
    if facts["errors"] == facts["images"]:
        what = (
            "label and prediction are written alike" if options.error is None else "error is right"
        )
        return f"All {facts['images']:,} predictions are wrong; check that {what}.{one}"
    if not loaded.rows.get("tag_rows", 1):
        if options.min_score is not None:
            return f"No tag has a score of {options.min_score:g} or more. Lower min_score.{one}"
        return f"The tags table has no rows.{one}"
    if facts["largest_class"] < options.min_images:
        return (
            f"No class has {options.min_images} images; the largest has "
            f"{facts['largest_class']:,}. Lower min_images.{one}"
        )
    if not facts["frequent_tags"] and facts["frequent_tags"] is not None:
        return (
            f"No tag is frequent: none is on {options.tag_images} images of a class. "
            f"Lower min_images or min_tag_images.{one}"
        )
    if not facts["tag_sets"]:
        return (
            "No tag has enough errors: at these thresholds a failure mode needs at least "
            f"{facts['fewest_errors']:,} misclassified images. Lower min_images or min_drop.{one}"
        )
    return (
        f"None of {facts['tag_sets']:,} counted tag sets has at least {options.min_images} images "
        f"and an accuracy at least {options.min_drop:g} below its class with every tag necessary. "
        f"The largest drop on {options.min_images} images or more is "
        f"{facts['largest_drop'] or 0:.3f}.{one}"
    )
