"""What a job file says: its sections as frozen dataclasses, read from TOML.

The dataclasses are the only description of the file: the reader, the JSON schema for editors and
the suggestions for misspelt keys are derived from them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

from prime_sql.engine.defaults import CARDS, MIN_UNSEEN_IMAGES, NO_WAIT, RUNS, TOLERANCE, TOP
from prime_sql.engine.options import METHODS, Options
from prime_sql.job.environment import Environment

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
        The true class.
    prediction
        The class that the model predicts.
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
        SQL condition on the unseen predictions, instead of that of `options`.
    split
        Column of the predictions that says which part a row belongs to; for find and check.
    find
        The part in which failure modes are found.
    check
        The part in which they are checked.
    min_unseen_images
        A failure mode with fewer unseen images is undecided.
    tolerance
        By how much the drop in accuracy may fall short of min_drop and still hold.
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
        How many searches with shuffled errors, up to 10,000; 0 for none.
    seed
        Seed of the shuffles.
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
        Its column that names the image. In SQL it is called image_id, and by its own name.
    """

    source: str
    image_id: str = "image_id"

    def at(self, source: str) -> Join:
        """Return the join with a source that is named in another way."""
        return dataclasses.replace(self, source=source)


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
        Rows: a table of `db`, SCHEMA.TABLE. The schema is created if need be.
    question
        A named question; `prime-sql query` lists them.
    params
        Parameters of the question.
    sql
        A query; failure_modes and so on are those of this run, and joins go by their names.
    sql_file
        A file with such a query.
    top
        How many failure modes the headline of a report lists.
    cards
        How many failure modes have a card in a report.
    thumbnails
        Whether a report has pictures of example images.
    runs
        How many of the last runs a report follows each failure mode through.
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
    """When the job exits with status 1; its outputs are published all the same.

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
        The DuckDB file for the runs, created if need be.
    wait
        Seconds to wait for `db` if another process has it open.
    memory_limit
        How much memory the job may take, such as "4GB" or "50%".
    temp_dir
        The folder for what does not fit into memory; beside `db` if left out.
    append
        Whether the sources are added to the last published run of the job, where they replace
        older rows of the same images; the first run searches them alone.
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
        """The options without those that split the predictions."""
        return Options.of(**dataclasses.asdict(self.columns), **self.options)

    @property
    def unseen(self) -> Validation:
        """What the file says about unseen data, or the defaults."""
        return self.validation or Validation()


@dataclass(frozen=True)
class Job:
    """A job file that was read and checked.

    Attributes
    ----------
    path
        The file; all paths in it are relative to its folder.
    says
        What it says, with the values of environment variables.
    shown
        The same, with their names.
    environment
        Keeps their values out of everything that leaves the job.
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
    elsewhere = {*_PARTS, *(column.name for column in dataclasses.fields(Columns))}
    found = {}
    for each in dataclasses.fields(section):
        if section is Options and each.name in elsewhere:
            continue  # they are in [columns] and [validation]
        hint = each.metadata.get("keys of", hints[each.name])
        if (section, each.name) == (Options, "method"):
            hint = Literal[METHODS]
        missing = dataclasses.MISSING
        required = each.default is missing and each.default_factory is missing
        default = None if each.default is missing else each.default
        found[each.name] = Key(each.name, hint, required, default, docs.get(each.name, ""))
    return found


def _docs(section: type) -> dict[str, str]:
    """Return what the docstring of a section says about each attribute, on one line."""
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
