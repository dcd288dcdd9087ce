"""``prime-sql search``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

import prime_sql as ps
from prime_sql import output
from prime_sql.cli.app import (
    RESULTS,
    Command,
    FormatOption,
    OutputOption,
    Quiet,
    Verbose,
    Wait,
    app,
    emit,
    out,
    reports_errors,
    say,
    shows_table,
    watched,
)
from prime_sql.cli.definition import (
    COLUMNS,
    MODE,
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
from prime_sql.cli.gate import FailOn, Junit, Summary, asked
from prime_sql.cli.models import check as check_models
from prime_sql.cli.models import conditions, of_models, show_models
from prime_sql.cli.top import Top
from prime_sql.cli.top import show as show_summary
from prime_sql.defaults import NO_WAIT, TOP
from prime_sql.errors import OptionError
from prime_sql.options import METHODS, Options

# Sections of the help.
UNSEEN = "Unseen data"
MODELS = "Several models"
RESOURCES = "Memory and disk"

# What --from-run can change; everything else decides what was counted.
THRESHOLDS = ("max_tags", "min_images", "min_drop", "necessity", "min_tag_images", "max_q")


@app.command(
    cls=Command,
    epilog="""
    prime-sql search predictions.parquet tags.parquet
    prime-sql search predictions.csv tags.csv --db prime.duckdb --min-images 50
    prime-sql search predictions.parquet tags.parquet --where "split = 'test'" -o modes.csv
    prime-sql search predictions.parquet tags.parquet --split split --find train --check test
    prime-sql search --db prime.duckdb --from-run latest --min-drop 0.4
    prime-sql search monday.parquet monday_tags.parquet --db prime.duckdb --append
    prime-sql search predictions.parquet tags.parquet --db prime.duckdb --job nightly --fail-on new
    prime-sql search marts.predictions marts.tags --warehouse postgres://me@host/db --schema prime
    """,
)
@reports_errors
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
    max_tags: MaxTags = Options.max_tags,
    min_images: MinImages = Options.min_images,
    min_drop: MinDrop = Options.min_drop,
    necessity: Necessity = ",".join(f"{margin:g}" for margin in Options.necessity),
    min_tag_images: MinTagImages = Options.min_tag_images,
    max_absent: MaxAbsent = Options.max_absent,
    max_q: Annotated[
        float | None,
        typer.Option(
            help="Keep failure modes with a q-value up to this, as in 0.05. It is over all tag "
            "sets that could have been one; they are counted, which takes longer.",
            rich_help_panel=MODE,
        ),
    ] = Options.max_q,
    method: Annotated[
        str,
        typer.Option(
            metavar="|".join(METHODS),
            help="All failure modes, or those that growing the least accurate tag sets comes "
            "across, which counts fewer sets.",
            rich_help_panel=MODE,
        ),
    ] = Options.method,
    width: Annotated[
        int,
        typer.Option(
            help="How many tag sets of each size and class a greedy search grows.",
            rich_help_panel=MODE,
        ),
    ] = Options.width,
    missed: Annotated[
        bool,
        typer.Option(
            "--missed",
            help="After a greedy search, search for all, and say how many it missed.",
            rich_help_panel=MODE,
        ),
    ] = False,
    group_by: GroupBy = ",".join(Options.group_by),
    error: Error = Options.error,
    where: Where = Options.where,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column of PREDICTIONS that tells the parts for --find and --check.",
            rich_help_panel=UNSEEN,
        ),
    ] = Options.split,
    find: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="Find failure modes where the column has this value.",
            rich_help_panel=UNSEEN,
        ),
    ] = Options.find,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="Check them on the unseen images where it has this one.",
            rich_help_panel=UNSEEN,
        ),
    ] = Options.check,
    image_id: ImageId = Options.image_id,
    label: Label = Options.label,
    prediction: Prediction = Options.prediction,
    tag: TagColumn = Options.tag,
    score: Score = Options.score,
    min_score: MinScore = Options.min_score,
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
    warehouse: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Search in this warehouse, in the place of --db: PREDICTIONS and TAGS are tables "
            "there, and so are the results. postgres://…, clickhouse://…, pyspark://….",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The schema of --warehouse that keeps the results, made if need be; prime if left "
            "out.",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep this name with the run: runs of one job are compared with each other.",
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
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Add the tables to the latest run of --db with the same options and --job: a new "
            "run, as of a search of everything, for which only what is new is counted.",
            rich_help_panel=RESULTS,
        ),
    ] = False,
    remove: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES",
            help="With --append: a table whose image_id column names images that no longer count.",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Search the predictions of each of these models, one run each, and compare the "
            "runs of two.",
            rich_help_panel=MODELS,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="The column of PREDICTIONS that names the model, for --models.",
            rich_help_panel=MODELS,
        ),
    ] = "model",
    memory_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="What the process should take at most, about: 500MB, 2GiB, or 75% of the memory "
            "there is.",
            rich_help_panel=RESOURCES,
            show_default=False,
        ),
    ] = None,
    temp_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to keep what does not fit; beside the database if left out.",
            rich_help_panel=RESOURCES,
            show_default=False,
        ),
    ] = None,
    wait: Wait = NO_WAIT,
    fail_on: FailOn = None,
    junit: Junit = None,
    summary: Summary = None,
    top: Top = TOP,
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
    if missed and (models is not None or max_q is not None):
        other = "--models" if models is not None else "--max-q"
        raise OptionError(f"--missed does not go with {other}")
    if missed and method != "greedy":
        raise OptionError("--missed is about a greedy search; add --method greedy")
    place = _place(db, warehouse, schema)
    wanted = asked(fail_on, junit, summary)
    for gate in wanted.gates:
        if gate.needs_previous and place is None:
            raise OptionError(f"the gate {gate.text!r} is about the previous run: give --db")
        if gate.needs_validation and check is None:
            raise OptionError(
                f"the gate {gate.text!r} is about unseen data: give --split, --find and --check"
            )
    _check_append(append, remove, db, from_run, models)
    given = {
        name: value
        for name, value in context.params.items()
        if name in Options.__dataclass_fields__
    }
    given["necessity"] = numbers(necessity)
    if models is not None:
        if fail_on or summary is not None:
            raise OptionError(
                "gates and summaries are of one run: judge those of --models with "
                "prime-sql gate DB --run N"
            )
        if warehouse is not None:
            raise OptionError("--models does not go with --warehouse: search each one with --where")
        if from_run is not None or predictions is None or tags is None:
            raise OptionError("--models searches tables: give PREDICTIONS and TAGS, no --from-run")
        with ExitStack() as opened, watched(quiet, verbose) as (on_sql, on_progress):
            check_models(models, model, predictions, db, wait)
            runs = {}
            for name, condition in conditions(models, model, where).items():
                one = {**given, "where": condition}
                runs[name] = opened.enter_context(
                    ps.search(
                        predictions,
                        tags,
                        into=db,
                        job=job,
                        memory_limit=memory_limit,
                        temp_dir=temp_dir,
                        wait=wait,
                        on_sql=on_sql,
                        on_progress=on_progress,
                        **one,
                    )
                )
            rows = of_models(runs)
        emit(rows, format_, output_, show=show_models, why_none="No failure modes.", quiet=quiet)
        if db is not None and not quiet:
            for name, run in runs.items():
                say(f"Run {run.run_id}, of {name}, is in {db}.")
        return
    with ExitStack() as opened:
        with watched(quiet, verbose) as (on_sql, on_progress):
            if from_run is not None:
                if memory_limit is not None or temp_dir is not None:
                    raise OptionError(
                        "--memory-limit and --temp-dir are for counting, and --from-run counts "
                        "nothing; leave them out"
                    )
                chosen = {
                    name: value
                    for name, value in given.items()
                    if context.get_parameter_source(name).name == "COMMANDLINE"  # type: ignore[union-attr]
                }
                stored = opened.enter_context(
                    _stored_run(from_run, place, predictions, chosen, wait)
                )
                run = stored.refilter(job=job, on_sql=on_sql, **chosen)
            elif not append and (predictions is None or tags is None):
                raise OptionError("give PREDICTIONS and TAGS, or --from-run with --db")
            else:
                run = opened.enter_context(
                    ps.search(
                        predictions,
                        tags,
                        into=place,
                        job=job,
                        append=append,
                        remove=remove,
                        memory_limit=memory_limit,
                        temp_dir=temp_dir,
                        wait=wait,
                        on_sql=on_sql,
                        on_progress=on_progress,
                        **given,
                    )
                )
        from prime_sql import rank
        from prime_sql.sources import describe

        modes = run.failure_modes.to_polars()
        why_none = f"No failure modes. {run.note or ''}".strip()
        short = modes.height > 0 and shows_table(format_, output_)
        if not short or output_ is not None:
            emit(modes, None if short else format_, output_, why_none=why_none, quiet=quiet)
        if short:
            shown = place and describe(place)
            show_summary(rank.summarize(run, top), run, shown, form="--format csv")
        if missed:
            count = run.missed().to_polars().height
            say(f"The greedy search missed {count:,} of {modes.height + count:,} failure modes.")
        if run.validation is not None and modes.height and shows_table(format_, output_):
            say(run.validation.sentence(), console=out())
        if place is not None and not quiet:
            say(f"Run {run.run_id} is in {describe(place)}.")
        wanted.judge(run, quiet=quiet)


def _check_append(
    append: bool, remove: str | None, db: Path | None, from_run: str | None, models: str | None
) -> None:
    if not append:
        if remove is not None:
            raise OptionError("--remove names images of an earlier run: it goes with --append")
        return
    if from_run is not None or models is not None:
        other = "--from-run" if from_run is not None else "--models"
        raise OptionError(f"--append does not go with {other}")
    if db is None:
        raise OptionError("--append adds to a stored run: name its database with --db")


def _stored_run(
    from_run: str,
    db: str | None,
    predictions: str | None,
    chosen: dict[str, Any],
    wait: float,
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
    number = None if from_run == "latest" else int(from_run)
    return ps.open_run(db, number, read_only=False, wait=wait)


def _place(db: Path | None, warehouse: str | None, schema: str | None) -> str | None:
    """Return where the run is kept, as `prime_sql.open_run` takes it; None where it is not."""
    if warehouse is None:
        if schema is not None:
            raise OptionError("--schema is about a --warehouse: give it, too")
        return None if db is None else str(db)
    if db is not None:
        raise OptionError("--db and --warehouse are two places for one run: give one of them")
    if "://" not in warehouse:
        raise OptionError(
            f"--warehouse takes a URL such as postgres://user@host/database, got {warehouse!r}"
        )
    return warehouse if schema is None else f"{warehouse.partition('#')[0]}#{schema}"
