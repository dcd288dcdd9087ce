"""The collection of a report from a run.

The counting is in ``queries/questions/collect/``: one query for all modes, never one for each.
"""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime
from typing import Any, cast

import ibis
import polars as pl

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.connection import catalog_of
from prime_sql.engine.defaults import CARDS, OVERLAP, RUNS, TOP
from prime_sql.engine.options import LARGEST_MAX_TAGS, whole_number
from prime_sql.engine.session import OnSql
from prime_sql.engine.version import __version__
from prime_sql.questions import history, rank
from prime_sql.questions.images import table_of_images, table_of_pictures, told_by
from prime_sql.questions.thumbnails import thumbnails as make_thumbnails
from prime_sql.questions.validation import stored
from prime_sql.report.data import (
    Card,
    Change,
    ClassRow,
    Example,
    Headline,
    History,
    Mode,
    PastRun,
    Pick,
    Search,
    Subset,
    Trend,
    Unseen,
    WrongPrediction,
)
from prime_sql.report.report import FORMAT, Report

HARD, EASY = 6, 3  # example images on a card

_NAMES = 5  # most names that a card lists of what errors are taken for


def report(
    run: StoredRun,
    *,
    top: int = TOP,
    cards: int = CARDS,
    thumbnails: bool = True,
    runs: int = RUNS,
    on_sql: OnSql | None = None,
) -> Report:
    """Collect what a report shows: everything that is known about this run.

    Its methods ``to_html()`` (one self-contained page), ``to_json()`` and ``to_text()`` write
    it.

    Parameters
    ----------
    top
        How many failure modes the headline lists: those that explain most errors.
    cards
        How many failure modes get a card: subsets of their tags, wrong predictions, example
        images. Those of the headline come first, then those with the most excess errors.
    thumbnails
        Whether the example images have small pictures, for a page: from local files that a table
        ``images(image_id, uri)`` names, or from bytes in ``image_bytes(image_id, bytes)`` or
        ``images``; beside the predictions or in schema main. Needs Pillow.
    runs
        Through how many comparable runs, including this one, to follow each mode.
    on_sql
        Called with a `Statement` after every statement.

    Raises
    ------
    OptionError
        When a number is out of range.
    """
    cards, runs = whole_number("cards", cards, 0), whole_number("runs", runs)
    summary = rank.summarize(run, top, on_sql=on_sql)
    validation = stored(run)
    scope = run.scope("outcomes")
    with run.session(on_sql) as session:

        def read(name: str, **values: Any) -> pl.DataFrame:
            """Keep the answer of a query for later ones, and return it."""
            session.step(f"questions/collect/{name}", scope=scope, **values)
            return cast(pl.DataFrame, pl.from_arrow(session.fetch(name, f"from {name}")))

        session.step("questions/rank/mode_images", scope=scope, schema=session.schema)
        session.step("questions/rank/families", scope=scope, overlap=OVERLAP)
        session.create_from("cover", ibis.memtable(summary.cover))
        modes = read("modes", validated=validation is not None)
        mode_tags = read("mode_tags")
        classes = read("class_overview")
        detailed = read("detailed", cards=cards)
        subsets = read("subsets", largest=LARGEST_MAX_TAGS)
        session.step("questions/collect/detailed_images", scope=scope)
        wrong = read("wrong_predictions", column=told_by(run), most=_NAMES)
        examples = read("examples", hard=HARD, easy=EASY, images=table_of_images(run))
        examples = examples.sort("card", "error", "place", descending=[False, True, False])
        held: dict[str, bytes] = {}
        if thumbnails and (place := table_of_pictures(run)) is not None:
            held = dict(read("pictures", pictures=place[0], bytes=place[1]).iter_rows())

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
    run: StoredRun,
    detailed: pl.DataFrame,
    subsets: pl.DataFrame,
    wrong: pl.DataFrame,
    examples: pl.DataFrame,
) -> tuple[Card, ...]:
    """Make the cards, each from its rows."""
    catalog = catalog_of(run.backend)
    # In a file called prime.duckdb, the catalog must come before the schema.
    schema = f"{queries.identifier(catalog)}.prime" if catalog.lower() == "prime" else "prime"
    copy = queries.find("questions/collect/images_to_copy")

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


def _unseen(run: StoredRun) -> Unseen | None:
    validation = stored(run)
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


def _history(run: StoredRun, runs: int, on_sql: OnSql | None) -> History | None:
    previous = history.previous(run)
    if previous is None:
        return None
    changes = history.changes(run, on_sql)
    assert changes is not None  # there is a previous run
    changed = changes.to_polars()
    followed = history.followed(run, runs, changes, on_sql).to_polars()
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
    """Return one object for each row, from the columns named like its fields."""
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(kind(*map(_plain, row)) for row in rows.select(names).iter_rows())


def _plain(value: Any) -> Any:
    """Replace numbers that JSON cannot express by None, and lists by tuples."""
    if isinstance(value, list):
        return tuple(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
