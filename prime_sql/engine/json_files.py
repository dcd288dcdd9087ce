"""JSON files as one table: the shape of each column, decided from all records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.csv_files import Execute
from prime_sql.engine.errors import InputError, shorten
from prime_sql.engine.sources import Wanted, check_alike, shape_refused

_SHAPES = {"OBJECT": "an object", "ARRAY": "a list"}


@dataclass(frozen=True)
class JsonFiles:
    """JSON files that are read as one table.

    Attributes
    ----------
    role, name
        What messages call the table, and the files.
    shapes
        Of each column: the name of a type, a list with the shape of its values, or an object with
        the shapes of its fields; ``JSON`` for values of several shapes.
    """

    role: str
    name: str
    shapes: dict[str, Any]

    @property
    def columns(self) -> list[str]:
        """The names of all columns."""
        return list(self.shapes)

    def load(
        self, relation: str, columns: Sequence[str], wanted: Wanted, execute: Execute
    ) -> dict[str, str]:
        """Make a temporary table of these columns, all that is no list or object as text.

        Returns
        -------
        dict
            The type of each column, as DuckDB calls it.

        Raises
        ------
        InputError
            When a column that names something holds objects, or lists in some records only.
        """
        types = {name: self._type(name, wanted, execute) for name in columns}
        read = ", ".join(
            f"{queries.literal(name)}: "
            f"{queries.literal(type_ if '[' in type_ or '(' in type_ else 'VARCHAR')}"
            for name, type_ in types.items()
        )
        execute(
            relation,
            f"create or replace temp table {relation} as\n"
            f"select * from read_json({queries.literal(self.name)}, columns = {{{read}}})",
        )
        return types

    def _type(self, name: str, wanted: Wanted, execute: Execute) -> str:
        shape = self.shapes[name]
        names_something = wanted.stays_text(name)
        if shape == "JSON" or (names_something and isinstance(shape, dict)):
            return self._mixed(name, names_something, execute)
        if isinstance(shape, list) and wanted.stays_text(name) and _is_json(shape[0]):
            shape = [self._items(name, execute)]
        return _type_of(shape)

    def _mixed(self, name: str, names_something: bool, execute: Execute) -> str:
        """Return the type of a column of several shapes, or of objects; refuse where none fits."""
        rows = self._kinds(f"json -> {_path(name)}", execute)
        nested = [row for row in rows if row[0] in _SHAPES]
        if not nested:
            return "VARCHAR"  # words among numbers
        if not names_something and len(rows) == len(nested) == 1:
            return _type_of(self.shapes[name])
        kind, count, example = nested[0]
        rest = sum(row[1] for row in rows) - count
        shown = f" in {count:,} rows, for example {shorten(example)}"
        if rest:
            shown += f", and something else in {rest:,}"
        raise InputError(shape_refused(self.role, name, _SHAPES[kind], shown, _SHAPES[kind]))

    def _items(self, name: str, execute: Execute) -> Any:
        """Return the shape of the values of lists, which have several."""
        rows = self._kinds(f"unnest(cast(json -> {_path(name)} as json[]))", execute)
        nested = [row for row in rows if row[0] in _SHAPES]
        if not nested:
            return "VARCHAR"
        kind, count, example = nested[0]
        shown = f", {count:,} times, for example {shorten(example)}"
        what = f"a list with {_SHAPES[kind]} in it"
        raise InputError(shape_refused(self.role, name, what, shown, _SHAPES[kind]))

    def _kinds(self, value: str, execute: Execute) -> list[tuple[str, int, str]]:
        """Return each JSON type of a value, how often there is one, and an example."""
        return execute(
            "files",
            "select json_type(value), count(*), cast(any_value(value) as varchar) from "
            f"(select {value} as value from {_records(self.name)}) "
            "where value is not null and json_type(value) <> 'NULL' group by all order by all",
        )


def open_json(name: str, role: str, wanted: Wanted, execute: Execute) -> JsonFiles:
    """Find the columns of JSON files, and their shapes, from all records.

    Raises
    ------
    InputError
        When a record is no object, or columns that are read differ only in case.
    """
    records = _records(name)
    ((text,),) = execute("files", f"select json_group_structure(json) from {records}")
    shapes = json.loads(text) if text else {}
    if not isinstance(shapes, dict):
        found = execute(
            "files", f"select json from {records} where json_type(json) <> 'OBJECT' limit 1"
        )
        example = f", for example {shorten(found[0][0])}" if found else ""
        raise InputError(
            f"{role} ({name}): each record has to be an object such as "
            f'{{"image_id": …}}, but some are not{example}'
        )
    check_alike(shapes, f"{role} ({name})", wanted)
    return JsonFiles(role, name, shapes)


def _records(name: str) -> str:
    return f"read_json_objects({queries.literal(name)})"


def _path(name: str) -> str:
    return queries.literal("$." + json.dumps(name, ensure_ascii=False))


def _is_json(shape: Any) -> bool:
    return shape == "JSON" or isinstance(shape, dict)


def _type_of(shape: Any) -> str:
    """Return the type of DuckDB for a shape."""
    if isinstance(shape, list):
        return f"{_type_of(shape[0])}[]"
    if isinstance(shape, dict):
        fields = ", ".join(
            f"{queries.identifier(name)} {_type_of(field)}" for name, field in shape.items()
        )
        return f"STRUCT({fields})"
    return "VARCHAR" if shape == "NULL" else str(shape)
