"""``prime-sql chance`` and ``successes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    Wait,
    app,
    emit,
    is_given,
    kept,
    reports_errors,
    say,
    stored,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import MOST_SHUFFLES, NO_WAIT
from prime_sql.engine.errors import OptionError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

# The columns of the terminal tables.
_CHANCE = {
    "class_name": "class",
    "tags": "tags",
    "images": "images",
    "accuracy": "accuracy",
    "accuracy_low": "from",
    "accuracy_high": "to",
    "p_value": "p-value",
    "q_value": "q-value",
    "family_wise_p": "shuffled\np-value",
}
_SUCCESS = {
    "class_name": "class",
    "tags": "tags",
    "images": "images",
    "accuracy": "accuracy",
    "class_accuracy": "class\naccuracy",
    "accuracy_gain": "gain",
}


@app.command(
    cls=Command,
    epilog="""
    prime-sql chance prime.duckdb
    prime-sql chance prime.duckdb --shuffles 20
    prime-sql search --db prime.duckdb --from-run latest --max-q 0.05
    """,
)
@reports_errors
def chance(
    context: typer.Context,
    db: Db,
    shuffles: Annotated[
        int,
        typer.Option(
            help="Search this many times with the errors shuffled within their classes, to see how "
            f"many failure modes chance alone gives, up to {MOST_SHUFFLES:,}; 0 for none."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the shuffles.")] = 0,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
) -> None:
    """Say how certain each failure mode is: interval, p-value and q-value.

    The q-values are over all tag sets that could have been failure modes; these are counted, and
    the result is stored in DB.
    """
    if output_ is not None:
        files.check_file(output_)
    if is_given(context, "seed") and not shuffles:
        raise OptionError("--seed is that of --shuffles: say how many")
    with ps.open_run(db, run, read_only=False, wait=wait) as opened:
        dealt = opened.null(shuffles, seed=seed).to_polars() if shuffles else None
        rows = opened.chance().to_polars()
        with kept(stored(db, "chance DB -o FILE", opened.run_id)):
            emit(
                rows, format_, output_, show=_show_chance, why_none="No failure modes.", quiet=quiet
            )
        if quiet:
            return
        if "eligible_tag_sets" in opened.row_counts:
            eligible = opened.row_counts["eligible_tag_sets"]
            say(f"q-values are over all {eligible:,} tag sets that could have been failure modes.")
        if dealt is not None:
            say(_by_chance(dealt, rows.height, opened.options.max_q))


def _show_chance(rows: pl.DataFrame, console: Console) -> None:
    import polars as pl

    unknown = [name for name in _CHANCE if rows[name].is_null().all()]
    chosen = rows.drop(unknown).select(
        [pl.col(column).alias(name) for column, name in _CHANCE.items() if column not in unknown]
    )
    tables.show(chosen, console, percent=("accuracy", "from", "to"))


def _by_chance(dealt: pl.DataFrame, found: int, max_q: float | None) -> str:
    modes = [int(count) for count in dealt["failure_modes"]]
    return (
        f"Chance alone gives {sum(modes) / len(modes):,.1f} failure modes on average (up to "
        f"{max(modes):,} in {len(modes):,} shuffles); this run has {found:,}"
        f"{'' if max_q is None else f' with a q-value of {max_q:g} or less'}."
    )


@app.command(
    cls=Command,
    epilog="""
    prime-sql successes prime.duckdb
    prime-sql successes prime.duckdb --min-gain 0.1
    """,
)
@reports_errors
def successes(
    db: Db,
    min_gain: Annotated[
        float | None,
        typer.Option(
            help="Smallest rise in accuracy above that of the class, a fraction; the run's "
            "--min-drop if left out.",
            show_default=False,
        ),
    ] = None,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Find success modes: the smallest sets of tags on which accuracy rises sharply.

    They are stored in the table success_modes of DB.
    """
    if output_ is not None:
        files.check_file(output_)
    with ps.open_run(db, run, read_only=False, wait=wait) as opened:
        rows = opened.success_modes(min_gain).to_polars()
        with kept(stored(db, 'sql DB "from success_modes" -o FILE', opened.run_id)):
            emit(rows, format_, output_, show=_show_successes, why_none="No success modes.")


def _show_successes(rows: pl.DataFrame, console: Console) -> None:
    chosen = rows.select([rows[column].alias(name) for column, name in _SUCCESS.items()])
    tables.show(chosen, console, percent=("accuracy", "class\naccuracy", "gain"))
