"""The data of a report: frozen, complete, and the one source of HTML, JSON and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Search:
    """What was searched, and how.

    Attributes
    ----------
    run_id, counted_run_id
        The run, and the one that counted for it (itself, or the one that was refiltered).
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
        How many there are, and how many of them have nearly the same images as a better one.
    classes, images, errors, accuracy
        Of all that was searched; accuracy is None if there are no images.
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
    """One failure mode: its row of ``failure_modes``, how certain it is, whether it holds.

    Attributes
    ----------
    place
        Rank by excess errors, from 1.
    tag_names
        Its tags one by one; "not TAG" for an absent one.
    accuracy_low, accuracy_high
        Wilson interval of the accuracy, 95 %.
    p_value, q_value
        See `Run.chance`; q_value is None before that was called.
    hidden
        Whether it is a near-duplicate of a better one.
    representative_id, representative_tags
        The mode that represents it: itself, unless it is hidden.
    unseen_images, unseen_accuracy, unseen_accuracy_drop, verdict
        On unseen data; None if the run was not validated.
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
        A prediction; or a label, if the class is the prediction (see `ReportData.told_by`).
    images
        How many images of the mode.
    error_share, other_error_share
        Share of the errors of the mode, and of those of its class outside it (None if there are
        none).
    """

    name: str | None
    images: int
    error_share: float
    other_error_share: float | None


@dataclass(frozen=True)
class Example:
    """An image of a mode: a hard one (`error`), or an easy one.

    Attributes
    ----------
    uri
        Where its file is, if the database says so.
    thumbnail
        A small JPEG as a data URI, of a local file or of bytes in the database; None if there is
        neither, or thumbnails were not asked for.
    """

    image_id: str
    label: str | None
    prediction: str | None
    error: bool
    uri: str | None
    thumbnail: str | None


@dataclass(frozen=True)
class Pictures:
    """What became of the pictures of the example images.

    Attributes
    ----------
    found
        How many images have a local file, or bytes in the database.
    unreadable, left_out
        How many of them cannot be read, and for how many there is no room on a page.
    note
        Why there are none at all, or None.
    """

    found: int
    unreadable: int
    left_out: int
    note: str | None


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
class Change:
    """A failure mode of this run or the previous one, and how it changed; see `compare`.

    Attributes
    ----------
    status
        new, persisting, fixed or undecided.
    images_before, accuracy_before, images, accuracy
        In the previous run and in this one; None if its class was missing.
    accuracy_change, change_low, change_high
        By how much accuracy rose, and the 95 % interval of that.
    q_value
        Whether that is chance; None if the mode is undecided.
    """

    status: str
    mode_id: str
    class_name: str
    tags: str
    images_before: int | None
    accuracy_before: float | None
    images: int | None
    accuracy: float | None
    accuracy_change: float | None
    change_low: float | None
    change_high: float | None
    q_value: float | None


@dataclass(frozen=True)
class PastRun:
    """One of the runs that are compared with each other."""

    run_id: int
    created_at: str


@dataclass(frozen=True)
class Trend:
    """Images and accuracy of a mode in each of the runs of `History.runs`, in their order.

    None if its class was missing, and the accuracy also if no image carried its tags.
    """

    mode_id: str
    images: tuple[int | None, ...]
    accuracies: tuple[float | None, ...]


@dataclass(frozen=True)
class History:
    """What changed since the previous run, and how the modes developed; see `Run.history`.

    Attributes
    ----------
    previous
        The run before this one, of the same job, or the same predictions, with the same options.
    new, persisting, fixed, undecided
        How many failure modes.
    changes
        All modes of either run, in the order of `compare`.
    runs
        The last runs, this one included, oldest first.
    trends
        Of the failure modes of this run.
    """

    previous: PastRun
    new: int
    persisting: int
    fixed: int
    undecided: int
    changes: tuple[Change, ...]
    runs: tuple[PastRun, ...]
    trends: tuple[Trend, ...]


@dataclass(frozen=True)
class ReportData:
    """All that is shown of a run: what `Report` renders.

    Attributes
    ----------
    format
        The name and number of this format; a later one that is read differently has a higher one.
    version
        The version of prime_sql that made the report.
    search, headline
        What was searched, and the result in short.
    modes
        All failure modes, most excess errors first.
    cards
        Details: of the modes of the cover, then of those with most excess errors.
    classes
        Those with the most errors in failure modes first.
    pictures
        None if thumbnails were not asked for.
    told_by
        What tells the errors of a class apart: ``prediction``, or ``label`` if the class is the
        prediction.
    unseen
        None if the run was not validated.
    history
        None if there is no earlier run to compare with.
    """

    format: str
    version: str
    search: Search
    headline: Headline
    modes: tuple[Mode, ...]
    cards: tuple[Card, ...]
    pictures: Pictures | None
    classes: tuple[ClassRow, ...]
    told_by: str
    unseen: Unseen | None
    history: History | None
