"""``prime-sql validate``: do failure modes hold on unseen data?"""

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
    kept,
    out,
    reports_errors,
    say,
    shows_table,
    stored,
    watched,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import MIN_UNSEEN_IMAGES, NO_WAIT, TOLERANCE

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

COLUMNS = "Columns of the unseen tables, where they differ from the run's"

# What a reader compares at a glance: the drop as found, and on unseen data.
_COLUMNS = {
    "class_name": "class",
    "tags": "tags",
    "accuracy_drop": "drop",
    "unseen_images": "unseen\nimages",
    "unseen_accuracy": "unseen\naccuracy",
    "unseen_accuracy_drop": "unseen\ndrop",
    "verdict": "verdict",
}


def _column(what: str, metavar: str = "COLUMN") -> Any:
    return typer.Option(metavar=metavar, help=what, rich_help_panel=COLUMNS, show_default=False)


Present = Annotated[
    str | None,
    _column("With --wide: a condition on value, true where an image has the tag.", "SQL"),
]
SplitTags = Annotated[str | None, _column("A tag is several, with this text between them.", "TEXT")]


@app.command(
    cls=Command,
    epilog="""
    prime-sql validate prime.duckdb new_predictions.parquet new_tags.parquet
    prime-sql validate prime.duckdb predictions.parquet tags.parquet --where "split = 'test'"
    prime-sql sql prime.duckdb "from validations where verdict = 'fails'"
    """,
)
@reports_errors
def validate(
    db: Db,
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTIONS", help="Unseen predictions, in the forms that search takes."
        ),
    ],
    tags: Annotated[
        str, typer.Argument(metavar="TAGS", help="Their tags, in the forms that search takes.")
    ],
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Condition on the unseen predictions, instead of the run's own.",
        ),
    ] = None,
    min_unseen_images: Annotated[
        int, typer.Option(help="With fewer unseen images a failure mode is undecided.")
    ] = MIN_UNSEEN_IMAGES,
    tolerance: Annotated[
        float,
        typer.Option(help="By how much the drop may fall short of --min-drop and still hold."),
    ] = TOLERANCE,
    image_id: Annotated[str | None, _column("The image, in both tables.")] = None,
    label: Annotated[str | None, _column("The label.")] = None,
    prediction: Annotated[str | None, _column("The prediction.")] = None,
    tag: Annotated[str | None, _column("The tag, or a list of tags.")] = None,
    score: Annotated[str | None, _column("The tag's score.")] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave out tags with a lower score.", rich_help_panel=COLUMNS),
    ] = None,
    wide: Annotated[
        bool | None,
        typer.Option(
            "--wide/--long",
            help="TAGS has one column per tag (boolean or 0/1), or one row per tag.",
            rich_help_panel=COLUMNS,
            show_default=False,
        ),
    ] = None,
    present: Present = None,
    split_tags: SplitTags = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check the failure modes of a run on data that its search did not see.

    A mode holds if its drop in accuracy there reaches the run's --min-drop less --tolerance. The
    verdicts are stored in the database, and replace earlier ones of the run.
    """
    if output_ is not None:
        files.check_file(output_)
        files.check_apart({"--output": output_}, {"PREDICTIONS": predictions, "TAGS": tags})
    with ps.open_run(db, run, read_only=False, wait=wait) as opened:
        with watched(quiet, verbose, bar=nullcontext) as (on_sql, _):
            validation = opened.validate(
                predictions,
                tags,
                where=where,
                min_unseen_images=min_unseen_images,
                tolerance=tolerance,
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
        modes = validation.modes.to_polars()
        why_none = f"Run {opened.run_id} has no failure modes. {opened.note or ''}".strip()
        with kept(stored(db, 'sql DB "from validations" -o FILE', opened.run_id)):
            emit(modes, format_, output_, show=_show, why_none=why_none, quiet=quiet)
        if modes.height and shows_table(format_, output_):
            say(validation.sentence(), console=out())


def _show(modes: pl.DataFrame, console: Console) -> None:
    chosen = modes.select([modes[column].alias(name) for column, name in _COLUMNS.items()])
    tables.show(chosen, console, percent=("drop", "unseen\naccuracy", "unseen\ndrop"))
