"""What can be wrong with a job, found before anything runs."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from prime_sql.discovery.append_base import check_options
from prime_sql.discovery.stored import RELATIONS
from prime_sql.engine import duckdb_versions, places, queries
from prime_sql.engine.connection import rows_of
from prime_sql.engine.database import Database
from prime_sql.engine.defaults import MOST_SHUFFLES
from prime_sql.engine.errors import OptionError, PrimeSqlError, did_you_mean, first_line
from prime_sql.engine.files import check_file, check_place
from prime_sql.engine.limits import Limits
from prime_sql.engine.named_sources import named
from prime_sql.engine.opening import check_wait
from prime_sql.engine.options import finite_number, whole_number
from prime_sql.job.sections import Job, Output
from prime_sql.questions import gates

REPORTS = (".html", ".htm", ".json", ".txt")
_RESERVED = frozenset([*RELATIONS, "runs", "outcomes", "vocabulary", "tagged"])
OUTPUT = "output_"  # and a number: the name of an output's rows in the session
_SYSTEM = ("prime", "information_schema", "pg_catalog", "temp", "system")


def check(job: Job) -> list[str]:
    """Return what is wrong with a job, as far as that can be told without running it."""
    with contextlib.chdir(job.path.absolute().parent):
        return _Checks(job).all()


def made_by(job: Job) -> str:
    """Return the comment on tables that a job makes, by which it recognises them."""
    return f"Made by the prime-sql job {job.name}"


class _Checks:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.says = job.says
        self.problems: list[str] = []
        self._tables: dict[str, str] = {}  # of the database, that sources name: by key
        self._made: set[str] = set()  # tables that outputs name
        self._places: dict[Path, str] = {}  # what each file is to the job: one thing only
        self._patterns: dict[str, str] = {}  # of source files: by key

    def all(self) -> list[str]:
        self._try("db", self._database)
        self._places[places.real(self.job.path.name)] = "the job file"
        self._search()
        self._settings()
        self._validation()
        self._chance()
        self._joins()
        for i, output in enumerate(self.says.outputs, 1):
            if output.sql_file:
                self._reads(f"outputs[{i}].sql_file", Path(output.sql_file))
        for i, output in enumerate(self.says.outputs, 1):
            self._output(output, f"outputs[{i}]")
        self._gates()
        if not self.problems:
            self._stored()
        return self.problems

    def _try(self, path: str, check: Callable[[], object]) -> None:
        try:
            check()
        except PrimeSqlError as error:
            text = str(error)
            self._add(text if text.startswith(path) else f"{path}: {text}")
        except (OSError, ValueError) as error:  # a name that is too long, or holds a null character
            self._say(path, getattr(error, "strerror", None) or str(error))

    def _say(self, path: str, problem: str) -> None:
        self._add(f"{path}: {problem}")

    def _add(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _database(self) -> None:
        path = Path(self.says.db)
        places.check_readable(path, "db: cannot open", OptionError)
        self._reads("db", path)
        if path.is_dir():
            self._say("db", f"{path} is a folder; name a DuckDB file in it")
        elif not path.absolute().parent.is_dir():
            self._say("db", f"the folder {path.parent} does not exist; make it first")

    def _source(self, path: str, name: str) -> None:
        def look() -> None:
            place = named(name, path)
            if place is None:
                self._reads_files(path, name)
            elif place[0] is None:
                self._tables[path] = place[1]
            else:
                self._reads(path, place[0])

        self._try(path, look)

    def _reads(self, path: str, file: Path) -> None:
        self._try(path, lambda: self._places.setdefault(places.real(file), path))

    def _reads_files(self, path: str, name: str) -> None:
        if "://" in name and not name.lower().startswith("file://"):
            return
        url = urlsplit(name)
        file = Path(unquote(url.path) if "://" in name else name)
        if glob.has_magic(str(file)) and not file.is_file():
            # What matches it today, also through links; and what may match it tomorrow.
            for each in glob.iglob(str(file), recursive=True):
                self._reads(path, Path(each))
            self._patterns[path] = str(file.absolute())
        else:
            self._reads(path, file)

    def _search(self) -> None:
        for name in ("predictions", "tags"):
            self._source(f"sources.{name}", getattr(self.says.sources, name))
        before = len(self.problems)
        self._try("options", lambda: self.says.whole)
        if len(self.problems) == before:
            self._try("validation", lambda: self.says.search)

    def _settings(self) -> None:
        self._try("wait", lambda: check_wait(self.says.wait))
        self._try("memory_limit", lambda: Limits.of(self.says.memory_limit, None))
        self._try("temp_dir", lambda: Limits.of(None, self.says.temp_dir))
        if self.says.append and not self.problems:
            self._try("append", lambda: check_options(self.says.search))

    def _validation(self) -> None:
        unseen = self.says.validation
        if unseen is None:
            return
        other = [name for name in ("predictions", "tags", "where") if getattr(unseen, name)]
        parts = [name for name in ("split", "find", "check") if getattr(unseen, name)]
        if other and parts:
            self._say("validation", f"{other[0]} and {parts[0]} are mutually exclusive")
        elif not other and not parts:
            self._say(
                "validation",
                "say what the unseen data are: predictions and tags, where, or split, find and "
                "check",
            )
        for name in ("predictions", "tags"):
            if getattr(unseen, name):
                self._source(f"validation.{name}", getattr(unseen, name))
        least = unseen.min_unseen_images
        self._try("validation", lambda: whole_number("min_unseen_images", least))
        self._try("validation.tolerance", lambda: _check_tolerance(unseen.tolerance))

    def _chance(self) -> None:
        chance = self.says.chance
        if chance is None:
            return
        for name, value, most in (
            ("shuffles", chance.shuffles, MOST_SHUFFLES),
            ("seed", chance.seed, 2**31 - 1),
        ):
            self._try("chance", lambda n=name, v=value, m=most: whole_number(n, v, 0, m))  # type: ignore[misc]

    def _joins(self) -> None:
        for name, join in self.says.joins.items():
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                self._say(f"joins.{name}", "name it with letters, digits and _, as in SQL")
            elif name.lower() in _RESERVED or name.lower().startswith(OUTPUT):
                self._say(f"joins.{name}", "this is a table of the results; choose another name")
            self._source(f"joins.{name}", join.source)

    def _output(self, output: Output, path: str) -> None:
        targets = [name for name in ("report", "file", "table") if getattr(output, name)]
        contents = [name for name in ("question", "sql", "sql_file") if getattr(output, name)]
        if len(targets) != 1:
            given = " and ".join(targets) or "none of them"
            self._say(path, f"needs one of report, file and table, got {given}")
            return
        if len(contents) > 1:
            self._say(path, f"{' and '.join(contents)} are mutually exclusive")
        if output.report:
            if contents:
                self._say(f"{path}.{contents[0]}", "a report shows the run; leave it out")
            if Path(output.report).suffix.lower() not in REPORTS:
                self._say(f"{path}.report", "name a file that ends in .html, .json or .txt")
            else:
                self._place(f"{path}.report", output.report)
            for name, least in (("top", 1), ("cards", 0), ("runs", 1)):
                value = getattr(output, name)
                self._try(f"{path}", lambda n=name, v=value, m=least: whole_number(n, v, m))  # type: ignore[misc]
        for name in ("top", "cards", "thumbnails", "runs"):
            if not output.report and getattr(output, name) != getattr(Output, name):
                self._say(f"{path}.{name}", "this is only for a report")
        if output.file:
            before = len(self.problems)
            self._try(f"{path}.file", lambda: check_file(Path(str(output.file))))
            if len(self.problems) == before:
                self._place(f"{path}.file", output.file)
        if output.table:
            self._table(f"{path}.table", output.table)
        self._content(output, path)

    def _place(self, path: str, file: str) -> None:
        self._try(path, lambda: self._take(path, Path(file)))

    def _take(self, path: str, place: Path) -> None:
        check_place(place, append=path == "gates.summary")
        taken = self._places.get(places.real(place))
        for key, pattern in self._patterns.items():
            if place.absolute().match(pattern):
                taken = taken or key
        if taken:
            self._say(path, f"{place} is already {taken}; name another file")
        else:
            self._places[places.real(place)] = path

    def _table(self, path: str, name: str) -> None:
        schema, _, table = name.rpartition(".")
        name = _whole(name)
        if not table or "." in schema or name.startswith("."):
            self._say(path, f"name a table as SCHEMA.TABLE, got {name!r}")
        elif schema.lower() in _SYSTEM:
            self._say(path, f"the schema {schema} is reserved; name another")
        elif name in self._made:
            self._say(path, f"{name} is already an output")
        self._made.add(name)

    def _content(self, output: Output, path: str) -> None:
        if output.params and not output.question:
            self._say(f"{path}.params", "only a question takes parameters")
        if output.question:
            self._try(f"{path}.question", lambda: _check_question(output))
        if output.sql:
            self._try(f"{path}.sql", lambda: _check_sql(str(output.sql)))
        if output.sql_file:
            self._try(f"{path}.sql_file", lambda: _check_sql(read_sql(str(output.sql_file))))

    def _gates(self) -> None:
        wanted = self.says.gates
        for i, text in enumerate(wanted.fail_on, 1):
            self._gate(f"gates.fail_on[{i}]", text)
        if wanted.junit and not wanted.fail_on:
            self._say("gates.junit", "it says which gates tripped; add fail_on")
        for name in ("junit", "summary"):
            file = getattr(wanted, name)
            if file:
                self._place(f"gates.{name}", file)

    def _gate(self, path: str, text: str) -> None:
        try:
            gate = gates.parse(text)
        except PrimeSqlError as error:
            self._say(path, str(error))
            return
        chance, options = self.says.chance, self.says.options
        missing = {
            "[validation]": gate.needs_validation and self.says.validation is None,
            "[chance]": "q_value" in gate.named and chance is None and "max_q" not in options,
            "[chance] with shuffles": "family_wise_p" in gate.named
            and not (chance and chance.shuffles),
        }
        for section, lacks in missing.items():
            if lacks:
                self._say(path, f"{text!r} names what only {section} finds out; add it")

    def _stored(self) -> None:
        """Check against the database, if there is one."""
        path = Path(self.says.db)
        if not path.exists():
            for key, table in self._tables.items():
                self._say(
                    key, f"there is neither a file {table} nor a database {path} with such a table"
                )
            return
        try:
            database = Database(path, read_only=True, wait=self.says.wait)
        except PrimeSqlError as error:
            self._say("db", str(error))
            return
        own = made_by(self.job)
        try:
            found = rows_of(
                database.backend,
                "select schema_name, table_name, comment from duckdb_tables() "
                "where database_name = current_database() union all "
                "select schema_name, view_name, comment from duckdb_views() "
                "where database_name = current_database() and not internal",
            )
        finally:
            database.discard()
        rows = [tuple(row.values()) for row in found]
        names = {f"{schema}.{table}" for schema, table, _ in rows}
        names |= {table for schema, table, _ in rows if schema == "main"}
        for key, table in self._tables.items():
            if table not in names:
                hint = did_you_mean(table, names)
                self._say(key, f"there is neither a file nor a table {table}.{hint}")
        comments = {f"{schema}.{table}".lower(): comment for schema, table, comment in rows}
        for i, output in enumerate(self.says.outputs, 1):
            if output.table and comments.get(_whole(output.table), own) != own:
                self._say(
                    f"outputs[{i}].table",
                    f"{output.table} exists and was not made by this job; name another, or drop it "
                    "first",
                )


def _check_tolerance(tolerance: float) -> None:
    if not 0 <= finite_number("tolerance", tolerance) <= 1:
        raise OptionError(f"must be between 0 and 1, got {tolerance:g}")


def _whole(table: str) -> str:
    """Return the name of a table with its schema, in lower case, as case makes no difference."""
    return (table if "." in table else f"main.{table}").lower()


def read_sql(file: str) -> str:
    """Return the text of a file with a query.

    Raises
    ------
    OptionError
        When it cannot be read.
    """
    places.check_readable(file, "cannot read", OptionError)
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise OptionError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{file} is not UTF-8 text") from error


def _check_question(output: Output) -> None:
    question = queries.question(str(output.question))
    known = [parameter.name for parameter in question.parameters]
    for name in output.params:
        if name not in known:
            hint = did_you_mean(name, known) or f" It has: {', '.join(known) or 'none'}."
            raise OptionError(f"{question.name} has no parameter {name!r}.{hint}")
    for parameter in question.parameters:
        if parameter.default is None and parameter.name not in output.params:
            raise OptionError(
                f"{question.name} needs the parameter {parameter.name!r}: {parameter.text}"
            )


def _check_sql(text: str) -> None:
    try:
        count = len(duckdb.extract_statements(text))
        if count != 1 and len(queries.statements(text)) != 1:  # PIVOT may be two to DuckDB
            raise OptionError(f"give one query, got {count}")
        answers = duckdb_versions.returns_rows(queries.statements(text)[0])
    except duckdb.Error as error:
        raise OptionError(first_line(error)) from error
    if not answers:
        raise OptionError("give a query that returns rows: select, from, with, …")
