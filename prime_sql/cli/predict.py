"""``prime-sql predict``."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from prime_sql.cli.app import Command, Quiet, Verbose, app
from prime_sql.cli.images import (
    MODEL,
    TRUST,
    BatchSize,
    Db,
    Device,
    Images,
    Name,
    Precision,
    Replace,
    Table,
    Threads,
    load,
    read_batch_size,
    report_done,
    resumable,
    watched_images,
)
from prime_sql.engine.defaults import MOST_PIXELS
from prime_sql.engine.errors import OptionError, shorten


class Resize(StrEnum):
    """How a picture takes the shape that the model sees."""

    crop = "crop"
    squash = "squash"


@app.command(
    cls=Command,
    epilog="""
    prime-sql predict --db p.duckdb --model timm:resnet50.a1_in1k
    prime-sql predict photos/ --db p.duckdb --model mine.onnx --labels classes.txt
    prime-sql predict --db p.duckdb --model my_package.my_module:classify
    """,
)
@resumable
def predict(
    images: Images = None,
    *,
    db: Db,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="timm:NAME, torchvision:NAME, hf:ORG/NAME, a folder of timm or Hugging Face, "
            "a TorchScript or ONNX file, or MODULE:FUNCTION.",
            rich_help_panel=MODEL,
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights for a timm or torchvision name.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Names of its classes, one per line, in their order.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_PIXELS,
            help="Side of the pictures that the model sees, in pixels.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Mean of each channel, 0 to 1; ImageNet's if left out.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Standard deviation of each channel.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    resize: Annotated[
        Resize | None,
        typer.Option(
            help="Crop the centre, or squash the whole picture.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help=TRUST, rich_help_panel=MODEL)] = False,
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
    """Turn images into predictions, with any classifier."""
    size = read_batch_size(batch_size)
    channels = {"mean": _channels(mean, "--mean"), "std": _channels(std, "--std")}
    from prime_sql import vision

    load(images, db, threads, quiet, verbose)
    with watched_images(quiet, verbose) as (on_sql, on_images):
        done = vision.predict(
            db,
            model,
            checkpoint=checkpoint,
            labels=labels,
            image_size=image_size,
            **channels,
            resize=None if resize is None else resize.value,
            trust=trust,
            name=name,
            table=table or "predictions",
            replace=replace,
            device=device,
            precision=precision,
            batch_size=size,
            threads=threads,
            on_sql=on_sql,
            on_images=on_images,
        )
    report_done(done, db, quiet)


def _channels(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    # As the library says, too; but this is before it is imported, which takes seconds.
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise OptionError(f"{option} takes three numbers such as 0.5,0.5,0.5, got {shorten(text)}")
    return numbers
