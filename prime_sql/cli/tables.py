"""Rows as people and programs read them: a terminal table, JSON, CSV, Markdown, or a file.

The command line needs the forms and the checks for its options, so Polars and rich are imported
where they are used.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from prime_sql.engine.rows import plain, printable, printable_lines

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from prime_sql.questions.rank import Summary

_LONGEST_CELL = 200
_MOST_ROWS = 40
_ALL_ROWS = "--format csv prints all"
_NEVER_WRAPPED = 16  # characters: numbers, identifiers and short names stay whole


# The columns of a terminal table of picked failure modes: what a reader compares at a glance.
_COVER_COLUMNS = {
    "class_name": "class",
    "tags": "tags",
    "images": "images",
    "accuracy": "accuracy",
    "accuracy_drop": "drop",
    "new_errors": "new\nerrors",
    "cumulative_coverage": "errors\nso far",
}


def show_summary(summary: Summary, console: Console, *, rest: str = "") -> None:
    """Print the few failure modes that explain most errors, and what is not shown.

    Parameters
    ----------
    summary
        What to print.
    console
        Where to.
    rest
        How to get all failure modes, if some are not shown.
    """
    import polars as pl

    chosen = summary.cover.select(
        [pl.col(column).alias(name) for column, name in _COVER_COLUMNS.items()]
    )
    percent = ("accuracy", "drop", "errors\nso far")
    title = _count(summary.modes, "failure mode")
    show(chosen, console, title=title, percent=percent, most=chosen.height)
    hidden = f"; {_count(summary.hidden, 'near-duplicate')} hidden" if summary.hidden else ""
    lines = [f"{chosen.height:,} of {title} shown{hidden}."]
    if chosen.height:
        share = f"{summary.explained / summary.errors:.0%} of {_count(summary.errors, 'error')}"
        lines += [f"{'Those' if chosen.height > 1 else 'That'} shown explain"]
        lines[-1] += f"{'' if chosen.height > 1 else 's'} {share}."
    others = summary.modes - summary.hidden - chosen.height
    if others and summary.complete:
        lines[-1] += f" The other {others:,} explain{'s' if others == 1 else ''} no further error."
    if rest and chosen.height < summary.modes:
        lines += [f"All {summary.modes:,}: {rest}"]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)  # a command can be copied as it is


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def show_runs(runs: pl.DataFrame, console: Console) -> None:
    """Print what tells one run from another: when, on what, thresholds, failure modes."""
    import polars as pl

    from prime_sql.discovery.stored import COMPLETE  # the two modules need each other

    def of(column: str, key: str, dtype: type[pl.DataType]) -> pl.Expr:
        return pl.col(column).str.json_path_match(f"$.{key}").cast(dtype).alias(key)

    when = pl.col("created_at").dt.strftime("%Y-%m-%d %H:%M").alias("created_at (UTC)")
    brief = runs.select(
        "run_id",
        when,
        of("row_counts", "images", pl.Int64),
        of("row_counts", "failure_modes", pl.Int64),
        of("options", "max_tags", pl.Int64),
        of("options", "min_images", pl.Int64),
        of("options", "min_drop", pl.Float64),
        of("sources", "predictions", pl.String),
    )
    # Most databases need neither column.
    if (runs["status"] != COMPLETE).any():
        brief = brief.insert_column(2, runs["status"])
    if runs["job"].is_not_null().any():
        brief = brief.insert_column(2, runs["job"])
    show(brief, console)


def show(
    rows: pl.DataFrame,
    console: Console,
    *,
    title: str = "",
    percent: tuple[str, ...] = (),
    most: int = _MOST_ROWS,
    hint: str = _ALL_ROWS,
) -> None:
    """Print rows as a table: the first ones, and how many more there are."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=title or None,
        title_justify="left",
        title_style="bold",
    )
    columns: list[list[str]] = []
    shown = rows.head(most)
    room = console.width - 2  # the edges
    for name, dtype in shown.schema.items():
        # A long name takes several lines rather than the room of the values.
        header = _shortened(printable_lines(name)).replace("_", "_\n")
        cells = [_cell(value, name in percent) for value in shown[name].to_list()]
        longest = max(map(cell_len, [*header.split("\n"), *cells]))
        whole = dtype.is_numeric() or longest <= _NEVER_WRAPPED
        narrowest = longest if whole else _NEVER_WRAPPED
        room -= narrowest + 2  # a space and a divider
        if room < 0 and columns:
            break
        table.add_column(
            Text(header),
            justify="right" if dtype.is_numeric() else "left",
            overflow="fold",
            no_wrap=whole,
            min_width=narrowest,
        )
        columns.append(cells)
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
    if rows.height > most:
        more = rows.height - most
        rest = f"… and {more:,} more row{'' if more == 1 else 's'}"
        console.print(f"{rest}; {hint}." if hint else f"{rest}.", markup=False)
    if len(columns) < rows.width:
        hidden = ", ".join(printable(name) for name in rows.columns[len(columns) :])
        console.print(f"No room for {hidden}; widen the window, or --format csv.", markup=False)


def _cell(value: Any, percent: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal) and value == int(value):
        value = int(value)
    if isinstance(value, (float, Decimal)):
        if percent:
            return f"{value:.1%}"
        return f"{value:.3g}" if -10 < value < 10 and value % 1 else f"{value:,.1f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, (list, dict)):
        return _shortened(printable(json.dumps(plain(value), ensure_ascii=False)))
    return _shortened(printable(str(value)))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
