"""What ``prime-sql search --models`` searches for, and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import prime_sql as ps
from prime_sql.cli import tables
from prime_sql.engine.defaults import NO_WAIT
from prime_sql.engine.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


def conditions(models: str, column: str, where: str | None) -> dict[str, str]:
    """Return the condition on the predictions of each model, by its name.

    Raises
    ------
    OptionError
        When fewer than two models are named, or one twice.
    """
    from prime_sql.engine import queries

    names = [name.strip() for name in models.split(",")]
    if len(names) < 2 or not all(names) or len({*names}) < len(names):
        raise OptionError(f"models takes two or more names such as A,B, got {models!r}")
    also = f"({where}) and " if where else ""
    return {
        name: f"{also}cast({queries.identifier(column)} as varchar) = {queries.literal(name)}"
        for name in names
    }


def check(
    models: str, column: str, predictions: str, db: Path | None, wait: float = NO_WAIT
) -> None:
    """Check that the predictions have these models, before any of them is searched.

    Raises
    ------
    OptionError
        When a model does not occur.
    InputError
        When there is no such column.
    """
    from prime_sql.engine import places
    from prime_sql.engine.database import Database
    from prime_sql.engine.errors import InputError, shorten, shorten_list
    from prime_sql.engine.open_source import open_source
    from prime_sql.engine.sources import Wanted

    wanted_models = conditions(models, column, None)
    there = db is not None and places.exists(db)
    database = Database(db if there else None, read_only=there, wait=wait)
    try:
        with database.session() as session:
            wanted = Wanted(frozenset({column}))
            source = open_source(predictions, "predictions", session, wanted)
            if column not in source.columns:
                hint = did_you_mean(column, source.columns)
                raise InputError(
                    f"predictions has no column {shorten(column)}, which names the model.{hint} "
                    f"It has: {shorten_list(source.columns)}. Name the right one with --model."
                )
            names = source.table.select(name=source.table[column].cast(str))
            known = set(names.distinct()["name"].to_list())
    finally:
        database.discard()
    for name in wanted_models:
        if name not in known:
            hint = did_you_mean(name, known) or f" It has: {shorten_list(sorted(known))}."
            raise OptionError(f"no row of predictions has {column} = {name!r}.{hint}")


def of_models(runs: dict[str, ps.Run]) -> pl.DataFrame:
    """Return the comparison of two runs, or one row for each of more."""
    import polars as pl

    if len(runs) == 2:
        return ps.compare(*runs.values()).to_polars()
    totals = "select sum(images) as images, sum(errors) as errors from classes"
    rows = []
    for name, run in runs.items():
        images, errors = map(int, run.sql(totals).to_polars().row(0))
        rows.append(
            (name, run.run_id, images, 1 - errors / images, run.row_counts["failure_modes"])
        )
    columns = ["model", "run_id", "images", "accuracy", "failure_modes"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def show_models(rows: pl.DataFrame, console: Console) -> None:
    """Print what `of_models` returned."""
    from prime_sql.cli.compare import show  # a command, which comes later in the help

    if "status" in rows.columns:
        show(rows, console)
    else:
        tables.show(rows, console, percent=("accuracy",))
