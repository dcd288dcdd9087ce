"""``prime-sql history``: how did failure modes develop over the last runs?"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

import prime_sql as ps
from prime_sql.cli import tables
from prime_sql.cli.app import (
    Command,
    Db,
    FormatOption,
    OutputOption,
    Quiet,
    RunOption,
    Verbose,
    Wait,
    app,
    emit,
    reports_errors,
    watched,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import NO_WAIT, RUNS

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


@app.command(
    cls=Command,
    epilog="""
    prime-sql history prime.duckdb
    prime-sql history prime.duckdb --run 7 --runs 30 --format csv
    """,
)
@reports_errors
def history(
    db: Db,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    runs: Annotated[
        int, typer.Option(metavar="N", help="Follow the failure modes through this many runs.")
    ] = RUNS,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Follow failure modes through the last runs of a job, and say what changed.

    The runs that are compared are those that one job made (--job) with the same options; without a
    job, those that read their predictions from the same place.
    """
    if output_ is not None:
        files.check_file(output_)
    with (
        ps.open_run(db, run, wait=wait) as opened,
        watched(quiet, verbose, bar=nullcontext) as (on_sql, _),
    ):
        found = opened.history(runs, on_sql=on_sql).to_polars()
        before = opened.previous
        number = opened.run_id
    since = "no earlier run to compare with" if before is None else f"since run {before.run_id}"
    emit(
        found,
        format_,
        output_,
        show=lambda rows, console: show(rows, console, f"Run {number}, {since}"),
        why_none=f"Run {number} has no failure modes, nor had the run before it.",
        quiet=quiet,
    )


def show(rows: pl.DataFrame, console: Console, title: str) -> None:
    """Print a line for each failure mode, below how many have each status."""
    import polars as pl

    from prime_sql.questions.history import STATUSES, sparkline

    modes = rows.sort("place", "run_id").group_by("place", maintain_order=True)
    lines = modes.agg(
        pl.col("status", "class_name", "tags").last(),
        pl.col("accuracy").alias("accuracies"),
        pl.col("images").last(),
    )
    now = pl.col("accuracies").list.get(-1)
    before = pl.col("accuracies").list.get(-2, null_on_oob=True)
    counts = dict(lines["status"].drop_nulls().value_counts().iter_rows())
    if counts:
        title += ": " + ", ".join(f"{counts.get(status, 0):,} {status}" for status in STATUSES)
    points = ((now - before) * 100).round(0).cast(pl.Int64)
    table = lines.select(
        pl.col("status").fill_null(""),
        pl.col("class_name").alias("class"),
        "tags",
        pl.col("images"),
        now.alias("accuracy"),
        pl.when(points > 0)
        .then(pl.format("+{}", points))
        .otherwise(points.cast(pl.String))
        .alias("change\n(points)"),
        pl.Series("last runs", [sparkline(each) for each in lines["accuracies"].to_list()]),
    )
    tables.show(table, console, title=title, percent=("accuracy",))
