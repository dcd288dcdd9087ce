"""``prime-sql tag``."""

from __future__ import annotations

from typing import Any

import typer

from prime_sql.cli.app import Command, Quiet, Verbose, app
from prime_sql.cli.images import (
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
from prime_sql.cli.tag_options import (
    Calibrate,
    CalibrateOption,
    Checkpoint,
    Column,
    Embeddings,
    ExtraTag,
    ImageId,
    ImageSize,
    Parts,
    Score,
    Source,
    Synonyms,
    TagColumn,
    Tagger,
    TaggerOption,
    Template,
    Threshold,
    TopK,
    Trust,
    Vocabulary,
    check_options,
    required,
)


@app.command(
    cls=Command,
    epilog="""
    prime-sql tag --db p.duckdb --model my_clip/ --vocabulary words.txt
    prime-sql tag --db p.duckdb --tagger ram --checkpoint ram_swin_large_14m.pth
    prime-sql tag --db p.duckdb --tagger captions --source captions.csv
    prime-sql tag --db p.duckdb --tagger table --source tags.csv --synonyms s.csv
    """,
)
@resumable
def tag(
    context: typer.Context,
    images: Images = None,
    *,
    db: Db,
    tagger: TaggerOption = Tagger.clip,
    model: Model = None,
    pretrained: Pretrained = None,
    vocabulary: Vocabulary = None,
    column: Column = None,
    template: Template = "a photo of {}",
    threshold: Threshold = None,
    top_k: TopK = None,
    calibrate: CalibrateOption = Calibrate.all,
    embeddings: Embeddings = "embeddings",
    checkpoint: Checkpoint = None,
    image_size: ImageSize = 384,
    extra_tag: ExtraTag = None,
    trust: Trust = False,
    source: Source = None,
    image_id: ImageId = "image_id",
    tag_: TagColumn = "tag",
    score: Score = "score",
    parts: Parts = "noun,adjective,verb,phrase",
    synonyms: Synonyms = None,
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
    check_options(context, tagger, images)
    own: dict[str, Any]
    if tagger is Tagger.clip:
        own = {
            "vocabulary": required(vocabulary, "--vocabulary"),
            "model": required(model, "--model"),
        }
    elif tagger in (Tagger.ram, Tagger.ram_plus):
        own = {"checkpoint": required(checkpoint, "--checkpoint")}
    else:
        own = {"captions" if tagger is Tagger.captions else "tags": required(source, "--source")}
    every: dict[str, Any] = {"synonyms": synonyms, "table": table or "tags"}
    if name is not None:
        every["name"] = name
    running: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "batch_size": read_batch_size(batch_size),
        "threads": threads,
    }
    from prime_sql import vision

    load(images, db, threads, quiet, verbose)
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
    report_done(done, db, quiet)
