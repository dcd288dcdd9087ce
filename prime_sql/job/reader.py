"""From parsed TOML to the sections of a job file, noting all that is wrong."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from prime_sql.engine.errors import PrimeSqlError, cut, did_you_mean, shorten
from prime_sql.engine.options import Options
from prime_sql.job.sections import Chance, Columns, Gates, JobFile, Sources, Validation, keys

Section = TypeVar("Section")

# Names, which a run's record must spell out: they take no environment variables.
_PLAIN = {"name", "split", "group_by", "method", "question", "table"}
_PLAIN |= {column.name for column in dataclasses.fields(Columns)}


class Reader:
    """Turns parsed TOML into sections, and notes all that is wrong on the way."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self.problems: list[str] = []
        self._text = text

    def section(self, section: type[Section], table: Any, path: str) -> Section | None:
        """Return the section, or None if something in it is wrong."""
        before = len(self.problems)
        values = self.table(section, table, path)
        return None if len(self.problems) > before else section(**values)

    def table(self, section: type, table: Any, path: str) -> dict[str, Any]:
        """Return the values of the keys that are given."""
        if not isinstance(table, dict):
            self.problems.append(f"{path} must be a section, [{path}], got {shorten(table)}")
            return {}
        known = keys(section)
        for name in table:
            if name not in known:
                self.problems.append(f"{_in(path, name)}: {_unknown(name, path, known)}")
        for name, key in known.items():
            if key.required and name not in table:
                self.problems.append(f"{_in(path, name)} is missing: {_lower(key.doc)}")
        return {
            name: self.value(key.hint, table[name], _in(path, name), name in _PLAIN)
            for name, key in known.items()
            if name in table
        }

    def value(self, hint: Any, value: Any, path: str, plain: bool = False) -> Any:
        """Return a value of the type `hint`; note a problem if it has another type."""
        origin, of = get_origin(hint), get_args(hint)
        if hint is Options:
            return self.table(Options, value, path)
        if dataclasses.is_dataclass(hint):
            return self.section(hint, value, path)  # type: ignore[arg-type]
        if origin is dict and isinstance(value, dict):
            return {key: self.value(of[1], each, _in(path, key)) for key, each in value.items()}
        if origin is tuple and isinstance(value, list):
            each_path = f"{path}[{{}}]"
            return tuple(
                self.value(of[0], each, each_path.format(i), plain)
                for i, each in enumerate(value, 1)
            )
        if origin in (Union, UnionType):
            fitting = [each for each in of if _fits(each, value)]
            if fitting:
                return self.value(fitting[0], value, path, plain)
        elif origin is Literal and value in of:
            return value
        elif _fits(hint, value):
            return self.text(value, path, plain) if hint is str else value
        self.problems.append(f"{path} must be {_name_of(hint)}, got {shorten(value)}")
        return None

    def text(self, value: str, path: str, plain: bool) -> str:
        """Return a text with the values of its environment variables."""
        if not value.strip():
            self.problems.append(f"{path} must not be empty")
        elif "\0" in value:
            self.problems.append(
                f"{path} holds a null character, which no name, path or SQL can: {shorten(value)}"
            )
        elif plain:
            if "${" in value.replace("$${", ""):
                self.problems.append(
                    f"{path} is a name, and takes no environment variable: {shorten(value)}"
                )
            return value.replace("$${", "${")
        else:
            try:
                expanded = self._text(value)
            except PrimeSqlError as error:
                self.problems.append(f"{path}: {error}")
            else:
                if not expanded.strip():
                    self.problems.append(f"{path} is empty: {value}")
                return expanded
        return value


def _in(path: str, name: str) -> str:
    shown = cut(name, 60) if re.fullmatch(r"[\w-]+", name) else shorten(name, 60)
    return f"{path}.{shown}" if path else shown


def _lower(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


def _unknown(name: str, path: str, known: Iterable[str]) -> str:
    """Say what to write instead of an unknown key."""
    homes = {"": JobFile, "columns": Columns, "options": Options, "validation": Validation}
    homes |= {"sources": Sources, "chance": Chance, "gates": Gates}
    for home, section in homes.items():
        if home != path and name in keys(section):
            return f"it belongs {f'in [{home}]' if home else 'at the top of the file'}"
    return f"there is no such key.{did_you_mean(name, known) or ' Known: ' + ', '.join(known)}"


def _fits(hint: Any, value: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, list)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    if dataclasses.is_dataclass(hint):
        return True  # its own problems say more
    return isinstance(hint, type) and isinstance(value, hint)


def _name_of(hint: Any) -> str:
    """Return a type in words."""
    of = [each for each in get_args(hint) if each is not NoneType]
    if get_origin(hint) is tuple:
        return f"a list [ … ] of {_name_of(of[0]).removeprefix('a ')}s"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, of))}"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_name_of(each) for each in of)
    if get_origin(hint) is dict:
        return "a section"
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, "a section")
