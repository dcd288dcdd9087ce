"""The options of a search: frozen, checked once, and the same in Python, CLI and `runs`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from prime_sql.engine.errors import OptionError, did_you_mean, shorten

LARGEST_MAX_TAGS = 6
METHODS = ("exhaustive", "greedy")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that decides which failure modes a search returns.

    Parameters
    ----------
    max_tags
        Largest tag set, 1 to 6 (the paper's *l*).
    min_images
        Fewest images that must carry all tags of the set (*s*).
    min_drop
        Smallest drop: accuracy of the class minus accuracy on the set (*a*), a fraction of at least
        0.001, because a set that is no worse than its class is not a failure.
    necessity
        By how much accuracy must rise when any one tag is left out: (b2, b3, b4), fractions.
        Larger sets reuse the last value; a single tag needs none.
    min_tag_images
        Fewest images of a class that must carry a tag for it to count there; `min_images` when
        None.
    max_absent
        How many tags of a set may be absent ones, such as "not water"; 0 for none. A tag can be
        absent in a class if at least `min_tag_images` images carry it and at least as many lack it.
    max_q
        Largest q-value of a failure mode (Benjamini and Hochberg, over all eligible tag sets), a
        fraction; None for no limit, which saves counting those sets (1 admits all modes again).
        Among the minimal sets, which are the failure modes, the share due to chance may be larger.
    method
        ``exhaustive`` returns all failure modes. ``greedy`` grows only the least accurate tag sets
        (PRIME paper, A.6): it counts fewer sets, and all that it returns are failure modes, but
        some may be missing.
    width
        How many tag sets of each size and class a greedy search grows.
    group_by
        The columns whose values make the class: ``label``, ``prediction`` or any others.
    error
        SQL condition that is true where the model is wrong; ``label <> prediction`` when None.
    where
        SQL condition on the predictions; other rows are left out.
    split, find, check
        Failure modes are found in the rows of the predictions whose column `split` is `find`, and
        checked on the unseen rows where it is `check`. All three, or none.
    image_id, label, prediction, tag, score
        What these columns are called in the input tables.
    min_score
        Tags with a lower score (or none) are left out.
    wide
        The tags table has one boolean or 0/1 column per tag.
    present
        SQL condition on ``value``, the value of such a column, that is true where the image has the
        tag: ``value = 1`` for columns of -1 and 1, ``value = 'Y'``, ``value >= 50``.
    split_tags
        A tag is several, with this text between them, as in ``snow;dog``. The marks of a list that
        was saved as text, ``['snow', 'dog']``, are left out.
    normalise_tags
        Tags that differ only in case, in spaces or in Unicode's form (NFC) are one.

    Raises
    ------
    OptionError
        When a value is out of range; the message names the option.

    Notes
    -----
    Defaults are those of the PRIME paper (ICLR 2024), section 3.
    """

    max_tags: int = 4
    min_images: int = 30
    min_drop: float = 0.30
    necessity: tuple[float, ...] = (0.10, 0.05, 0.025)
    min_tag_images: int | None = None
    max_absent: int = 0
    max_q: float | None = None
    method: str = "exhaustive"
    width: int = 20
    group_by: tuple[str, ...] = ("label",)
    error: str | None = None
    where: str | None = None
    split: str | None = None
    find: str | None = None
    check: str | None = None
    image_id: str = "image_id"
    label: str = "label"
    prediction: str = "prediction"
    tag: str = "tag"
    score: str = "score"
    min_score: float | None = None
    wide: bool = False
    present: str | None = None
    split_tags: str | None = None
    normalise_tags: bool = False

    def __post_init__(self) -> None:
        set_ = object.__setattr__  # frozen: the only way to store a normalised value
        for name in ("max_tags", "min_images"):
            set_(self, name, whole_number(name, getattr(self, name)))
        if self.max_tags > LARGEST_MAX_TAGS:
            raise OptionError(f"max_tags must be at most {LARGEST_MAX_TAGS}, got {self.max_tags}")
        if self.min_tag_images is not None:
            set_(self, "min_tag_images", whole_number("min_tag_images", self.min_tag_images))
        set_(self, "max_absent", whole_number("max_absent", self.max_absent, lowest=0))
        if self.max_absent > LARGEST_MAX_TAGS:
            raise OptionError(
                f"max_absent must be at most {LARGEST_MAX_TAGS}, got {self.max_absent}"
            )
        set_(self, "min_drop", finite_number("min_drop", self.min_drop))
        if not 0.001 <= self.min_drop <= 1:
            raise OptionError(f"min_drop must be between 0.001 and 1, got {self.min_drop:g}")
        if self.method not in METHODS:
            raise OptionError(
                f"method must be one of {', '.join(METHODS)}, got {shorten(self.method)}."
                f"{did_you_mean(str(self.method), METHODS)}"
            )
        set_(self, "width", whole_number("width", self.width))
        if self.max_q is not None:
            set_(self, "max_q", finite_number("max_q", self.max_q))
            if not 0 < self.max_q <= 1:
                raise OptionError(f"max_q must be above 0 and at most 1, got {self.max_q:g}")
        set_(self, "necessity", _fractions("necessity", self.necessity))
        set_(self, "group_by", _names("group_by", self.group_by))
        for name in ("image_id", "label", "prediction", "tag", "score"):
            _text(name, getattr(self, name))
        for name in ("error", "where"):
            if getattr(self, name) is not None:
                _text(name, getattr(self, name))
        self._check_split()
        if self.min_score is not None:
            set_(self, "min_score", finite_number("min_score", self.min_score))
        for name in ("wide", "normalise_tags"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.present is not None:
            _text("present", self.present)
            if not self.wide:
                raise OptionError("present is about the columns of a wide tags table: add wide")
        if self.split_tags is not None:
            if not isinstance(self.split_tags, str) or not self.split_tags:
                raise OptionError(
                    f"split_tags must be the text between two tags, got {self.split_tags!r}"
                )
            if self.wide:
                raise OptionError("split_tags is for a column of tags, and a wide table has none")
        if self.wide and self.min_score is not None:
            raise OptionError("min_score needs a long tags table; a wide one has no scores")

    def _check_split(self) -> None:
        given = [name for name in ("split", "find", "check") if getattr(self, name) is not None]
        if not given:
            return
        if len(given) < 3:
            raise OptionError(
                f"{' and '.join(given)} alone {'is' if len(given) == 1 else 'are'} not enough; "
                "give split (a column), find and check (two of its values)"
            )
        _text("split", self.split)
        for name in ("find", "check"):
            value = getattr(self, name)
            if isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, name, str(value))  # folds are often numbered
            _text(name, getattr(self, name))
        if self.find == self.check:
            raise OptionError(
                f"find and check are both {shorten(self.find)}: the rows to find modes in are not "
                "unseen"
            )

    @property
    def tag_images(self) -> int:
        """Fewest images on which a tag counts in a class (the paper's threshold for T_c)."""
        return self.min_images if self.min_tag_images is None else self.min_tag_images

    @property
    def greedy(self) -> tuple[int, int] | None:
        """Return how many sets a greedy search grows, and their fewest images; None for all."""
        return (self.width, self.min_images) if self.method == "greedy" else None

    def necessity_of(self, tag_count: int) -> float:
        """Return b_k for sets of `tag_count` tags; b_1 is 0, the last value is reused."""
        if tag_count == 1:
            return 0.0
        return self.necessity[min(tag_count - 2, len(self.necessity) - 1)]

    def replace(self, **changes: Any) -> Options:
        """Return a copy with some options changed, checked again."""
        return Options.of(**{**dataclasses.asdict(self), **changes})

    @classmethod
    def of(cls, **values: Any) -> Options:
        """Build options by name; a misspelt name gets a suggestion."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise OptionError(f"there is no option {shorten(name)}.{did_you_mean(name, known)}")
        return cls(**values)

    def to_json(self) -> str:
        """Return the options as one JSON object, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Options:
        """Read what `to_json` wrote."""
        return cls.of(**json.loads(text))


def whole_number(name: str, value: Any, lowest: int = 1, most: int = 2**31 - 1) -> int:
    """Return an option that is a whole number; raise an `OptionError` if it is not."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value  # as a float it may be infinite
    elif not _is_number(value) or value != int(value):
        raise OptionError(f"{name} must be a whole number, got {shorten(value)}")
    else:
        number = int(value)
    if number < lowest:
        raise OptionError(f"{name} must be at least {lowest}, got {_briefly(number)}")
    if number > most:
        raise OptionError(f"{name} must be at most {most:,}, got {_briefly(number)}")
    return number


def _briefly(number: int) -> str:
    # Python writes out no number of thousands of digits.
    return str(number) if abs(number) < 10**20 else f"a number of {number.bit_length():,} bits"


def finite_number(name: str, value: Any) -> float:
    """Return an option that is a number; raise an `OptionError` if it is not."""
    if not _is_number(value):
        raise OptionError(f"{name} must be a finite number, got {shorten(value)}")
    return float(value)


def _is_number(value: Any) -> bool:
    # Real: includes NumPy's numbers. bool is one in Python, but nobody means min_images=True.
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def _fractions(name: str, values: Any) -> tuple[float, ...]:
    values = (values,) if isinstance(values, Real) else values
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise OptionError(
            f"{name} must be numbers such as (0.10, 0.05, 0.025), got {shorten(values)}"
        )
    fractions = tuple(finite_number(name, value) for value in values)
    if not fractions:
        raise OptionError(f"{name} needs at least one number, for sets of two tags")
    for value in fractions:
        if not 0 <= value <= 1:
            raise OptionError(f"{name} must lie between 0 and 1, got {value:g}")
    return fractions


def _names(name: str, values: Any) -> tuple[str, ...]:
    values = (
        tuple(part.strip() for part in values.split(",")) if isinstance(values, str) else values
    )
    if not isinstance(values, Iterable):
        raise OptionError(f"{name} must be one or more columns, got {shorten(values)}")
    names = tuple(_text(name, value) for value in values)
    if not names:
        raise OptionError(f"{name} needs at least one column")
    if len(set(names)) < len(names):
        raise OptionError(f"{name} names a column twice: {', '.join(names)}")
    return names


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise OptionError(f"{name} must be non-empty text, got {shorten(value)}")
    return value


def grouping(options: Options) -> str:
    """Return which columns make the class, no matter what the input calls label and prediction."""
    standard = {options.label: "label", options.prediction: "prediction"}
    return json.dumps([standard.get(name, name) for name in options.group_by])
