"""Bind all SQL of a job, against its sources and empty tables of its run: what `--check` adds.

A file can be in order although a query in it names a column that no table has. The engine says so
without any rows, except those of the sources, whose columns and types only the sources know.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlglot

from prime_sql.discovery import inputs
from prime_sql.discovery.publish import Record, publish_nothing
from prime_sql.discovery.unseen import options_for
from prime_sql.engine import queries
from prime_sql.engine.connection import go_to_database
from prime_sql.engine.database import Database, Opened, attach
from prime_sql.engine.errors import PrimeSqlError, first_line
from prime_sql.engine.limits import Limits
from prime_sql.engine.named_sources import named
from prime_sql.engine.options import Options
from prime_sql.job.asked import hidden_warnings, keep_join, rows_of
from prime_sql.job.checks import read_sql
from prime_sql.job.read import wrong
from prime_sql.job.sections import Job, Output
from prime_sql.questions.run import Run

_STORED = "prime_sql_stored"  # the database of the job, attached
_ASKED = ("question", "sql", "sql_file")
_TAKEN = ("memory", "temp", "system", _STORED)


def bind(job: Job) -> None:
    """Bind all SQL of a job, with the folder of its file as the working directory.

    Nothing is stored, and the sources are read as a search reads them.

    Raises
    ------
    OptionError
        When something cannot be bound, or a source cannot be read; the message lists everything.
    """
    with contextlib.chdir(job.path.absolute().parent), hidden_warnings(job):
        problems = _Binding(job).all()
    if problems:
        raise wrong(job.path, problems, job.environment)


class _Binding:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.says = job.says
        self.problems: list[str] = []
        self._path = Path(self.says.db)

    def all(self) -> list[str]:
        with self._database() as database:
            self._sources(database)
            with database.session() as session:
                record = Record(self.job.name)
                run_id = publish_nothing(self.says.search, session, record)
                run = Run(Opened(database, run_id)).within(session)
                for name, join in self.says.joins.items():
                    where = self._where(join.source, f"joins.{name}")
                    self._try(
                        f"joins.{name}",
                        lambda n=name, j=join, w=where: keep_join(n, j.at(w), session),  # type: ignore[misc]
                    )
                for i, output in enumerate(self.says.outputs, 1):
                    kinds = [name for name in _ASKED if getattr(output, name)]
                    if kinds and not _pivots(output):
                        path = f"outputs[{i}].{kinds[0]}"
                        self._try(path, lambda o=output: rows_of(o, run))  # type: ignore[misc]
        return self.problems

    @contextlib.contextmanager
    def _database(self) -> Iterator[Database]:
        """Open a database in memory with the tables of that of the job, all of them empty."""
        database = Database(None)
        limits = Limits.of(self.says.memory_limit, self.says.temp_dir)
        try:
            with database.limited(limits, owned=True):
                # What a query names by catalog is found, too.
                name = self._path.stem
                name = f"{name}_" if name.lower() in _TAKEN else name
                with database.session() as session:
                    session.execute("bind", f"attach ':memory:' as {queries.identifier(name)}")
                    if self._path.exists():
                        attach(database.backend, self._path, _STORED)
                        session.execute(
                            "bind",
                            f"copy from database {_STORED} to {queries.identifier(name)} (schema)",
                        )
                go_to_database(database.backend, name)
                yield database
        finally:
            database.discard()

    def _sources(self, database: Database) -> None:
        """Load what is searched and what is checked, as the job does, each in its own session."""
        says, unseen = self.says, self.says.unseen
        given = {name: getattr(says.sources, name) for name in ("predictions", "tags")}
        parts = [says.search.find, *([says.search.check] if says.search.check else [])]
        for part in parts:
            self._load("search", given, says.search, part, database)
        if says.validation is not None and says.search.check is None:
            other = {name: getattr(unseen, name) or given[name] for name in given}
            options = options_for(says.search, unseen.where or says.search.where, {})
            self._load("validation", other, options, None, database)

    def _load(
        self,
        step: str,
        given: dict[str, str],
        options: Options,
        part: str | None,
        database: Database,
    ) -> None:
        predictions, tags = (
            self._where(source, f"sources.{name}") for name, source in given.items()
        )
        appended = self.says.append and step == "search"
        with database.session() as session:
            self._try(
                step,
                lambda: inputs.load(predictions, tags, options, session, part, appended=appended),
            )

    def _where(self, source: str, role: str) -> str:
        """Name a table of the job's database so that its rows are read, not those of the copy."""
        place = named(source, role)
        return source if place is None or place[0] else f"{self._path}:{source}"

    def _try(self, path: str, work: Callable[[], object]) -> None:
        try:
            work()
        except PrimeSqlError as error:
            # Without the query, which is in the file.
            text = " ".join(str(error).split("\n\n")[0].split())
        except Exception as error:  # anything that the user's SQL or file raises
            text = f"{type(error).__name__}: {first_line(error)}"
        else:
            return
        problem = text if text.startswith(path) else f"{path}: {text}"
        if problem not in self.problems:
            self.problems.append(problem)


def _pivots(output: Output) -> bool:
    """Return whether the columns of a query depend on the rows, so that it cannot be bound."""
    text = read_sql(output.sql_file) if output.sql_file else output.sql or ""
    return any(token.text.lower() in ("pivot", "pivot_wider") for token in sqlglot.tokenize(text))
