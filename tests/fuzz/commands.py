"""What the commands take, from their own signatures, and a good command line for each.

A fault is put into a good one, so that a message about anything else is a wrong message.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from enum import StrEnum
from types import NoneType
from typing import Any

import typer

from prime_sql import cli

# Each is done with exit status 0 (a test does so), or fails for want of a model only (`MODEL`).
# What is in braces is a failure mode of the latest run.
GOOD = {
    "search": ["predictions.parquet", "tags.parquet", "--min-images", "4"],
    "run": ["prime.toml", "--check"],
    "top": ["runs.duckdb"],
    "report": ["runs.duckdb"],
    "chance": ["runs.duckdb"],
    "successes": ["runs.duckdb"],
    "validate": ["runs.duckdb", "predictions.parquet", "tags.parquet"],
    "explain": ["runs.duckdb", "{mode}"],
    "sweep": ["runs.duckdb"],
    "compare": ["runs.duckdb", "1", "2"],
    "history": ["runs.duckdb"],
    "gate": ["runs.duckdb", "--fail-on", "images > 1000"],
    "pick": ["runs.duckdb", "{mode}", "tags.parquet"],
    "weights": ["runs.duckdb", "predictions.parquet", "tags.parquet"],
    "sql": ["runs.duckdb", "from failure_modes"],
    "query": ["runs.duckdb", "near_misses"],
    "runs": ["runs.duckdb"],
    "init": ["predictions.parquet", "tags.parquet", "-o", "new.toml", "--db", "new.duckdb"],
    "compile": ["predictions", "tags"],
    "images": ["photos", "--db", "new.duckdb"],
    "tag": ["--db", "images.duckdb", "--tagger", "table", "--source", "tags.csv"],
    "embed": ["--db", "images.duckdb", "--model", "folder"],
    "predict": ["--db", "images.duckdb", "--model", "classify:classify"],
    "demo": ["--db", "new.duckdb"],
}
MODEL = ("embed", "predict")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command.

    Attributes
    ----------
    command
        Of which.
    name
        In Python.
    flag
        On the command line; empty for an argument.
    place
        Of an argument, its number.
    metavar
        What the help says it is.
    kind
        Its type, without None.
    """

    command: str
    name: str
    flag: str
    place: int
    metavar: str
    kind: Any

    @property
    def names(self) -> tuple[str, ...]:
        """How a message may call it."""
        bare = self.name.strip("_")
        return (*((self.flag,) if self.flag else (f"'{self.metavar}'",)), bare, bare[:-1] + "=")

    def given(self, value: str) -> list[str]:
        """Return the good command line with this value."""
        line = list(GOOD[self.command])
        if not self.flag:
            if self.place < len(line) and not line[self.place].startswith("-"):
                line[self.place] = value
                return [self.command, *line]
            return [self.command, *line[: self.place], value, *line[self.place :]]
        if self.flag in line:
            at = line.index(self.flag)
            line[at + 1] = value
            return [self.command, *line]
        if self.flag == "--output" and "-o" in line:
            line[line.index("-o") + 1] = value
            return [self.command, *line]
        return [self.command, *line, f"{self.flag}={value}"]


def parameters() -> list[Parameter]:
    """Return all parameters that take a value, of all commands."""
    found = []
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for info in cli.app.registered_commands:
        assert info.callback is not None
        name = info.name or info.callback.__name__
        hints = typing.get_type_hints(info.callback)
        place = 0
        for each in commands[name].params:
            if getattr(each, "is_flag", False):
                continue
            is_argument = each.param_type_name == "argument"
            flag = "" if is_argument else max(each.opts, key=len)
            metavar = each.metavar or ""
            found.append(Parameter(name, each.name, flag, place, metavar, _plain(hints[each.name])))
            place += is_argument
    return found


def _plain(hint: Any) -> Any:
    of = [each for each in typing.get_args(hint) if each is not NoneType]
    if typing.get_origin(hint) is list or (NoneType in typing.get_args(hint) and of):
        return _plain(of[0])
    return hint


def is_choice(parameter: Parameter) -> bool:
    """Return whether it takes one of a few words."""
    return isinstance(parameter.kind, type) and issubclass(parameter.kind, StrEnum)
