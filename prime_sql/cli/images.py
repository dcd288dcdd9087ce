"""``prime-sql images``, and what it shares with ``embed``, ``tag`` and ``predict``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prime_sql.cli.app import (
    RESULTS,
    Command,
    Quiet,
    Verbose,
    Watch,
    app,
    err,
    reports_errors,
    say,
    watched,
)
from prime_sql.engine.defaults import MOST_THREADS
from prime_sql.engine.errors import OptionError, shorten

if TYPE_CHECKING:
    from prime_sql.vision import Done

# Sections of the help.
SOURCE = "Columns of a table of images"
MODEL = "The model"
RUNNING = "How it runs"
_DIGITS = 7  # of a batch size; no memory holds more images
TRUST = "Also read files that may run code when they are read (pickles)."

resumable = functools.partial(
    reports_errors, interrupted="what is done is kept; the same command goes on from there."
)

Images = Annotated[
    str | None,
    typer.Argument(
        metavar="IMAGES",
        help="A folder, glob or table of images to load first; those of --db if left out.",
        show_default=False,
    ),
]
Db = Annotated[
    Path, typer.Option(metavar="FILE", help="DuckDB file with the images, created if need be.")
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A name that open_clip knows (with --pretrained), hf-hub:ORG/NAME, or a folder.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
Pretrained = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name of its weights, or a checkpoint file.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Its name in the results; made from the options above if left out.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
Table = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="Table for the rows, if not the usual one.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Process all images again.", rich_help_panel=RESULTS),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, … or mps.", rich_help_panel=RUNNING)
]
Precision = Annotated[
    str, typer.Option(help="auto (bf16 on CUDA), fp32 or bf16.", rich_help_panel=RUNNING)
]
BatchSize = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Images per batch; halved when memory runs out.",
        rich_help_panel=RUNNING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="Threads that read and decode; one per core if left out.",
        rich_help_panel=RUNNING,
        show_default=False,
    ),
]


@app.command(
    cls=Command,
    epilog="""
    prime-sql images photos/ --db p.duckdb
    prime-sql images photos/ --db p.duckdb --prune --dry-run
    prime-sql images 'photos/*/*.jpg' --db p.duckdb
    prime-sql images manifest.csv --db p.duckdb --uri file --label class
    prime-sql images 'shards/*.parquet' --db p.duckdb --bytes image
    """,
)
@resumable
def images(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="A folder (LABEL/picture or SPLIT/LABEL/picture), a glob, or a table with a "
            "column of URIs or of bytes: a Parquet, CSV or JSON-lines file or glob, "
            "FILE.duckdb:TABLE, or a table of --db.",
        ),
    ],
    db: Db,
    image_id: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="The image; its URI if there is no such column.",
            rich_help_panel=SOURCE,
        ),
    ] = "image_id",
    uri: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="File name, path or URI; uri, path, file or filename if left out.",
            rich_help_panel=SOURCE,
            show_default=False,
        ),
    ] = None,
    bytes_: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            metavar="COLUMN",
            help="Files as bytes, or structs with a field bytes; bytes or image if left out.",
            rich_help_panel=SOURCE,
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str, typer.Option(metavar="COLUMN", help="The label.", rich_help_panel=SOURCE)
    ] = "label",
    split: Annotated[
        str, typer.Option(metavar="COLUMN", help="train, test, ….", rich_help_panel=SOURCE)
    ] = "split",
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where relative paths start; the table's own folder if left out.",
            rich_help_panel=SOURCE,
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Read images again that were loaded before, and forget what was computed from "
            "those that changed.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Drop images whose files are gone, with their embeddings, tags and predictions.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    prune_all: Annotated[
        bool,
        typer.Option(
            "--prune-all",
            help="Drop them even if more than half of the images are gone.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be loaded and dropped; write nothing.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Load images into the tables images and image_problems.

    Images whose files have changed since they were loaded are read again.
    """
    from prime_sql import vision

    with watched_images(quiet, verbose) as (on_sql, on_images):
        done = vision.load_images(
            source,
            db,
            image_id=image_id,
            uri=uri,
            bytes_=bytes_,
            label=label,
            split=split,
            root=root,
            replace=replace,
            prune=prune,
            prune_all=prune_all,
            dry_run=dry_run,
            threads=threads,
            on_sql=on_sql,
            on_images=on_images,
        )
    report_done(done, db, quiet)


def load(source: str | None, db: Path, threads: int | None, quiet: bool, verbose: bool) -> None:
    """Load the images that a command is given, before its own step."""
    if source is None:
        return
    from prime_sql import vision

    with watched_images(quiet, verbose) as (on_sql, on_images):
        done = vision.load_images(source, db, threads=threads, on_sql=on_sql, on_images=on_images)
    report_done(done, db, quiet)


def read_batch_size(text: str) -> int | None:
    """Return the number of ``--batch-size``; None for auto."""
    if text == "auto":
        return None
    if text.isdecimal() and len(text) < _DIGITS and int(text):
        return int(text)
    raise OptionError(
        f"--batch-size takes a number from 1 to {10 ** (_DIGITS - 1) - 1:,}, or auto; got "
        f"{shorten(text)}"
    )


@contextmanager
def watched_images(quiet: bool, verbose: bool) -> Iterator[Watch]:
    """Show the progress of a step over images; otherwise like `watched`."""
    with watched(quiet, verbose, _images_bar) as watch:
        yield watch


@contextmanager
def _images_bar() -> Iterator[Callable[[Any], None]]:
    """Show how many images are done, how many per second, and how long it will take."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("loading", total=None, rate="")

        def on_images(progress: Any) -> None:
            rate = f"{progress.done / progress.seconds:,.0f} images/s" if progress.done else ""
            bar.update(
                task,
                description=progress.step,
                total=progress.total,
                completed=progress.done,
                rate=rate,
            )

        yield on_images


_DID = {"images": "Loaded", "embed": "Embedded", "tag": "Tagged", "predict": "Classified"}


def report_done(done: Done, db: Path, quiet: bool, what: str = "images") -> None:
    """Say what a step did, and how to look at what it could not use."""
    if quiet:
        return
    by = f" with {done.model}" if done.model else ""
    rate = f" ({done.images / done.seconds:,.0f} a second)" if done.images > 1 else ""
    noun = what if done.images != 1 else what.removesuffix("s")
    if done.dry_run:
        say(f"Would load {done.images:,} {noun} into {done.table} of {db}.")
    else:
        say(f"{_DID[done.step]} {done.images:,} {noun}{by} into {done.table} of {db}{rate}.")
    if done.note:
        say(done.note)
    if done.problems:
        were = "image" if done.problems == 1 else "images"
        query = f"from image_problems where step = '{done.step}'"
        say(f'{done.problems:,} {were} could not be used: prime-sql sql {db} "{query}"')
