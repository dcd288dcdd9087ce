"""The collection of a report from a run.

What is counted stands in ``queries/report/``: one query for all modes, never one for each.
"""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ibis
import polars as pl

from prime_sql import __version__, history, queries, rank
from prime_sql.defaults import CARDS, OVERLAP, RUNS, TOP
from prime_sql.explain import table_of_images, table_of_pictures, told_by
from prime_sql.options import LARGEST_MAX_TAGS, whole_number
from prime_sql.report.data import (
    FORMAT,
    Card,
    Change,
    ClassRow,
    Example,
    Headline,
    History,
    Mode,
    PastRun,
    Pick,
    Report,
    Search,
    Subset,
    Trend,
    Unseen,
    WrongPrediction,
)
from prime_sql.report.thumbnails import thumbnails as make_thumbnails
from prime_sql.warehouse import OnSql, Warehouse, catalog_of

if TYPE_CHECKING:
    from prime_sql.results import Run

HARD, EASY = 6, 3  # example images on a card

_NAMES = 5  # of what errors are taken for, on a card


def collect(
    run: Run,
    *,
    top: int = TOP,
    cards: int = CARDS,
    thumbnails: bool = True,
    runs: int = RUNS,
    on_sql: OnSql | None = None,
) -> Report:
    """Collect the report of `run`; see `Run.report`."""
    cards, runs = whole_number("cards", cards, 0), whole_number("runs", runs)
    summary = rank.summarize(run, top, on_sql=on_sql)
    validation = run.validation
    warehouse = Warehouse(run.backend, on_sql)

    scope = run.scope("outcomes")

    def keep(name: str, **values: Any) -> None:
        """Keep the answer of a query for those that follow, under its name."""
        sql = queries.find(name).render(**values)
        name = name.partition("/")[2]
        warehouse.create(name, f"with {scope}\nselect * from (\n{sql}\n) as answer")

    def read(name: str, **values: Any) -> pl.DataFrame:
        keep(f"report/{name}", **values)
        answer: pl.DataFrame = warehouse.backend.table(name).to_polars()
        return answer

    try:
        keep("rank/mode_images", schema=warehouse.schema)
        keep("rank/families", overlap=OVERLAP)
        warehouse.create_from("cover", ibis.memtable(summary.cover))
        modes = read("modes", validated=validation is not None)
        mode_tags = read("mode_tags")
        classes = read("class_overview")
        detailed = read("detailed", cards=cards)
        subsets = read("subsets", largest=LARGEST_MAX_TAGS)
        keep("report/detailed_images")
        wrong = read("wrong_predictions", column=told_by(run), most=_NAMES)
        examples = read("examples", hard=HARD, easy=EASY, images=table_of_images(run))
        examples = examples.sort("card", "error", "place", descending=[False, True, False])
        held: dict[str, bytes] = {}
        if thumbnails and (place := table_of_pictures(run)) is not None:
            held = dict(read("pictures", pictures=place[0], bytes=place[1]).iter_rows())
    finally:
        warehouse.close()

    small: dict[str, str] = {}
    pictures = None
    if thumbnails:
        shown = examples.select("image_id", "uri").unique(maintain_order=True)
        small, pictures = make_thumbnails(shown.iter_rows(), held)
    examples = examples.with_columns(
        pl.Series("thumbnail", list(map(small.get, examples["image_id"])), dtype=pl.String),
        pl.col("error") == 1,
    )
    names = mode_tags.group_by("mode_id").agg(pl.col("name").sort().alias("tag_names"))
    modes = modes.join(names, on="mode_id", how="left").sort("place")
    total_images, total_errors = int(classes["images"].sum()), int(classes["errors"].sum())
    in_order = classes.sort("mode_errors", "errors", "class_name", descending=[True, True, False])
    return Report(
        format=FORMAT,
        version=__version__,
        search=Search(
            run_id=run.run_id,
            counted_run_id=run.counted_run_id,
            created_at=_moment(run.created_at),
            version=run.version,
            sources=dict(run.sources),
            options=json.loads(run.options.to_json()),
            row_counts=dict(run.row_counts),
            seconds=round(sum(run.seconds.values()), 3),
            warnings=tuple(run.warnings),
            note=run.note,
        ),
        headline=Headline(
            failure_modes=summary.modes,
            near_duplicates=summary.hidden,
            classes=classes.height,
            images=total_images,
            errors=total_errors,
            accuracy=1 - total_errors / total_images if total_images else None,
            mode_errors=int(classes["mode_errors"].sum()),
            cover=_rows(Pick, summary.cover.sort("rank")),
            complete=summary.complete,
        ),
        modes=_rows(Mode, modes),
        cards=_cards(run, detailed, subsets, wrong, examples),
        pictures=pictures,
        classes=_rows(ClassRow, in_order),
        told_by=told_by(run),
        unseen=_unseen(run),
        history=_history(run, runs, on_sql),
    )


def _cards(
    run: Run,
    detailed: pl.DataFrame,
    subsets: pl.DataFrame,
    wrong: pl.DataFrame,
    examples: pl.DataFrame,
) -> tuple[Card, ...]:
    """Put the rows of all cards on theirs."""
    catalog = catalog_of(run.backend)
    # In a file called prime.duckdb, the catalog must stand before the schema.
    schema = f"{queries.identifier(catalog)}.prime" if catalog.lower() == "prime" else "prime"
    copy = queries.find("report/images_to_copy")

    def grouped(rows: pl.DataFrame) -> dict[int, pl.DataFrame]:
        parts = rows.partition_by("card", as_dict=True, maintain_order=True)
        return {key[0]: part for key, part in parts.items()}

    subsets_of = grouped(subsets.sort("card", "tag_count", "tags", "images", "errors"))
    wrong = wrong.sort("card", "images", "name", descending=[False, True, False], nulls_last=True)
    wrong_of, examples_of = grouped(wrong), grouped(examples)
    found = []
    for card, mode_id in detailed.sort("card").select("card", "mode_id").iter_rows():
        guesses, shown = wrong_of.get(card), examples_of.get(card)
        found.append(
            Card(
                mode_id=mode_id,
                subsets=_rows(Subset, subsets_of[card]),
                wrong_predictions=() if guesses is None else _rows(WrongPrediction, guesses),
                names=0 if guesses is None else int(guesses["names"][0]),
                examples=() if shown is None else _rows(Example, shown),
                sql=copy.render(schema=schema, run_id=run.run_id, mode_id=mode_id) + ";",
            )
        )
    return tuple(found)


def _unseen(run: Run) -> Unseen | None:
    validation = run.validation
    if validation is None:
        return None
    row = validation.summary.to_polars().row(0, named=True)
    names = [field.name for field in dataclasses.fields(Unseen)]
    return Unseen(
        sentence=validation.sentence(),
        sources=dict(validation.sources),
        where=validation.where,
        images=validation.images,
        min_unseen_images=validation.min_unseen_images,
        tolerance=validation.tolerance,
        warnings=tuple(validation.warnings),
        **{name: _plain(row[name]) for name in names if name in row},
    )


def _history(run: Run, runs: int, on_sql: OnSql | None) -> History | None:
    previous = run.previous
    if previous is None:
        return None
    changes = history.changes(run, on_sql)
    assert changes is not None  # there is a previous run
    changed = changes.to_polars()
    followed = history.history(run, runs, on_sql, changes).to_polars()
    own = changed.filter("is_mode_b").select("mode_id")
    last = followed.select("run_id", "created_at").unique().sort("run_id")
    trends = (
        followed.join(own, on="mode_id", how="semi")
        .sort("place", "run_id")
        .group_by("mode_id", maintain_order=True)
        .agg("images", pl.col("accuracy").alias("accuracies"))
    )
    changed = changed.rename(
        {
            "images_a": "images_before",
            "accuracy_a": "accuracy_before",
            "images_b": "images",
            "accuracy_b": "accuracy",
        }
    )
    counts = dict(changed["status"].value_counts().iter_rows())
    return History(
        previous=_past(previous.run_id, previous.created_at),
        **{status: counts.get(status, 0) for status in ("new", "persisting", "fixed", "undecided")},
        changes=_rows(Change, changed),
        runs=tuple(_past(*row) for row in last.iter_rows()),
        trends=_rows(Trend, trends),
    )


def _past(run_id: int, created_at: datetime) -> PastRun:
    return PastRun(run_id, _moment(created_at))


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds") + "Z"


def _rows(kind: Any, rows: pl.DataFrame) -> tuple[Any, ...]:
    """Return one object for each row, from the columns that are called like its fields."""
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(kind(*map(_plain, row)) for row in rows.select(names).iter_rows())


def _plain(value: Any) -> Any:
    """Leave out what JSON cannot say, and make lists as fixed as the rest."""
    if isinstance(value, list):
        return tuple(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
