"""The whole search as one SQL statement, for an engine where no Python runs.

The statement is made of the files of ``queries/discovery/``, in their order, each one a common
table expression; sqlglot translates it to the dialects of other engines.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlglot
import sqlglot.expressions as sge

from prime_sql.discovery.conditions import has_subquery, parse_condition
from prime_sql.engine import queries, quoting
from prime_sql.engine.defaults import DIALECTS
from prime_sql.engine.dialects import ADVICE, CLEAR, KEEP, SETTINGS, flat, renamed, translated
from prime_sql.engine.errors import OptionError, did_you_mean, shorten
from prime_sql.engine.options import LARGEST_MAX_TAGS, Options, grouping
from prime_sql.engine.sources import CSV
from prime_sql.engine.version import __version__

# No vocabulary has this many tags: the numbers of absent ones begin after it.
_LAST_TAG = 1_000_000_000

_CONDITIONS = ("error", "where")

# What a search does and one SELECT cannot do, or does not need.
_NOT_HERE = {
    "wide": "a wide table has other columns everywhere; unpivot it in a view first",
    "present": "it is about a wide table; unpivot it in a view first",
    "split_tags": "split the tags in a view first",
    "normalise_tags": "not every engine has Unicode's forms; write the tags alike in a view first",
    "max_q": "q-values need every eligible tag set counted; use prime-sql search",
    "split": "write the part into where",
}


# No table of a user's has a name that begins like this.
_PREFIX = "prime_sql_"


def compile(
    predictions: str, tags: str, *, dialect: str = "duckdb", script: bool = False, **options: Any
) -> str:
    """Return one SELECT that finds the failure modes of two tables, without Python.

    It returns the rows of ``failure_modes`` of a search with the same options, the same `mode_id`
    included, most excess errors first.

    Parameters
    ----------
    predictions, tags
        The tables, as one would name them in SQL (``marts.predictions``). Also, for DuckDB, a
        Parquet, CSV or JSON file; and for dbt, text in double braces, which is kept as it is
        (``{{ ref('predictions') }}``).
    dialect
        The engine that will run it, one of `DIALECTS`.
    script
        Return several statements that keep the answer of every step in a temporary table, and end
        with the SELECT. Engines that know how large a table is, or that would compute a common
        table expression again wherever it is read, are far faster with it.
    **options
        Those of `search` that say what a failure mode, a class, an error and the columns are.
        Conditions are written in `dialect`. A column's name is quoted if upper and lower case
        are mixed, or if it is not a plain name.

    Raises
    ------
    OptionError
        When an option is out of range or needs more than one SELECT, or a table has no such name.

    Notes
    -----
    Without Python, what `search` refuses or warns of is for the user to check: every image is in
    its class only once, and `image_id`, `label` and `prediction` are never null. Scores
    beyond the largest double (infinity) are left out.
    """
    if dialect not in DIALECTS:
        raise OptionError(
            f"there is no dialect {dialect!r}.{did_you_mean(str(dialect), DIALECTS)} "
            f"Known: {', '.join(DIALECTS)}."
        )
    chosen = Options.of(**options)
    for name in _CONDITIONS:
        if "\0" in (getattr(chosen, name) or ""):
            raise OptionError(f"{name} holds a null character, which SQL cannot write")
    for name, why in _NOT_HERE.items():
        if getattr(chosen, name) not in (None, False):
            raise OptionError(f"compile does not take {name}: {why}")
    if chosen.method != "exhaustive":
        raise OptionError("compile writes the exhaustive search; leave method out")

    given = _Given(dialect)
    tables = [
        _table(role, text, dialect, chosen)
        for role, text in (("predictions", predictions), ("tags", tags))
    ]
    taken = {table.name.lower() for table in tables}
    if any(table.is_rendered for table in tables):
        _check_braces(chosen, [table.sql for table in tables if not table.is_rendered])
    sources = [given.mark(table.sql) for table in tables]
    steps = [
        (part, translated(sql, dialect))
        for name, whole in _steps(chosen, given, *sources)
        for part, sql in ([(name, whole)] if script else flat(name, whole, dialect))
    ]
    # Some engines would take a table of the user's for the step of that name, or the other way
    # round; and a script must not hide or replace any.
    names = {name: f"{_PREFIX}{name}" for name, _ in steps if script or name in taken}
    parts = [
        # The first two read the user's tables; those that follow read one another.
        (names.get(name, name), sql if place < 2 else renamed(sql, names, dialect))
        for place, (name, sql) in enumerate(steps)
    ]
    final = renamed(
        translated(queries.find("discovery/compile/answer").render(), dialect), names, dialect
    )
    if script:
        statements = [
            statement.replace("NAME", name).replace("SQL", sql)
            for name, sql in parts
            for statement in KEEP[dialect]
        ]
        statements.append(final)
        if dialect in CLEAR:
            statements += [f"drop table {name}" for name, _ in parts]
        if dialect in SETTINGS:
            before, after = SETTINGS[dialect]
            statements = [before, *statements, after]
        statement = ";\n\n".join(statements) + ";\n"
    else:
        ctes = ",\n\n".join(f"{name} as (\n{_indented(sql)}\n)" for name, sql in parts)
        statement = f"with {ctes}\n\n{final}\n"
    header = _header(chosen, predictions, tags, dialect, script=script)
    return f"{header}\n{given.insert(statement)}"


@dataclass
class _Given:
    """What the user gave, as SQL of the engine, by the marks that take its place in the steps.

    Whatever is done to a step, such as translating and indenting it, leaves such texts as they are.
    """

    dialect: str
    texts: dict[str, str] = field(default_factory=dict)

    def mark(self, sql: str) -> str:
        """Return the mark of a name or of a condition."""
        mark = f"given_{len(self.texts) + 1}"
        self.texts[mark] = sql
        return mark

    def text(self, value: str) -> str:
        """Return a text whose literal is the mark of the engine's literal of `value`."""
        mark = f"given_{len(self.texts) + 1}"
        self.texts[f"'{mark}'"] = quoting.literal(value, self.dialect)
        return mark

    def column(self, name: str, option: str) -> str:
        """Return the mark of a column, which is quoted if it is not a plain name.

        Engines differ in how they fold those.
        """
        quoted = name != _bare(name)
        name = _bare(name)
        quoting.check_name(name, self.dialect, option)
        plain = _PLAIN.fullmatch(name) and not quoted
        return self.mark(name if plain else quoting.identifier(name, self.dialect))

    def insert(self, statement: str) -> str:
        """Put the texts in the places of their marks."""
        # All at once: a text of the user's may look like a mark.
        return re.sub(r"'given_\d+'|\bgiven_\d+\b", lambda mark: self.texts[mark[0]], statement)


def _header(options: Options, predictions: str, tags: str, dialect: str, *, script: bool) -> str:
    """Say what the statement answers and what it assumes, as comments."""

    def comment(text: str) -> str:
        # A line break in a name, or dbt's braces, would end the comment or run in it.
        return re.sub(r"\s+|[{}]+", " ", text).strip()

    changed = [
        f"{name} {value!r}"
        for name in Options.__dataclass_fields__
        if (value := getattr(options, name)) != getattr(Options, name)
    ]
    lines = [
        f"Failure modes: the smallest tag sets on which accuracy drops sharply. {dialect}.",
        f"Made by prime-sql {__version__} compile from {predictions} and {tags}.",
        f"Options: {', '.join(changed) or 'all defaults'}.",
        "Assumes: every image is in its class only once; image_id, label and prediction are never",
        "null.",
    ]
    if not script and dialect in ADVICE:
        lines.append(ADVICE[dialect])
    return "\n".join(f"-- {comment(line)}" for line in lines)


# The steps ----------------------------------------------------------------------------------------


def _steps(
    options: Options, given: _Given, predictions: str, tags: str
) -> Iterator[tuple[str, str]]:
    """Yield the name and the SQL of every step, in DuckDB's dialect."""

    def step(query: str, name: str = "", /, **values: Any) -> tuple[str, str]:
        found = queries.find(query)
        return name or found.name, found.render(**values)

    conditions = {
        name: parse_condition(name, getattr(options, name), given.dialect) for name in _CONDITIONS
    }
    if has_subquery(conditions):
        raise OptionError(
            "compile cannot know which columns a subquery reads: leave it out of error and where, "
            "and name a view that contains it as the table"
        )
    standard = {"image_id": options.image_id, "label": options.label}
    standard["prediction"] = options.prediction
    grouped = [
        next((name for name, column in standard.items() if column == each), each)
        for each in options.group_by
    ]
    needed = {"image_id"} if options.error is not None else set(standard)
    needed |= {name for name in grouped if name in standard}
    mentioned = {
        part.name.lower(): quoting.written(part, given.dialect)
        for condition in conditions.values()
        if condition is not None
        for column in condition.find_all(sge.Column)
        for part in column.parts[:1]
    }
    needed |= {name for name in standard if name in mentioned}
    columns = [(name, given.column(standard[name], name)) for name in standard if name in needed]
    classes = []
    for number, name in enumerate(grouped, start=1):
        if name not in standard:
            columns.append((f"class_{number}", given.column(name, "group_by")))
            name = f"class_{number}"
        classes.append(name)
    known = {name for name, _ in columns}
    more = [given.mark(sql) for name, sql in mentioned.items() if name not in known]
    columns += [(mark, mark) for mark in more]
    yield step("discovery/compile/source_predictions", table=predictions, columns=columns)
    yield step(
        "discovery/compile/source_tags",
        "tags",
        table=tags,
        image_id=given.column(options.image_id, "image_id"),
        tag=given.column(options.tag, "tag"),
        score=given.column(options.score, "score"),
        min_score=options.min_score,
    )
    # As the user wrote them, in the dialect of the engine; the last line may be a comment.
    marks = {
        name: None if condition is None else given.mark(f"(\n{getattr(options, name)}\n)")
        for name, condition in conditions.items()
    }
    yield step(
        "discovery/predictions",
        group_by=classes,
        label="label" if "label" in needed else None,
        prediction="prediction" if "prediction" in needed else None,
        **marks,
    )
    yield step("discovery/classes", min_images=options.min_images, min_drop=options.min_drop)
    absent = {"max_absent": options.max_absent, "last_tag": _LAST_TAG}
    for name in ("outcomes", "images", "vocabulary", "image_tags", "class_tags"):
        yield step(f"discovery/{name}")
    yield step("discovery/tagged", min_tag_images=options.tag_images, **absent)
    for size in range(1, options.max_tags + 1):
        yield step("discovery/candidates", f"candidates_{size}", size=size, **absent)
        yield step("discovery/members", f"members_{size}", size=size)
        yield step("discovery/counts", f"counts_{size}", size=size)
    yield step("discovery/tag_names", **absent)
    yield step("discovery/tag_sets", sizes=range(1, options.max_tags + 1), largest=LARGEST_MAX_TAGS)
    # A mode has the mode_id of a search, which quotes no columns.
    unquoted = dataclasses.replace(
        options,
        label=_bare(options.label),
        prediction=_bare(options.prediction),
        group_by=tuple(map(_bare, options.group_by)),
    )
    yield step(
        "discovery/failure_modes",
        min_images=options.min_images,
        min_drop=options.min_drop,
        necessity=[options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
        grouping=given.text(grouping(unquoted)),
        largest=LARGEST_MAX_TAGS,
    )


# Names of the user's ------------------------------------------------------------------------------

_COLUMNS = ("image_id", "label", "prediction", "tag", "score")
_FILES = (".parquet", ".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".ndjson")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*|[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True)
class _Table:
    """A table of the user's: as SQL of the engine, its bare name, and whether dbt renders it."""

    sql: str
    name: str
    is_rendered: bool = False


def _table(role: str, text: str, dialect: str, options: Options) -> _Table:
    # dbt's names are those of its models, as a rule.
    braces = re.fullmatch(r"\{\{.*?(\w*)['\"]?\s*\)?\s*\}\}", text.strip(), flags=re.DOTALL)
    if braces:
        return _Table(text.strip(), braces[1], is_rendered=True)
    if "\0" in text:
        raise OptionError(f"{role}: the name {shorten(text)} holds a null character")
    if text.lower().endswith(_FILES):
        if dialect != "duckdb":
            raise OptionError(f"{dialect} cannot read the file {shorten(text)}; name a table")
        return _Table(_file(role, text, options), "")
    try:
        table = quoting.parse_table(text, dialect)
    except sqlglot.errors.SqlglotError:
        table = None
    if (
        not isinstance(table, sge.Table)
        or not all(isinstance(part, sge.Identifier) for part in table.parts)
        or table.alias
        # Only Snowflake lets the schema of a database be left out.
        or (table.args.get("db") == "" and dialect != "snowflake")
    ):
        raise OptionError(
            f"{shorten(text)} is not the name of a table, as in marts.predictions; quote a part "
            "that is not a plain name as the engine does"
        )
    return _Table(quoting.written(table, dialect, comments=False), table.name)


def _file(role: str, text: str, options: Options) -> str:
    """Return a file as DuckDB reads it; what names something in it is text, as in a search."""
    if not text.lower().endswith(CSV):
        return queries.literal(text)
    standard = {"label": options.label, "prediction": options.prediction}
    names = {options.image_id, options.tag}
    if role == "predictions":
        names = {options.image_id, *(standard.get(name, name) for name in options.group_by)}
        names |= {*standard.values()} if options.error is None else set()
    types = ", ".join(f"{queries.literal(name)}: 'VARCHAR'" for name in sorted(names))
    return f"read_csv({queries.literal(text)}, types = {{{types}}}, sample_size = -1)"


def _check_braces(options: Options, tables: list[str]) -> None:
    """Refuse names that dbt would render, as it renders the whole statement."""
    columns = {name: getattr(options, name) for name in _COLUMNS}
    columns["group_by"] = " ".join(options.group_by)
    for name, text in [*columns.items(), *(("the other table", table) for table in tables)]:
        if re.search(r"\{[{%#]", text):
            raise OptionError(
                f"{name}: dbt would render the braces in {shorten(text)}; make a view with another "
                "name first"
            )


def _bare(name: str) -> str:
    """Remove the quotes that a user may write around a column to have it quoted."""
    inner = re.fullmatch(r'"((?:[^"]|"")+)"', name)
    return inner[1].replace('""', '"') if inner else name


def _indented(sql: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in sql.splitlines())
