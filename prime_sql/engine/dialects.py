"""How the SQL of ``queries/`` is translated for other engines: their dialects, and what they lack.

It is written in the part of DuckDB's dialect that most engines support; sqlglot translates it, and
what sqlglot misses is fixed here.
"""

from __future__ import annotations

import itertools
import re

import sqlglot
import sqlglot.expressions as sge
from sqlglot.tokens import TokenType

from prime_sql.engine.quoting import written

# How a script keeps the answer of a step for others: in a temporary table if the engine has any.
# PostgreSQL plans joins well only for tables whose sizes it knows; Redshift gathers them by itself.
# Spark, Databricks and Trino have no temporary tables: if a table of that name already exists, the
# script ends.
# (Spark caches temporary views, but plans each again through all the views that it is made from:
# minutes for two tags.)
KEEP = {
    "duckdb": ("create or replace temporary table NAME as\nSQL",),
    "postgres": (
        "drop table if exists pg_temp.NAME",
        "create temporary table NAME as\nSQL",
        "analyze NAME",
    ),
    "spark": ("create table NAME using parquet as\nSQL",),
    "databricks": ("create table NAME as\nSQL",),
    "snowflake": ("create or replace temporary table NAME as\nSQL",),
    "bigquery": ("create or replace temp table NAME as\nSQL",),
    "trino": ("create table NAME as\nSQL",),
    "redshift": ("create temporary table NAME as\nSQL",),
    "clickhouse": ("create or replace temporary table NAME as\nSQL",),
    "datafusion": ("create or replace table NAME as\nSQL",),  # in memory, like all its own tables
}
# PostgreSQL far underestimates how many sets share most of their tags, and then compares every row
# with every other. Only an index would make that fast, and our tables have none.
SETTINGS = {"postgres": ("set enable_nestloop = off", "reset enable_nestloop")}
# What anyone who runs the one SELECT must know. Trino computes each step again wherever it is read:
# it reads 36 tables for one tag and 238 for two, each of them at least one stage.
ADVICE = {
    "postgres": "Beyond two tags, set enable_nestloop = off first, or use the script.",
    "trino": "Beyond one tag, use the script: Trino's query.max-stage-count is 150.",
}
# Engines on which the script drops its tables at the end, so that it can run again in the session.
CLEAR = ("spark", "databricks", "trino", "redshift")

_OURS = re.compile(r"image_id|label|prediction|class_\d+")
_TEXTS = ("image_id", "class_name", "tag", "tags")


def renamed(sql: str, names: dict[str, str], dialect: str) -> str:
    """Rename the steps that this one reads."""
    tokens = sqlglot.tokenize(sql, read=dialect)
    for before, token in reversed(list(itertools.pairwise(tokens))):
        if before.token_type in (TokenType.FROM, TokenType.JOIN) and token.text in names:
            sql = f"{sql[: token.start]}{names[token.text]}{sql[token.end + 1 :]}"
    return sql


def flat(name: str, sql: str, dialect: str) -> list[tuple[str, str]]:
    """Split a step from those that it begins with: Redshift allows no `with` inside another.

    DuckDB's stay together, as in the file.
    """
    if dialect == "duckdb":
        return [(name, sql)]
    tree = sqlglot.parse_one(sql, read="duckdb")
    assert isinstance(tree, sge.Query)
    inner = [(cte.alias, written(cte.this, "duckdb", pretty=True)) for cte in tree.ctes]
    for begun in list(tree.find_all(sge.With)):
        begun.pop()
    return [*inner, (name, written(tree, "duckdb", pretty=True))] if inner else [(name, sql)]


def translated(sql: str, dialect: str) -> str:
    """Translate a step from DuckDB's dialect, in which it is written, to another one.

    What sqlglot leaves unchanged, although the engine differs, is fixed here; a folded name of ours
    must not be quoted, since not every engine folds it to lower case.
    """
    if dialect == "duckdb":
        return sql
    tree = sqlglot.parse_one(sql, read="duckdb")
    for name in tree.find_all(sge.Identifier):
        if name.args.get("quoted") and _OURS.fullmatch(name.name):
            name.set("quoted", False)
    if dialect == "postgres":
        # Tags are sorted, and so named and numbered, by character codes, not by a language's order.
        for ordered in tree.find_all(sge.Ordered):
            if ordered.this.name in _TEXTS:
                collation = sge.Identifier(this="C", quoted=True)
                ordered.set("this", sge.Collate(this=ordered.this.copy(), expression=collation))
    if dialect == "bigquery":
        # Its windows do not support "nulls last"; nothing that is sorted is ever null.
        for ordered in tree.find_all(sge.Ordered):
            ordered.set("nulls_first", not ordered.args.get("desc"))
    if dialect == "trino":
        for hashed in reversed(list(tree.find_all(sge.MD5))):  # the innermost first
            binary = sge.Anonymous(this="TO_UTF8", expressions=[hashed.this.copy()])
            for function in ("MD5", "TO_HEX", "LOWER"):
                binary = sge.Anonymous(this=function, expressions=[binary])
            hashed.replace(binary)
    text = written(tree, dialect, pretty=True, unsupported_level=sqlglot.ErrorLevel.RAISE)
    if dialect == "clickhouse" and any(join.side == "LEFT" for join in tree.find_all(sge.Join)):
        # Otherwise a row without a match gets 0 or an empty text for columns that are never null.
        text += "\nSETTINGS join_use_nulls = 1"
    return text


def view(statement: str, schema: str, dialect: str) -> str:
    """Translate a statement that makes a view, and name `schema` before its tables.

    Not every engine can make a view "if not exists": the caller has checked.
    """
    made = sqlglot.parse_one(statement, read="duckdb")
    made.set("exists", False)
    inner = {cte.alias for cte in made.find_all(sge.CTE)}
    for table in made.find_all(sge.Table):
        if not table.db and table.name not in inner:
            table.set("db", sge.to_identifier(schema, quoted=True))
    return translated(written(made, "duckdb"), dialect)


def comment(statement: str, dialect: str, *, on_view: bool = False) -> str | None:
    """Translate a comment on a table, a view or a column; None if the engine has none on it."""
    said = sqlglot.parse_one(statement, read="duckdb")
    assert isinstance(said, sge.Comment)
    on, kind = said.this, str(said.args["kind"]).lower()
    if dialect == "postgres":
        return written(said, dialect)
    if on_view or dialect not in ("spark", "databricks", "clickhouse"):
        return None
    text = written(said.expression, dialect)
    if kind == "column":
        table = written(sge.Table(this=on.args["table"], db=on.args["db"]), dialect)
        column = written(on.this, dialect)
        if dialect == "clickhouse":
            return f"alter table {table} comment column {column} {text}"
        return f"alter table {table} alter column {column} comment {text}"
    table = written(on, dialect)
    if dialect == "clickhouse":
        return f"alter table {table} modify comment {text}"
    return f"comment on table {table} is {text}"
