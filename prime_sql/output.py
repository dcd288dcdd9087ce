"""Rows as people and programs read them: a terminal table, JSON, CSV, Markdown, or a file.

The command line needs the forms and the checks for its options, so Polars and rich are imported
where they are used.
"""

from __future__ import annotations

import glob
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from prime_sql.errors import OptionError, WarehouseError

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from prime_sql.rank import Summary

_LONGEST_CELL = 200
_MOST_ROWS = 40
_ALL_ROWS = "--format csv prints all"
_NEVER_WRAPPED = 16  # characters: numbers, identifiers and short names stay whole


class Format(StrEnum):
    """The forms in which rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


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


def render(rows: pl.DataFrame, form: Format) -> str:
    """Return the rows as text: ``json`` (an array of objects), ``csv`` or ``markdown``."""
    if form is Format.json:
        return json.dumps(_records(rows), ensure_ascii=False, indent=2)
    if form is Format.csv:
        return _flat(rows).write_csv().rstrip("\n")
    lines = [[_markdown(name) for name in rows.columns]]
    lines += [["---:" if dtype.is_numeric() else "---" for dtype in rows.dtypes]]
    lines += [[_markdown(value) for value in row] for row in rows.iter_rows()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def check_file(path: Path) -> Path:
    """Return `path` when `write` knows its ending and its folder is there.

    Raises
    ------
    OptionError
        When it does not; checked before the work, so that none is lost.
    """
    if path.suffix.lower() not in (".parquet", ".csv", ".json"):
        raise OptionError(f"cannot write {path}: name a file that ends in .parquet, .csv or .json")
    return check_place(path)


def check_place(path: Path) -> Path:
    """Return `path` when its folder is there, and it is none itself.

    Raises
    ------
    OptionError
        When not; checked before the work, so that none is lost.
    """
    if not path.absolute().parent.is_dir():
        raise OptionError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise OptionError(f"cannot write {path}: it is a folder")
    return path


def write(rows: pl.DataFrame, path: Path) -> None:
    """Write the rows to a ``.parquet``, ``.csv`` or ``.json`` file, whole or not at all."""
    with Files() as files:
        files.write(rows, path)
        files.publish()


def write_text(text: str, path: Path) -> None:
    """Write a text, whole or not at all: yesterday's file stays until today's is complete."""
    with Files() as files:
        files.write(text, path)
        files.publish()


def append_text(text: str, path: Path) -> None:
    """Add a text after an empty line to the end of a file, which is made if need be.

    Raises
    ------
    WarehouseError
        When the folder or the disk does not take it.
    """
    with _writing(path), path.open("ab") as file:
        _put(f"\n{text}" if file.tell() else text, file, "")


class Files:
    """Files that appear whole, and together: written beside their places, then renamed.

    Leaving the block without `publish` leaves every place as it was.

    Attributes
    ----------
    lost
        Places that hold a new file although publishing failed, with where their old one is.
    """

    def __init__(self) -> None:
        self._partial: dict[Path, Path] = {}  # by the file's place
        self.lost: dict[Path, Path | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for partial in self._partial.values():
            partial.unlink(missing_ok=True)

    def write(self, content: pl.DataFrame | str, path: Path) -> None:
        """Write rows (in the form that the ending asks for) or a text beside `path`.

        Raises
        ------
        WarehouseError
            When the folder or the disk does not take it.
        """
        with _writing(path):
            place = path.resolve()  # what a symbolic link points to, so that it stays a link
            if place.exists() and not place.is_file() and not place.is_dir():
                # A pipe or a device has no place beside it, and must not become a file.
                with place.open("wb") as file:
                    _put(content, file, path.suffix.lower())
                return
            partial = self._partial[place] = beside(place)
            with partial.open("wb") as file:
                _put(content, file, path.suffix.lower())
                file.flush()
                os.fsync(file.fileno())  # else a crash may leave the new name on an empty file
            if place.is_file():
                shutil.copymode(place, partial)

    def publish(self) -> None:
        """Give all files their names.

        Raises
        ------
        WarehouseError
            When a place cannot be taken; then every place is as it was.
        """
        with self.published():
            pass

    @contextmanager
    def published(self) -> Iterator[None]:
        """Give all files their names, and take them back where the block fails.

        Raises
        ------
        WarehouseError
            When a place cannot be taken; then every place is as it was.
        """
        for place in self._partial:
            if place.is_dir():
                raise WarehouseError(f"cannot write {place}: it is a folder")
        old: dict[Path, Path | None] = {}
        try:
            for place, partial in self._partial.items():
                with _writing(place):
                    old[place] = _kept(place)
                    partial.replace(place)
                    _sync_folder(place.parent)
            yield
        except BaseException:
            for place, kept in old.items():
                if not self._partial[place].exists():
                    self._put_back(place, kept)
            raise
        finally:
            for place, kept in old.items():
                if kept is not None and place not in self.lost:
                    kept.unlink(missing_ok=True)
        self._partial.clear()

    def _put_back(self, place: Path, kept: Path | None) -> None:
        try:
            if kept is None:
                place.unlink()
            else:
                kept.replace(place)
            _sync_folder(place.parent)
        except OSError:
            self.lost[place] = kept


def beside(place: Path) -> Path:
    """Return a name in the folder of `place` for what will take that name once it is complete.

    What processes that were killed left there is removed.
    """
    for leftover in place.parent.glob(f".{glob.escape(place.name)}.*.partial*"):
        process = leftover.name.removeprefix(f".{place.name}.").partition("-")[0]
        if process.isdecimal() and not _is_running(int(process)):
            leftover.unlink(missing_ok=True)
    return place.with_name(f".{place.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")


def _kept(place: Path) -> Path | None:
    """Keep the file at `place` under a second name; None where there is none."""
    if not place.is_file():
        return None
    kept = beside(place)
    try:
        kept.hardlink_to(place)
    except (OSError, NotImplementedError):  # not every file system has links
        shutil.copy2(place, kept)
    return kept


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except OSError as error:
        raise WarehouseError(f"cannot write {path}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise WarehouseError(f"cannot write {path}: {error}") from error


def _put(content: pl.DataFrame | str, file: IO[bytes], ending: str) -> None:
    if not isinstance(content, str):
        if ending == ".parquet":
            content.write_parquet(file)
            return
        content = render(content, Format(ending[1:])) + "\n"
    # What UTF-8 has no bytes for, such as half of a surrogate pair in a file's name.
    file.write(content.encode("utf-8", errors="backslashreplace"))


def _sync_folder(folder: Path) -> None:
    """Keep the new names through a crash, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system syncs folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def show_summary(summary: Summary, console: Console, *, rest: str = "") -> None:
    """Print the few failure modes that explain most errors, and what is not shown.

    Parameters
    ----------
    summary
        What to print.
    console
        Where to.
    rest
        How all failure modes are had, where some are not shown.
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

    from prime_sql.stored import COMPLETE  # the two modules need each other

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


def printable(text: str) -> str:
    """Show control characters as escapes, so that a tag cannot drive the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Like `printable`, but keeps line breaks and tabs: for messages."""
    return "\n".join(
        "\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n")
    )


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
        return _shortened(printable(json.dumps(_json(value), ensure_ascii=False)))
    return _shortened(printable(str(value)))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


# What Markdown would read as its own; "_" does that at the edge of a word only, "&" in an entity.
_MARKS = re.compile(r"[\\`*\[\]<>|~#]|\b_|_\b|&(?=#?\w+;)")


def _markdown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, dict)):
        value = json.dumps(_json(value), ensure_ascii=False)
    elif isinstance(value, bytes):
        value = value.hex()
    lines = re.split(r"\r\n|\r|\n", str(value))
    return "<br>".join(_MARKS.sub(r"\\\g<0>", printable(line)) for line in lines)


def _records(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [{name: _json(value) for name, value in row.items()} for row in rows.to_dicts()]


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    if isinstance(value, Decimal):  # sums of whole numbers, too
        return int(value) if value == int(value) else float(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Write nested and binary columns as JSON text: CSV has no other place for them."""
    import polars as pl

    nested = [
        name for name, dtype in rows.schema.items() if dtype.is_nested() or dtype == pl.Binary
    ]
    return rows.with_columns(
        pl.Series(
            name, [json.dumps(_json(value)) for value in rows[name].to_list()], dtype=pl.String
        )
        for name in nested
    )
