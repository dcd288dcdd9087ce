"""``prime-sql compile``: the search as SQL, for places without Python."""

from __future__ import annotations

from typing import Annotated

import typer

import prime_sql as ps
from prime_sql.cli.app import Command, app, reports_errors, write_out
from prime_sql.cli.definition import (
    Error,
    GroupBy,
    ImageId,
    Label,
    MaxAbsent,
    MaxTags,
    MinDrop,
    MinImages,
    MinScore,
    MinTagImages,
    Necessity,
    Prediction,
    Score,
    TagColumn,
    Where,
    numbers,
)
from prime_sql.engine.defaults import DIALECTS
from prime_sql.engine.options import Options


@app.command(
    cls=Command,
    epilog="""
    prime-sql compile marts.predictions marts.tags --dialect snowflake > failure_modes.sql
    prime-sql compile "{{ ref('predictions') }}" "{{ ref('tags') }}" > models/failure_modes.sql
    prime-sql compile predictions.parquet tags.parquet --max-tags 2 | duckdb
    """,
)
@reports_errors
def compile(
    context: typer.Context,
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Table of predictions, by its name in the engine; for DuckDB also a file, for dbt "
            "also text in double braces.",
        ),
    ],
    tags: Annotated[
        str, typer.Argument(metavar="TAGS", help="Table of tags, one row per image and tag.")
    ],
    dialect: Annotated[
        str,
        typer.Option(
            metavar="DIALECT",
            help=f"The engine that will run the statement: {', '.join(DIALECTS)}.",
        ),
    ] = "duckdb",
    script: Annotated[
        bool,
        typer.Option(
            "--script",
            help="Print several statements that keep each step in a temporary table: faster on "
            "engines that plan one statement with so many joins badly, such as PostgreSQL and "
            "Spark.",
        ),
    ] = False,
    max_tags: MaxTags = Options.max_tags,
    min_images: MinImages = Options.min_images,
    min_drop: MinDrop = Options.min_drop,
    necessity: Necessity = ",".join(f"{margin:g}" for margin in Options.necessity),
    min_tag_images: MinTagImages = Options.min_tag_images,
    max_absent: MaxAbsent = Options.max_absent,
    group_by: GroupBy = ",".join(Options.group_by),
    error: Error = Options.error,
    where: Where = Options.where,
    image_id: ImageId = Options.image_id,
    label: Label = Options.label,
    prediction: Prediction = Options.prediction,
    tag: TagColumn = Options.tag,
    score: Score = Options.score,
    min_score: MinScore = Options.min_score,
) -> None:
    """Print the search as one SELECT (or as a script) that needs no Python to run.

    It returns the rows of failure_modes, worst first: for a dbt model, a view or a scheduled query.
    Conditions are written in the engine's dialect.
    """
    given = {
        name: value
        for name, value in context.params.items()
        if name in Options.__dataclass_fields__
    }
    given["necessity"] = numbers(necessity)
    write_out(ps.compile(predictions, tags, dialect=dialect, script=script, **given))
