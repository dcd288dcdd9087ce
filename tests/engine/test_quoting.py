"""Names and texts, quoted: read back by each engine's own rules, and by sqlglot."""

import dataclasses
import json
import re

import pytest
import sqlglot
import sqlglot.expressions as sge

import prime_sql as ps
from prime_sql.engine import quoting
from prime_sql.engine.defaults import DIALECTS
from prime_sql.engine.options import Options
from tests.nasty import NAMES

# What quotes a name, whether a quote in it is doubled, and whether backslashes are escapes in a
# name and in a text; by each engine's page on lexical structure.
RULES = {
    "duckdb": ('"', True, False, False),
    "postgres": ('"', True, False, False),  # with standard_conforming_strings, the default
    "datafusion": ('"', True, False, False),
    "trino": ('"', True, False, False),
    "redshift": ('"', True, False, True),
    "snowflake": ('"', True, False, True),
    "spark": ("`", True, False, True),
    "databricks": ("`", True, False, True),
    "bigquery": ("`", False, True, True),
    "clickhouse": ('"', True, True, True),
}
# Engines where two texts side by side are not one text with a quote in it.
LONE = ("spark", "databricks", "bigquery")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"', "`": "`"}


def read(text, quote, *, doubled, backslash):
    """Return what is quoted at the beginning of `text`, and the rest of it."""
    assert text[0] == quote
    value, place = "", 1
    while True:
        letter = text[place]
        if backslash and letter == "\\":
            value += ESCAPES[text[place + 1]]
            place += 2
        elif letter == quote:
            if not (doubled and text[place + 1 : place + 2] == quote):
                return value, text[place + 1 :]
            value += quote
            place += 2
        else:
            assert not (backslash and letter in "\n\r"), "such a text ends with its line"
            value += letter
            place += 1


def test_every_dialect_has_a_rule():
    assert {*RULES} == {*DIALECTS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_name_ends_where_it_should(dialect, name):
    quote, doubled, in_names, in_texts = RULES[dialect]
    quoted = quoting.identifier(name, dialect)
    assert read(f"{quoted}|", quote, doubled=doubled, backslash=in_names) == (name, "|")
    text = quoting.literal(name, dialect)
    lone = dialect not in LONE
    assert read(f"{text}|", "'", doubled=lone, backslash=in_texts) == (name, "|")
    parts = quoting.identifier((name, name), dialect)
    assert parts == f"{quoted}.{quoted}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_sqlglot_writes_and_reads_is_the_same(dialect, name):
    tree = sge.select(sge.to_identifier(name, quoted=True), sge.Literal.string(name))
    sql = quoting.written(tree, dialect, pretty=True)
    assert quoting.identifier(name, dialect) in sql
    assert quoting.literal(name, dialect) in sql
    if dialect == "bigquery" and "`" in name:
        with pytest.raises(sqlglot.errors.SqlglotError):  # it knows no escapes there: refused
            quoting.parse(sql, dialect)
        return
    (back,) = quoting.parse(sql, dialect)
    column, text = back.selects
    whole = ".".join(part.name for part in column.parts)  # BigQuery's quotes may hold a path
    assert (whole if dialect == "bigquery" else column.name) == name
    assert text.this == name


def test_numbers_are_written_as_before():
    for dialect in DIALECTS:
        assert quoting.literal(3, dialect) == "3"
        assert quoting.literal(None, dialect) == "NULL"


@pytest.mark.parametrize(
    ("dialect", "longest", "unit"),
    [
        ("postgres", "é" * 31 + "x", "bytes"),
        ("redshift", "é" * 63 + "x", "bytes"),
        ("snowflake", "é" * 255, "characters"),
        ("databricks", "é" * 255, "characters"),
        ("bigquery", "é" * 300, "characters"),
    ],
)
def test_names_that_no_column_has_are_refused(dialect, longest, unit):
    ps.compile("p", "t", dialect=dialect, label=longest)
    with pytest.raises(ps.OptionError, match=rf"^group_by: .*{dialect} knows at most \d+") as error:
        ps.compile("p", "t", dialect=dialect, group_by=("label", longest + "x"))
    assert unit in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_null_character_is_refused(dialect):
    for name in ("image_id", "label", "tag", "score", "group_by"):
        with pytest.raises(ps.OptionError, match=f"^{name}: .*null character"):
            ps.compile("p", "t", dialect=dialect, **{name: "a\0b"})
    for name in ("where", "error"):
        with pytest.raises(ps.OptionError, match=f"^{name} .*null character"):
            ps.compile("p", "t", dialect=dialect, **{name: "a = '\0'"})
    with pytest.raises(ps.OptionError, match=r"^tags: .*null character"):
        ps.compile("p", "t\0", dialect=dialect)


@pytest.mark.parametrize("script", [False, True], ids=["select", "script"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_compiled_holds_no_more_of_a_name(dialect, script):
    """With plain names in the places of the quoted ones, it is the statement of plain names."""
    nasty = [name for name in NAMES if "\x0b" not in name]
    # sqlglot knows no escapes in BigQuery's names, and takes what has a dot in it for two of them;
    # no column of BigQuery's has such a name.
    asked = [name for name in nasty if dialect != "bigquery" or not {*"`."} & {*name}]
    texts = []
    for names in (nasty, [f"A {n:02}" for n in range(len(nasty))]):
        quoted = [quoting.identifier(name, dialect) for name in names]
        kept = [quoted[nasty.index(name)] for name in asked]
        options = Options(
            label=names[0],
            image_id=names[1],
            tag=names[2],
            # In double quotes, even a plain name is quoted.
            group_by=("label", *('"' + name.replace('"', '""') + '"' for name in names)),
            where=" and ".join(f"{name} = 1" for name in kept),
        )
        text = ps.compile(
            f"marts.{kept[0]}",
            kept[1],
            dialect=dialect,
            script=script,
            **dataclasses.asdict(options),
        )
        text = re.sub(r"\A(--.*\n)+", "", text)  # a comment, on what it was made from
        groups = json.dumps(["label", *names[1:]])
        groups = quoting.literal(groups.replace('"label"', '"label", "label"', 1), dialect)
        texts.append((text, groups, quoted))
    (text, groups, quoted), (plain, plain_groups, plain_quoted) = texts
    text = text.replace(groups, plain_groups)
    for name, other in sorted(
        zip(quoted, plain_quoted, strict=True), key=lambda pair: -len(pair[0])
    ):
        assert name in text
        text = text.replace(name, other)
    assert text == plain
