"""``prime-sql top``, and the summary that ``search`` and ``demo`` print too."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

import prime_sql as ps
from prime_sql.cli import tables
from prime_sql.cli.app import (
    RESULTS,
    Command,
    Db,
    FormatOption,
    OutputOption,
    RunOption,
    Wait,
    app,
    emit,
    out,
    reports_errors,
    say,
    shows_table,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import MOST, NO_WAIT, ORDERS, OVERLAP, TOP
from prime_sql.engine.errors import OptionError

if TYPE_CHECKING:
    from prime_sql.questions.rank import Summary


class By(StrEnum):
    """What failure modes are ranked by: `defaults.ORDERS`, as a test makes sure."""

    excess_errors = "excess_errors"
    drop = "drop"
    p = "p"
    images = "images"


Top = Annotated[
    int,
    typer.Option(
        "-n",
        "--top",
        min=1,
        max=MOST,
        help="How many failure modes the printed table shows: those that explain most errors.",
        rich_help_panel=RESULTS,
    ),
]


@app.command(
    cls=Command,
    epilog="""
    prime-sql top prime.duckdb
    prime-sql top prime.duckdb -n 5 --by drop
    prime-sql top prime.duckdb -n 100 --overlap 0.5 --format csv
    prime-sql top prime.duckdb --all
    """,
)
@reports_errors
def top(
    db: Db,
    top_: Top = TOP,
    by: Annotated[
        By,
        typer.Option(
            help="What makes a failure mode better: of two that explain equally many errors, the "
            "better one comes first, and its near-duplicates are hidden."
        ),
    ] = By(ORDERS[0]),  # a constant
    overlap: Annotated[
        float | None,
        typer.Option(
            help=f"Hide a mode that shares at least this fraction of its images with a better one "
            f"of its class; {OVERLAP:g} if left out.",
            show_default=False,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Hide no near-duplicates.")] = False,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Pick the few failure modes that explain most errors.

    Each is the one with the most errors that are in none above it.
    """
    if output_ is not None:
        files.check_file(output_)
    if all_ and overlap is not None:
        raise OptionError("--all and --overlap are mutually exclusive")
    hides = None if all_ else OVERLAP if overlap is None else overlap
    from prime_sql.engine.sources import describe
    from prime_sql.questions import rank

    with ps.open_run(db, run, wait=wait) as opened:
        summary = rank.summarize(opened, top_, by.value, hides)
        table = shows_table(format_, output_)
        if not table or output_ is not None:
            emit(summary.cover, None if table else format_, output_, why_none=why_none(opened))
        if table:
            show(summary, opened, describe(db))


def show(summary: Summary, run: ps.Run, db: str | None, *, form: str = "") -> None:
    """Print a summary, or why there is none, and how to get all failure modes."""
    if not summary.modes:
        say(why_none(run), console=out())
        return
    stored = f'prime-sql sql {shlex.quote(str(db))} "from failure_modes"' if db else ""
    tables.show_summary(summary, out(), rest=", or ".join(filter(None, (form, stored))))


def why_none(run: ps.Run) -> str:
    """Say that a run has no failure modes, and why."""
    return f"No failure modes. {run.note or ''}".strip()
