"""``prime-sql run`` and ``prime-sql init``: a job, and a first file for one."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prime_sql.cli.app import Command, Quiet, Verbose, app, out, reports_errors, say, watched
from prime_sql.cli.definition import COLUMNS
from prime_sql.cli.gate import show_outcomes
from prime_sql.cli.top import show as show_summary
from prime_sql.engine import places
from prime_sql.engine.errors import OptionError
from prime_sql.engine.files import Files, check_apart, check_place
from prime_sql.engine.places import shown

if TYPE_CHECKING:
    from prime_sql import Run
    from prime_sql.job import Finished, Job

PUBLISHED = "the outputs are published."


@app.command(
    cls=Command,
    epilog="""
    prime-sql run prime.toml
    prime-sql run prime.toml --check
    prime-sql init predictions.parquet tags.parquet
    """,
)
@partial(reports_errors, interrupted="nothing was published: all outputs are unchanged.")
def run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The job, a TOML file; see prime-sql init.")
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check the file, its tables and all SQL in it, and do nothing else.",
        ),
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="How long to wait for the database if another process has it open; what FILE "
            "says if left out.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run a job: search, validate, write reports and tables, and exit with 1 if a gate trips.

    The whole file is checked before anything runs (--check also reads its tables and binds all SQL
    against empty tables of the run), and its outputs are published together at the
    end. Paths in it are relative to its folder; ${NAME} is an environment variable, whose value is
    neither printed nor stored.
    """
    from prime_sql import job as jobs

    job = jobs.read(file, wait=wait)
    if check:
        jobs.bind(job)
        if not quiet:
            outputs = len(job.says.outputs)
            say(f"{file} can run: job {job.name}, {outputs} output{'' if outputs == 1 else 's'}.")
        return
    try:
        with watched(quiet, verbose) as (on_sql, on_progress):
            finished = jobs.run(job, on_sql=on_sql, on_progress=on_progress)
    except jobs.PublishedInterrupt:
        say(f"Interrupted; {PUBLISHED}")
        raise typer.Exit(130) from None
    _report(job, finished, file, quiet)


@partial(reports_errors, interrupted=PUBLISHED)
def _report(job: Job, finished: Finished, file: Path, quiet: bool) -> None:
    """Print what a job did, and exit with 1 if a gate trips."""
    # First, and to standard error: perhaps nobody reads the table.
    show_outcomes(finished.outcomes, quiet=quiet)
    tripped = any(outcome.tripped for outcome in finished.outcomes)
    try:
        with finished.run as found:
            _print(job, finished, found, file, quiet)
    except (OSError, SystemExit):  # rich exits if standard output is closed
        if not tripped:
            raise
        _drop_output()
    if tripped:
        raise typer.Exit(1)


def _drop_output() -> None:
    """Keep the process from failing on exit over what standard output did not take."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(job: Job, finished: Finished, found: Run, file: Path, quiet: bool) -> None:
    from prime_sql.questions import rank

    modes = found.row_counts["failure_modes"]
    if not modes:
        say(f"No failure modes. {found.note or ''}".strip(), console=out())
    else:
        # A path that a variable hides cannot be copied.
        db = None if "${" in job.shown.db else str(file.parent / job.shown.db)
        show_summary(rank.summarize(found), found, db)
    if found.validation is not None and modes:
        say(found.validation.sentence(), console=out())
    if not quiet:
        say(f"Run {found.run_id} of job {job.name} is in {job.shown.db}.")
        if finished.published:
            say(f"Published: {', '.join(finished.published)}.")


def _column(what: str) -> Any:
    return typer.Option(metavar="COLUMN", help=what, rich_help_panel=COLUMNS, show_default=False)


@app.command(
    cls=Command,
    epilog="""
    prime-sql init predictions.parquet tags.parquet
    prime-sql init 'scores/*.csv' warehouse.duckdb:marts.image_tags -o nightly.toml
    prime-sql init --schema > prime.schema.json
    """,
)
@reports_errors
def init(
    predictions: Annotated[
        str | None,
        typer.Argument(
            metavar="PREDICTIONS", help="In the forms that search takes.", show_default=False
        ),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Argument(metavar="TAGS", help="In the forms that search takes.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The job file to write.")
    ] = Path("prime.toml"),
    db: Annotated[Path, typer.Option(metavar="FILE", help="The database of the job.")] = Path(
        "prime.duckdb"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    image_id: Annotated[str | None, _column("The image, in both tables.")] = None,
    label: Annotated[str | None, _column("The label.")] = None,
    prediction: Annotated[str | None, _column("The prediction.")] = None,
    tag: Annotated[str | None, _column("The tag, or a list of tags.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of job files, for editors.")
    ] = False,
) -> None:
    """Write a first job file for two tables, guessing what their columns are.

    The file runs as it is. Its schema is written beside it, for editors that use one to complete
    and check TOML.
    """
    if schema:
        from prime_sql.job.schema import shipped

        sys.stdout.write(shipped())
        return
    if predictions is None or tags is None:
        raise OptionError("give PREDICTIONS and TAGS, or --schema")
    from prime_sql.job import draft
    from prime_sql.job.schema import is_schema, shipped

    folder = output.absolute().parent
    schema_file = folder / draft.SCHEMA
    if places.exists(output) and not force:
        raise OptionError(f"{shown(output)} already exists; --force overwrites it")
    check_place(output)
    check_apart({"--output": output}, {"--db": db, "PREDICTIONS": predictions, "TAGS": tags})
    columns = {"image_id": image_id, "label": label, "prediction": prediction, "tag": tag}
    if schema_file.exists() and not force and not is_schema(schema_file):
        raise OptionError(
            f"{schema_file} already exists, and is not a schema of job files; --force overwrites it"
        )
    text = draft.write(predictions, tags, db=str(db), folder=folder, columns=columns)
    with Files() as files:
        files.write(text, output)
        files.write(shipped(), schema_file)
        files.publish()
    say(f"Wrote {output}. Read it, then: prime-sql run {shlex.quote(str(output))}")
