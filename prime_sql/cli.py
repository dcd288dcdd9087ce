"""The command line: thin, one function a command; exit 0 done, 2 bad usage or bad data."""

from __future__ import annotations

import functools
import inspect
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.text import Text
from typer.core import TyperCommand

import prime_sql as ps
from prime_sql import demo as emoji
from prime_sql import output, queries
from prime_sql.errors import OptionError, PrimeSqlError, QueryError
from prime_sql.inputs import InputWarning
from prime_sql.options import Options
from prime_sql.output import Format

app = typer.Typer(
    help="Where does this model fail, in words? Failure modes as SQL tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help texts name columns in brackets; rich would swallow them
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Without a terminal there is no width to keep to. Nothing that a table or a message holds is
# markup or the name of an emoji.
out = Console(
    highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160
)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)

# Sections of the help of `search`.
MODE = "What a failure mode is"
CLASS = "What a class is, and an error"
COLUMNS = "Columns of the tables"
RESULTS = "Results"

Db = Annotated[Path, typer.Argument(help="DuckDB file with the results.", metavar="DB")]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", help="Print the rows in this form on standard output.", rich_help_panel=RESULTS
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
Quiet = Annotated[
    bool,
    typer.Option("--quiet", help="Print the result and errors only.", rich_help_panel=RESULTS),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        help="Print each step's SQL, rows and seconds on standard error.",
        rich_help_panel=RESULTS,
    ),
]

# What --from-run can change; everything else decides what was counted.
THRESHOLDS = ("max_tags", "min_images", "min_drop", "necessity", "min_tag_images")


class _Command(TyperCommand):
    """A command whose help groups the options, and shows examples as they are typed."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
                title = getattr(parameter, "rich_help_panel", None) or kind
                sections.setdefault(title, []).append(record)
        sections["Options"] = sections.pop("Options")  # last: --help is one
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            with formatter.section("Examples"):
                for line in inspect.cleandoc(self.epilog).splitlines():
                    formatter.write(f"  {line}\n")


def _say(message: str, *, label: str = "", style: str = "", console: Console = err) -> None:
    """Print a message as it is, on one line for each of its own, control characters escaped."""
    text = Text.assemble((f"{label} ", style) if label else "", output.printable_lines(message))
    console.print(text, soft_wrap=True)


def _reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the errors of prime_sql into one message and exit status 2."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PrimeSqlError as error:
            _say(str(error), label="Error:", style="bold red")
            raise typer.Exit(2) from error
        except (KeyboardInterrupt, RuntimeError) as error:
            # DuckDB turns the signal into a RuntimeError while it works.
            if not isinstance(error, KeyboardInterrupt) and str(error) != "Query interrupted":
                raise
            _say("Interrupted; the database is as it was.")
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


@app.command(
    cls=_Command,
    epilog="""
    prime-sql search predictions.parquet tags.parquet
    prime-sql search predictions.csv tags.csv --db prime.duckdb --min-images 50
    prime-sql search predictions.parquet tags.parquet --where "split = 'test'" -o modes.csv
    prime-sql search --db prime.duckdb --from-run latest --min-drop 0.4
    """,
)
@_reports_errors
def search(
    context: typer.Context,
    predictions: Annotated[
        str | None,
        typer.Argument(
            metavar="PREDICTIONS",
            help="One row per image: image_id, label, prediction. A Parquet, CSV or JSON-lines "
            "file, a glob, FILE.duckdb:TABLE, or a table of --db.",
            show_default=False,
        ),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Argument(
            metavar="TAGS",
            help="One row per image and tag: image_id, tag[, score]. In the same forms.",
            show_default=False,
        ),
    ] = None,
    max_tags: Annotated[
        int, typer.Option(help="Largest tag set, 1 to 6.", rich_help_panel=MODE)
    ] = Options.max_tags,
    min_images: Annotated[
        int, typer.Option(help="Fewest images that carry all its tags.", rich_help_panel=MODE)
    ] = Options.min_images,
    min_drop: Annotated[
        float,
        typer.Option(
            help="Smallest drop of accuracy below the class's, a fraction.", rich_help_panel=MODE
        ),
    ] = Options.min_drop,
    necessity: Annotated[
        str,
        typer.Option(
            metavar="B2,B3,…",
            help="How much accuracy rises at least when any one of 2, 3, … tags is left out.",
            rich_help_panel=MODE,
        ),
    ] = ",".join(f"{margin:g}" for margin in Options.necessity),
    min_tag_images: Annotated[
        int | None,
        typer.Option(
            help="A tag counts in a class from so many images on; --min-images if left out.",
            rich_help_panel=MODE,
        ),
    ] = Options.min_tag_images,
    group_by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN[,COLUMN]",
            help="The columns whose values make the class: label, prediction (false positives) "
            "or any others.",
            rich_help_panel=CLASS,
        ),
    ] = ",".join(Options.group_by),
    error: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Condition for a wrong prediction; label <> prediction if left out.",
            rich_help_panel=CLASS,
        ),
    ] = Options.error,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Condition on the predictions, as in \"split = 'test'\".",
            rich_help_panel=CLASS,
        ),
    ] = Options.where,
    image_id: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="The image, in both tables.", rich_help_panel=COLUMNS),
    ] = Options.image_id,
    label: Annotated[
        str, typer.Option(metavar="COLUMN", help="The label.", rich_help_panel=COLUMNS)
    ] = Options.label,
    prediction: Annotated[
        str, typer.Option(metavar="COLUMN", help="The prediction.", rich_help_panel=COLUMNS)
    ] = Options.prediction,
    tag: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="The tag, or a list of tags.", rich_help_panel=COLUMNS),
    ] = Options.tag,
    score: Annotated[
        str, typer.Option(metavar="COLUMN", help="The tag's score.", rich_help_panel=COLUMNS)
    ] = Options.score,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave out tags with a lower score.", rich_help_panel=COLUMNS),
    ] = Options.min_score,
    wide: Annotated[
        bool,
        typer.Option(
            "--wide", help="TAGS has one boolean or 0/1 column per tag.", rich_help_panel=COLUMNS
        ),
    ] = Options.wide,
    db: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the run in this DuckDB file, made if need be; not kept if left out.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Ask run number RUN of --db, or the latest, for other thresholds, without "
            "reading the tables again.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find failure modes in two tables, predictions and tags.

    They are the smallest sets of tags on which accuracy drops sharply below that of their class.
    """
    if output_ is not None:
        output.check_file(output_)
    given = {
        name: value
        for name, value in context.params.items()
        if name in Options.__dataclass_fields__
    }
    given["necessity"] = _numbers(necessity)
    with ExitStack() as opened:
        with _watched(quiet, verbose) as (on_sql, on_progress):
            if from_run is not None:
                chosen = {
                    name: value
                    for name, value in given.items()
                    if context.get_parameter_source(name).name == "COMMANDLINE"  # type: ignore[union-attr]
                }
                stored = opened.enter_context(_stored_run(from_run, db, predictions, chosen))
                run = stored.refilter(on_sql=on_sql, **chosen)
            elif predictions is None or tags is None:
                raise OptionError("give PREDICTIONS and TAGS, or --from-run with --db")
            else:
                run = opened.enter_context(
                    ps.search(
                        predictions, tags, into=db, on_sql=on_sql, on_progress=on_progress, **given
                    )
                )
        modes = run.failure_modes.to_polars()
        why_none = f"No failure modes. {run.note or ''}".strip()
        _emit(modes, format_, output_, show=output.show_modes, why_none=why_none, quiet=quiet)
        if db is not None and not quiet:
            _say(f"Run {run.run_id} is in {db}.")


def _stored_run(
    from_run: str, db: Path | None, predictions: str | None, chosen: dict[str, Any]
) -> ps.Run:
    if db is None or predictions is not None:
        raise OptionError("--from-run reads a stored run: give it --db, and no tables")
    if from_run != "latest" and not from_run.isdecimal():
        raise OptionError(f"--from-run takes the number of a run, or latest, got {from_run!r}")
    for name in chosen:
        if name not in THRESHOLDS:
            flag = name.replace("_", "-")
            raise OptionError(
                f"--{flag} changes what is counted; leave --from-run out to count again"
            )
    return ps.open_run(db, None if from_run == "latest" else int(from_run), read_only=False)


@app.command(
    cls=_Command,
    epilog="""
    prime-sql sql prime.duckdb "select tags, images, accuracy from failure_modes"
    prime-sql sql prime.duckdb "describe failure_modes"
    prime-sql sql prime.duckdb "from prime.failure_modes" --format csv
    """,
)
@_reports_errors
def sql(
    db: Db,
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="An SQL query. failure_modes, failure_mode_tags, failure_mode_images, classes and "
            "tag_sets mean one run; prime.failure_modes and so on hold all runs.",
        ),
    ],
    run: RunOption = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Answer an SQL query over the tables of a run."""
    if output_ is not None:
        output.check_file(output_)
    with ps.open_run(db, run) as opened:
        _emit(opened.sql(query).to_polars(), format_, output_)


@app.command(cls=_Command)
@_reports_errors
def runs(db: Db, format_: FormatOption = None, output_: OutputOption = None) -> None:
    """List the runs of a database.

    When, on what, with which thresholds, and how many failure modes were found; for programs
    (--format, --output) everything that is recorded.
    """
    if output_ is not None:
        output.check_file(output_)
    _emit(ps.runs(db), format_, output_, show=output.show_runs, why_none=f"{db} holds no run.")


@app.command(
    cls=_Command,
    epilog="""
    prime-sql query
    prime-sql query prime.duckdb near_misses
    prime-sql query prime.duckdb images_of_mode --param mode_id=5acea
    prime-sql query prime.duckdb failure_modes_by --param column=region \\
        --param table=shipments.csv --param measure=cost
    """,
)
@_reports_errors
def query(
    db: Annotated[
        Path | None,
        typer.Argument(help="DuckDB file with the results.", metavar="DB", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A named question; if left out, they are listed.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    run: RunOption = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Answer a named question about a run, or list the questions."""
    if output_ is not None:
        output.check_file(output_)
    if name is None:
        if param:
            raise QueryError("--param needs a question: prime-sql query DB NAME --param …")
        _emit(_questions(), format_, output_)
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
    with ps.open_run(db, run) as opened:
        _emit(opened.query(name, **parameters).to_polars(), format_, output_)


@app.command(cls=_Command)
@_reports_errors
def demo(
    db: Annotated[Path, typer.Option(metavar="FILE", help="DuckDB file to make, or to add to.")] = (
        Path("demo.duckdb")
    ),
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find real failure modes of a real classifier, on emoji pictures.

    Needs no network and no GPU.
    """
    with _watched(quiet, verbose) as (on_sql, on_progress):
        run = emoji.make(db, on_sql=on_sql, on_progress=on_progress)
    with run:
        modes = run.failure_modes.to_polars()
        images, errors = run.classes.to_polars().select(pl.col("images", "errors").sum()).row(0)
    if not quiet:
        _say(emoji.introduction(images, errors), console=out)
    output.show_modes(modes, out, most=emoji.SHOWN, hint="")
    if not quiet:
        _say(emoji.next_commands(db, modes), console=out)


def _questions() -> pl.DataFrame:
    found = [queries.find(f"ask/{name}") for name in queries.names("ask")]
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


def _emit(
    rows: pl.DataFrame,
    form: Format | None,
    file: Path | None,
    *,
    show: Callable[[pl.DataFrame, Console], None] = output.show,
    why_none: str = "No rows.",
    quiet: bool = False,
) -> None:
    """Print rows, write them, or both; with a file and no format, print nothing.

    Why there are none stands in the place of the table, or else on standard error.
    """
    if file is not None:
        output.write(rows, file)
        if not quiet:
            _say(f"Wrote {rows.height:,} row{'' if rows.height == 1 else 's'} to {file}.")
    table = form is Format.table or (form is None and file is None)
    if not rows.height and (table or not quiet):
        _say(why_none, console=out if table else err)
    elif table:
        show(rows, out)
    if form is not None and not table:
        # Not through rich: programs read this, and it must not be wrapped.
        sys.stdout.write(output.render(rows, form) + "\n")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"necessity must be numbers such as 0.1,0.05,0.025, got {text!r}"
        ) from error


@contextmanager
def _watched(
    quiet: bool, verbose: bool
) -> Iterator[tuple[Callable[[ps.Statement], None] | None, Callable[[ps.Progress], None] | None]]:
    """Show progress (on a terminal), statements (when verbose) and warnings, on standard error."""
    if quiet and verbose:
        raise OptionError("--quiet and --verbose exclude each other")

    def on_sql(statement: ps.Statement) -> None:
        rows = "" if statement.rows is None else f", {statement.rows:,} rows"
        _say(f"{statement.seconds:.3f} s{rows}", label=f"{statement.step}:", style="bold")
        _say(statement.sql + "\n")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        if err.is_terminal and not quiet and not verbose:
            with _progress_bar() as on_progress:
                yield None, on_progress
        else:
            yield (on_sql if verbose else None), None
    for warning in caught:
        if not issubclass(warning.category, InputWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif not quiet:
            _say(str(warning.message), label="Warning:", style="yellow")


@contextmanager
def _progress_bar() -> Iterator[Callable[[ps.Progress], None]]:
    """Name the step under way, and what the last one counted."""
    columns = (
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    counted = ""
    # It goes when the work is done: the result is what stays.
    with ProgressBar(*columns, console=err, transient=True) as bar:
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
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # What programs read is UTF-8 wherever they run; a terminal shows what it can.
        if isinstance(stream, io.TextIOWrapper):
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    app(prog_name="prime-sql")
