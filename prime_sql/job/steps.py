"""The steps of a job, in order: search, validate, chance, outputs, gates, publish.

Nothing is put in place before the last step. A job that fails leaves everything as it was, except
for its run, which stays in the database as unpublished.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from prime_sql.discovery.publish import Record
from prime_sql.discovery.search import search_with
from prime_sql.discovery.steps import OnProgress
from prime_sql.discovery.stored import COMPLETE, UNPUBLISHED
from prime_sql.discovery.unseen import options_for
from prime_sql.engine import queries
from prime_sql.engine.errors import (
    PrimeSqlError,
    WarehouseError,
    first_line,
)
from prime_sql.engine.files import Files, append_text
from prime_sql.engine.limits import Limits
from prime_sql.engine.session import OnSql, Session, Statement
from prime_sql.job.asked import hidden_warnings, keep_join, rows_of
from prime_sql.job.checks import OUTPUT, made_by
from prime_sql.job.sections import Job, Output
from prime_sql.questions import gate_files, gates, validation
from prime_sql.questions.run import Run

if TYPE_CHECKING:
    from prime_sql.questions.gates import Outcome

Result = TypeVar("Result")


@dataclass(frozen=True)
class Finished:
    """A job that has finished.

    Attributes
    ----------
    run
        The run; close it when done.
    published
        The outputs, by their names in the job file.
    outcomes
        What each gate says about the run.
    """

    run: Run
    published: list[str]
    outcomes: list[Outcome]


def run(
    job: Job, *, on_sql: OnSql | None = None, on_progress: OnProgress | None = None
) -> Finished:
    """Run a job, with the folder of its file as the working directory of the process.

    Parameters
    ----------
    job
        What `read` returned.
    on_sql
        Called with a `Statement` after every statement, values of environment variables hidden.
    on_progress
        Called with a `Progress` before and after every step of the search.

    Raises
    ------
    PrimeSqlError
        When a step fails: the message names it, and says what was published, which is nothing
        unless only the summary failed.
    PublishedInterrupt
        When interrupted after all outputs were published; before that, KeyboardInterrupt.
    """
    with contextlib.chdir(job.path.absolute().parent), hidden_warnings(job):
        return _Steps(job, on_sql, on_progress).all()


class PublishedInterrupt(KeyboardInterrupt):
    """The job was interrupted after its outputs were published."""


class _Steps:
    def __init__(self, job: Job, on_sql: OnSql | None, on_progress: OnProgress | None) -> None:
        self.job = job
        self.says = job.says
        self.hide = job.environment.hide
        self._on_progress = on_progress
        self._on_sql = on_sql and (lambda statement: on_sql(self._hidden(statement)))
        self._run: Run | None = None
        self._outcomes: list[Outcome] = []
        self._files = Files()
        self._published = False

    def _hidden(self, statement: Statement) -> Statement:
        return Statement(
            statement.step, self.hide(statement.sql), statement.rows, statement.seconds
        )

    def all(self) -> Finished:
        run = self._run = self._do("search", self._search)
        with ExitStack() as opened:
            opened.callback(run.close)
            if self.says.validation is not None and self.says.validation.check is None:
                self._do("validation", lambda: self._validate(run))
            if self.says.chance is not None:
                self._do("chance", lambda: self._chance(run))
            files = self._files = opened.enter_context(Files())
            session = run.database.session(self._on_sql)
            opened.callback(session.close)
            # Business tables exist in this session only, so questions are asked in it.
            asked = run.within(session)
            for name, join in self.says.joins.items():
                self._do(f"joins.{name}", lambda n=name, j=join: keep_join(n, j, session))  # type: ignore[misc]
            tables: dict[str, str] = {}
            for i, output in enumerate(self.says.outputs, 1):
                rows = f"{OUTPUT}{i}"
                self._do(
                    f"outputs[{i}]",
                    lambda o=output, r=rows: self._output(o, asked, files, session, r),  # type: ignore[misc]
                )
                if output.table:
                    tables[output.table] = rows
            self._outcomes = self._do("gates", lambda: self._gates(asked, files))
            self._do("publish", lambda: self._publish(run, session, tables, files))
            self._do("gates.summary", lambda: self._summary(asked, self._outcomes))
            opened.pop_all()
        session.close()
        return Finished(run, [_place(output) for output in self.job.shown.outputs], self._outcomes)

    # One step each ------------------------------------------------------------------------------

    def _search(self) -> Run:
        shown = self.job.shown
        opened = search_with(
            self.says.sources.predictions,
            self.says.sources.tags,
            self.says.search,
            into=self.says.db,
            record=Record(
                self.job.name,
                UNPUBLISHED,
                shown.search,
                {"predictions": shown.sources.predictions, "tags": shown.sources.tags},
                self.hide,
            ),
            min_unseen_images=self.says.unseen.min_unseen_images,
            tolerance=self.says.unseen.tolerance,
            allowed=Limits.of(self.says.memory_limit, self.says.temp_dir),
            append=self.says.append,
            wait=self.says.wait,
            on_sql=self._on_sql,
            on_progress=self._on_progress,
        )
        return Run(opened)

    def _validate(self, run: Run) -> None:
        unseen, shown = self.says.unseen, self.job.shown
        sources = {
            name: getattr(shown.unseen, name) or getattr(shown.sources, name)
            for name in ("predictions", "tags")
        }
        validation.validate_with(
            run,
            unseen.predictions or self.says.sources.predictions,
            unseen.tags or self.says.sources.tags,
            options_for(self.says.search, unseen.where or self.says.search.where, {}),
            min_unseen_images=unseen.min_unseen_images,
            tolerance=unseen.tolerance,
            on_sql=self._on_sql,
            shown=lambda checked: checked.shown(sources, self.hide),
        )

    def _chance(self, run: Run) -> None:
        wanted = self.says.chance
        assert wanted is not None
        if wanted.shuffles:
            run.null(wanted.shuffles, seed=wanted.seed, on_sql=self._on_sql)
        run.chance(on_sql=self._on_sql)

    def _output(self, output: Output, run: Run, files: Files, session: Session, name: str) -> None:
        if output.report:
            ending = Path(output.report).suffix.lower()
            report = run.report(
                top=output.top,
                cards=output.cards,
                thumbnails=output.thumbnails and ending != ".txt",
                runs=output.runs,
                on_sql=self._on_sql,
            )
            if ending == ".json":
                text = report.to_json() + "\n"
            else:
                text = report.to_text() if ending == ".txt" else report.to_html()
            files.write(text, Path(output.report))
            return
        rows = rows_of(output, run)
        if output.file:
            files.write(rows.to_polars(), Path(output.file))
        else:
            # Run now, so that a query that fails does so here; and some answers are data frames.
            session.create_from(name, rows.table)

    def _gates(self, run: Run, files: Files) -> list[Outcome]:
        parsed = [gates.parse(text) for text in self.says.gates.fail_on]
        outcomes = [
            replace(
                outcome,
                gate=replace(outcome.gate, text=text.strip()),
                note=outcome.note and self.hide(outcome.note),
            )
            # As the file says it: a value may be too short to be told from other words.
            for outcome, text in zip(
                gates.judge(run, parsed, on_sql=self._on_sql),
                self.job.shown.gates.fail_on,
                strict=True,
            )
        ]
        if self.says.gates.junit:
            files.write(gate_files.junit(run, outcomes), Path(self.says.gates.junit))
        return outcomes

    def _publish(self, run: Run, session: Session, tables: dict[str, str], files: Files) -> None:
        catalog = queries.identifier(session.backend.current_catalog)
        comment = queries.literal(made_by(self.job))
        with ExitStack() as undo, session.transaction():
            for name, rows in tables.items():
                schema, _, table = name.rpartition(".")
                place = f"{catalog}.{queries.identifier(schema or 'main')}"
                table = f"{place}.{queries.identifier(table)}"
                session.execute("publish", f"create schema if not exists {place}")
                session.execute(
                    "publish", f"create or replace table {table} as\nselect * from temp.{rows}"
                )
                session.execute("publish", f"comment on table {table} is {comment}")
            session.execute(
                "publish",
                f"update {session.schema}.runs set status = {queries.literal(COMPLETE)} "
                f"where run_id = {run.run_id}",
            )
            # Last, so that no file is moved if the database refuses something; and if a file or
            # the commit fails, all files and tables are put back.
            undo.enter_context(files.published())
        self._published = True

    def _summary(self, run: Run, outcomes: list[Outcome]) -> None:
        if self.says.gates.summary:
            append_text(gate_files.markdown(run, outcomes), Path(self.says.gates.summary))

    # What goes wrong ----------------------------------------------------------------------------

    def _do(self, step: str, work: Callable[[], Result]) -> Result:
        """Run a step; its errors name the step, and no value of an environment variable."""
        kind: type[PrimeSqlError] = WarehouseError
        try:
            return work()
        except PrimeSqlError as error:
            kind, text = type(error), str(error)
        except KeyboardInterrupt:
            if self._published:
                raise PublishedInterrupt from None
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and str(error) == "Query interrupted":
                # This is how DuckDB reports a KeyboardInterrupt.
                raise (PublishedInterrupt if self._published else KeyboardInterrupt) from None
            text = f"{type(error).__name__}: {first_line(error)}"
        # Outside the handler, as the cause would show what was hidden.
        self._fail(kind, step, text)

    def _fail(self, kind: type[PrimeSqlError], step: str, text: str) -> NoReturn:
        done = "Nothing was published: all outputs are unchanged."
        if self._published:
            # The next run is compared with this one: what is new is reported now or never.
            tripped = [outcome for outcome in self._outcomes if outcome.tripped]
            said = ["Gate " + "\n".join(outcome.lines()) for outcome in tripped]
            done = "\n".join(["The outputs are published.", *said])
        elif self._files.lost:
            done = "What could not be put back: " + "; ".join(
                f"{place}{f', which is now {kept}' if kept else ', which is new'}"
                for place, kept in self._files.lost.items()
            )
            done = self.hide(done) + "."
        if not self._published and self._run is not None:
            done += (
                f" Run {self._run.run_id} stays in {self.job.shown.db} as unpublished; no other "
                "run is compared with it."
            )
        raise kind(f"{self.job.path.name}: {step} failed: {self.hide(text)}\n{done}")


def _place(output: Output) -> str:
    return str(output.report or output.file or output.table)
