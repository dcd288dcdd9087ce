"""Find, read and render the SQL files of `queries/`.

A file holds one question; its path is that of the module that asks it. Its header, the comment
lines at the top, is data: the question on the first line, then ``reads:``, ``uses:`` (a relation
that has to be made first), ``asked as:`` (the name of a question that users ask by name),
``parameter NAME [= DEFAULT]:`` and ``returns:`` entries. A folder named after an engine overrides
files of the same path.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2
import sqlglot
from sqlglot.tokens import TokenType

from prime_sql.engine.errors import QueryError, did_you_mean
from prime_sql.engine.quoting import identifier as identifier
from prime_sql.engine.quoting import literal as literal

# An installed package carries the files inside it; a checkout has them beside the package.
_PACKAGE = Path(__file__).parent.parent
_PACKAGED = _PACKAGE / "queries"
FOLDER = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "queries"

_ENTRY = re.compile(
    r"^(reads|uses|asked as|returns|parameter (?P<name>\w+)(?: = (?P<default>[^:]*))?): "
    r"(?P<text>.*)$"
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a query; its default is a Python literal, or None if it is required."""

    name: str
    default: str | None
    text: str


@dataclass(frozen=True)
class Query:
    """One file of `queries/`: its header as data, and its template."""

    name: str
    path: Path
    question: str
    reads: str
    uses: str
    asked_as: str
    returns: str
    parameters: tuple[Parameter, ...]
    template: str

    def render(self, dialect: str = "duckdb", /, **values: Any) -> str:
        """Return the SQL text, with `values` inserted through the quoting filters.

        Raises
        ------
        QueryError
            When a declared parameter is missing or an undeclared one is given.
        """
        known = [parameter.name for parameter in self.parameters]
        for name in values:
            if name not in known:
                hint = did_you_mean(name, known) or f" It has: {', '.join(known) or 'none'}."
                raise QueryError(f"{self.name} has no parameter {name!r}.{hint}")
        for parameter in self.parameters:
            if parameter.name not in values:
                if parameter.default is None:
                    raise QueryError(
                        f"{self.name} needs the parameter {parameter.name!r}: {parameter.text}"
                    )
                values[parameter.name] = ast.literal_eval(parameter.default)
        try:
            return _compiled(self.template, dialect).render(values).strip()
        except jinja2.UndefinedError as error:
            raise QueryError(f"{self.path.name}: {error}") from error


@cache
def find(name: str, plans: str | None = None) -> Query:
    """Return a query, or its override in the folder `plans`.

    File names carry a number for reading order, which callers leave out: ``discovery/classes`` is
    ``discovery/02_classes.sql``.
    """
    folder, _, stem = name.rpartition("/")
    for base in (FOLDER / plans / folder, FOLDER / folder) if plans else (FOLDER / folder,):
        for path in sorted(base.glob("*.sql")):
            if _stem(path) == stem:
                return _read(path)
    known = names(folder)
    raise QueryError(
        f"there is no question {stem!r}.{did_you_mean(stem, known)} Known: {', '.join(known)}."
    )


def names(folder: str) -> list[str]:
    """Return the names of the queries in a folder, in reading order."""
    return [_stem(path) for path in sorted((FOLDER / folder).glob("*.sql"))]


def questions() -> list[Query]:
    """Return the named questions: those with ``asked as:`` in their header."""
    found = [_read(path) for path in sorted(FOLDER.joinpath("questions").rglob("*.sql"))]
    return [query for query in found if query.asked_as]


def question(name: str) -> Query:
    """Return the named question.

    Raises
    ------
    QueryError
        When there is no such question; the message lists those that exist.
    """
    known = {each.asked_as: each for each in questions()}
    if name not in known:
        raise QueryError(
            f"there is no question {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
        )
    return known[name]


def all_queries() -> list[Query]:
    """Return every query there is, overrides included, in the order of the folder listing."""
    return [_read(path) for path in sorted(FOLDER.rglob("*.sql"))]


@lru_cache(maxsize=64)
def statements(script: str, dialect: str = "duckdb") -> tuple[str, ...]:
    """Split a script into its statements, without semicolons; comments between them are dropped."""
    found, start, empty = [], 0, True
    for token in sqlglot.tokenize(script, read=dialect):
        if token.token_type == TokenType.SEMICOLON:
            if not empty:
                found.append(script[start : token.start].strip())
            start, empty = token.end + 1, True
        else:
            empty = False
    return tuple(found) if empty else (*found, script[start:].strip())


def _stem(path: Path) -> str:
    return re.sub(r"^\d+_", "", path.stem)


@cache
def _read(path: Path) -> Query:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = []
    for line in lines:
        if not line.startswith("--"):
            break
        header.append(line.removeprefix("--"))
    entries: list[str] = []
    for line in header:
        # A line indented further belongs to the entry above it.
        if line.startswith("   ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    question: list[str] = []
    reads = uses = asked_as = returns = ""
    parameters = []
    for entry in entries:
        match = _ENTRY.match(entry)
        if match is None:
            question.append(entry)
        elif match["name"]:
            parameters.append(Parameter(match["name"], match["default"], match["text"]))
        elif entry.startswith("reads"):
            reads = match["text"]
        elif entry.startswith("uses"):
            uses = match["text"]
        elif entry.startswith("asked as"):
            asked_as = match["text"]
        else:
            returns = match["text"]
    return Query(
        name=_stem(path),
        path=path,
        question=" ".join(question),
        reads=reads,
        uses=uses,
        asked_as=asked_as,
        returns=returns,
        parameters=tuple(parameters),
        template="\n".join(lines[len(header) :]),
    )


@cache
def _compiled(template: str, dialect: str) -> jinja2.Template:
    return _environment(dialect).from_string(template)


@cache
def _environment(dialect: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["identifier"] = lambda name: identifier(name, dialect)
    environment.filters["literal"] = lambda value: literal(value, dialect)
    environment.filters["number"] = _number
    return environment


def _number(value: Any) -> str:
    """Write a number, which a command line passes as text."""
    try:
        number = float(value)
        return repr(int(number)) if number == int(number) else repr(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"this parameter takes a number, got {value!r}") from error


def readme() -> str:
    """Return the text of ``queries/README.md``."""
    lines = [
        "# The SQL files",
        "",
        "One question per file, in reading order. This page is made from their headers and the",
        "README of each folder, by `make queries/README.md`.",
    ]
    for folder in sorted({path.parent for path in FOLDER.rglob("*.sql")}, key=_reading_order):
        title, _, about = (folder / "README.md").read_text(encoding="utf-8").partition("\n")
        lines += ["", f"#{title}", "", about.strip()]
        for path in sorted(folder.glob("*.sql")):
            query = _read(path)
            lines += ["", f"### {path.name}", "", query.question, ""]
            lines += [f"- reads: {query.reads or 'nothing'}"]
            lines += [f"- uses: {query.uses}"] if query.uses else []
            lines += [f"- asked as: {query.asked_as}"] if query.asked_as else []
            for parameter in query.parameters:
                default = "" if parameter.default is None else f" (default `{parameter.default}`)"
                lines += [f"- parameter `{parameter.name}`{default}: {parameter.text}"]
            lines += [f"- returns: {query.returns or 'nothing'}"]
    return "\n".join(lines)


def _reading_order(folder: Path) -> tuple[bool, str]:
    """Return a key that sorts overrides last."""
    path = folder.relative_to(FOLDER)
    return path.parts[0] in ("duckdb", "spark"), str(path)


if __name__ == "__main__":
    print(readme())


def filled(sql: str, verbatim: dict[str, str] | None, dialect: str = "duckdb") -> str:
    """Replace words by the conditions, in the engine's own dialect, that they stand for."""
    if not verbatim:
        return sql
    # Token by token: a user's column, or a condition, may hold such a word as well.
    for token in reversed(sqlglot.tokenize(sql, read=dialect)):
        if token.token_type == TokenType.VAR and token.text in verbatim:
            sql = f"{sql[: token.start]}({verbatim[token.text]}){sql[token.end + 1 :]}"
    return sql
