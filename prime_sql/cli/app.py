"""What all commands share: the app and its streams, options, errors, progress and output."""

from __future__ import annotations

import errno
import functools
import io
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

import prime_sql as ps
from prime_sql.cli import tables
from prime_sql.cli.parsing import Command as Command
from prime_sql.cli.parsing import Group
from prime_sql.engine import files
from prime_sql.engine.errors import InputWarning, OptionError, PrimeSqlError, cut
from prime_sql.engine.rows import Format, printable_lines, render

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


app = typer.Typer(
    cls=Group,
    help="Where does this model fail, in words? Failure modes as SQL tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help texts name columns in brackets; rich would swallow them
    context_settings={"help_option_names": ["-h", "--help"]},
)

CLOSED_PIPE = 141  # the status a shell reports for a program that SIGPIPE ended
_MOST_SAID = 560  # characters of a message
_LEAST_SHOWN = 40  # of a query; less says nothing
RESULTS = "Results"  # section of a command's help

Db = Annotated[
    str,
    typer.Argument(
        help="DuckDB file with the results; or a warehouse, as URL or URL#SCHEMA.", metavar="DB"
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Print the rows in this format to standard output.",
        rich_help_panel=RESULTS,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write the rows to a .parquet, .csv or .json file.",
        rich_help_panel=RESULTS,
    ),
]
RunOption = Annotated[
    int | None, typer.Option("--run", help="Number of the run; the latest if left out.")
]
Wait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="How long to wait for a DuckDB file that another process has open.",
        rich_help_panel=RESULTS,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", help="Print only the result and errors.", rich_help_panel=RESULTS),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        help="Print each step's SQL, rows and seconds to standard error.",
        rich_help_panel=RESULTS,
    ),
]


# Nothing in a table or a message is markup or the name of an emoji.


@cache
def out() -> Console:
    """Return standard output."""
    from rich.console import Console

    # Without a terminal there is no width to keep to.
    width = None if sys.stdout and sys.stdout.isatty() else 160
    return Console(highlight=False, markup=False, emoji=False, width=width)


@cache
def err() -> Console:
    """Return standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(message: str, *, label: str = "", style: str = "", console: Console | None = None) -> None:
    """Print a message as it is, line by line, with control characters escaped.

    It goes to standard error unless a console is given.
    """
    from rich.text import Text

    text = Text.assemble((f"{label} ", style) if label else "", printable_lines(message))
    (console or err()).print(text, soft_wrap=True)


def _in_short(error: PrimeSqlError, verbose: bool) -> str:
    """Return the message of an error without our SQL, and of somebody's own only some."""
    said, _, more = str(error).partition("\n\n")
    if more.startswith("SQL of the step:"):
        return f"{said}\n(--verbose prints the SQL of the step)" if verbose else said
    room = _MOST_SAID - len(said)
    return f"{said}\n\n{cut(more, room)}" if more and room > _LEAST_SHOWN else said


def reports_errors(
    command: Callable[..., None], *, interrupted: str = "the database is unchanged."
) -> Callable[..., None]:
    """Turn the errors of prime_sql into one message and exit status 2."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PrimeSqlError as error:
            said = str(error) if kwargs.get("verbose") else _in_short(error, "verbose" in kwargs)
            say(said, label="Error:", style="bold red")
            raise typer.Exit(2) from error
        except (KeyboardInterrupt, RuntimeError) as error:
            # DuckDB turns the signal into a RuntimeError while it works.
            if not isinstance(error, KeyboardInterrupt) and str(error) != "Query interrupted":
                raise
            say(f"Interrupted; {interrupted}")
            raise typer.Exit(130) from None

    return wrapped


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prime-sql {ps.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def is_given(context: typer.Context, name: str) -> bool:
    """Return whether a parameter is on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def flag(name: str) -> str:
    """Return a parameter as it is written on the command line."""
    return "IMAGES" if name == "images" else f"--{name.strip('_').replace('_', '-')}"


def shows_table(form: Format | None, file: Path | None) -> bool:
    """Return whether `emit` prints a table for people to read."""
    return form is Format.table or (form is None and file is None)


def emit(
    rows: pl.DataFrame,
    form: Format | None,
    file: Path | None,
    *,
    show: Callable[[pl.DataFrame, Console], None] = tables.show,
    why_none: str = "No rows.",
    quiet: bool = False,
) -> None:
    """Print rows, write them, or both; with a file and no format, print nothing.

    If there are none, it says why: instead of the table, or else on standard error.
    """
    if file is not None:
        files.write(rows, file)
        if not quiet:
            say(f"Wrote {rows.height:,} row{'' if rows.height == 1 else 's'} to {file}.")
    table = shows_table(form, file)
    if not rows.height and (table or not quiet):
        say(why_none, console=out() if table else err())
    elif table:
        show(rows, out())
    if form is not None and not table:
        write_out(render(rows, form) + "\n")


def write_out(text: str) -> None:
    """Write what programs read to standard output, byte by byte; a terminal gets it printable.

    Not through rich, which would wrap it.
    """
    if sys.stdout is not None:  # None: closed before we started
        sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)


@contextmanager
def kept(what: str) -> Iterator[None]:
    """Add to an error of the block what was done before it, and how to go on from there."""
    try:
        yield
    except PrimeSqlError as error:
        raise type(error)(f"{error}\n{what}".strip()) from error


def stored(place: str | Path | None, command: str, run: int | None = None) -> str:
    """Say that a run is stored, and which command writes what could not be written.

    Parameters
    ----------
    place
        The database or warehouse; None if nothing is stored.
    command
        What the command line says, with DB for the place.
    run
        Number of the run; None if there are several.
    """
    if place is None:
        return ""
    from prime_sql.engine.sources import describe

    db = describe(str(place))
    what = "The runs are" if run is None else f"Run {run} is"
    number = "" if run is None else f" --run {run}"
    command = command.replace("DB", shlex.quote(db), 1)
    return f"{what} stored in {db} all the same; to write the file: prime-sql {command}{number}"


Watch: TypeAlias = "tuple[Callable[[ps.Statement], None] | None, Callable[[Any], None] | None]"


@contextmanager
def watched(quiet: bool, verbose: bool, bar: Callable[[], Any] | None = None) -> Iterator[Watch]:
    """Show progress (on a terminal), statements (if verbose) and warnings on standard error."""
    if quiet and verbose:
        raise OptionError("--quiet and --verbose are mutually exclusive")

    def on_sql(statement: ps.Statement) -> None:
        rows = "" if statement.rows is None else f", {statement.rows:,} rows"
        say(f"{statement.seconds:.3f} s{rows}", label=f"{statement.step}:", style="bold")
        say(statement.sql + "\n")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        if err().is_terminal and not quiet and not verbose:
            with (bar or _steps_bar)() as on_progress:
                yield None, on_progress
        else:
            yield (on_sql if verbose else None), None
    for warning in caught:
        if not issubclass(warning.category, InputWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif not quiet:
            say(str(warning.message), label="Warning:", style="yellow")


@contextmanager
def _steps_bar() -> Iterator[Callable[[ps.Progress], None]]:
    """Name the step under way, and what the last one counted."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    counted = ""
    # It disappears when the work is done; the result is what stays.
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("inputs", total=None)

        def on_progress(progress: ps.Progress) -> None:
            nonlocal counted
            name = progress.step
            if progress.size is not None:
                name += f" of {progress.size} tag{'' if progress.size == 1 else 's'}"
            if progress.count is None:
                name += counted
            else:
                counted = f" ({name}: {progress.count:,})"
                name += f": {progress.count:,}"
            bar.update(task, description=name, total=progress.total, completed=progress.done)

        yield on_progress


def main() -> None:
    """Run the command line.

    Exit status 1 is for gates only: an unexpected error ends with its traceback and 2.
    """
    if sys.stdout is not None and isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        # With PYTHONUNBUFFERED, Python drops the rest of a write that fills up the disk.
        sys.stdout = open(sys.stdout.fileno(), "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Programs get UTF-8 wherever they run; a terminal shows what it can.
        if isinstance(stream, io.TextIOWrapper):
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    status: Any = 2
    unexpected: BaseException | None = None
    try:
        app(prog_name="prime-sql")
    except SystemExit as ending:
        status = ending.code
        # For a closed pipe, or a prompt without an answer, typer and rich exit with 1.
        if status == 1 and isinstance(ending.__context__, BrokenPipeError):
            status = CLOSED_PIPE
        elif status == 1 and not isinstance(ending.__context__, typer.Exit):
            status = 2
    except BaseException as error:  # some of Polars's are not an Exception
        unexpected = error
    lost = _lost(sys.stdout)
    if isinstance(unexpected, OSError) and unexpected.errno == errno.ENOSPC:
        lost = lost or unexpected  # after one large write, nothing is left to flush
    if isinstance(lost, BrokenPipeError):
        status = status or CLOSED_PIPE
    elif lost is not None:
        status = status or 2
        with suppress(OSError):
            reason = lost.strerror or str(lost)
            print(f"Error: cannot write the output: {reason}", file=sys.stderr)
    if unexpected is not None and not (
        isinstance(unexpected, OSError) and lost is not None and unexpected.errno == lost.errno
    ):
        with suppress(OSError):
            traceback.print_exception(unexpected)
    _lost(sys.stderr)
    sys.exit(status)


def _lost(stream: Any) -> OSError | None:
    """Return the error that kept printed text from arriving, or None."""
    try:
        if stream is not None:  # None: closed before we started
            stream.flush()
    except OSError as error:
        # Python flushes again on exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None
