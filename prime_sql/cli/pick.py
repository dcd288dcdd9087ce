"""``prime-sql pick`` and ``weights``: act on failure modes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

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
    is_given,
    reports_errors,
    watched,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import NO_WAIT
from prime_sql.engine.errors import OptionError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

COLUMNS = "Columns of the tables, where they differ from the run's"


def _column(what: str, metavar: str = "COLUMN") -> Any:
    return typer.Option(metavar=metavar, help=what, rich_help_panel=COLUMNS, show_default=False)


ImageId = Annotated[str | None, _column("The image.")]
Tag = Annotated[str | None, _column("The tag, or a list of tags.")]
Score = Annotated[str | None, _column("The tag's score.")]
MinScore = Annotated[
    float | None,
    typer.Option(help="Leave out tags with a lower score.", rich_help_panel=COLUMNS),
]
Wide = Annotated[
    bool | None,
    typer.Option(
        "--wide/--long",
        help="The tags table has one column per tag (boolean or 0/1), or one row per tag.",
        rich_help_panel=COLUMNS,
        show_default=False,
    ),
]
Present = Annotated[
    str | None,
    _column("With --wide: a condition on value, true where an image has the tag.", "SQL"),
]
SplitTags = Annotated[str | None, _column("A tag is several, with this text between them.", "TEXT")]


@app.command(
    cls=Command,
    epilog="""
    prime-sql pick prime.duckdb 5acea pool.duckdb -o manifest.csv
    prime-sql images manifest.csv --db next.duckdb
    prime-sql pick prime.duckdb 5acea pool_tags.parquet --limit 500 -o manifest.parquet
    """,
)
@reports_errors
def pick(
    context: typer.Context,
    db: Db,
    mode_id: Annotated[
        str,
        typer.Argument(
            metavar="MODE_ID", help="The failure mode: its mode_id, or the first characters of it."
        ),
    ],
    pool: Annotated[
        str,
        typer.Argument(
            metavar="POOL",
            help="Unlabelled images: a table of their tags in the forms that search takes, or a "
            "DuckDB file made by prime-sql images, tag and embed.",
        ),
    ],
    limit: Annotated[int, typer.Option(help="How many images to pick at most.")] = 100,
    all_: Annotated[bool, typer.Option("--all", help="Pick all images that match.")] = False,
    seen: Annotated[
        bool, typer.Option("--seen", help="Also pick images that the run already has.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which model's embeddings to compare, if POOL has those of several.",
            show_default=False,
        ),
    ] = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            help="Lowest cosine similarity of an image whose tags do not match.",
            show_default=False,
        ),
    ] = None,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    image_id: ImageId = None,
    tag: Tag = None,
    score: Score = None,
    min_score: MinScore = None,
    wide: Wide = None,
    present: Present = None,
    split_tags: SplitTags = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Pick images of a pool that match a failure mode, to label or to collect.

    First those that carry its tags; then, if both POOL and the tags have embeddings (prime-sql
    embed --texts), by CLIP similarity. The file is a manifest for prime-sql images.
    """
    if output_ is not None:
        files.check_file(output_)
        files.check_apart({"--output": output_}, {"POOL": pool})
    if all_ and is_given(context, "limit"):
        raise OptionError("--all and --limit are mutually exclusive")
    with ps.open_run(db, run, wait=wait) as opened:
        with watched(quiet, verbose, bar=nullcontext) as (on_sql, _):
            picks = opened.pick(
                mode_id,
                pool,
                limit=None if all_ else limit,
                seen=seen,
                model=model,
                min_similarity=min_similarity,
                image_id=image_id,
                tag=tag,
                score=score,
                min_score=min_score,
                wide=wide,
                present=present,
                split_tags=split_tags,
                on_sql=on_sql,
            )
        why_none = "No image of the pool matches the failure mode."
        rows = picks.to_polars()
        emit(rows, format_, output_, show=_show, why_none=why_none, quiet=quiet)


def _show(rows: pl.DataFrame, console: Console) -> None:
    unknown = [name for name in ("uri", "similarity") if rows[name].is_null().all()]
    tables.show(rows.drop(unknown), console)


@app.command(
    cls=Command,
    epilog="""
    prime-sql weights prime.duckdb -o weights.parquet
    prime-sql weights prime.duckdb train.parquet train_tags.parquet -o weights.parquet
    """,
)
@reports_errors
def weights(
    db: Db,
    training: Annotated[
        str | None,
        typer.Argument(
            metavar="TRAINING",
            help="The images to train on: image_id and the columns of their class, such as label; "
            "the run's own images if left out.",
            show_default=False,
        ),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Argument(
            metavar="TAGS", help="Their tags, in the forms that search takes.", show_default=False
        ),
    ] = None,
    normalise: Annotated[
        bool,
        typer.Option(
            "--normalise/--no-normalise",
            help="Scale the weights of each class to a mean of 1, so that a sampler draws no class "
            "more often than before.",
        ),
    ] = True,
    where: Annotated[
        str | None,
        typer.Option(metavar="SQL", help="Condition on TRAINING.", show_default=False),
    ] = None,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    image_id: ImageId = None,
    label: Annotated[str | None, _column("The label.")] = None,
    prediction: Annotated[str | None, _column("The prediction.")] = None,
    tag: Tag = None,
    score: Score = None,
    min_score: MinScore = None,
    wide: Wide = None,
    present: Present = None,
    split_tags: SplitTags = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Weight images for training by the failure modes that they are in.

    The weight is the largest ratio, over an image's modes, of the error rate of the mode to that of
    its class; 1 for images in none.
    """
    if output_ is not None:
        files.check_file(output_)
        files.check_apart({"--output": output_}, {"TRAINING": training, "TAGS": tags})
    if training is not None and tags is None:
        raise OptionError("give TRAINING and TAGS, or neither")
    with ps.open_run(db, run, wait=wait) as opened:
        with watched(quiet, verbose, bar=nullcontext) as (on_sql, _):
            found = opened.weights(
                training,
                tags,
                normalise=normalise,
                where=where,
                image_id=image_id,
                label=label,
                prediction=prediction,
                tag=tag,
                score=score,
                min_score=min_score,
                wide=wide,
                present=present,
                split_tags=split_tags,
                on_sql=on_sql,
            )
        emit(found.to_polars(), format_, output_, show=_show_hardest, quiet=quiet)


def _show_hardest(rows: pl.DataFrame, console: Console) -> None:
    tables.show(rows.sort("weight", descending=True, maintain_order=True), console)
