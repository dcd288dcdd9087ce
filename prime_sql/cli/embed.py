"""``prime-sql embed``."""

from __future__ import annotations

from typing import Annotated

import typer

from prime_sql.cli.app import Command, Quiet, Verbose, app, flag, is_given
from prime_sql.cli.images import (
    MODEL,
    BatchSize,
    Db,
    Device,
    Images,
    Model,
    Name,
    Precision,
    Pretrained,
    Replace,
    Table,
    Threads,
    load,
    read_batch_size,
    report_done,
    resumable,
    watched_images,
)
from prime_sql.engine.errors import OptionError


@app.command(
    cls=Command,
    epilog="""
    prime-sql embed --db p.duckdb --model ViT-B-32 --pretrained laion2b_s34b_b79k
    prime-sql embed photos/ --db p.duckdb --model my_clip/
    prime-sql embed --db p.duckdb --model my_clip/ --texts words.txt
    """,
)
@resumable
def embed(
    context: typer.Context,
    images: Images = None,
    *,
    db: Db,
    model: Model = None,
    pretrained: Pretrained = None,
    texts: Annotated[
        str | None,
        typer.Option(
            metavar="TEXTS",
            help="Embed texts instead: a .txt file with one per line, or a table.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the texts; text, tag or name if left out.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(help="Prompt for texts, with {} for the text.", rich_help_panel=MODEL),
    ] = "{}",
    name: Name = None,
    table: Table = None,
    replace: Replace = False,
    device: Device = "auto",
    precision: Precision = "auto",
    batch_size: BatchSize = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn images (or texts) into embeddings, with any model of open_clip."""
    if model is None:
        raise OptionError("name a model with --model, such as ViT-B-32")
    _check_texts(context, texts)
    size = read_batch_size(batch_size)
    from prime_sql import vision

    load(images, db, threads, quiet, verbose)
    with watched_images(quiet, verbose) as (on_sql, on_images):
        if texts is not None:
            done = vision.embed_texts(
                db,
                texts,
                model,
                pretrained,
                column=column,
                template=template,
                name=name,
                table=table or "text_embeddings",
                replace=replace,
                device=device,
                precision=precision,
                on_sql=on_sql,
            )
        else:
            done = vision.embed(
                db,
                model,
                pretrained,
                name=name,
                table=table or "embeddings",
                replace=replace,
                device=device,
                precision=precision,
                batch_size=size,
                threads=threads,
                on_sql=on_sql,
                on_images=on_images,
            )
    report_done(done, db, quiet, what="texts" if texts is not None else "images")


def _check_texts(context: typer.Context, texts: str | None) -> None:
    """Refuse options for texts without ``--texts``, and options for images with it."""
    for name in ("column", "template") if texts is None else ("images", "batch_size", "threads"):
        if is_given(context, name):
            no_use = "does not go with --texts, which embeds no images"
            why = "is for --texts" if texts is None else no_use
            raise OptionError(f"{flag(name)} {why}")
