"""How a command line is read and its help is written."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from prime_sql.engine.errors import cut


@contextmanager
def _cut_short() -> Iterator[None]:
    """Cut what typer says is wrong with the command line, which repeats what was typed."""
    try:
        yield
    except Exception as error:
        if isinstance(getattr(error, "message", None), str):
            error.message = cut(error.message)  # type: ignore[attr-defined]
        raise


class Group(TyperGroup):
    """All commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of this name."""
        with _cut_short():
            return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the command."""
        # To find out that the None of a flag that nobody gave, such as --install-completion, is
        # None, typer imports Pydantic: half of the time of a help text. It leaves False alone.
        for parameter in self.get_params(ctx):
            if getattr(parameter, "is_flag", False) and parameter.default is None:
                parameter.default = False
        with _cut_short():
            return super().parse_args(ctx, args)


class Command(TyperCommand):
    """A command whose help groups the options, and shows examples as they are typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments and options; refuse an empty one.

        It is what a shell makes of a variable that is not set. As a path it would be the working
        folder.
        """
        with _cut_short():
            rest = super().parse_args(ctx, [*args])
            given, _, _ = self.make_parser(ctx).parse_args(args=[*args])
            parameters: list[Any] = self.get_params(ctx)  # of a class that typer keeps to itself
            for parameter in parameters:
                values = given.get(parameter.name)
                for value in values if isinstance(values, list | tuple) else [values]:
                    if isinstance(value, str) and not value.strip():
                        raise typer.BadParameter(
                            "it is empty; give a value, or leave it out", ctx=ctx, param=parameter
                        )
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
                title = getattr(parameter, "rich_help_panel", None) or kind
                sections.setdefault(title, []).append(record)
        sections["Options"] = sections.pop("Options")  # last, as --help is one of them
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, line by line."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in inspect.cleandoc(self.epilog).splitlines():
                    formatter.write(f"  {line}\n")
