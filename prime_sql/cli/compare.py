"""``prime-sql compare``: which failure modes are new, fixed or persisting?"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
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
    Verbose,
    Wait,
    app,
    emit,
    reports_errors,
    watched,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import NO_WAIT

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


@app.command(
    cls=Command,
    epilog="""
    prime-sql compare prime.duckdb 1 2
    prime-sql compare prime.duckdb 7 7 --other yesterday.duckdb --format csv
    """,
)
@reports_errors
def compare(
    db: Db,
    run_a: Annotated[int, typer.Argument(metavar="RUN_A", help="Number of the earlier run.")],
    run_b: Annotated[int, typer.Argument(metavar="RUN_B", help="Number of the later run.")],
    other: Annotated[
        str | None,
        typer.Option(metavar="DB", help="Where RUN_B is; DB if left out.", show_default=False),
    ] = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
    wait: Wait = NO_WAIT,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare the failure modes of two runs: new, persisting, fixed or undecided."""
    if output_ is not None:
        files.check_file(output_)
    with ExitStack() as opened:
        a = opened.enter_context(ps.open_run(db, run_a, wait=wait))
        b = opened.enter_context(ps.open_run(other or db, run_b, wait=wait))
        with watched(quiet, verbose, bar=nullcontext) as (on_sql, _):
            changes = ps.compare(a, b, on_sql=on_sql).to_polars()
    why_none = f"Neither run {run_a} nor run {run_b} has failure modes."
    emit(changes, format_, output_, show=show, why_none=why_none, quiet=quiet)


def show(changes: pl.DataFrame, console: Console) -> None:
    """Print what a reader compares at a glance, below how many modes have each status."""
    import polars as pl

    from prime_sql.questions.history import STATUSES

    counts = dict(changes["status"].value_counts().iter_rows())
    title = ", ".join(f"{counts.get(status, 0):,} {status}" for status in STATUSES)
    points = [
        (pl.col(name) * 100).round(0).cast(pl.Int64)
        for name in ("accuracy_a", "accuracy_b", "change_low", "change_high")
    ]
    rows = changes.select(
        "status",
        pl.col("class_name").alias("class"),
        "tags",
        pl.format("{} → {}", *(point.cast(pl.String).fill_null("?") for point in points[:2])).alias(
            "accuracy\n(%)"
        ),
        pl.format("{} to {}", *points[2:]).alias("change\n(95 %)"),
        # As many digits as a reader compares, and as fit.
        pl.when(pl.col("q_value") < 0.001)
        .then(pl.lit("<0.001"))
        .otherwise(pl.col("q_value").round(3).cast(pl.String))
        .alias("q"),
        pl.col("images_a").alias("images A"),
        pl.col("images_b").alias("images B"),
    )
    tables.show(rows, console, title=title)
