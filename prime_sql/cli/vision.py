"""``prime-sql images``, ``embed``, ``tag`` and ``predict``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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
from prime_sql.errors import OptionError

if TYPE_CHECKING:
    from prime_sql.vision import Done

_T = TypeVar("_T")

# Sections of the help.
SOURCE = "Columns of a table of images"
MODEL = "The model"
CLIP = "--tagger clip"
RAM = "--tagger ram, ram++"
TABLES = "--tagger captions, table"
RUNNING = "How it runs"
TRUST = "Also read files that may run code when they are read (pickles)."

_reports_errors = functools.partial(
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
    Path, typer.Option(metavar="FILE", help="DuckDB file with the images, made if need be.")
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
        help="What to call it in the results; made from the above if left out.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
Table = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="Where the rows go, if not into the table of the usual name.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Do all images anew.", rich_help_panel=RESULTS),
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
        help="Images the model is given at once; halved when memory runs out.",
        rich_help_panel=RUNNING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Threads that read and decode; one a core if left out.",
        rich_help_panel=RUNNING,
        show_default=False,
    ),
]


class Tagger(StrEnum):
    """Who tags."""

    clip = "clip"
    ram = "ram"
    ram_plus = "ram++"
    captions = "captions"
    table = "table"


class Calibrate(StrEnum):
    """Over which images a tag's score is standardised."""

    class_ = "class"
    all = "all"
    none = "none"


@app.command(
    cls=Command,
    epilog="""
    prime-sql images photos/ --db p.duckdb
    prime-sql images 'photos/*/*.jpg' --db p.duckdb
    prime-sql images manifest.csv --db p.duckdb --uri file --label class
    prime-sql images 'shards/*.parquet' --db p.duckdb --bytes image
    """,
)
@_reports_errors
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
            metavar="COLUMN", help="The image; its URI if not there.", rich_help_panel=SOURCE
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
            help="Read images that are there already once more, and forget what was computed "
            "from those that changed.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Load images into the tables images and image_problems."""
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
            threads=threads,
            on_sql=on_sql,
            on_images=on_images,
        )
    _report(done, db, quiet)


@app.command(
    cls=Command,
    epilog="""
    prime-sql embed --db p.duckdb --model ViT-B-32 --pretrained laion2b_s34b_b79k
    prime-sql embed photos/ --db p.duckdb --model my_clip/
    prime-sql embed --db p.duckdb --model my_clip/ --texts words.txt
    """,
)
@_reports_errors
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
            help="Embed texts instead: a .txt file with one a line, or a table.",
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
        typer.Option(help="Prompt for texts; the text stands at {}.", rich_help_panel=MODEL),
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
    size = _batch_size(batch_size)
    from prime_sql import vision

    _load(images, db, threads, quiet, verbose)
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
    _report(done, db, quiet, what="texts" if texts is not None else "images")


@app.command(
    cls=Command,
    epilog="""
    prime-sql tag --db p.duckdb --model my_clip/ --vocabulary words.txt
    prime-sql tag --db p.duckdb --tagger ram --checkpoint ram_swin_large_14m.pth
    prime-sql tag --db p.duckdb --tagger captions --source captions.csv
    prime-sql tag --db p.duckdb --tagger table --source tags.csv --synonyms s.csv
    """,
)
@_reports_errors
def tag(
    context: typer.Context,
    images: Images = None,
    *,
    db: Db,
    tagger: Annotated[Tagger, typer.Option(help="Who tags.")] = Tagger.clip,
    model: Model = None,
    pretrained: Pretrained = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            metavar="TEXTS",
            help="The tags: a .txt file with one a line, or a table.",
            rich_help_panel=CLIP,
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the vocabulary (text, tag or name if left out) or of the captions "
            "(caption if left out).",
            rich_help_panel=CLIP,
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        str, typer.Option(help="Prompt; the tag stands at {}.", rich_help_panel=CLIP)
    ] = "a photo of {}",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Least score of a tag. clip: 2.5 (standard deviations) if left out; ram: the "
            "model's own of each tag.",
            rich_help_panel=CLIP,
            show_default=False,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Most tags of an image.", rich_help_panel=CLIP, show_default=False),
    ] = None,
    calibrate: Annotated[
        Calibrate,
        typer.Option(
            help="Count a tag's score in standard deviations above its mean over the images of "
            "the same class, or over all; none keeps cosine similarities.",
            rich_help_panel=CLIP,
        ),
    ] = Calibrate.all,
    embeddings: Annotated[
        str,
        typer.Option(
            metavar="TABLE",
            help="The table that embed filled, or is to be filled.",
            rich_help_panel=CLIP,
        ),
    ] = "embeddings",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its published weights.",
            rich_help_panel=RAM,
            show_default=False,
        ),
    ] = None,
    image_size: Annotated[
        int, typer.Option(help="Pixels of the pictures it looks at.", rich_help_panel=RAM)
    ] = 384,
    extra_tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG",
            help="A tag beside its own; may be repeated.",
            rich_help_panel=RAM,
            show_default=False,
        ),
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help=TRUST, rich_help_panel=RAM)] = False,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="The captions or the tags, one row per image and caption or tag.",
            rich_help_panel=TABLES,
            show_default=False,
        ),
    ] = None,
    image_id: Annotated[
        str, typer.Option(metavar="COLUMN", help="The image.", rich_help_panel=TABLES)
    ] = "image_id",
    tag_: Annotated[
        str,
        typer.Option(
            "--tag", metavar="COLUMN", help="The tag, or a list of tags.", rich_help_panel=TABLES
        ),
    ] = "tag",
    score: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="The score; 1 if not there.", rich_help_panel=TABLES),
    ] = "score",
    parts: Annotated[
        str, typer.Option(metavar="PART,PART", help="Words of captions.", rich_help_panel=TABLES)
    ] = "noun,adjective,verb,phrase",
    synonyms: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Columns synonym and tag: the first becomes the second.",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
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
    """Turn images into tags: with a CLIP model, with RAM, from captions, or from a table."""
    _check_options(context, tagger, images)
    own: dict[str, Any]
    if tagger is Tagger.clip:
        own = {"vocabulary": _given(vocabulary, "--vocabulary"), "model": _given(model, "--model")}
    elif tagger in (Tagger.ram, Tagger.ram_plus):
        own = {"checkpoint": _given(checkpoint, "--checkpoint")}
    else:
        own = {"captions" if tagger is Tagger.captions else "tags": _given(source, "--source")}
    every: dict[str, Any] = {"synonyms": synonyms, "table": table or "tags"}
    if name is not None:
        every["name"] = name
    running: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "batch_size": _batch_size(batch_size),
        "threads": threads,
    }
    from prime_sql import vision

    _load(images, db, threads, quiet, verbose)
    with watched_images(quiet, verbose) as (on_sql, on_images):
        every["on_sql"] = on_sql
        if tagger is Tagger.clip:
            done = vision.tag_clip(
                db,
                pretrained=pretrained,
                column=column,
                template=template,
                threshold=threshold,
                top_k=top_k,
                calibrate=calibrate.value,
                embeddings=embeddings,
                on_images=on_images,
                **running,
                **every,
                **own,
            )
        elif tagger in (Tagger.ram, Tagger.ram_plus):
            done = vision.tag_ram(
                db,
                kind=tagger.value,
                image_size=image_size,
                threshold=threshold,
                extra_tags=extra_tag or (),
                trust=trust,
                replace=replace,
                on_images=on_images,
                **running,
                **every,
                **own,
            )
        elif tagger is Tagger.captions:
            every["column"] = column or "caption"
            every["parts"] = [part.strip() for part in parts.split(",")]
            done = vision.tag_captions(db, image_id=image_id, **every, **own)
        else:
            done = vision.tag_table(db, image_id=image_id, tag=tag_, score=score, **every, **own)
    _report(done, db, quiet)


@app.command(
    cls=Command,
    epilog="""
    prime-sql predict --db p.duckdb --model timm:resnet50.a1_in1k
    prime-sql predict photos/ --db p.duckdb --model mine.onnx --labels classes.txt
    prime-sql predict --db p.duckdb --model my_package.my_module:classify
    """,
)
@_reports_errors
def predict(
    images: Images = None,
    *,
    db: Db,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="timm:NAME, torchvision:NAME, hf:ORG/NAME, a folder of timm's or Hugging Face's, "
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
            help="Names of its classes, one a line, in their order.",
            rich_help_panel=MODEL,
            show_default=False,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Pixels of the pictures it looks at.", rich_help_panel=MODEL, show_default=False
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
        str | None,
        typer.Option(
            metavar="crop|squash",
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
    size = _batch_size(batch_size)
    channels = {"mean": _channels(mean, "--mean"), "std": _channels(std, "--std")}
    from prime_sql import vision

    _load(images, db, threads, quiet, verbose)
    with watched_images(quiet, verbose) as (on_sql, on_images):
        done = vision.predict(
            db,
            model,
            checkpoint=checkpoint,
            labels=labels,
            image_size=image_size,
            **channels,
            resize=resize,
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
    _report(done, db, quiet)


def _load(source: str | None, db: Path, threads: int | None, quiet: bool, verbose: bool) -> None:
    """Load the images that a command is given, before its own step."""
    if source is None:
        return
    from prime_sql import vision

    with watched_images(quiet, verbose) as (on_sql, on_images):
        done = vision.load_images(source, db, threads=threads, on_sql=on_sql, on_images=on_images)
    _report(done, db, quiet)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text):
        return int(text)
    raise OptionError(f"--batch-size takes a number from 1 on, or auto; got {text!r}")


def _channels(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(f"{option} takes numbers such as 0.5,0.5,0.5, got {text!r}") from error


def _given(value: _T | None, option: str) -> _T:
    if value is None:
        raise OptionError(f"this tagger needs {option}; see prime-sql tag --help")
    return value


# Which options are of use to which tagger; those not named here, to all.
_TAKES = {
    "model": {Tagger.clip},
    "pretrained": {Tagger.clip},
    "vocabulary": {Tagger.clip},
    "column": {Tagger.clip, Tagger.captions},
    "template": {Tagger.clip},
    "threshold": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
    "top_k": {Tagger.clip},
    "calibrate": {Tagger.clip},
    "embeddings": {Tagger.clip},
    "checkpoint": {Tagger.ram, Tagger.ram_plus},
    "image_size": {Tagger.ram, Tagger.ram_plus},
    "extra_tag": {Tagger.ram, Tagger.ram_plus},
    "trust": {Tagger.ram, Tagger.ram_plus},
    "replace": {Tagger.ram, Tagger.ram_plus},
    "source": {Tagger.captions, Tagger.table},
    "image_id": {Tagger.captions, Tagger.table},
    "tag_": {Tagger.table},
    "score": {Tagger.table},
    "parts": {Tagger.captions},
    "device": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
    "precision": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
    "batch_size": {Tagger.clip, Tagger.ram, Tagger.ram_plus},
}


def _check_options(context: typer.Context, tagger: Tagger, images: str | None) -> None:
    """Refuse what the tagger would ignore."""
    # Without images to load there is nothing to decode for those that read tables.
    decode = {} if images else {"threads": _TAKES["device"]}
    for name, takes in (_TAKES | decode).items():
        if tagger not in takes and _is_given(context, name):
            others = " or ".join(sorted(takes))
            raise OptionError(f"{_written(name)} is for --tagger {others}, not {tagger}")


def _check_texts(context: typer.Context, texts: str | None) -> None:
    """Refuse what is for texts without them, and for images with them."""
    for name in ("column", "template") if texts is None else ("images", "batch_size", "threads"):
        if _is_given(context, name):
            why = "is for --texts" if texts is None else "has no use: --texts embeds no images"
            raise OptionError(f"{_written(name)} {why}")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _written(name: str) -> str:
    return "IMAGES" if name == "images" else f"--{name.strip('_').replace('_', '-')}"


@contextmanager
def watched_images(quiet: bool, verbose: bool) -> Iterator[Watch]:
    """Show the progress of a step over images; as `watched` otherwise."""
    with watched(quiet, verbose, _images_bar) as watch:
        yield watch


@contextmanager
def _images_bar() -> Iterator[Callable[[Any], None]]:
    """Show how many images are done, how many a second, and how long it will take."""
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


def _report(done: Done, db: Path, quiet: bool, what: str = "images") -> None:
    if quiet:
        return
    by = f" with {done.model}" if done.model else ""
    rate = f" ({done.images / done.seconds:,.0f} a second)" if done.images > 1 else ""
    noun = what if done.images != 1 else what.removesuffix("s")
    say(f"{_DID[done.step]} {done.images:,} {noun}{by} into {done.table} of {db}{rate}.")
    if done.note:
        say(done.note)
    if done.problems:
        were = "image" if done.problems == 1 else "images"
        query = f"from image_problems where step = '{done.step}'"
        say(f'{done.problems:,} {were} could not be used: prime-sql sql {db} "{query}"')
