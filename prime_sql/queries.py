"""Find, read and render the SQL files of `queries/`.

A file holds one question. Its header, the comment lines at the top, is data: the question on
the first line, then ``reads:``, ``parameter NAME [= DEFAULT]:`` and ``returns:`` entries. A folder
named after a dialect overrides a file of the same path.
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
import sqlglot.expressions as sge
from sqlglot.tokens import TokenType

from prime_sql.errors import QueryError, did_you_mean

# An installed package carries the files inside it; a checkout has them beside the package.
_PACKAGED = Path(__file__).parent / "queries"
FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent / "queries"

_ENTRY = re.compile(
    r"^(reads|returns|parameter (?P<name>\w+)(?: = (?P<default>[^:]*))?): (?P<text>.*)$"
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a query; its default is a Python literal, or None where it must be given."""

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
    returns: str
    parameters: tuple[Parameter, ...]
    template: str

    def render(self, dialect: str = "duckdb", /, **values: Any) -> str:
        """Return the SQL text, with `values` put in through the two quoting filters.

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
    """Return the query ``folder/name``, or its override in the folder `plans`.

    File names carry a number for reading order (``search/03_classes.sql``) that callers leave out.
    """
    folder, _, stem = name.partition("/")
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
    """Return the named questions: those of ``ask/``, and the files of ``rank/`` without a number.

    The numbered ones there are steps towards a cover.
    """
    found = [find(f"ask/{name}") for name in names("ask")]
    ranking = sorted((FOLDER / "rank").glob("[!0-9]*.sql"))
    return found + [_read(path) for path in ranking]


def question(name: str) -> Query:
    """Return the named question.

    Raises
    ------
    QueryError
        When there is none of this name; the message lists them.
    """
    known = {each.name: each for each in questions()}
    if name not in known:
        raise QueryError(
            f"there is no question {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
        )
    return known[name]


def all_queries() -> list[Query]:
    """Return every query there is, overrides included, in the order of the folder listing."""
    return [_read(path) for path in sorted(FOLDER.rglob("*.sql"))]


def identifier(name: str | tuple[str, ...], dialect: str = "duckdb") -> str:
    """Quote a name (column, table) for `dialect`; of several, such as a schema's and a table's."""
    if isinstance(name, tuple):
        return ".".join(identifier(part, dialect) for part in name)
    return str(sge.to_identifier(name, quoted=True).sql(dialect))


def literal(value: str | int | float | None, dialect: str = "duckdb") -> str:
    """Write a value as a literal of `dialect`."""
    return str(sge.convert(value).sql(dialect))


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
    reads = returns = ""
    parameters = []
    for entry in entries:
        match = _ENTRY.match(entry)
        if match is None:
            question.append(entry)
        elif match["name"]:
            parameters.append(Parameter(match["name"], match["default"], match["text"]))
        elif entry.startswith("reads"):
            reads = match["text"]
        else:
            returns = match["text"]
    return Query(
        name=_stem(path),
        path=path,
        question=" ".join(question),
        reads=reads,
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
    """Write a number; a command line hands it over as text."""
    try:
        number = float(value)
        return repr(int(number)) if number == int(number) else repr(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(f"this parameter takes a number, got {value!r}") from error


_FOLDERS = {
    "vision": "Images in: 01 to 06 make the tables, 10 to 14 say what is to be done, 20 to 25 "
    "write what the models (Arrow functions) returned.",
    "search": "From predictions and tags to failure modes, in this order; the files with a `size` "
    "run once for each set size.",
    "recount": "The stored images of a run counted again, with other errors: 01 to 03 in the place "
    "of 01 to 07 of `search`.",
    "append": "New images are added to a run (`prime-sql search --append`, `run.append(…)`): 01 to "
    "17, 21 and 22 in the place of 01 to 08 of `search`; 18 to 34 add to the stored counts, in the "
    "place of 09 to 11, with 27 to 32 once for each set size from 2 on, and 34 then.",
    "greedy": "In the place of 09 of `search` from size 2 on, where a search is greedy.",
    "check": "What could be wrong with the input, or with an empty result.",
    "publish": "Into schema `prime`, in one transaction.",
    "validate": "What failure modes are worth: 01 to 07 tell them from chance, 20 to 30 check them "
    "on unseen data.",
    "ask": "Named questions: `prime-sql query DB NAME --param NAME=VALUE`, `run.query(NAME, …)`.",
    "rank": "Few instead of many: 01 to 05 pick a cover (`prime-sql top`, `run.cover()`); the "
    "others are named questions.",
    "explain": "One failure mode, from all sides: `prime-sql explain`, `run.explain(MODE_ID)`.",
    "sweep": "A grid of thresholds, from the counts of one run: `prime-sql sweep`, `run.sweep(…)`.",
    "compare": "Two runs, mode by mode: 01 and 02 run where each run lives, then 03 to 06 on what "
    "they counted. `prime-sql compare`, `ps.compare(a, b)`.",
    "history": "The failure modes of a run through those before it, counted by 02 of `compare`: "
    "`prime-sql history`, `run.history()`.",
    "gate": "Which failure modes are a reason to stop? `--fail-on`, `prime-sql gate`.",
    "pick": "Act: 01 to 08 find images to label (`prime-sql pick`, `run.pick(MODE_ID, POOL)`), "
    "20 to 25 weigh images to train on (`prime-sql weights`, `run.weights(…)`).",
    "report": "A report, from the stored tables: 03 to 07 for the failure modes with a card, the "
    "others for all. `prime-sql report`, `run.report()`.",
    "compile": "The search as one SELECT (`prime-sql compile`): 01 and 02 read the tables, then "
    "come 01 to 14 of `search`, then 03.",
    "spark/vision": "In the place of the files of the same name, where images are in Spark.",
    "duckdb/append": "The same for an append: which errors, and which images, carry a tag as bit "
    "strings.",
    "duckdb/search": "Faster plans on DuckDB for the files of the same name: lists and bits in the "
    "place of rows. Same tag sets, same counts. 24, of this plan only, says how to count pairs.",
}


def _readme() -> str:
    """Return the text of ``queries/README.md``."""
    lines = [
        "# The SQL files",
        "",
        "One question a file, in reading order. This page is made from their headers by",
        "`make queries/README.md`.",
    ]
    for folder, about in _FOLDERS.items():
        lines += ["", f"## {folder}", "", about]
        for path in sorted((FOLDER / folder).glob("*.sql")):
            query = _read(path)
            lines += ["", f"### {path.name}", "", query.question, ""]
            lines += [f"- reads: {query.reads or 'nothing'}"]
            for parameter in query.parameters:
                default = "" if parameter.default is None else f" (default `{parameter.default}`)"
                lines += [f"- parameter `{parameter.name}`{default}: {parameter.text}"]
            lines += [f"- returns: {query.returns or 'nothing'}"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(_readme())
