"""What a job file says: its sections as frozen dataclasses, read from TOML.

The dataclasses are the one description of the file: the reader, the JSON schema for editors and
the suggestions for misspelt keys are made from them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from prime_sql.defaults import CARDS, MIN_UNSEEN_IMAGES, NO_WAIT, RUNS, TOLERANCE, TOP
from prime_sql.errors import OptionError, PrimeSqlError, did_you_mean, shorten
from prime_sql.job.environment import Environment
from prime_sql.options import METHODS, Options
from prime_sql.warehouse import first_line

Section = TypeVar("Section")
Parameter = str | int | float | bool | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The tables that are searched.

    Attributes
    ----------
    predictions
        One row per image: a Parquet, CSV or JSON-lines file, a glob, FILE.duckdb:TABLE, or a table
        of `db`.
    tags
        One row per image and tag, in the same forms.
    """

    predictions: str
    tags: str


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of the sources are called.

    Attributes
    ----------
    image_id
        The image, in both tables.
    label
        The right class.
    prediction
        The class that the model says.
    tag
        The tag, or a list of tags.
    score
        The tag's score.
    """

    image_id: str = Options.image_id
    label: str = Options.label
    prediction: str = Options.prediction
    tag: str = Options.tag
    score: str = Options.score


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Check the failure modes on unseen data: other tables, or a part of the predictions.

    Attributes
    ----------
    predictions
        Unseen predictions; those of `sources` if left out.
    tags
        Their tags; those of `sources` if left out.
    where
        SQL condition on the unseen predictions, in the place of that of `options`.
    split
        Column of the predictions that says which part a row belongs to; with find and check.
    find
        The part in which failure modes are found.
    check
        The part in which they are checked.
    min_unseen_images
        A failure mode that fewer unseen images fit is undecided.
    tolerance
        By how much the drop of accuracy may fall short of min_drop and still hold.
    """

    predictions: str | None = None
    tags: str | None = None
    where: str | None = None
    split: str | None = None
    find: str | None = None
    check: str | None = None
    min_unseen_images: int = MIN_UNSEEN_IMAGES
    tolerance: float = TOLERANCE


@dataclass(frozen=True, kw_only=True)
class Chance:
    """Tell the failure modes from chance: q-values, and searches on shuffled errors.

    Attributes
    ----------
    shuffles
        How many searches with shuffled errors; 0 for none.
    seed
        Of the shuffles.
    """

    shuffles: int = 0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Join:
    """A business table that questions and SQL of this job can join with, by its name here.

    Attributes
    ----------
    source
        The table, in the forms that `sources` take.
    image_id
        Its column that holds the image. In SQL it is called image_id, whatever it is called here.
    """

    source: str
    image_id: str = "image_id"


@dataclass(frozen=True, kw_only=True)
class Output:
    """One thing that the job publishes: a report, a file of rows, or a table of the database.

    Rows are the failure modes, unless a question or SQL says otherwise.

    Attributes
    ----------
    report
        A report: .html for one self-contained page, .json or .txt.
    file
        Rows: a .parquet, .csv or .json file.
    table
        Rows: a table of `db`, SCHEMA.TABLE. The schema is made if need be.
    question
        A named question; `prime-sql query` lists them.
    params
        Parameters of the question.
    sql
        A query; failure_modes and so on mean this run, and joins can be named.
    sql_file
        A file with such a query.
    top
        How many failure modes the headline of a report lists.
    cards
        How many failure modes have a card in a report.
    thumbnails
        Whether a report has pictures of example images.
    runs
        Through how many of the last runs a report follows each failure mode.
    """

    report: str | None = None
    file: str | None = None
    table: str | None = None
    question: str | None = None
    params: dict[str, Parameter] = field(default_factory=dict)
    sql: str | None = None
    sql_file: str | None = None
    top: int = TOP
    cards: int = CARDS
    thumbnails: bool = True
    runs: int = RUNS


@dataclass(frozen=True, kw_only=True)
class Gates:
    """When the job exits with status 1, its outputs published all the same.

    Attributes
    ----------
    fail_on
        "new" for failure modes that the previous run did not have, or SQL conditions such as
        "accuracy_drop > 0.4 and images >= 50".
    junit
        A JUnit XML file, for CI.
    summary
        A file to which a Markdown summary is appended, such as "${GITHUB_STEP_SUMMARY}".
    """

    fail_on: tuple[str, ...] = ()
    junit: str | None = None
    summary: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobFile:
    """A job of prime_sql: what is searched, checked, written, and when it fails.

    Attributes
    ----------
    name
        Name of the job, by which its runs are compared; the file's name if left out.
    db
        The DuckDB file that keeps the runs, made if need be.
    wait
        Seconds to wait for `db` where another process has it open.
    memory_limit
        How much memory the job may take, as in "4GB" or "50%".
    temp_dir
        The folder for what does not fit into memory; beside `db` if left out.
    append
        Whether the sources are added to the last published run of the job, in the place of older
        rows of the same images; the first run searches them alone.
    sources
        The tables that are searched.
    columns
        What their columns are called.
    options
        The options of the search.
    validation
        Check the failure modes on unseen data.
    chance
        Tell the failure modes from chance.
    joins
        Business tables, by the names that questions and SQL use.
    outputs
        What is published.
    gates
        When the job exits with status 1.
    """

    name: str | None = None
    db: str
    wait: float = NO_WAIT
    memory_limit: str | None = None
    temp_dir: str | None = None
    append: bool = False
    sources: Sources
    columns: Columns = Columns()
    options: dict[str, Any] = field(default_factory=dict, metadata={"keys of": Options})
    validation: Validation | None = None
    chance: Chance | None = None
    joins: dict[str, Join] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    gates: Gates = Gates()

    @property
    def search(self) -> Options:
        """All options of the search."""
        return self.whole.replace(**{name: getattr(self.unseen, name) for name in _PARTS})

    @property
    def whole(self) -> Options:
        """The options without those that part the predictions."""
        return Options.of(**dataclasses.asdict(self.columns), **self.options)

    @property
    def unseen(self) -> Validation:
        """What is said of unseen data, or the defaults."""
        return self.validation or Validation()


@dataclass(frozen=True)
class Job:
    """A job file that was read, and checked as far as that goes without the database.

    Attributes
    ----------
    path
        The file; all paths in it are relative to its folder.
    says
        What it says, with the values of environment variables.
    shown
        The same, with their names.
    environment
        Keeps their values out of what leaves the job.
    """

    path: Path
    says: JobFile
    shown: JobFile
    environment: Environment

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.says.name or self.path.stem


_PARTS = ("split", "find", "check")

# Names, of which a run's record must say what they are: no environment variables.
_PLAIN = frozenset(
    ["name", "split", "group_by", "method", "question", "table"]
    + [column.name for column in dataclasses.fields(Columns)]  # reads better
)


@dataclass(frozen=True)
class Key:
    """A key of a section: its type, whether it must be given, and what it means."""

    name: str
    hint: Any
    required: bool
    default: Any
    doc: str


def keys(section: type) -> dict[str, Key]:
    """Return the keys of a section, by name."""
    hints = get_type_hints(section)
    docs = _docs(section)
    found = {}
    for each in dataclasses.fields(section):
        if section is Options and each.name in (*hints_of_columns(), *_PARTS):
            continue  # they stand in [columns] and [validation]
        hint = each.metadata.get("keys of", hints[each.name])
        if (section, each.name) == (Options, "method"):
            hint = Literal[METHODS]
        missing = dataclasses.MISSING
        required = each.default is missing and each.default_factory is missing
        default = None if each.default is missing else each.default
        found[each.name] = Key(each.name, hint, required, default, docs.get(each.name, ""))
    return found


def hints_of_columns() -> list[str]:
    """Return the keys of ``[columns]``."""
    return [each.name for each in dataclasses.fields(Columns)]


def _docs(section: type) -> dict[str, str]:
    """Return what the docstring of a section says of each attribute, on one line."""
    text = inspect.getdoc(section) or ""
    body = re.split(r"\n(?:Attributes|Parameters)\n-+\n", text)[-1]
    body = re.split(r"\n\w+\n-+\n", body)[0]
    found = {}
    for names, doc in re.findall(r"^(\w.*)\n((?:    .*\n?|\n)+)", body + "\n", re.MULTILINE):
        for name in names.split(", "):
            found[name] = " ".join(doc.split()).replace("``", '"').replace("`", "")
            # TOML has no None.
            found[name] = found[name].replace("when None", "if left out").replace("None", "none")
    return found


# Reading ------------------------------------------------------------------------------------------


def read(
    path: str | Path, variables: Mapping[str, str] | None = None, *, wait: float | None = None
) -> Job:
    """Read a job file, and check it, also against the database where there is one.

    Parameters
    ----------
    path
        The TOML file.
    variables
        Environment variables; those of the process if left out.
    wait
        Seconds to wait for the database where another process has it open; what the file says if
        left out.

    Raises
    ------
    OptionError
        When the file is missing or wrong anywhere; the message lists everything that is.
    """
    from prime_sql.job.checks import check  # the two modules need each other

    path = Path(path)
    tree = _parse(path)
    environment = Environment(variables)
    reader = _Reader(environment.expand)
    says = reader.section(JobFile, tree, "")
    if says is None:
        raise _wrong(path, reader.problems, environment)
    if wait is not None:
        says = replace(says, wait=wait)
    shown = _Reader(environment.written).section(JobFile, tree, "")
    assert shown is not None  # it differs in the values of variables only
    job = Job(path, says, shown, environment)
    try:
        problems = check(job)
    except Exception as error:  # its traceback would show the values of variables
        problems = [f"it cannot be checked: {type(error).__name__}: {first_line(error)}"]
    if problems:
        raise _wrong(path, problems, environment)
    return job


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        near = [each.name for each in path.absolute().parent.glob("*.toml")]
        raise OptionError(
            f"there is no file {path}.{did_you_mean(path.name, near)} `prime-sql init` writes one"
        ) from error
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is not text in UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{path} is no TOML: {error}") from error


def _wrong(path: Path, problems: list[str], environment: Environment) -> OptionError:
    if len(problems) == 1:
        return OptionError(environment.hide(f"{path}: {problems[0]}"))
    lines = "\n".join(f"  {problem}" for problem in problems)
    return OptionError(environment.hide(f"{path} has {len(problems)} problems:\n{lines}"))


class _Reader:
    """Turns parsed TOML into sections, and notes all that is wrong on the way."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self.problems: list[str] = []
        self._text = text

    def section(self, section: type[Section], table: Any, path: str) -> Section | None:
        """Return the section, or None where something in it is wrong."""
        before = len(self.problems)
        values = self.table(section, table, path)
        return None if len(self.problems) > before else section(**values)

    def table(self, section: type, table: Any, path: str) -> dict[str, Any]:
        """Return the values of the keys that are given."""
        if not isinstance(table, dict):
            self.problems.append(f"{path} must be a section, [{path}], got {shorten(table)}")
            return {}
        known = keys(section)
        for name in table:
            if name not in known:
                self.problems.append(f"{_in(path, name)}: {_unknown(name, path, known)}")
        for name, key in known.items():
            if key.required and name not in table:
                self.problems.append(f"{_in(path, name)} is missing: {_lower(key.doc)}")
        return {
            name: self.value(key.hint, table[name], _in(path, name), name in _PLAIN)
            for name, key in known.items()
            if name in table
        }

    def value(self, hint: Any, value: Any, path: str, plain: bool = False) -> Any:
        """Return a value of the type `hint`; note a problem where it is of another."""
        origin, of = get_origin(hint), get_args(hint)
        if hint is Options:
            return self.table(Options, value, path)
        if dataclasses.is_dataclass(hint):
            return self.section(hint, value, path)  # type: ignore[arg-type]
        if origin is dict and isinstance(value, dict):
            return {key: self.value(of[1], each, _in(path, key)) for key, each in value.items()}
        if origin is tuple and isinstance(value, list):
            each_path = f"{path}[{{}}]"
            return tuple(
                self.value(of[0], each, each_path.format(i), plain)
                for i, each in enumerate(value, 1)
            )
        if origin in (Union, UnionType):
            fitting = [each for each in of if _fits(each, value)]
            if fitting:
                return self.value(fitting[0], value, path, plain)
        elif origin is Literal and value in of:
            return value
        elif _fits(hint, value):
            return self.text(value, path, plain) if hint is str else value
        self.problems.append(f"{path} must be {name_of(hint)}, got {shorten(value)}")
        return None

    def text(self, value: str, path: str, plain: bool) -> str:
        """Return a text with its environment variables."""
        if not value.strip():
            self.problems.append(f"{path} must not be empty")
        elif plain:
            if "${" in value.replace("$${", ""):
                self.problems.append(
                    f"{path} is a name, and takes no environment variable: {value}"
                )
            return value.replace("$${", "${")
        else:
            try:
                expanded = self._text(value)
            except PrimeSqlError as error:
                self.problems.append(f"{path}: {error}")
            else:
                if not expanded.strip():
                    self.problems.append(f"{path} is empty: {value}")
                return expanded
        return value


def _in(path: str, name: str) -> str:
    shown = name if re.fullmatch(r"[\w-]+", name) else repr(name)
    return f"{path}.{shown}" if path else shown


def _lower(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


def _unknown(name: str, path: str, known: Iterable[str]) -> str:
    """Say what to write in the place of a key that there is not."""
    homes = {"": JobFile, "columns": Columns, "options": Options, "validation": Validation}
    homes |= {"sources": Sources, "chance": Chance, "gates": Gates}
    for home, section in homes.items():
        if home != path and name in keys(section):
            return f"it belongs {f'into [{home}]' if home else 'to the top of the file'}"
    return f"there is no such key.{did_you_mean(name, known) or ' Known: ' + ', '.join(known)}"


def _fits(hint: Any, value: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, list)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    if dataclasses.is_dataclass(hint):
        return True  # its own problems say more
    return isinstance(hint, type) and isinstance(value, hint)


def name_of(hint: Any) -> str:
    """Return a type in words."""
    of = [each for each in get_args(hint) if each is not NoneType]
    if get_origin(hint) is tuple:
        return f"a list [ … ] of {name_of(of[0]).removeprefix('a ')}s"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, of))}"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(name_of(each) for each in of)
    if get_origin(hint) is dict:
        return "a section"
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, "a section")
