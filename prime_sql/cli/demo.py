"""``prime-sql demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from prime_sql import demo as emoji
from prime_sql import output
from prime_sql.cli.app import Command, Quiet, Verbose, app, out, reports_errors, say, watched


@app.command(cls=Command)
@reports_errors
def demo(
    db: Annotated[Path, typer.Option(metavar="FILE", help="DuckDB file to make, or to add to.")] = (
        Path("demo.duckdb")
    ),
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find real failure modes of a real classifier, on emoji pictures.

    Needs no network and no GPU.
    """
    with watched(quiet, verbose) as (on_sql, on_progress):
        run = emoji.make(db, on_sql=on_sql, on_progress=on_progress)
    with run:
        modes = run.failure_modes.to_polars()
        images, errors = run.classes.to_polars().select(pl.col("images", "errors").sum()).row(0)
    if not quiet:
        say(emoji.introduction(images, errors), console=out)
    output.show_modes(modes, out, most=emoji.SHOWN, hint="")
    if not quiet:
        say(emoji.next_commands(db, modes), console=out)
