"""``prime-sql explain`` and ``sweep``: one failure mode, and one run at other thresholds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

import prime_sql as ps
from prime_sql.cli import tables
from prime_sql.cli.app import (
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
    write_out,
)
from prime_sql.engine import files
from prime_sql.engine.defaults import NO_WAIT
from prime_sql.engine.errors import OptionError
from prime_sql.engine.rows import Format, render

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

# Headings of the parts, in the order in which they are printed.
_PARTS = {
    "subsets": "Accuracy with some of its tags",
    "wrong_predictions": "What its errors are taken for",
    "images": "Examples, wrong ones first",
}
# What a reader of the terminal needs; the class is in the first line.
_SHOWN = {
    "subsets": ["tags", "images", "errors", "accuracy", "drop"],
    "wrong_predictions": ["prediction", "label", "images", "of its\nerrors", "of other\nerrors"],
    "images": ["image_id", "prediction", "error", "uri"],
}
_NAMES = {
    "accuracy_drop": "drop",
    "error_share": "of its\nerrors",
    "other_error_share": "of other\nerrors",
}
_PERCENT = ("accuracy", "drop", "of its\nerrors", "of other\nerrors")


@app.command(
    cls=Command,
    epilog="""
    prime-sql explain prime.duckdb 5acea
    prime-sql explain prime.duckdb 5acea --examples 50 --format json
    """,
)
@reports_errors
def explain(
    db: Db,
    mode_id: Annotated[
        str,
        typer.Argument(
            metavar="MODE_ID", help="The failure mode, or the first characters of its mode_id."
        ),
    ],
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    examples: Annotated[
        int, typer.Option(help="How many wrong images, and how many right ones, to show.")
    ] = 12,
    format_: FormatOption = None,
) -> None:
    """Explain one failure mode: its tags, what it is taken for, what it looks like."""
    if format_ is Format.csv:
        raise OptionError("a failure mode is explained in several tables; use --format json")
    with ps.open_run(db, run, wait=wait) as opened:
        explained = opened.explain(mode_id, examples=examples)
        parts = {name: getattr(explained, name).to_polars() for name in ("mode", *_PARTS)}
    if format_ is Format.json:
        write_out(_as_json(parts))
    elif format_ is Format.markdown:
        sections = [render(parts["mode"], format_)]
        sections += [
            f"## {title}\n\n{render(parts[name], format_)}" for name, title in _PARTS.items()
        ]
        write_out("\n\n".join(sections) + "\n")
    else:
        _show(parts)


def _as_json(parts: dict[str, pl.DataFrame]) -> str:
    """Return one object: the mode itself, and a list for each part."""
    lists = {name: json.loads(render(rows, Format.json)) for name, rows in parts.items()}
    lists["mode"] = lists["mode"][0]
    return json.dumps(lists, ensure_ascii=False, indent=2) + "\n"


def _show(parts: dict[str, pl.DataFrame]) -> None:
    import polars as pl

    mode = parts["mode"].row(0, named=True)
    say(f"{mode['class_name']}: {mode['tags']} ({mode['mode_id']})", console=out())
    say(
        f"{mode['errors']:,} of {mode['images']:,} images are errors, accuracy "
        f"{mode['accuracy']:.1%}; in the class {mode['class_accuracy']:.1%}.",
        console=out(),
    )
    say("", console=out())
    for name, title in _PARTS.items():
        rows = parts[name].rename({key: to for key, to in _NAMES.items() if key in parts[name]})
        if name == "subsets":
            rows = rows.with_columns(
                pl.when(pl.col("tag_count") == 0)
                .then(pl.lit("(the class)"))
                .otherwise("tags")
                .alias("tags")
            )
        if name == "images":
            rows = rows.with_columns(
                pl.when(pl.col("error") == 1)
                .then(pl.lit("wrong"))
                .otherwise(pl.lit("right"))
                .alias("error")
            )
        # Without columns that have no value at all, such as uri where no table has one.
        shown = [
            column
            for column in _SHOWN[name]
            if column in rows.columns and rows[column].null_count() < rows.height
        ]
        if "label" in rows.columns and name == "wrong_predictions":
            title = "What its errors are"  # the class is the prediction
        tables.show(rows.select(shown), out(), title=title, percent=_PERCENT, most=rows.height)


@app.command(
    cls=Command,
    epilog="""
    prime-sql sweep prime.duckdb --min-images 20,30,50 --min-drop 0.2,0.3,0.4
    """,
)
@reports_errors
def sweep(
    db: Db,
    run: RunOption = None,
    wait: Wait = NO_WAIT,
    min_images: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Fewest images of a failure mode; the run's if left out.",
            show_default=False,
        ),
    ] = None,
    min_drop: Annotated[
        str | None,
        typer.Option(
            metavar="A,A,…",
            help="Smallest drops in accuracy; the run's if left out.",
            show_default=False,
        ),
    ] = None,
    format_: FormatOption = None,
    output_: OutputOption = None,
) -> None:
    """Count the failure modes at other thresholds, without counting images again."""
    if output_ is not None:
        files.check_file(output_)
    grid = {
        "min_images": _numbers("min_images", min_images, int),
        "min_drop": _numbers("min_drop", min_drop, float),
    }
    with ps.open_run(db, run, wait=wait) as opened:
        cells = opened.sweep(**grid).to_polars()
    emit(cells, format_, output_, show=_show_cells)


def _numbers(name: str, text: str | None, kind: type[int] | type[float]) -> Any:
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        example = "20,30,50" if kind is int else "0.2,0.3,0.4"
        raise OptionError(f"{name} takes numbers such as {example}, got {text!r}") from error


def _show_cells(cells: pl.DataFrame, console: Console) -> None:
    """Print the grid without columns that say nothing: of larger sets, of unseen data."""
    import polars as pl

    sizes = {f"modes_{size}": size for size in range(1, 7)}
    largest = max([1, *(size for name, size in sizes.items() if cells[name].sum())])
    chosen = [
        pl.col(name).alias(_CELL_NAMES.get(name, name))
        if name not in sizes
        else pl.col(name).alias(f"{sizes[name]} tag{'' if sizes[name] == 1 else 's'}")
        for name in cells.columns
        if sizes.get(name, 1) <= largest and cells[name].null_count() < cells.height
    ]
    rows = cells.with_columns(pl.col("min_drop").map_elements("{:g}".format, pl.String))
    percent = ("errors\ncovered", "share\nreached")
    tables.show(rows.select(chosen), console, percent=percent, most=cells.height)


_CELL_NAMES = {
    "failure_modes": "failure\nmodes",
    "error_coverage": "errors\ncovered",
    "decided": "unseen:\ndecided",
    "share_reached": "share\nreached",
}
