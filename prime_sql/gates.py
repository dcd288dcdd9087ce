"""Gates: which failure modes are a reason to stop?

A gate is ``new`` or an SQL condition over the columns of ``failure_modes`` and what else may be
known of a mode. It trips where one mode meets it; what is undecided never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import ibis
import polars as pl
import sqlglot
import sqlglot.expressions as sge
from sqlglot.optimizer.simplify import simplify
from sqlglot.tokens import TokenType

from prime_sql import queries
from prime_sql.errors import OptionError, QueryError, WarehouseError, did_you_mean, shorten
from prime_sql.output import Format, printable, render
from prime_sql.results import Run
from prime_sql.warehouse import Database, OnSql, Warehouse, first_line

NEW = "new"

# Columns that a condition may name, as ``queries/gate/judged`` has them: those that every mode has,
_ALWAYS = {
    "run_id": "integer",
    "mode_id": "varchar",
    "class_name": "varchar",
    "tags": "varchar",
    "tag_count": "integer",
    "images": "bigint",
    "errors": "bigint",
    "accuracy": "double",
    "class_images": "bigint",
    "class_errors": "bigint",
    "class_accuracy": "double",
    "accuracy_drop": "double",
    "excess_errors": "double",
    "error_coverage": "double",
    "accuracy_low": "double",
    "accuracy_high": "double",
    "p_value": "double",
}
# and those that are known where something else was done.
_SOMETIMES = {
    "q_value": "double",
    "family_wise_p": "double",
    "verdict": "varchar",
    "unseen_images": "bigint",
    "unseen_errors": "bigint",
    "unseen_accuracy": "double",
    "unseen_accuracy_drop": "double",
    "status": "varchar",
    "accuracy_change": "double",
}
COLUMNS = _ALWAYS | _SOMETIMES

# Macros of the engine that ask the clock or the session; of functions it says so itself.
_CHANGING = (
    "age",
    "current_catalog",
    "current_localtime",
    "current_localtimestamp",
    "current_role",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "getvariable",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
)
_SINCE_PREVIOUS = ("status", "accuracy_change")
_MOST_NAMED = 20
_MOST_LISTED = 50  # a step's summary on GitHub has a limit of 1 MiB


@dataclass(frozen=True)
class Gate:
    """A reason to stop, checked; made by `parse`.

    Attributes
    ----------
    text
        As the user wrote it.
    condition
        What it means: an SQL condition over `COLUMNS`.
    named
        Those of its columns that are not always known.
    """

    text: str
    condition: str
    named: tuple[str, ...]

    @property
    def needs_previous(self) -> bool:
        """Whether it is about what changed since the previous run."""
        return any(name in _SINCE_PREVIOUS for name in self.named)

    @property
    def needs_validation(self) -> bool:
        """Whether it is about unseen data."""
        return any(name == "verdict" or name.startswith("unseen_") for name in self.named)


@dataclass(frozen=True)
class Outcome:
    """What a gate says of a run.

    Attributes
    ----------
    gate
        The gate.
    modes
        The failure modes that trip it, worst first: a row of `COLUMNS` each.
    undecided
        How many others might meet it, but what it names is not known of them.
    note
        Why it cannot trip, or None.
    """

    gate: Gate
    modes: pl.DataFrame
    undecided: int
    note: str | None

    @property
    def tripped(self) -> bool:
        """Whether a failure mode trips it."""
        return self.modes.height > 0

    def sentence(self) -> str:
        """Return the outcome as one line of text."""
        if self.note is not None:
            return f"{printable(self.gate.text)}: cannot trip, because {self.note}"
        line = f"{printable(self.gate.text)}: "
        line += f"tripped by {_count(self.modes.height)}" if self.tripped else "passed"
        return line + (f"; {self.undecided:,} undecided" if self.undecided else "")

    def lines(self) -> list[str]:
        """Return the outcome and the modes that trip the gate, as lines of text."""
        lines = [f"  {_described(row)}" for row in self.modes.head(_MOST_NAMED).to_dicts()]
        more = self.modes.height - _MOST_NAMED
        return [self.sentence(), *lines, *([f"  and {more:,} more"] if more > 0 else [])]


def parse(text: str) -> Gate:
    """Return the gate that `text` means, without a look at any database.

    Parameters
    ----------
    text
        ``new``: a failure mode is new since the previous run (see `compare`). Or an SQL condition
        over `COLUMNS`, such as ``accuracy_drop > 0.4 and images >= 50``.

    Raises
    ------
    OptionError
        When it is no condition: a column is unknown, its type is not boolean, it holds a query, an
        aggregate, a random number or the time, or it is not one expression; or when no failure
        mode can ever trip it.
    """
    if not isinstance(text, str) or not text.strip():
        raise OptionError(f"a gate is {NEW!r} or an SQL condition, got {text!r}")
    said = f"the gate {shorten(text)}"
    if text.strip().lower() == NEW:
        return Gate(NEW, "status = 'new'", ("status",))
    unnamed = f"{said} names no columns; write out the name of each one"
    try:
        # A column by its number, as in #1, which older sqlglot does not read.
        if any(token.token_type == TokenType.HASH for token in sqlglot.tokenize(text, "duckdb")):
            raise OptionError(unnamed)
        found = queries.statements(text)
        parsed = [each for each in sqlglot.parse(text, read="duckdb") if each is not None]
    except sqlglot.errors.SqlglotError as error:
        raise OptionError(f"{said} is no SQL condition: {first_line(error)}") from error
    if len(found) != 1 or len(parsed) != 1:
        raise OptionError(f"{said} is {len(found)} statements; give one condition for each gate")
    condition, expression = found[0], parsed[0]
    if expression.find(sge.Query, sge.Exists, sge.Table, sge.DDL, sge.DML, sge.Command):
        raise OptionError(f"{said} holds a query; a gate judges each failure mode by its columns")
    if expression.find(sge.Columns):
        raise OptionError(unnamed)
    named: dict[str, None] = {}
    for column in expression.find_all(sge.Column):
        name = column.name.lower()
        if name not in COLUMNS or column.table:
            written = ".".join(part.name for part in column.parts)
            known = f" There are: {', '.join(COLUMNS)}."
            hint = did_you_mean(column.name, [*COLUMNS, NEW]) or known
            if written.lower() == NEW:
                hint = f" {NEW!r} stands alone; in a condition write status = 'new'."
            if isinstance(column.this, sge.Identifier) and column.this.quoted:
                hint += " Text stands in single quotes."
            raise OptionError(f"{said}: there is no column {written!r}.{hint}")
        named[name] = None
    _check_expression(condition, said)
    if _asks_for_unknown(expression):
        raise OptionError(
            f"{said} can never trip: a column is null where it is not known, and what is not known "
            "of a failure mode trips no gate"
        )
    return Gate(text.strip(), condition, tuple(name for name in named if name in _SOMETIMES))


def _check_expression(condition: str, said: str) -> None:
    """Let the engine bind the condition, over a table without rows."""
    database = Database(None)
    warehouse = Warehouse(database.backend)
    try:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        warehouse.execute("gate", f"create temp table judged ({columns})")
        try:
            # The engine admits no aggregates and no windows there.
            warehouse.execute("gate", f"select 1 from judged where (\n{condition}\n)")
            described = warehouse.execute("gate", f"describe select (\n{condition}\n) from judged")
        except WarehouseError as error:
            why = first_line(error.__cause__ or error)
            raise OptionError(f"{said} is no condition on a failure mode: {why}") from error
        if described[0][1] != "BOOLEAN":
            raise OptionError(f"{said} is a {described[0][1]}; a condition is true or false")
        changing = {*_CHANGING}
        # Only names that always change: DuckDB 2 has a minus that depends on the time zone.
        for (name,) in warehouse.execute(
            "gate",
            "select lower(function_name) from duckdb_functions() group by all "
            "having bool_and(stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY'))",
        ):
            changing.add(name)
        # Some are called without parentheses.
        for token in sqlglot.tokenize(condition, read="duckdb"):
            if token.token_type != TokenType.STRING and token.text.lower() in changing:
                raise OptionError(
                    f"{said} calls {token.text}, which does not answer the same every time"
                )
    finally:
        warehouse.close()
        database.discard()


def _asks_for_unknown(expression: sge.Expression) -> bool:
    """Return whether a condition is false once what it names is known."""

    def known(node: sge.Expression) -> sge.Expression:
        null = isinstance(node, sge.Is) and isinstance(node.expression, sge.Null)
        column = node.this.unnest() if null else None
        maybe = isinstance(column, sge.Column) and column.name.lower() in _SOMETIMES
        return sge.false() if maybe else node

    assumed = expression.transform(known)
    return assumed != expression and bool(simplify(assumed).unnest() == sge.false())


def judge(run: Run, gates: Sequence[Gate], *, on_sql: OnSql | None = None) -> list[Outcome]:
    """Return what each gate says of the failure modes of a run.

    A mode trips a gate where the condition is true of it, and every column that the condition names
    is known of it. Not known are `status` and `accuracy_change` where there is no previous run, or
    the mode is undecided since it; `verdict` and the unseen columns where the run was not
    validated, or the verdict is undecided; `q_value` and `family_wise_p` before they were asked
    for.

    Raises
    ------
    QueryError
        When the engine cannot work out a condition on the data.
    """
    needs_previous = any(gate.needs_previous for gate in gates)
    before = run.previous if needs_previous else None
    changes = None if before is None else run.changes
    warehouse = Warehouse(run.backend, on_sql)
    try:
        if changes is not None:
            table = changes.to_arrow().select(["mode_id", *_SINCE_PREVIOUS])
            warehouse.create_from("changes", ibis.memtable(table))
        sql = queries.find("gate/judged").render(has_changes=changes is not None)
        warehouse.create("judged", f"with {run.scope()}\nselect * from (\n{sql}\n)")
        known = pl.DataFrame(warehouse.backend.table("judged").to_pyarrow())
        outcomes = []
        for gate in gates:
            sql = queries.find("gate/outcome").render(
                condition=f"\n{gate.condition}\n", named=gate.named
            )
            try:
                warehouse.create("outcome", sql)
            except WarehouseError as error:
                why = first_line(error.__cause__ or error)
                raise QueryError(f"the gate {gate.text!r} cannot be judged: {why}") from error
            rows = pl.DataFrame(warehouse.backend.sql("from outcome").to_pyarrow())
            modes = rows.filter(pl.col("outcome") == "tripped").drop("outcome")
            note = _why_not(run, gate, before, known) if not modes.height else None
            outcomes.append(Outcome(gate, modes, rows.height - modes.height, note))
        return outcomes
    finally:
        warehouse.close()


def _why_not(run: Run, gate: Gate, before: Run | None, known: pl.DataFrame) -> str | None:
    """Say why a gate cannot trip whatever the failure modes are, or return None."""
    if gate.needs_previous and before is None:
        return f"there is no earlier run that run {run.run_id} is compared with"
    if gate.needs_validation and run.validation is None:
        return f"run {run.run_id} was not checked on unseen data"
    for name in ("q_value", "family_wise_p"):
        if name in gate.named and known.height and not known[name].is_not_null().any():
            return f"{name} is not known of run {run.run_id}; `prime-sql chance` adds it"
    return None


def check(run: Run, gates: Sequence[Gate], *, on_sql: OnSql | None = None) -> list[Outcome]:
    """Return the outcomes of those gates that a run trips; see `judge`."""
    return [outcome for outcome in judge(run, gates, on_sql=on_sql) if outcome.tripped]


def junit(run: Run, outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as JUnit XML, which CI servers show as tests.

    Each gate is a test suite. One that is tripped has a failed test case for each mode that trips
    it; another one has one test case, passed, or skipped where it cannot trip.
    """
    suites = ElementTree.Element("testsuites", name="prime-sql")
    for outcome in outcomes:
        suite = ElementTree.SubElement(suites, "testsuite", name=printable(outcome.gate.text))
        for row in outcome.modes.to_dicts():
            case = _case(suite, _name(row))
            failure = ElementTree.SubElement(
                case, "failure", message=_described(row), type="failure mode"
            )
            failure.text = "\n".join(
                f"{column}: {printable(str(value))}"
                for column, value in row.items()
                if value is not None
            )
        if not outcome.tripped:
            case = _case(suite, "no failure mode")
            if outcome.note is not None:
                ElementTree.SubElement(case, "skipped", message=printable(outcome.note))
        _set_counts(suite)
        suite.set("timestamp", run.created_at.isoformat(timespec="seconds"))
    _set_counts(suites)
    ElementTree.indent(suites)
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    # Servers tell test cases apart by class and name; a dot in a class makes packages of it.
    full = f"{suite.get('name')}: {name}"
    return ElementTree.SubElement(suite, "testcase", classname="prime-sql", name=full, time="0")


def _set_counts(element: ElementTree.Element) -> None:
    element.set("tests", str(len(element.findall(".//testcase"))))
    element.set("failures", str(len(element.findall(".//failure"))))
    element.set("errors", "0")
    if element.tag == "testsuite":
        element.set("skipped", str(len(element.findall(".//skipped"))))
    element.set("time", "0")


def markdown(run: Run, outcomes: Sequence[Outcome] = ()) -> str:
    """Return a run and the outcomes of its gates as GitHub-flavoured Markdown."""
    modes = run.failure_modes.to_polars()
    tripped = [outcome for outcome in outcomes if outcome.tripped]
    title = f"{_count(modes.height)} in run {run.run_id}"
    if outcomes:
        title += f": {len(tripped):,} of {len(outcomes):,} gates tripped" if tripped else ": passed"
    parts = [f"### {title[0].upper()}{title[1:]}"]
    if outcomes:
        rows = {
            "gate": [outcome.gate.text for outcome in outcomes],
            "outcome": [_result(outcome) for outcome in outcomes],
            "failure modes": [outcome.modes.height for outcome in outcomes],
            "undecided": [outcome.undecided for outcome in outcomes],
        }
        parts.append(render(pl.DataFrame(rows), Format.markdown))
    if modes.height:
        by: dict[str, list[str]] = {mode_id: [] for mode_id in modes["mode_id"]}
        for outcome in tripped:
            for mode_id in outcome.modes["mode_id"]:
                by[mode_id].append(outcome.gate.text)
        modes = modes.with_columns(pl.Series("trips", ["; ".join(by[i]) for i in by], pl.String))
        shown = modes.sort(pl.col("trips") == "", maintain_order=True).head(_MOST_LISTED)
        table = shown.select(
            *(["trips"] if tripped else []),
            pl.col("class_name").alias("class"),
            "tags",
            "images",
            "errors",
            *(
                (pl.col(name) * 100).round(1).cast(pl.String) + " %"
                for name in ("accuracy", "class_accuracy", "accuracy_drop")
            ),
        )
        parts.append(render(table.rename(lambda name: name.replace("_", " ")), Format.markdown))
        if modes.height > shown.height:
            parts.append(f"The other {modes.height - shown.height:,} are in the database.")
    elif run.note:
        parts.append(render(pl.DataFrame({"why": [run.note]}), Format.markdown))
    return "\n\n".join(parts) + "\n"


def _result(outcome: Outcome) -> str:
    if outcome.note is not None:
        return f"cannot trip: {outcome.note}"
    return "tripped" if outcome.tripped else "passed"


def _count(modes: int) -> str:
    return f"{modes:,} failure mode{'' if modes == 1 else 's'}"


def _name(row: dict[str, object]) -> str:
    return f"{printable(str(row['class_name']))}: {printable(str(row['tags']))}"


def _described(row: dict[str, object]) -> str:
    return (
        f"{_name(row)} ({row['images']:,} images, accuracy {row['accuracy']:.1%}, "
        f"drop {row['accuracy_drop']:.1%})"
    )
