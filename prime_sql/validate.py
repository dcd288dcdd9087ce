"""Do failure modes hold on unseen data? (PRIME paper, section 4.1)

What is counted stands in ``queries/validate/``; this module loads the unseen data, orders the steps
and stores the verdicts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from prime_sql import inputs, queries
from prime_sql.answers import Relation
from prime_sql.defaults import MIN_UNSEEN_IMAGES, TOLERANCE
from prime_sql.errors import OptionError, shorten
from prime_sql.options import Options, finite_number, whole_number
from prime_sql.schema import remove_leftovers
from prime_sql.sources import reading
from prime_sql.warehouse import Database, OnSql, Warehouse, stored_table

if TYPE_CHECKING:
    from prime_sql.results import Run

_LONGEST_CONDITION = 60  # characters


@dataclass(frozen=True)
class Validation:
    """The failure modes of a run on unseen data; lazy, so always those of the latest validation.

    Attributes
    ----------
    modes
        One row per failure mode, in the order of ``failure_modes``: as found, on the unseen
        images, and the verdict. Holds: the unseen drop of accuracy reaches `min_drop` of the run
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
        What the verdicts rest on.
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
        # A long condition would bury what the line says.
        part = f" ({where})" if 0 < len(where) <= _LONGEST_CONDITION else ""
        return f"On unseen data{part}: {line}."


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
        """Return a copy without what is not to be stored; see `publish.Record`."""
        return dataclasses.replace(
            self,
            sources=sources or self.sources,
            condition=None if self.condition is None else hide(self.condition),
            warnings=[hide(warning) for warning in self.warnings],
        )


def validate(
    run: Run,
    predictions: Any,
    tags: Any,
    *,
    where: str | None,
    min_unseen_images: int,
    tolerance: float,
    on_sql: OnSql | None,
    columns: dict[str, Any],
    options: Options | None = None,
    shown: Callable[[Checked], Checked] = lambda checked: checked,
) -> Validation:
    """Check the failure modes of `run` on other data, and store the verdicts; see `Run.validate`.

    `columns` are the options that say what the columns are called; None means as in the run. A job
    also brings the options as they were before they were stored, and `shown`, which takes out what
    is not to be stored.
    """
    return _in_session(
        run,
        predictions,
        tags,
        options_for(options or run.options, where, columns),
        whole_number("min_unseen_images", min_unseen_images),
        _fraction("tolerance", tolerance),
        on_sql,
        shown,
    )


def _in_session(
    run: Run,
    predictions: Any,
    tags: Any,
    options: Options,
    min_unseen_images: int,
    tolerance: float,
    on_sql: OnSql | None,
    shown: Callable[[Checked], Checked],
) -> Validation:
    mirror = run.mirror
    database = mirror or Database(run.backend)
    warehouse = Warehouse(database.backend, on_sql)
    counted_in = database.counting(warehouse, on_sql)
    try:
        warehouse.check_writable()
        remove_leftovers(warehouse)
        checked = check(
            predictions,
            tags,
            options,
            counted_in,
            scope=mirror.scope(run.run_id) if mirror else run.scope(),
            min_unseen_images=min_unseen_images,
            tolerance=tolerance,
        )
        if mirror:
            mirror.fetch(counted_in, warehouse, "verdicts")
        with warehouse.transaction():
            store(shown(checked), run.run_id, warehouse)
        if mirror:
            mirror.store(run.run_id)
    finally:
        if mirror:
            counted_in.close()
        warehouse.close()
    validation = stored(run)
    assert validation is not None  # as of this transaction
    return validation


def check(
    predictions: Any,
    tags: Any,
    options: Options,
    warehouse: Warehouse,
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
    warehouse
        The session. Its ``predictions``, ``tags``, ``images`` and ``image_tags`` are replaced.
    scope
        Common table expressions in which ``failure_modes`` and ``failure_mode_tags`` are found;
        relations of the session if left out.
    min_unseen_images, tolerance
        What the verdicts rest on.
    """
    step = partial(_step, warehouse)
    # First, while the names are the stored ones still.
    step("wanted_tags", scope=scope)
    (most,) = warehouse.execute(
        "wanted_tags",
        "select coalesce(max(tags), 1) from "
        "(select count(*) as tags from wanted_tags group by mode_id) as sizes",
    )[0]
    warehouse.drop("source_predictions_rows", "source_tags_rows")
    loaded = inputs.load(predictions, tags, options, warehouse, part)
    images = step("unseen_images", "images")
    with reading("tags", loaded.sources["tags"]):
        step("unseen_vocabulary")
        step("unseen_image_tags", "image_tags")
    inputs.check_tags(warehouse, loaded)
    warn_of_unknown_tags(warehouse, loaded)
    step("unseen_classes")
    step("unseen_tagged")
    warehouse.drop("image_tags", "predictions")
    step("unseen_counts", most=most)
    warehouse.drop("unseen_tagged")
    step(
        "verdicts",
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


def warn_of_unknown_tags(warehouse: Warehouse, loaded: inputs.Inputs) -> None:
    """Warn of absent tags that no image of these data carries: their modes are left out."""
    sql = queries.find("validate/unknown_tags", warehouse.plans).render(warehouse.dialect)
    tags, example, modes = warehouse.execute("unknown_tags", sql)[0]
    if tags:
        loaded.warn(
            f"{modes:,} failure modes need the absence of a tag that no image carries here, for "
            f"example {shorten(example)}; no image counts for them, since nobody may have looked "
            "for the tag"
        )


def store(checked: Checked, run_id: int, warehouse: Warehouse) -> None:
    """Put the session's ``verdicts`` in the place of earlier ones; within a transaction."""
    sql = queries.find("validate/store", warehouse.plans).render(
        warehouse.dialect,
        schema=warehouse.schema,
        run_id=run_id,
        created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        sources=json.dumps(checked.sources),
        condition=checked.condition,
        min_unseen_images=checked.min_unseen_images,
        tolerance=checked.tolerance,
        images=checked.images,
        warnings=json.dumps(checked.warnings),
    )
    warehouse.script("publish", sql)


def stored(run: Run) -> Validation | None:
    """Return the stored validation of a run, or None where there is none."""
    backend = run.mirror.backend if run.mirror else run.backend
    table = stored_table(backend, "validation_runs")
    rows = Relation(table.filter(table.run_id == run.run_id)).to_arrow().to_pylist()
    if not rows:
        return None

    def ask(name: str, **values: Any) -> Relation:
        return run.sql(queries.find(f"validate/{name}").render(**values))

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


def _step(
    warehouse: Warehouse, name: str, relation: str | None = None, *, scope: str = "", **values: Any
) -> int:
    """Keep the answer of a file of ``queries/validate/`` as a relation; return its rows."""
    sql = queries.find(f"validate/{name}", warehouse.plans).render(warehouse.dialect, **values)
    if scope:
        sql = f"with {scope}\nselect * from (\n{sql}\n) as answer"
    return warehouse.create(relation or name, sql)


def options_for(options: Options, where: str | None, columns: dict[str, Any]) -> Options:
    """Return the options of a run for other data: its columns may be called otherwise."""
    columns = {name: value for name, value in columns.items() if value is not None}
    if columns.get("wide"):
        columns.setdefault("min_score", None)  # a wide table has no scores
    # The class is the label (or the prediction) here too, whatever it is called.
    standard = {options.label: "label", options.prediction: "prediction"}
    return options.replace(
        **columns,
        group_by=tuple(standard.get(name, name) for name in options.group_by),
        where=where,
        split=None,
        find=None,
        check=None,
    )


def _fraction(name: str, value: Any) -> float:
    number = finite_number(name, value)
    if not 0 <= number <= 1:
        raise OptionError(f"{name} must be between 0 and 1, got {number:g}")
    return number
