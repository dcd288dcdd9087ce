"""How each CSV file is written, settled once, and the SQL that reads several as one table.

Every column is text. A row of another width, a second header or a broken quote is an error that
names the file and the line: nothing is skipped, padded or taken for something else.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from prime_sql.engine import queries
from prime_sql.engine.errors import InputError, LimitError, shorten, shorten_list, warn
from prime_sql.engine.sources import Wanted, check_alike, why

# Runs a statement of a step, and returns its rows.
Execute = Callable[[str, str], list[tuple[Any, ...]]]

_HEAD = 1 << 20  # bytes of a file that settle how it is written
_SAMPLE = 100  # records of it
_TITLES = 20  # a header is among so many records
_MOST_VALUES = 20_000
_DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class Form:
    """How a CSV file is written.

    Attributes
    ----------
    names
        Its columns; ``column0``, … for those without a name, as the index of a pandas frame.
    delimiter, quote, escape
        Single characters.
    skip
        Lines above the header.
    """

    names: tuple[str, ...]
    delimiter: str
    quote: str
    escape: str
    skip: int

    def reader(self, files: Sequence[str], flags: Collection[str] = ()) -> str:
        """Return the call that reads files of this form, all columns but flags as text."""
        # Whatever the columns are called: names of the file may be what DuckDB takes for one.
        columns = ", ".join(
            f"{_place(i)}: '{'BOOLEAN' if name.lower() in flags else 'VARCHAR'}'"
            for i, name in enumerate(self.names)
        )
        return (
            f"read_csv([{', '.join(map(queries.literal, files))}], columns = {{{columns}}}, "
            f"header = true, skip = {self.skip}, delim = {queries.literal(self.delimiter)}, "
            f"quote = {queries.literal(self.quote)}, escape = {queries.literal(self.escape)}, "
            "auto_detect = false)"
        )


def _place(column: int) -> str:
    return f"c{column}"


@dataclass(frozen=True)
class CsvFiles:
    """CSV files that are read as one table, those of one form together.

    Attributes
    ----------
    role, name
        What messages call the table, and the files.
    groups
        The files of each form.
    columns
        The names of all columns, as the first file that has one writes it.
    """

    role: str
    name: str
    groups: dict[Form, list[str]]
    columns: list[str]

    def load(
        self,
        relation: str,
        columns: Sequence[str],
        execute: Execute,
        *,
        flags: Collection[str] = (),
    ) -> bool:
        """Make a temporary table of these columns of all files, as text.

        Returns
        -------
        bool
            Whether there is one: none, if any of the `flags` is neither true nor false, or if there
            is anything else to say.

        Raises
        ------
        InputError
            When a line is not written as the header is; the message names the file and the line.
        """
        try:
            execute(
                relation,
                f"create or replace temp table {relation} as\n{self._select(columns, flags)}",
            )
        except LimitError:
            raise
        except Exception as error:
            if flags:
                return False
            cause = error.__cause__ or error
            if _is_about_quotes(cause):
                # MySQL and Spark write a backslash before a quote.
                escaped = {replace(form, escape="\\"): self.groups[form] for form in self.groups}
                if any(form not in self.groups for form in escaped):
                    try:
                        return replace(self, groups=escaped).load(relation, columns, execute)
                    except InputError:
                        pass
            raise InputError(self._explained(cause)) from error
        if not flags:  # a header would be none
            self._check_headers(relation, columns, execute)
        return True

    def _select(self, columns: Sequence[str], flags: Collection[str]) -> str:
        parts = []
        for form, files in self.groups.items():
            places = {name.lower(): _place(i) for i, name in enumerate(form.names)}
            terms = ", ".join(
                f"{places.get(name.lower(), 'cast(null as varchar)')} as {queries.identifier(name)}"
                for name in columns
            )
            parts.append(f"select {terms} from {form.reader(files, flags)}")
        return "\nunion all\n".join(parts)

    def _explained(self, cause: BaseException) -> str:
        """Return what is wrong with a line, instead of the engine's advice on its options."""
        text = str(cause)
        line = re.search(r"CSV Error on Line: (\d+)(?:\nOriginal Line: ?(.*))?", text)
        file = re.search(r"^ *file = (.*)$", text, re.M)
        where = f"{self.role} ({file[1] if file else self.name})"
        if line is None and "invalid state" in text:
            return f"{where}: its lines do not all end in the same way; write it with one line end"
        width = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
        if line is None or not (width or _is_about_quotes(cause)):
            return f"cannot read {where}: {why(cause)}"
        shown = f"line {line[1]} {{}}: {shorten(line[2] or '')}"
        if width is None:
            problem = "has a quote that is not closed, or that text follows"
            return f"{where}: {shown.format(problem)}; write a quote within quotes twice"
        problem = f"has {_count(int(width[2]), 'value')} where the header has {width[1]}"
        more = int(width[2]) > int(width[1])
        delimiter = next(iter(self.groups)).delimiter
        remedy = f"quote what has {delimiter!r} in it" if more else "complete it, if it was cut off"
        return f"{where}: {shown.format(problem)}; {remedy}, or leave the line out"

    def _check_headers(self, relation: str, columns: Sequence[str], execute: Execute) -> None:
        """Refuse a header among the rows, as of files that were put one after another."""
        if len(columns) < 2:
            return  # a tag may be called tag
        alike = " and ".join(
            f"lower({queries.identifier(name)}) = {queries.literal(name.lower())}"
            for name in columns[:8]
        )
        ((count,),) = execute(relation, f"select count(*) from {relation} where {alike}")
        if not count:
            return
        for form, files in self.groups.items():
            for file in files:
                for line, record in itertools.islice(_file_records(file, form), 1, None):
                    if [name.lower() for name in form.names] == [v.lower() for v in record]:
                        raise InputError(
                            f"{self.role} ({file}): line {line} is a header again; leave it out, "
                            "as of every file that is put behind another"
                        )
        raise InputError(
            f"{self.role} ({self.name}): in {_count(count, 'row')} each value is the name of its "
            "column: leave out the headers of files that are put behind another"
        )


def open_csv(name: str, role: str, wanted: Wanted, execute: Execute) -> CsvFiles:
    """Settle how the files of a name or glob are written.

    Raises
    ------
    InputError
        When a file is no text, its header does not fit its rows, names two columns alike, or lacks
        a column that the other files have.
    """
    listed = execute("files", f"select file from glob({queries.literal(name)}) order by file")
    files = [file for (file,) in listed] or [name]
    forms = {file: _form(file, role, wanted, execute) for file in files}
    columns: dict[str, str] = {}
    for file, form in forms.items():
        check_alike(form.names, f"{role} ({file})", wanted)
        for column in form.names:
            columns.setdefault(column.lower(), column)
    groups: dict[Form, list[str]] = {}
    for file, form in forms.items():
        groups.setdefault(form, []).append(file)
        here = {column.lower() for column in form.names}
        for column in columns.values():
            # Others may be missing, as a tag that one file never uses: they are null there.
            named = wanted.names is not None and column in (wanted.text or wanted.names)
            if named and column.lower() not in here:
                raise InputError(
                    f"{role}: {file} has no column {column!r}, but other files of {name} have; "
                    f"its header reads {shorten_list(list(form.names))}: give each file all columns"
                )
    return CsvFiles(role, name, groups, list(columns.values()))


# How one file is written --------------------------------------------------------------------------


def _form(file: str, role: str, wanted: Wanted, execute: Execute) -> Form:
    head, whole = _head(file, role, execute)
    above, delimiters = 0, list(_DELIMITERS)
    if file.lower().endswith((".tsv", ".tsv.gz")):
        delimiters.sort(key=lambda delimiter: delimiter != "\t")
    said = re.match(r"sep=(.)(\r\n|\n|\r)", head)
    if said:  # Excel writes it above the header
        above, delimiters, head = 1, [said[1]], head[said.end() :]
    best: tuple[tuple[float, ...], Form, list[list[str]], list[list[str]]] | None = None
    for delimiter, quote in itertools.product(delimiters, ('"', "'")):
        records = _first_records(head, delimiter, quote)
        if not whole and len(records) > 1:
            records.pop()  # it may go on
        if not records:
            continue
        known = [_known(record, wanted) for _, record in records[:_TITLES]]
        place = known.index(max(known))
        line, header = records[place]
        rows = [record for _, record in records[place + 1 :]]
        fitting = _share(rows, len(header))
        score = (
            known[place],
            len(header) > 1 and fitting >= 0.5,
            fitting if len(header) > 1 else 0.0,
            quote == "'" and _has_quoted_column(head, delimiter, place),
        )
        if best is None or score > best[0]:
            names = tuple(name or f"column{i}" for i, name in enumerate(header))
            form = Form(names, delimiter, quote, quote, above + line - 1)
            above_header = [record for _, record in records[:place]]
            best = (score, form, above_header, rows)
    if best is None:
        what = "it has a quote that is not closed" if head.strip() else "it is blank"
        raise InputError(f"{role}: the file {file} has no header: {what}")
    _, form, titles, rows = best
    if any("\ufffd" in name for name in form.names):
        raise InputError(f"cannot read {role} ({file}): its header is not UTF-8: save it as UTF-8")
    width = len(form.names)
    if _share(rows, width + 1) > 0.5:
        empty = all(row[-1] == "" for row in rows if len(row) > width)
        remedy = "name the first column, or write the file without row names"
        raise InputError(
            f"{role} ({file}): its rows have {width + 1} values, but its header has "
            f"{_count(width, 'name')} ({shorten_list(list(form.names))}); "
            f"{f'leave out the {form.delimiter!r} that ends each row' if empty else remedy}"
        )
    if titles:
        line = form.skip + 1
        if any(len(record) == width for record in titles):
            raise InputError(
                f"{role} ({file}): its header is in line {line}, below rows of the same width; "
                "put it first: has the file been sorted?"
            )
        warn(
            f"{role} ({file}): {_count(form.skip, 'line')} above the header "
            f"({shorten_list(list(form.names), most=3)}) {'was' if form.skip == 1 else 'were'} "
            "left out"
        )
    return form


def _head(file: str, role: str, execute: Execute) -> tuple[str, bool]:
    """Return how a file begins, and whether that is all of it."""
    if not Path(file).is_file():
        # Somewhere that only the engine can read.
        lines = execute(
            "files",
            f"select line from read_csv({queries.literal(file)}, columns = {{line: 'VARCHAR'}}, "
            "header = false, delim = '\x01', quote = '', escape = '', strict_mode = false, "
            f"auto_detect = false) limit {_TITLES + _SAMPLE}",
        )
        whole = len(lines) < _TITLES + _SAMPLE
        return "".join(f"{line or ''}\n" for (line,) in lines), whole
    try:
        with _opened(file) as opened:
            content = opened.read(_HEAD)
            whole = not opened.read(1)
    except (OSError, EOFError) as error:
        what = "not in GZIP format" if isinstance(error, gzip.BadGzipFile) else error
        raise InputError(f"cannot read {role} ({file}): {what}") from error
    if b"\0" in content[:4096]:
        utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        what = "it is UTF-16: save it as UTF-8" if utf_16 else "it is not text"
        raise InputError(f"cannot read {role} ({file}) as CSV: {what}")
    return content.decode("utf-8-sig", errors="replace"), whole


def _opened(file: str) -> IO[bytes]:
    return gzip.open(file) if file.lower().endswith(".gz") else Path(file).open("rb")  # type: ignore[return-value]


def _records(
    lines: str | Iterable[str], delimiter: str, quote: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with its first line."""
    if isinstance(lines, str):
        lines = io.StringIO(lines, newline="")
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error:
            return  # the engine says what is wrong, and in which line
        if record is None:
            return
        if record:
            yield line, record


def _file_records(file: str, form: Form) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the records of a whole file, each with its line."""
    with _opened(file) as opened:
        text = io.TextIOWrapper(opened, encoding="utf-8-sig", errors="replace", newline="")
        lines = itertools.islice(text, form.skip, None)
        for line, record in _records(lines, form.delimiter, form.quote):
            yield form.skip + line, record


def _first_records(head: str, delimiter: str, quote: str) -> list[tuple[int, list[str]]]:
    """Return the records that settle how a file is written; fewer, if they are wide."""
    records: list[tuple[int, list[str]]] = []
    values = 0
    for line, record in _records(head, delimiter, quote):
        records.append((line, record))
        values += len(record)
        if len(records) == _TITLES + _SAMPLE or (values > _MOST_VALUES and len(records) > 5):
            break
    return records


def _known(record: list[str], wanted: Wanted) -> int:
    """Return how many of the columns that are read a record names."""
    asked = {name.lower() for name in (wanted.names or ())} | set(wanted.in_conditions)
    asked |= {name.lower() for name in (wanted.text or ())}
    return len(asked & {value.lower() for value in record})


def _share(rows: list[list[str]], width: int) -> float:
    return sum(len(row) == width for row in rows) / len(rows) if rows else 0.0


def _has_quoted_column(head: str, delimiter: str, place: int) -> bool:
    """Whether apostrophes surround all values of a column."""
    rows = [record for _, record in itertools.islice(_records(head, delimiter, '"'), _SAMPLE)]
    columns = itertools.zip_longest(*rows[place + 1 :], fillvalue="")
    return any(all(re.fullmatch(r"'.*'", value, re.S) for value in column) for column in columns)


def _is_about_quotes(cause: BaseException) -> bool:
    return "unterminated quote" in str(cause)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
