"""What the compiled statements are made of, and whether each dialect has it."""

import functools
import itertools
import re
import tomllib
from pathlib import Path

import pytest
import sqlglot
import sqlglot.expressions as sge
from sqlglot.tokens import TokenType

import prime_sql as ps
from prime_sql.engine.defaults import DIALECTS
from tests import tables as data
from tests.discovery.statements import CASES, OPTIONS

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

# What each engine has, by the page that says so.
HAVE = tomllib.loads((Path(__file__).parents[1] / "constructs.toml").read_text("utf-8"))

NAMES = set(HAVE.pop("names").split())

TEXTS = {"image_id", "label", "prediction", "class_name", "tag", "tags"}


def constructs(text, dialect):
    """What a statement is made of, as it is written, and the names in it.

    Words, functions as ``F()``, operators, kinds of literals, and what depends on its place.
    """
    found, names = set(), set()
    for statement in filter(None, sqlglot.parse(text, read=dialect)):
        names |= {each.name for each in statement.find_all(sge.Identifier)}
        for inner in statement.find_all(sge.With):
            around = inner.find_ancestor(sge.CTE, sge.Create)
            if around is not None:
                found.add("WITH-in-WITH" if isinstance(around, sge.CTE) else "WITH-in-CREATE")
        for division in statement.find_all(sge.Div):
            above = division.this.unnest()
            is_double = isinstance(above, sge.Cast) and above.to.is_type("double")
            found |= set() if is_double else {"/-of-whole-numbers"}
        for each in statement.find_all(sge.Ordered, sge.EQ):
            if each.this.name in TEXTS:
                found.add("ORDER-of-text" if isinstance(each, sge.Ordered) else "=-of-text")
        for select in statement.find_all(sge.Select):
            read = {
                column.name
                for part in select.selects
                for column in part.find_all(sge.Column)
                if not column.table
            }
            made = {part.alias for part in select.selects if isinstance(part, sge.Alias)}
            found |= {"alias-of-a-read-column"} if made & read else set()
    words = {name.upper() for name in names}
    depth = 0  # of parentheses, from OVER on
    for before, token in itertools.pairwise([None, *sqlglot.tokenize(text, read=dialect)]):
        written = text[token.start : token.end + 1]
        if token.token_type == TokenType.STRING:
            found |= {"'text'"} | {name for name in ("'\\'", "'''") if name[1] in token.text}
        elif token.token_type == TokenType.NUMBER:
            found.add("1e-9" if "e" in written else "0.5" if "." in written else "1")
        elif written[0] in '"`':
            found.add('"name"')
        elif written.upper() == "ALL":
            found.add(f"{before.text.upper()}-ALL")
        elif re.match(r"\w", written):
            call = "()" if text[token.end + 1 : token.end + 2] == "(" else ""
            found |= {word + call for word in written.upper().split() if call or word not in words}
        elif written not in ("(", ")", ",", ".", ";"):
            found.add(written)
        if depth or (written == "(" and before.text.upper() == "OVER"):
            depth += (written == "(") - (written == ")")
            found |= {"NULLS-in-OVER"} if "NULLS" in written else set()
    found |= {mark for mark in ("--", "/*") if mark in text}
    return found, names


@functools.cache
def every_statement(dialect):
    """All that the cases are compiled to, with and without absent tags, as one and as a script."""
    return [
        ps.compile(
            *("marts.predictions", "marts.tags"),
            dialect=dialect,
            script=script,
            **{**data.OPTIONS, **case},
        )
        for case in [*CASES, OPTIONS]
        for script in (False, True)
    ]


def test_every_dialect_is_executed_or_looked_up():
    executed = {"duckdb", "postgres", "spark", "clickhouse", "datafusion"}
    assert {*HAVE} == {*DIALECTS} - executed


def test_the_listed_names_are_those_of_the_statements_made_of_them():
    written = {
        re.sub(r"_\d+$", "_1", name.removeprefix("prime_sql_"))
        for dialect in HAVE
        for text in every_statement(dialect)
        for name in constructs(text, dialect)[1]
    }
    assert not NAMES - written, "is listed, but no longer written"


@pytest.mark.parametrize("dialect", HAVE)
def test_a_dialect_has_all_that_its_statements_are_made_of(dialect):
    listed = {}
    for kind in ("read", "known"):
        for page, those in HAVE[dialect][kind].items():
            for construct in those.split():
                assert construct not in listed, f"{dialect}: {construct} is on two pages"
                listed[construct] = page
    used, names = set(), set()
    for text in every_statement(dialect):
        found = constructs(text, dialect)
        used |= found[0]
        names |= found[1]
    assert not used - listed.keys(), (
        f"compile writes {sorted(used - listed.keys())} for {dialect}, which stands in no list of "
        f"tests/constructs.toml: does {HAVE[dialect]['documentation']} say that it has it?"
    )
    assert not listed.keys() - used, "is listed, but no longer written"
    ours = {re.sub(r"_\d+$", "_1", name.removeprefix("prime_sql_")) for name in names}
    theirs = {"marts", "region", "split", "truth", "camera"}
    assert not ours - NAMES - theirs, (
        f"is it a reserved word of {dialect}? Look at {HAVE[dialect]['reserved_words']}"
    )


def test_what_is_executed_on_spark_is_what_databricks_gets():
    for spark, databricks in zip(*map(every_statement, ("spark", "databricks")), strict=True):
        spark, databricks = (text.partition("\n")[2] for text in (spark, databricks))
        assert spark.replace(" using parquet", "") == databricks
