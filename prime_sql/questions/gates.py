"""Gates: which failure modes are a reason to stop?

A gate is ``new`` or an SQL condition over the columns of ``failure_modes`` and what else may be
known about a mode. It trips when any mode meets it; what is undecided never trips one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import polars as pl
import sqlglot
import sqlglot.expressions as sge
from sqlglot.optimizer.simplify import simplify
from sqlglot.tokens import TokenType

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.database import Database
from prime_sql.engine.errors import (
    OptionError,
    QueryError,
    WarehouseError,
    did_you_mean,
    first_line,
    shorten,
)
from prime_sql.engine.rows import printable
from prime_sql.engine.session import OnSql
from prime_sql.questions.history import changes, previous
from prime_sql.questions.validation import stored

NEW = "new"

# Columns that a condition may name, as ``questions/gates/judged`` has them: those that every mode
# has,
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

# Macros of the engine that ask the clock or the session; for functions it says so itself.
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
        The columns it names that are not always known.
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
    """What a gate says about a run.

    Attributes
    ----------
    gate
        The gate.
    modes
        The failure modes that trip it, worst first: a row of `COLUMNS` each.
    undecided
        How many others might meet it: not everything that it names is known about them.
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
        line += f"tripped by {count_modes(self.modes.height)}" if self.tripped else "passed"
        return line + (f"; {self.undecided:,} undecided" if self.undecided else "")

    def lines(self) -> list[str]:
        """Return the outcome and the modes that trip the gate, as lines of text."""
        lines = [f"  {described(row)}" for row in self.modes.head(_MOST_NAMED).to_dicts()]
        more = self.modes.height - _MOST_NAMED
        return [self.sentence(), *lines, *([f"  and {more:,} more"] if more > 0 else [])]


def parse(text: str) -> Gate:
    """Return the gate that `text` means, without looking at any database.

    Parameters
    ----------
    text
        ``new``: a failure mode is new since the previous run (see `compare`). Or an SQL condition
        over `COLUMNS`, such as ``accuracy_drop > 0.4 and images >= 50``.

    Raises
    ------
    OptionError
        When it is not a condition: a column is unknown, its type is not boolean, it holds a query,
        an aggregate, a random number or the time, or it is not one expression; or when no failure
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
        raise OptionError(f"{said} is not an SQL condition: {first_line(error)}") from error
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
                hint = f" {NEW!r} is a gate of its own; in a condition write status = 'new'."
            if isinstance(column.this, sge.Identifier) and column.this.quoted:
                hint += " Text goes in single quotes."
            raise OptionError(f"{said}: there is no column {written!r}.{hint}")
        named[name] = None
    _check_expression(condition, said)
    if _asks_for_unknown(expression):
        raise OptionError(
            f"{said} can never trip: a column is null where it is not known, and what is not known "
            "about a failure mode trips no gate"
        )
    return Gate(text.strip(), condition, tuple(name for name in named if name in _SOMETIMES))


def _check_expression(condition: str, said: str) -> None:
    """Let the engine bind the condition, over a table without rows."""
    database = Database(None)
    try:
        with database.session() as session:
            columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
            session.execute("gate", f"create temp table judged ({columns})")
            try:
                # The engine admits no aggregates and no windows there.
                session.execute("gate", f"select 1 from judged where (\n{condition}\n)")
                described = session.execute(
                    "gate", f"describe select (\n{condition}\n) from judged"
                )
            except WarehouseError as error:
                why = first_line(error.__cause__ or error)
                raise OptionError(f"{said} is not a condition on a failure mode: {why}") from error
            if described[0][1] != "BOOLEAN":
                raise OptionError(f"{said} is a {described[0][1]}; a condition is true or false")
            changing = {*_CHANGING}
            # Only names that always change: DuckDB 2 has a minus that depends on the time zone.
            for (name,) in session.execute(
                "gate",
                "select lower(function_name) from duckdb_functions() group by all "
                "having bool_and(stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY'))",
            ):
                changing.add(name)
            # Some are called without parentheses.
            for token in sqlglot.tokenize(condition, read="duckdb"):
                if token.token_type != TokenType.STRING and token.text.lower() in changing:
                    raise OptionError(
                        f"{said} calls {token.text}, which does not give the same answer every time"
                    )
    finally:
        database.discard()


def _asks_for_unknown(expression: sge.Expression) -> bool:
    """Return whether a condition is always false once what it names is known."""

    def known(node: sge.Expression) -> sge.Expression:
        null = isinstance(node, sge.Is) and isinstance(node.expression, sge.Null)
        column = node.this.unnest() if null else None
        maybe = isinstance(column, sge.Column) and column.name.lower() in _SOMETIMES
        return sge.false() if maybe else node

    assumed = expression.transform(known)
    return assumed != expression and bool(simplify(assumed).unnest() == sge.false())


def judge(run: StoredRun, gates: Sequence[Gate], *, on_sql: OnSql | None = None) -> list[Outcome]:
    """Return what each gate says about the failure modes of a run.

    A mode trips a gate when the condition is true for it, and every column that the condition names
    is known. `status` and `accuracy_change` are not known when there is no previous run, or the
    mode's status since then is undecided; `verdict` and the unseen columns when the run was not
    validated, or the verdict is undecided; `q_value` and `family_wise_p` before they were asked
    for.

    Raises
    ------
    QueryError
        When the engine cannot evaluate a condition on the data.
    """
    needs_previous = any(gate.needs_previous for gate in gates)
    before = previous(run) if needs_previous else None
    changed = None if before is None else changes(run)
    with run.session(on_sql) as session:
        if changed is not None:
            table = changed.to_arrow().select(["mode_id", *_SINCE_PREVIOUS])
            session.create_from("changes", ibis.memtable(table))
        session.step("questions/gates/judged", scope=run.scope(), has_changes=changed is not None)
        known = pl.DataFrame(session.fetch("judged", "from judged"))
        outcomes = []
        for gate in gates:
            try:
                session.step(
                    "questions/gates/outcome", condition=f"\n{gate.condition}\n", named=gate.named
                )
            except WarehouseError as error:
                why = first_line(error.__cause__ or error)
                raise QueryError(f"the gate {gate.text!r} cannot be judged: {why}") from error
            rows = pl.DataFrame(session.fetch("outcome", "from outcome"))
            modes = rows.filter(pl.col("outcome") == "tripped").drop("outcome")
            note = _why_not(run, gate, before, known) if not modes.height else None
            outcomes.append(Outcome(gate, modes, rows.height - modes.height, note))
        return outcomes


def _why_not(
    run: StoredRun, gate: Gate, before: StoredRun | None, known: pl.DataFrame
) -> str | None:
    """Say why no failure mode can trip a gate, or return None."""
    if gate.needs_previous and before is None:
        return f"there is no earlier run to compare run {run.run_id} with"
    if gate.needs_validation and stored(run) is None:
        return f"run {run.run_id} was not checked on unseen data"
    for name in ("q_value", "family_wise_p"):
        if name in gate.named and known.height and not known[name].is_not_null().any():
            return f"{name} is not known for run {run.run_id}; `prime-sql chance` adds it"
    return None


def check(run: StoredRun, gates: Sequence[Gate], *, on_sql: OnSql | None = None) -> list[Outcome]:
    """Return the outcomes of the gates that a run trips; see `judge`."""
    return [outcome for outcome in judge(run, gates, on_sql=on_sql) if outcome.tripped]


def count_modes(modes: int) -> str:
    """Return a number of failure modes in words."""
    return f"{modes:,} failure mode{'' if modes == 1 else 's'}"


def mode_name(row: dict[str, object]) -> str:
    """Return class and tags of a failure mode."""
    return f"{printable(str(row['class_name']))}: {printable(str(row['tags']))}"


def described(row: dict[str, object]) -> str:
    """Return a failure mode with its numbers, for a line of text."""
    return (
        f"{mode_name(row)} ({row['images']:,} images, accuracy {row['accuracy']:.1%}, "
        f"drop {row['accuracy_drop']:.1%})"
    )
