"""Text files, CSV and JSON, become a table of the session."""

from __future__ import annotations

from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.column_types import typed_columns
from prime_sql.engine.csv_files import Execute, open_csv
from prime_sql.engine.json_files import open_json
from prime_sql.engine.sources import JSON, Wanted


def load_text(
    name: str, role: str, relation: str, wanted: Wanted, execute: Execute
) -> tuple[list[str], dict[str, str]]:
    """Make the temporary table `relation` of the columns that are read.

    Parameters
    ----------
    name
        A file or glob.
    role
        What messages call the table.
    wanted
        Which columns are read, and as what.
    execute
        Runs a statement of DuckDB.

    Returns
    -------
    list, dict
        The names of all columns; and for those that were read with a type and as text, the name of
        the second column.

    Raises
    ------
    InputError
        When the files cannot be read for sure.
    """
    known: dict[str, str] | None = None
    if name.lower().endswith(JSON):
        files: Any = open_json(name, role, wanted, execute)
        read = wanted.among(files.columns)
        types = files.load(relation, read, wanted, execute)
        nested = {name for name, type_ in types.items() if "[" in type_ or "(" in type_}
        known = {name: type_ for name, type_ in types.items() if name not in nested}
    else:
        files = open_csv(name, role, wanted, execute)
        read = wanted.among(files.columns)
        nested = set()
        if wanted.flags:
            flags = {column.lower() for column in read if not wanted.stays_text(column)}
            # Thousands of columns of text would take longer than the search.
            if files.load(relation, read, execute, flags=flags):
                return files.columns, {}
        files.load(relation, read, execute)
    asked = [
        column
        for column in read
        if column not in nested
        and not wanted.flags
        and (
            not wanted.stays_text(column)
            or column.lower() in wanted.in_conditions
            or column in wanted.numbers
        )
    ]
    typed = typed_columns(relation, role, asked, wanted, execute, known)
    written = {
        column: f"text of {column}"
        for column in typed
        if wanted.stays_text(column) and column not in wanted.numbers
    }
    if typed:
        terms = [
            f"{typed.get(column, queries.identifier(column))} as {queries.identifier(column)}"
            for column in read
        ]
        terms += [
            f"{queries.identifier(column)} as {queries.identifier(beside)}"
            for column, beside in written.items()
        ]
        execute(
            relation,
            f"create temp table {relation}_typed as\nselect {', '.join(terms)} from {relation}",
        )
        execute(relation, f"drop table {relation}")
        execute(relation, f"alter table {relation}_typed rename to {relation}")
    return files.columns, written
