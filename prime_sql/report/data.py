"""The data of a report: frozen, complete, and the one source of HTML, JSON and text.

What is counted stands in ``queries/report/``: one query for all modes, never one for each.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import polars as pl

from prime_sql import __version__, queries, rank
from prime_sql.errors import OptionError, shorten
from prime_sql.explain import table_of_images, told_by
from prime_sql.options import LARGEST_MAX_TAGS
from prime_sql.output import printable
from prime_sql.warehouse import OnSql, Warehouse

if TYPE_CHECKING:
    from prime_sql.results import Run

CARDS = 50  # failure modes with a card of their own
HARD, EASY = 6, 3  # example images on a card
FORMAT = "prime_sql report 1"

_NAMES = 5  # of what errors are taken for, on a card


@dataclass(frozen=True)
class Search:
    """What was searched, and how.

    Attributes
    ----------
    run_id, counted_run_id
        The run, and the one that counted for it (itself, or the one that `refilter` asked).
    created_at
        When it was stored, UTC, ISO 8601.
    version
        The version of prime_sql that made it.
    sources
        Where predictions and tags came from.
    options
        All options of the search, as in the table ``runs``.
    row_counts
        Rows by table.
    seconds
        How long the search took.
    warnings
        What was odd about the input.
    note
        Why there are no failure modes, or None.
    """

    run_id: int
    counted_run_id: int
    created_at: str
    version: str
    sources: dict[str, str]
    options: dict[str, Any]
    row_counts: dict[str, int]
    seconds: float
    warnings: tuple[str, ...]
    note: str | None


@dataclass(frozen=True)
class Pick:
    """One of the few failure modes that explain most errors; see `Run.cover`."""

    rank: int
    mode_id: str
    class_name: str
    tags: str
    images: int
    errors: int
    accuracy: float
    accuracy_drop: float
    new_errors: int
    cumulative_errors: int
    cumulative_coverage: float


@dataclass(frozen=True)
class Headline:
    """The run in a few numbers.

    Attributes
    ----------
    failure_modes, near_duplicates
        How many there are, and how many of them have nearly the images of a better one.
    classes, images, errors, accuracy
        Of all that was searched; accuracy is None where there are no images.
    mode_errors
        Errors that are in at least one failure mode.
    cover
        The few that explain most errors.
    complete
        Whether no other failure mode would explain another error.
    """

    failure_modes: int
    near_duplicates: int
    classes: int
    images: int
    errors: int
    accuracy: float | None
    mode_errors: int
    cover: tuple[Pick, ...]
    complete: bool


@dataclass(frozen=True)
class Mode:
    """One failure mode: its row of ``failure_modes``, how sure it is, whether it holds.

    Attributes
    ----------
    place
        By excess errors, from 1.
    tag_names
        Its tags one by one; "not TAG" for an absent one.
    accuracy_low, accuracy_high
        Wilson interval of the accuracy, 95 %.
    p_value, q_value
        See `Run.chance`; q_value is None until that was asked for.
    hidden
        Whether it is a near-duplicate of a better one.
    representative_id, representative_tags
        The mode that stands for it: itself, where it is not hidden.
    unseen_images, unseen_accuracy, unseen_accuracy_drop, verdict
        On unseen data; None where the run was not validated.
    """

    place: int
    mode_id: str
    class_name: str
    tags: str
    tag_names: tuple[str, ...]
    tag_count: int
    images: int
    errors: int
    accuracy: float
    class_images: int
    class_errors: int
    class_accuracy: float
    accuracy_drop: float
    excess_errors: float
    error_coverage: float
    accuracy_low: float | None
    accuracy_high: float | None
    p_value: float | None
    q_value: float | None
    hidden: bool
    representative_id: str
    representative_tags: str
    unseen_images: int | None
    unseen_accuracy: float | None
    unseen_accuracy_drop: float | None
    verdict: str | None


@dataclass(frozen=True)
class Subset:
    """Accuracy on a subset of a mode's tags; no tags: the whole class."""

    tags: str
    tag_count: int
    images: int
    errors: int
    accuracy: float


@dataclass(frozen=True)
class WrongPrediction:
    """What images of a mode are taken for.

    Attributes
    ----------
    name
        A prediction; or a label, where the class is the prediction (see `Report.told_by`).
    images
        How many of the mode's.
    error_share, other_error_share
        Of the errors of the mode, and of those of its class outside of it (None where there are
        none).
    """

    name: str | None
    images: int
    error_share: float
    other_error_share: float | None


@dataclass(frozen=True)
class Example:
    """An image of a mode: a hard one (`error`), or an easy one."""

    image_id: str
    label: str | None
    prediction: str | None
    error: bool
    uri: str | None


@dataclass(frozen=True)
class Card:
    """One failure mode from all sides.

    Attributes
    ----------
    subsets
        Every counted subset of its tags, from the class to the mode (PRIME paper, Fig. 3).
    wrong_predictions
        The most common ones.
    names
        How many different ones there are.
    examples
        Hard images, then easy ones.
    sql
        The query that returns its images.
    """

    mode_id: str
    subsets: tuple[Subset, ...]
    wrong_predictions: tuple[WrongPrediction, ...]
    names: int
    examples: tuple[Example, ...]
    sql: str


@dataclass(frozen=True)
class ClassRow:
    """One class; `mode_errors` are its errors that are in at least one failure mode."""

    class_name: str
    images: int
    errors: int
    accuracy: float
    failure_modes: int
    mode_errors: int


@dataclass(frozen=True)
class Unseen:
    """Whether the failure modes hold on unseen data; see `Validation`.

    Its points (PRIME paper, Fig. 9) are `accuracy_drop` and `unseen_accuracy_drop` of the modes.
    """

    sentence: str
    sources: dict[str, str]
    where: str | None
    images: int
    min_unseen_images: int
    tolerance: float
    warnings: tuple[str, ...]
    decided: int
    holds: int
    fails: int
    undecided: int
    correlation: float | None
    share_reached: float | None
    mean_drop: float | None
    mean_unseen_drop: float | None


@dataclass(frozen=True)
class Report:
    """A run as people look at it.

    Attributes
    ----------
    format
        The name and number of this form; a later one that reads otherwise has a higher number.
    version
        The version of prime_sql that made the report.
    search, headline
        What was searched, and the result in short.
    modes
        All failure modes, most excess errors first.
    cards
        Details: of the modes of the cover, then of those with most excess errors.
    classes
        Those with most errors in failure modes first.
    told_by
        What tells the errors of a class apart: ``prediction``, or ``label`` where the class is the
        prediction.
    unseen
        None where the run was not validated.
    """

    format: str
    version: str
    search: Search
    headline: Headline
    modes: tuple[Mode, ...]
    cards: tuple[Card, ...]
    classes: tuple[ClassRow, ...]
    told_by: str
    unseen: Unseen | None

    def to_json(self) -> str:
        """Return all of it as a JSON object, with the names of the attributes.

        The same run gives the same text. Numbers are finite; what is unknown is null.
        """
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that `to_json` wrote.

        Raises
        ------
        OptionError
            When it is no such JSON.
        """
        try:
            value = json.loads(text)
            if value["format"] != FORMAT:
                raise OptionError(f"not a report that this version reads: {value['format']!r}")
            return typing.cast(Report, _built(cls, value))
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, OptionError):
                raise
            raise OptionError(f"not the JSON of a report: {shorten(str(error))}") from error

    def to_html(self) -> str:
        """Return one self-contained page; no request leaves it."""
        from prime_sql.report.html import page  # jinja2 and its files, for pages only

        return page(self)

    def to_text(self) -> str:
        """Return what matters as text, short enough for an email."""
        search, headline = self.search, self.headline
        lines = [
            f"Failure modes of run {search.run_id}, {search.created_at[:16].replace('T', ' ')} UTC",
            "",
            f"{searched(self)}.",
            f"{definition(search.options)}.",
            *(f"Warning: {warning}" for warning in search.warnings),
            "",
            *(f"{sentence}." for sentence in result(self)),
        ]
        if headline.cover:
            lines.append("")
        for pick in headline.cover:
            lines += [
                f"{pick.rank:>3}. {pick.class_name}: {pick.tags}",
                f"     accuracy {pick.accuracy:.1%} on {pick.images:,} images, "
                f"{pick.accuracy_drop * 100:.0f} points below its class; "
                f"{pick.cumulative_coverage:.0%} of errors so far",
            ]
        if self.unseen is not None:
            lines += ["", self.unseen.sentence]
        return "\n".join(map(printable, lines)) + "\n"


def searched(report: Report) -> str:
    """Say what was searched, in a sentence without its full stop."""
    headline, sources = report.headline, report.search.sources
    accuracy = "" if headline.accuracy is None else f", accuracy {headline.accuracy:.1%}"
    names = ", ".join(f"{name} from {where}" for name, where in sources.items())
    return (
        f"{_count(headline.images, 'image')} in {_count(headline.classes, 'class', 'classes')}, "
        f"{_count(headline.errors, 'error')}{accuracy}{'; ' if names else ''}{names}"
    )


def definition(options: dict[str, Any]) -> str:
    """Say what was looked for."""
    most = options["max_tags"]
    tags = "single tags" if most == 1 else f"sets of up to {most} tags"
    text = (
        f"Looked for {tags} that at least {_count(options['min_images'], 'image')} of a class "
        f"carry and on which accuracy is at least {options['min_drop'] * 100:g} points below "
        "that of the class"
    )
    text += "" if most == 1 else ", each tag being necessary"
    if options.get("max_q") is not None:
        text += f", at a q-value of at most {options['max_q']:g}"
    if options.get("method") == "greedy":
        text += "; the search was greedy, so that some may be missing"
    return text


def result(report: Report) -> list[str]:
    """Say what was found, in sentences without their full stops."""
    headline = report.headline
    if not headline.failure_modes:
        note = (report.search.note or "").strip().rstrip(".")
        return ["No failure modes", *([note] if note else [])]
    found = _count(headline.failure_modes, "failure mode")
    if headline.near_duplicates:
        found += f", {headline.near_duplicates:,} of them near-duplicates of a better one"
    share = headline.mode_errors / headline.errors
    sentences = [f"{found}; {share:.0%} of {_count(headline.errors, 'error')} are in at least one"]
    if headline.cover:
        few, explained = len(headline.cover), headline.cover[-1].cumulative_coverage
        which = f"The {few} that explain most have" if few > 1 else "The one that explains most has"
        rest = "; no other explains another one" if headline.complete else ""
        sentences.append(f"{which} {explained:.0%} of the errors{rest}")
    return sentences


def _count(number: int, thing: str, things: str = "") -> str:
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def collect(
    run: Run, *, top: int = rank.TOP, cards: int = CARDS, on_sql: OnSql | None = None
) -> Report:
    """Collect the report of `run`; see `Run.report`."""
    if not isinstance(cards, int) or isinstance(cards, bool) or cards < 0:
        raise OptionError(f"cards must be a whole number from 0 on, got {cards!r}")
    summary = rank.summarize(run, top, on_sql=on_sql)
    validation = run.validation
    warehouse = Warehouse(run.backend, on_sql)

    scope = run.scope("outcomes")

    def keep(name: str, **values: Any) -> None:
        """Keep the answer of a query for those that follow, under its name."""
        sql = queries.find(name).render(**values)
        name = name.partition("/")[2]
        warehouse.create(name, f"with {scope}\nselect * from (\n{sql}\n) as answer")

    def read(name: str, **values: Any) -> pl.DataFrame:
        keep(f"report/{name}", **values)
        answer: pl.DataFrame = warehouse.backend.table(name).to_polars()
        return answer

    try:
        keep("rank/mode_images", schema=warehouse.schema)
        keep("rank/families", overlap=rank.OVERLAP)
        warehouse.create_from("cover", ibis.memtable(summary.cover))
        modes = read("modes", validated=validation is not None)
        mode_tags = read("mode_tags")
        classes = read("class_overview")
        detailed = read("detailed", cards=cards)
        subsets = read("subsets", largest=LARGEST_MAX_TAGS)
        keep("report/detailed_images")
        wrong = read("wrong_predictions", column=told_by(run), most=_NAMES)
        images = table_of_images(run)
        examples = read("examples", hard=HARD, easy=EASY, images=images)
    finally:
        warehouse.close()

    names = mode_tags.group_by("mode_id").agg(pl.col("name").sort().alias("tag_names"))
    modes = modes.join(names, on="mode_id", how="left").sort("place")
    total_images, total_errors = int(classes["images"].sum()), int(classes["errors"].sum())
    in_order = classes.sort("mode_errors", "errors", "class_name", descending=[True, True, False])
    return Report(
        format=FORMAT,
        version=__version__,
        search=Search(
            run_id=run.run_id,
            counted_run_id=run.counted_run_id,
            created_at=run.created_at.isoformat(timespec="seconds") + "Z",
            version=run.version,
            sources=dict(run.sources),
            options=json.loads(run.options.to_json()),
            row_counts=dict(run.row_counts),
            seconds=round(sum(run.seconds.values()), 3),
            warnings=tuple(run.warnings),
            note=run.note,
        ),
        headline=Headline(
            failure_modes=summary.modes,
            near_duplicates=summary.hidden,
            classes=classes.height,
            images=total_images,
            errors=total_errors,
            accuracy=1 - total_errors / total_images if total_images else None,
            mode_errors=int(classes["mode_errors"].sum()),
            cover=_rows(Pick, summary.cover.sort("rank")),
            complete=summary.complete,
        ),
        modes=_rows(Mode, modes),
        cards=_cards(run, detailed, subsets, wrong, examples),
        classes=_rows(ClassRow, in_order),
        told_by=told_by(run),
        unseen=_unseen(run),
    )


def _cards(
    run: Run,
    detailed: pl.DataFrame,
    subsets: pl.DataFrame,
    wrong: pl.DataFrame,
    examples: pl.DataFrame,
) -> tuple[Card, ...]:
    """Put the rows of all cards on theirs."""
    catalog = run.backend.current_catalog
    # In a file called prime.duckdb, the catalog must stand before the schema.
    schema = f"{queries.identifier(catalog)}.prime" if catalog.lower() == "prime" else "prime"
    copy = queries.find("report/images_to_copy")

    def grouped(rows: pl.DataFrame) -> dict[int, pl.DataFrame]:
        parts = rows.partition_by("card", as_dict=True, maintain_order=True)
        return {key[0]: part for key, part in parts.items()}

    subsets_of = grouped(subsets.sort("card", "tag_count", "tags", "images", "errors"))
    wrong = wrong.sort("card", "images", "name", descending=[False, True, False], nulls_last=True)
    examples = examples.sort("card", "error", "place", descending=[False, True, False])
    wrong_of, examples_of = grouped(wrong), grouped(examples)
    found = []
    for card, mode_id in detailed.sort("card").select("card", "mode_id").iter_rows():
        guesses, shown = wrong_of.get(card), examples_of.get(card)
        found.append(
            Card(
                mode_id=mode_id,
                subsets=_rows(Subset, subsets_of[card]),
                wrong_predictions=() if guesses is None else _rows(WrongPrediction, guesses),
                names=0 if guesses is None else int(guesses["names"][0]),
                examples=()
                if shown is None
                else _rows(Example, shown.with_columns(pl.col("error") == 1)),
                sql=copy.render(schema=schema, run_id=run.run_id, mode_id=mode_id) + ";",
            )
        )
    return tuple(found)


def _unseen(run: Run) -> Unseen | None:
    validation = run.validation
    if validation is None:
        return None
    row = validation.summary.to_polars().row(0, named=True)
    names = [field.name for field in dataclasses.fields(Unseen)]
    return Unseen(
        sentence=validation.sentence(),
        sources=dict(validation.sources),
        where=validation.where,
        images=validation.images,
        min_unseen_images=validation.min_unseen_images,
        tolerance=validation.tolerance,
        warnings=tuple(validation.warnings),
        **{name: _plain(row[name]) for name in names if name in row},
    )


def _rows(kind: Any, rows: pl.DataFrame) -> tuple[Any, ...]:
    """Return one object for each row, from the columns that are called like its fields."""
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(kind(*map(_plain, row)) for row in rows.select(names).iter_rows())


def _plain(value: Any) -> Any:
    """Leave out what JSON cannot say, and make lists as fixed as the rest."""
    if isinstance(value, list):
        return tuple(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _built(kind: Any, value: Any) -> Any:
    """Make the object of a type out of what JSON has in its place."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _built(hints[name], each) for name, each in value.items()})
    if origin is tuple:
        return tuple(_built(inner[0], each) for each in value)
    if origin is types.UnionType:
        return None if value is None else _built(inner[0], value)
    return value
