"""Names and texts as each engine reads them: what is quoted, and how.

sqlglot doubles the quotes in a name for every engine, but ClickHouse and BigQuery read backslashes
in names as well, so that a name could end early there. The rules are therefore written down here,
and sqlglot is told to use them.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import ibis.backends.sql.dialects  # noqa: F401  # teaches sqlglot DataFusion's
import sqlglot
import sqlglot.expressions as sge
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokens import TokenType

from prime_sql.engine.errors import OptionError, shorten

# Engines that quote names in backticks; the others in double quotes.
_BACKTICKS = ("spark", "databricks", "bigquery")
# Engines that read a backslash in a name, and in a text, as the beginning of an escape.
_BACKSLASH_IN_NAMES = ("clickhouse", "bigquery")
_BACKSLASH_IN_TEXTS = ("spark", "databricks", "snowflake", "bigquery", "redshift", "clickhouse")
# Engines that read two texts side by side, as two quotes would make of one, as one text or not at
# all.
_NO_DOUBLED_QUOTES = ("spark", "databricks", "bigquery")
# Escapes that mean the same in all of these engines.
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

# The longest name of a column, and in what that is counted. PostgreSQL and Redshift cut off the
# rest, so that two names could mean one column.
_LONGEST = {
    "postgres": (63, "bytes"),
    "redshift": (127, "bytes"),
    "snowflake": (255, "characters"),
    "databricks": (255, "characters"),
    "bigquery": (300, "characters"),
}


def identifier(name: str | tuple[str, ...], dialect: str = "duckdb") -> str:
    """Quote a name (column, table) for `dialect`; the parts of a tuple are joined by dots."""
    if isinstance(name, tuple):
        return ".".join(identifier(part, dialect) for part in name)
    quote = "`" if dialect in _BACKTICKS else '"'
    if dialect in _BACKSLASH_IN_NAMES:
        return f"{quote}{_escaped(name, quote)}{quote}"
    return f"{quote}{name.replace(quote, quote * 2)}{quote}"


def literal(value: str | int | float | None, dialect: str = "duckdb") -> str:
    """Write a value as a literal of `dialect`."""
    if not isinstance(value, str):
        return str(sge.convert(value).sql(dialect))
    if dialect not in _BACKSLASH_IN_TEXTS:
        return "'" + value.replace("'", "''") + "'"
    if dialect in _NO_DOUBLED_QUOTES:
        return f"'{_escaped(value, chr(39))}'"
    return "'" + _escaped(value).replace("'", "''") + "'"


def _escaped(text: str, quote: str = "") -> str:
    escapes = _ESCAPES | ({quote: f"\\{quote}"} if quote else {})
    return "".join(escapes.get(letter, letter) for letter in text)


def check_name(name: str, dialect: str, option: str) -> None:
    """Refuse the name of a column that no table of the engine can have.

    Raises
    ------
    OptionError
        When it is too long, or holds a null character.
    """
    if "\0" in name:
        raise OptionError(
            f"{option}: the name {shorten(name)} holds a null character, which SQL cannot write; "
            "rename the column"
        )
    most, unit = _LONGEST.get(dialect, (math.inf, ""))
    length = len(name.encode()) if unit == "bytes" else len(name)
    if length > most:
        raise OptionError(
            f"{option}: the name {shorten(name)} has {length:,} {unit}, but {dialect} knows at "
            f"most {most} of a column's name; give the name that the column has there, or make a "
            "view with a shorter one"
        )


def parse(text: str, dialect: str) -> list[sge.Expression | None]:
    """Parse statements, or one expression, of a dialect.

    Raises
    ------
    sqlglot.errors.SqlglotError
        When sqlglot cannot read it.
    """
    marked, names = _marked(text, dialect)
    parsed: list[sge.Expression | None] = sqlglot.parse(marked, read=dialect)
    for tree in filter(None, parsed):
        _name(tree, names)
    return parsed


def parse_table(text: str, dialect: str) -> sge.Expression:
    """Parse the name of a table; what comes back may be something else.

    Raises
    ------
    sqlglot.errors.SqlglotError
        When sqlglot cannot read it.
    """
    marked, names = _marked(text, dialect)
    return _name(sqlglot.parse_one(marked, into=sge.Table, read=dialect), names)


def _marked(text: str, dialect: str) -> tuple[str, dict[str, str]]:
    """Put plain names in the places of quoted ones; return also what they stand for.

    Which escapes sqlglot undoes in a name depends on its version, and less on the dialect.
    """
    if dialect == "bigquery" and re.search(r"(?<!\\)(\\\\)*\\`", text):
        raise sqlglot.errors.ParseError("sqlglot would end a name at its escaped backtick")
    names: dict[str, str] = {}
    for token in reversed(sqlglot.tokenize(text, read=dialect)):
        quoted = text[token.start : token.end + 1]
        # BigQuery's quotes may hold the whole path of a table, whose parts need none.
        path = dialect == "bigquery" and "." in quoted
        if token.token_type == TokenType.IDENTIFIER and not path:
            mark = f"prime_sql_name_{len(names) + 1}"
            names[mark] = _name_of(quoted, dialect)
            text = text[: token.start] + quoted[0] + mark + quoted[-1] + text[token.end + 1 :]
    return text, names


def _name(tree: sge.Expression, names: dict[str, str]) -> sge.Expression:
    for name in tree.find_all(sge.Identifier):
        if name.args.get("quoted"):
            name.set("this", names.get(name.name, name.name))
    return tree


def _name_of(quoted: str, dialect: str) -> str:
    """Return the name that is written in quotes."""
    quote, inner = quoted[0], quoted[1:-1].replace(quoted[-1] * 2, quoted[-1])
    if dialect not in _BACKSLASH_IN_NAMES:
        return inner
    letters = {escape[1]: letter for letter, escape in (_ESCAPES | {quote: f"\\{quote}"}).items()}
    return re.sub(r"\\(.)", lambda found: letters.get(found[1], found[0]), inner, flags=re.DOTALL)


def written(tree: sge.Expression, dialect: str, **options: Any) -> str:
    """Return a tree of sqlglot as SQL of `dialect`, with names and texts quoted as above."""
    generator = _generator(dialect)(dialect=Dialect.get_or_raise(dialect), **options)
    return str(generator.generate(tree))


@cache
def _generator(dialect: str) -> Any:
    """Return sqlglot's generator of a dialect, with our rules for what is quoted."""
    base: Any = Dialect.get_or_raise(dialect).generator_class

    def name(self: Any, tree: sge.Identifier) -> str:
        if not tree.args.get("quoted"):
            return str(base.identifier_sql(self, tree))
        # A line break would be indented, like any other.
        return str(self._replace_line_breaks(identifier(tree.name, dialect)))

    def value(self: Any, tree: sge.Literal) -> str:
        if not tree.is_string:
            return str(base.literal_sql(self, tree))
        return str(self._replace_line_breaks(literal(tree.this, dialect)))

    rules = {**base.TRANSFORMS, sge.Identifier: name, sge.Literal: value}
    return type("Generator", (base,), {"TRANSFORMS": rules})


def teach_sqlglot() -> None:
    """Let Ibis, which writes SQL through sqlglot, quote names for ClickHouse as ClickHouse does."""
    Dialect.get_or_raise("clickhouse").__class__.generator_class = _generator("clickhouse")
