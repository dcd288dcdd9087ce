"""The steps of a job, in order: search, validate, chance, outputs, gates, publish.

Nothing takes its place before the last step. A job that fails leaves everything as it was, but for
its run, which stays in the database as unpublished.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import prime_sql as ps
from prime_sql import gates, queries, validate
from prime_sql.errors import InputError, PrimeSqlError, WarehouseError, did_you_mean
from prime_sql.job.checks import OUTPUT, made_by, read_sql
from prime_sql.job.file import Job, Join, Output
from prime_sql.limits import Limits
from prime_sql.options import Options
from prime_sql.output import Files, append_text
from prime_sql.publish import Record
from prime_sql.results import Run
from prime_sql.search import OnProgress, search_with
from prime_sql.sources import Wanted, open_source
from prime_sql.stored import COMPLETE, UNPUBLISHED
from prime_sql.warehouse import OnSql, Statement, Warehouse, first_line

if TYPE_CHECKING:
    from prime_sql.answers import Relation
    from prime_sql.gates import Outcome

Result = TypeVar("Result")


@dataclass(frozen=True)
class Finished:
    """A job that is done.

    Attributes
    ----------
    run
        The run; close it when done.
    published
        The outputs, as the job file calls them.
    outcomes
        What each gate says of the run.
    """

    run: Run
    published: list[str]
    outcomes: list[Outcome]


def run(
    job: Job, *, on_sql: OnSql | None = None, on_progress: OnProgress | None = None
) -> Finished:
    """Do a job, with the folder of its file as the working folder of the process.

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
        When a step fails: the message names it, and says what was published: nothing, unless only
        the summary failed.
    PublishedInterrupt
        When interrupted after all outputs were published; before, KeyboardInterrupt.
    """
    with contextlib.chdir(job.path.absolute().parent), _hidden_warnings(job):
        return _Steps(job, on_sql, on_progress).all()


@contextlib.contextmanager
def _hidden_warnings(job: Job) -> Iterator[None]:
    """Warn of what was odd without the values of environment variables."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ps.InputWarning)
        try:
            yield
        finally:
            held = list(caught)
    for warning in held:
        text = job.environment.hide(str(warning.message))
        warnings.warn_explicit(text, warning.category, warning.filename, warning.lineno)


class PublishedInterrupt(KeyboardInterrupt):
    """The job was interrupted when its outputs were published already."""


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
            warehouse = Warehouse(run.backend, self._on_sql)
            opened.callback(warehouse.close)
            # Business tables are this session's alone, so that questions are asked in it.
            asked = Run(warehouse.backend, run.run_id, path=run.path)
            for name, join in self.says.joins.items():
                self._do(f"joins.{name}", lambda n=name, j=join: self._join(n, j, warehouse))  # type: ignore[misc]
            tables: dict[str, str] = {}
            for i, output in enumerate(self.says.outputs, 1):
                rows = f"{OUTPUT}{i}"
                self._do(
                    f"outputs[{i}]",
                    lambda o=output, r=rows: self._output(o, asked, files, warehouse, r),  # type: ignore[misc]
                )
                if output.table:
                    tables[output.table] = rows
            self._outcomes = self._do("gates", lambda: self._gates(asked, files))
            self._do("publish", lambda: self._publish(run, warehouse, tables, files))
            self._do("gates.summary", lambda: self._summary(asked, self._outcomes))
            opened.pop_all()
        warehouse.close()
        return Finished(run, [_place(output) for output in self.job.shown.outputs], self._outcomes)

    # One step each ------------------------------------------------------------------------------

    def _search(self) -> Run:
        shown = self.job.shown
        return search_with(
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

    def _validate(self, run: Run) -> None:
        unseen, shown = self.says.unseen, self.job.shown
        sources = {
            name: getattr(shown.unseen, name) or getattr(shown.sources, name)
            for name in ("predictions", "tags")
        }
        validate.validate(
            run,
            unseen.predictions or self.says.sources.predictions,
            unseen.tags or self.says.sources.tags,
            where=unseen.where or self.says.search.where,
            min_unseen_images=unseen.min_unseen_images,
            tolerance=unseen.tolerance,
            on_sql=self._on_sql,
            columns={},
            options=self.says.search,
            shown=lambda checked: checked.shown(sources, self.hide),
        )

    def _chance(self, run: Run) -> None:
        wanted = self.says.chance
        assert wanted is not None
        if wanted.shuffles:
            run.null(wanted.shuffles, seed=wanted.seed, on_sql=self._on_sql)
        run.chance(on_sql=self._on_sql)

    def _join(self, name: str, join: Join, warehouse: Warehouse) -> None:
        role = f"joins.{name}"
        options = Options(image_id=join.image_id)
        opened = open_source(join.source, role, warehouse, options, Wanted(typed=True))
        table, key = opened.table, join.image_id
        if key not in opened.columns:
            hint = did_you_mean(key, opened.columns)
            raise InputError(
                f"{role} has no column {key!r}.{hint} It has: {', '.join(opened.columns)}. "
                f"Name the one that holds the image with {role}.image_id."
            )
        if key != "image_id" and "image_id" in opened.columns:
            raise InputError(f"{role} has a column image_id beside {key}; name one or rename one")
        others = [column for column in opened.columns if column != key]
        sql = warehouse.backend.compile(
            table.select(*others, image_id=table[key].cast(str)).select("image_id", *others)
        )
        warehouse.create(queries.identifier(name), sql, view=True)

    def _output(
        self, output: Output, run: Run, files: Files, warehouse: Warehouse, name: str
    ) -> None:
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
        rows = self._rows(output, run)
        if output.file:
            files.write(rows.to_polars(), Path(output.file))
        else:
            # Asked now, so that a query that fails does so here; and some answers are frames.
            warehouse.create_from(name, rows.table)

    @staticmethod
    def _rows(output: Output, run: Run) -> Relation:
        if output.question:
            return run.query(output.question, **output.params)
        if output.sql_file:
            return run.sql(read_sql(output.sql_file))
        return run.sql(output.sql) if output.sql else run.failure_modes

    def _gates(self, run: Run, files: Files) -> list[Outcome]:
        parsed = [gates.parse(text) for text in self.says.gates.fail_on]
        outcomes = [
            replace(outcome, gate=replace(outcome.gate, text=self.hide(outcome.gate.text)))
            for outcome in gates.judge(run, parsed, on_sql=self._on_sql)
        ]
        if self.says.gates.junit:
            files.write(gates.junit(run, outcomes), Path(self.says.gates.junit))
        return outcomes

    def _publish(
        self, run: Run, warehouse: Warehouse, tables: dict[str, str], files: Files
    ) -> None:
        catalog = queries.identifier(warehouse.backend.current_catalog)
        comment = queries.literal(made_by(self.job))
        with ExitStack() as undo, warehouse.transaction():
            for name, rows in tables.items():
                schema, _, table = name.rpartition(".")
                place = f"{catalog}.{queries.identifier(schema or 'main')}"
                table = f"{place}.{queries.identifier(table)}"
                warehouse.execute("publish", f"create schema if not exists {place}")
                warehouse.execute(
                    "publish", f"create or replace table {table} as\nselect * from temp.{rows}"
                )
                warehouse.execute("publish", f"comment on table {table} is {comment}")
            warehouse.execute(
                "publish",
                f"update {warehouse.schema}.runs set status = {queries.literal(COMPLETE)} "
                f"where run_id = {run.run_id}",
            )
            # Last, so that what the database refuses moves no file; and where a file or the
            # commit fails, all files and tables go back.
            undo.enter_context(files.published())
        self._published = True

    def _summary(self, run: Run, outcomes: list[Outcome]) -> None:
        if self.says.gates.summary:
            append_text(gates.markdown(run, outcomes), Path(self.says.gates.summary))

    # What goes wrong ----------------------------------------------------------------------------

    def _do(self, step: str, work: Callable[[], Result]) -> Result:
        """Do a step; an error of it names the step, and no value of an environment variable."""
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
                # How DuckDB says KeyboardInterrupt.
                raise (PublishedInterrupt if self._published else KeyboardInterrupt) from None
            text = f"{type(error).__name__}: {first_line(error)}"
        # Out of the handler: the cause holds what was hidden.
        self._fail(kind, step, text)

    def _fail(self, kind: type[PrimeSqlError], step: str, text: str) -> NoReturn:
        done = "Nothing was published: all outputs are as they were."
        if self._published:
            # The next run is compared with this one, so that what is new is said now or never.
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
