"""``prime-sql sql``, ``runs`` and ``query``: what a database holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import prime_sql as ps
from prime_sql.cli.app import (
    Command,
    Db,
    FormatOption,
    OutputOption,
    RunOption,
    Wait,
    app,
    emit,
    kept,
    reports_errors,
    say,
)
from prime_sql.cli.tables import show_runs
from prime_sql.engine import files, places
from prime_sql.engine.defaults import NO_WAIT
from prime_sql.engine.errors import OptionError, QueryError

if TYPE_CHECKING:
    import polars as pl


@app.command(
    cls=Command,
    epilog="""
    prime-sql sql prime.duckdb "select tags, images, accuracy from failure_modes"
    prime-sql sql prime.duckdb "describe failure_modes"
    prime-sql sql prime.duckdb "from prime.failure_modes" --format csv
    prime-sql sql prime.duckdb "from image_problems"
    prime-sql sql prime.duckdb cost_of_failure_modes.sql -o cost.csv
    """,
)
@reports_errors
def sql(
    db: Db,
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="An SQL query, or a file.sql with one. failure_modes, failure_mode_tags, "
            "failure_mode_images, classes and tag_sets are those of one run; prime.failure_modes "
            "and so on hold all runs.",
        ),
    ],
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Answer an SQL query over the tables of a run."""
    if output_ is not None:
        files.check_file(output_)
    emit(ps.sql(db, _text_of(query), run, wait=wait), format_, output_)


def _text_of(query: str) -> str:
    """Return the query or, if it is the name of an SQL file, what is in the file."""
    # A query may end like that, too: select * from old.sql.
    if not query.endswith(".sql") or (" " in query and not places.is_file(query)):
        return query
    places.check_readable(query, "cannot read", QueryError)
    try:
        return Path(query).read_text(encoding="utf-8")
    except OSError as error:
        raise QueryError(f"cannot read {query}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"cannot read {query}: it is not UTF-8 text") from error


RETENTION = "Deleting old runs"  # section of a command's help


@app.command(
    cls=Command,
    epilog="""
    prime-sql runs prime.duckdb
    prime-sql runs prime.duckdb --prune --keep 30 --dry-run
    prime-sql runs prime.duckdb --prune --keep 30 --job nightly
    """,
)
@reports_errors
def runs(
    db: Db,
    job: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the runs of this job.")
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete old runs, and list them.",
            rich_help_panel=RETENTION,
        ),
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many runs to keep of those that are compared with each other: runs of one "
            "job with the same options.",
            rich_help_panel=RETENTION,
        ),
    ] = None,
    wait: Wait = NO_WAIT,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Delete nothing; list what would be deleted.",
            rich_help_panel=RETENTION,
        ),
    ] = False,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """List the runs of a database, or delete old ones.

    The list says when each run was made, on what, with which thresholds, and how many failure modes
    it found; for programs (--format, --output), everything that is recorded.
    """
    if output_ is not None:
        files.check_file(output_)
    if not prune:
        if keep is not None or dry_run:
            raise OptionError("--keep and --dry-run are for --prune: add it")
        from prime_sql.engine.sources import describe

        rows = ps.runs(db, wait=wait)
        if job is not None:
            rows = rows.filter(rows["job"] == job)
        of = "" if job is None else f" of job {job}"
        why_none = f"{describe(db)} has no runs{of}."
        emit(rows, format_, output_, show=show_runs, why_none=why_none)
        return
    if keep is None:
        raise OptionError("--prune deletes runs: say how many to keep, as in --keep 30")
    before = _size(db)
    gone = ps.prune(db, keep=keep, job=job, dry_run=dry_run, wait=wait)
    why_none = f"Nothing to delete: no run is compared with {keep:,} later ones."
    with kept("" if dry_run else "The old runs are deleted all the same."):
        emit(gone, format_, output_, show=show_runs, why_none=why_none)
    if gone.height:
        many = f"{gone.height:,} run{'' if gone.height == 1 else 's'}"
        had = f"; {db} was {before}, now {_size(db)}" if before else ""
        say(f"Would delete {many}." if dry_run else f"Deleted {many}{had}.")


def _size(db: str) -> str:
    """Return the size of a file, or an empty string if it is not one."""
    return f"{Path(db).stat().st_size / 1e6:,.1f} MB" if places.is_file(db) else ""


@app.command(
    cls=Command,
    epilog="""
    prime-sql query
    prime-sql query prime.duckdb near_misses
    prime-sql query prime.duckdb images_of_mode --param mode_id=5acea
    prime-sql query prime.duckdb failure_modes_by --param column=region \\
        --param table=shipments.csv --param measure=cost
    """,
)
@reports_errors
def query(
    db: Annotated[
        str | None,
        typer.Argument(
            help="DuckDB file with the results; or a warehouse, as URL or URL#SCHEMA.",
            metavar="DB",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A named question; if left out, all are listed.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Answer a named question about a run, or list the questions."""
    if output_ is not None:
        files.check_file(output_)
    if name is None:
        if param:
            raise QueryError("--param needs a question: prime-sql query DB NAME --param …")
        emit(_questions(), format_, output_)
        return
    assert db is not None  # the arguments come in this order
    parameters: dict[str, str] = {}
    for pair in param or []:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals:
            raise QueryError(f"--param takes NAME=VALUE, got {pair!r}")
        if key in parameters:
            raise QueryError(f"--param gives {key!r} twice")
        parameters[key] = value
    with ps.open_run(db, run, wait=wait) as opened:
        emit(opened.query(name, **parameters).to_polars(), format_, output_)


def _questions() -> pl.DataFrame:
    import polars as pl

    from prime_sql.engine import queries

    found = queries.questions()
    return pl.DataFrame(
        {
            "name": [question.name for question in found],
            "question": [question.question for question in found],
            "parameters": [
                ", ".join(
                    parameter.name if parameter.default is None else f"[{parameter.name}]"
                    for parameter in question.parameters
                )
                for question in found
            ],
        }
    )
