"""The command line: thin, one function a command; exit 0 done, 2 bad usage or bad data."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

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
    rich_markup_mode=None,
)
# Without a terminal there is no width to keep to.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)

Db = Annotated[Path, typer.Argument(help="DuckDB file with the results.", metavar="DB")]
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="Print rows in this form on standard output.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Write rows to a .parquet, .csv or .json file."),
]
RunOption = Annotated[
    int | None, typer.Option("--run", help="Number of the run; the latest if left out.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the result and errors only.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Print each step's SQL, rows and seconds on standard error."),
]

# What --from-run can change; everything else decides what was counted.
THRESHOLDS = ("max_tags", "min_images", "min_drop", "necessity", "min_tag_images")


def _reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the errors of prime_sql into one message and exit status 2."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PrimeSqlError as error:
            err.print(
                f"[bold red]Error:[/] {escape(output.printable_lines(str(error)))}", soft_wrap=True
            )
            raise typer.Exit(2) from error
        except KeyboardInterrupt:
            err.print("Interrupted; the database is as it was.")
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


@app.command()
@_reports_errors
def search(
    context: typer.Context,
    predictions: Annotated[
        str | None,
        typer.Argument(
            help="File, glob, FILE.duckdb:TABLE, or a table of --db.", show_default=False
        ),
    ] = None,
    tags: Annotated[
        str | None, typer.Argument(help="Likewise: image_id, tag[, score].", show_default=False)
    ] = None,
    db: Annotated[
        Path | None, typer.Option(help="DuckDB file for the results; in memory if left out.")
    ] = None,
    max_tags: Annotated[int, typer.Option(help="Largest tag set, 1 to 6.")] = Options.max_tags,
    min_images: Annotated[
        int, typer.Option(help="Fewest images of a failure mode.")
    ] = Options.min_images,
    min_drop: Annotated[
        float, typer.Option(help="Smallest drop below the class's accuracy, a fraction.")
    ] = Options.min_drop,
    necessity: Annotated[
        str, typer.Option(help="Least rise of accuracy without any one tag, for 2, 3, … tags.")
    ] = ",".join(f"{margin:g}" for margin in Options.necessity),
    min_tag_images: Annotated[
        int | None,
        typer.Option(
            help="A tag counts in a class from so many images on; --min-images if left out."
        ),
    ] = Options.min_tag_images,
    group_by: Annotated[
        str, typer.Option(help="What the class is: label, prediction, or COLUMN[,COLUMN].")
    ] = ",".join(Options.group_by),
    error: Annotated[
        str | None,
        typer.Option(help="SQL condition for a wrong prediction; label <> prediction if left out."),
    ] = Options.error,
    where: Annotated[
        str | None, typer.Option(help="SQL condition on the predictions, as in \"split = 'test'\".")
    ] = Options.where,
    image_id: Annotated[str, typer.Option(help="Column of the image.")] = Options.image_id,
    label: Annotated[str, typer.Option(help="Column of the label.")] = Options.label,
    prediction: Annotated[str, typer.Option(help="Column of the prediction.")] = Options.prediction,
    tag: Annotated[
        str, typer.Option(help="Column of the tag, or of a list of tags.")
    ] = Options.tag,
    score: Annotated[str, typer.Option(help="Column of the tag's score.")] = Options.score,
    min_score: Annotated[
        float | None, typer.Option(help="Leave tags with a lower score out.")
    ] = Options.min_score,
    wide: Annotated[
        bool, typer.Option("--wide", help="TAGS has one boolean or 0/1 column per tag.")
    ] = Options.wide,
    from_run: Annotated[
        str | None,
        typer.Option(
            help="Ask a stored run (its number, or latest) for other thresholds, counting nothing."
        ),
    ] = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find the minimal tag sets on which accuracy drops sharply."""
    if output_ is not None:
        output.check_file(output_)
    given = {
        name: value
        for name, value in context.params.items()
        if name in Options.__dataclass_fields__
    }
    given["necessity"] = _numbers(necessity)
    with _watched(quiet, verbose) as (on_sql, on_progress):
        if from_run is not None:
            chosen = {
                name: value
                for name, value in given.items()
                if context.get_parameter_source(name).name == "COMMANDLINE"  # type: ignore[union-attr]
            }
            run = _search_again(from_run, db, predictions, chosen, on_sql)
        elif predictions is None or tags is None:
            raise OptionError("give PREDICTIONS and TAGS, or --from-run with --db")
        else:
            run = ps.search(
                predictions, tags, into=db, on_sql=on_sql, on_progress=on_progress, **given
            )
    with run:
        modes = run.failure_modes.to_polars()
        _emit(modes, format_, output_, modes_of=run)
        if db is not None and not quiet:
            err.print(f"Run {run.run_id} is in {escape(str(db))}.", soft_wrap=True)


def _search_again(
    from_run: str,
    db: Path | None,
    predictions: str | None,
    chosen: dict[str, Any],
    on_sql: Callable[[ps.Statement], None] | None,
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
    stored = ps.open_run(db, None if from_run == "latest" else int(from_run), read_only=False)
    try:
        return stored.refilter(on_sql=on_sql, **chosen)
    except BaseException:
        stored.close()
        raise


@app.command()
@_reports_errors
def sql(
    db: Db,
    query: Annotated[
        str, typer.Argument(help="A query; failure_modes and the others mean one run.")
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


@app.command()
@_reports_errors
def runs(db: Db, format_: FormatOption = None, output_: OutputOption = None) -> None:
    """List the runs of a database."""
    if output_ is not None:
        output.check_file(output_)
    rows = ps.runs(db)
    if format_ is None:
        rows = rows.select(
            "run_id",
            pl.col("created_at").dt.strftime("%Y-%m-%d %H:%M"),
            pl.col("row_counts").str.json_path_match("$.images").cast(pl.Int64).alias("images"),
            pl.col("row_counts")
            .str.json_path_match("$.failure_modes")
            .cast(pl.Int64)
            .alias("failure_modes"),
            pl.col("options")
            .str.json_path_match("$.min_images")
            .cast(pl.Int64)
            .alias("min_images"),
            pl.col("options").str.json_path_match("$.min_drop").cast(pl.Float64).alias("min_drop"),
            pl.col("sources").str.json_path_match("$.predictions").alias("predictions"),
        )
    _emit(rows, format_, output_)


@app.command()
@_reports_errors
def query(
    db: Annotated[
        Path | None, typer.Argument(help="DuckDB file with the results.", metavar="DB")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="A named question; none lists them.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    run: RunOption = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Answer a named question about a run."""
    if db is None or name is None:
        _emit(_questions(), format_, output_)
        return
    if output_ is not None:
        output.check_file(output_)
    parameters = {}
    for pair in param or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise QueryError(f"--param takes NAME=VALUE, got {pair!r}")
        parameters[key.strip()] = value
    with ps.open_run(db, run) as opened:
        _emit(opened.query(name, **parameters).to_polars(), format_, output_)


@app.command()
@_reports_errors
def demo(
    db: Annotated[Path, typer.Option(help="DuckDB file to make.")] = Path("demo.duckdb"),
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find real failure modes of a real classifier, on emoji pictures."""
    with _watched(quiet, verbose) as (on_sql, on_progress):
        run = emoji.make(db, on_sql=on_sql, on_progress=on_progress)
    with run:
        modes = run.failure_modes.to_polars()
        facts = run.classes.to_polars().select(pl.col("images", "errors").sum()).row(0)
    if not quiet:
        out.print(emoji.introduction(facts[0], facts[1]))
    output.show_modes(modes, out)
    if not quiet:
        out.print(emoji.next_commands(db, modes), soft_wrap=True)


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
    modes_of: ps.Run | None = None,
) -> None:
    """Print rows, write them, or both; with a file and no format, print nothing."""
    if file is not None:
        output.write(rows, file)
        err.print(f"Wrote {rows.height:,} rows to {escape(str(file))}.", soft_wrap=True)
        if form is None:
            return
    if form is None or form is Format.table:
        if modes_of is None:
            output.show(rows, out)
        elif rows.height:
            output.show_modes(rows, out)
        else:
            out.print(f"No failure modes. {escape(modes_of.note or '')}", soft_wrap=True)
        return
    if modes_of is not None and not rows.height:
        err.print(f"No failure modes. {escape(modes_of.note or '')}", soft_wrap=True)
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
        err.print(f"[bold]{statement.step}[/]: {statement.seconds:.3f} s{rows}")
        err.print(escape(statement.sql), soft_wrap=True)
        err.print()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        if err.is_terminal and not quiet and not verbose:
            bar = ProgressBar(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                console=err,
                transient=True,
            )
            with bar:
                task = bar.add_task("inputs")
                counts: dict[str, int] = {}

                def on_progress(progress: ps.Progress) -> None:
                    name = progress.step
                    if progress.size is not None:
                        name += f" of {progress.size} tag{'' if progress.size == 1 else 's'}"
                    if progress.count is not None:
                        counts[name] = progress.count
                    else:
                        before = "".join(f" ({n}: {c:,})" for n, c in list(counts.items())[-1:])
                        name += before
                    bar.update(
                        task, description=name, total=progress.total, completed=progress.done
                    )

                yield None, on_progress
        else:
            yield (on_sql if verbose else None), None
    for warning in caught:
        if not issubclass(warning.category, InputWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif not quiet:
            err.print(f"[yellow]Warning:[/] {escape(str(warning.message))}", soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app(prog_name="prime-sql")
