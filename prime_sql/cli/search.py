"""``prime-sql search``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

import prime_sql as ps
from prime_sql.cli.app import (
    RESULTS,
    Command,
    FormatOption,
    OutputOption,
    Quiet,
    Verbose,
    Wait,
    Watch,
    app,
    emit,
    is_given,
    kept,
    out,
    reports_errors,
    say,
    shows_table,
    stored,
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
    NormaliseTags,
    Prediction,
    Present,
    Score,
    SplitTags,
    TagColumn,
    Where,
    numbers,
)
from prime_sql.cli.gate import FailOn, Junit, Summary, asked
from prime_sql.cli.models import check as check_names
from prime_sql.cli.models import conditions, of_models, show_models
from prime_sql.cli.search_checks import (
    check_append,
    check_from_run,
    check_gates,
    check_missed,
    check_models,
    place_of,
)
from prime_sql.cli.top import Top
from prime_sql.cli.top import show as show_summary
from prime_sql.engine.defaults import NO_WAIT, TOP
from prime_sql.engine.errors import OptionError
from prime_sql.engine.files import check_apart, check_file
from prime_sql.engine.options import METHODS, Options

# Sections of the help.
UNSEEN = "Unseen data"
MODELS = "Several models"
RESOURCES = "Memory and disk"


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
            help="Keep failure modes with a q-value up to this, such as 0.05. It is over all tag "
            "sets that could have been failure modes; counting them takes longer.",
            rich_help_panel=MODE,
        ),
    ] = Options.max_q,
    method: Annotated[
        str,
        typer.Option(
            metavar="|".join(METHODS),
            help="Find all failure modes, or those that are found by growing the least accurate "
            "tag sets, which counts fewer sets.",
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
            help="After a greedy search, search for all failure modes, and say how many it missed.",
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
            help="The column of PREDICTIONS that names the parts for --find and --check.",
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
            help="Check them on the unseen images where the column has this value.",
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
    present: Present = Options.present,
    split_tags: SplitTags = Options.split_tags,
    normalise_tags: NormaliseTags = Options.normalise_tags,
    db: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Store the run in this DuckDB file, created if need be; not stored if left out.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    warehouse: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Search in this warehouse instead of --db: PREDICTIONS and TAGS are tables there, "
            "and so are the results. postgres://…, clickhouse://…, pyspark://….",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The schema of --warehouse for the results, created if need be; prime if left "
            "out.",
            rich_help_panel=RESULTS,
            show_default=False,
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Store this name with the run: runs of one job are compared with each other.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Apply other thresholds to run number RUN of --db, or to the latest, without "
            "reading the tables again.",
            rich_help_panel=RESULTS,
        ),
    ] = None,
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Add the tables to the latest run of --db with the same options and --job. The "
            "new run is as if everything were searched, but only what is new is counted.",
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
            help="Search the predictions of each of these models, one run each; if there are two, "
            "compare their runs.",
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
            help="Approximate memory limit of the process: 500MB, 2GiB, or 75% of the memory "
            "there is.",
            rich_help_panel=RESOURCES,
            show_default=False,
        ),
    ] = None,
    temp_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to put what does not fit into memory; beside the database if left out.",
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
        check_file(output_)
    check_apart(
        {"--output": output_, "--junit": junit, "--summary": summary},
        {"--db": db, "PREDICTIONS": predictions, "TAGS": tags, "--remove": remove},
    )
    if models is None and is_given(context, "model"):
        raise OptionError("--model names a column for --models: add it")
    check_missed(missed, method, models, max_q)
    place = place_of(db, warehouse, schema)
    wanted = asked(fail_on, junit, summary)
    check_gates(wanted, place, check)
    check_append(append, remove, db, from_run, models)
    given = {
        name: value
        for name, value in context.params.items()
        if name in Options.__dataclass_fields__
    }
    given["necessity"] = numbers(necessity)

    def search_tables(watch: Watch, into: Path | str | None, **changed: Any) -> ps.Run:
        on_sql, on_progress = watch
        return ps.search(
            predictions,
            tags,
            into=into,
            job=job,
            memory_limit=memory_limit,
            temp_dir=temp_dir,
            wait=wait,
            on_sql=on_sql,
            on_progress=on_progress,
            **(given | changed),
        )

    if models is not None:
        check_models(fail_on, summary, warehouse, from_run, predictions, tags)
        with ExitStack() as opened, watched(quiet, verbose) as watch:
            check_names(models, model, str(predictions), db, wait)
            runs = {
                name: opened.enter_context(search_tables(watch, db, where=condition))
                for name, condition in conditions(models, model, where).items()
            }
            rows = of_models(runs)
        with kept(stored(db, "runs DB -o FILE")):
            emit(
                rows, format_, output_, show=show_models, why_none="No failure modes.", quiet=quiet
            )
        if db is not None and not quiet:
            for name, run in runs.items():
                say(f"Run {run.run_id}, of {name}, is in {db}.")
        return
    with ExitStack() as opened:
        with watched(quiet, verbose) as watch:
            if from_run is not None:
                chosen = {name: value for name, value in given.items() if is_given(context, name)}
                check_from_run(from_run, place, predictions, chosen, memory_limit, temp_dir)
                number = None if from_run == "latest" else int(from_run)
                before = ps.open_run(str(place), number, read_only=False, wait=wait)
                opened.enter_context(before)
                run = before.refilter(job=job, on_sql=watch[0], **chosen)
            elif not append and (predictions is None or tags is None):
                raise OptionError("give PREDICTIONS and TAGS, or --from-run with --db")
            else:
                run = search_tables(watch, place, append=append, remove=remove)
                opened.enter_context(run)
        from prime_sql.engine.sources import describe
        from prime_sql.questions import rank

        modes = run.failure_modes.to_polars()
        why_none = f"No failure modes. {run.note or ''}".strip()
        short = modes.height > 0 and shows_table(format_, output_)
        if not short or output_ is not None:
            again = 'sql DB "from failure_modes" -o FILE'
            with kept(stored(place, again, run.run_id)):
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
        again = "gate DB --fail-on GATE --junit FILE"
        with kept(stored(place, again, run.run_id)):
            wanted.judge(run, quiet=quiet)
