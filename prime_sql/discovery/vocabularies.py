"""Do labels, predictions and classes use the same words? What is alike but not equal is said."""

from __future__ import annotations

from dataclasses import dataclass

from prime_sql.discovery.loaded import Inputs
from prime_sql.engine import alike, queries
from prime_sql.engine.errors import InputError
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session

# In fewer predictions, that none is right may be chance.
_FEWEST_ROWS = 10


@dataclass(frozen=True)
class _Word:
    """A value of the predictions, and in how many rows it is what."""

    text: str
    label_rows: int
    prediction_rows: int
    class_rows: int
    right_rows: int


def check_words(
    options: Options, inputs: Inputs, session: Session, *, compared: str, may_refuse: bool
) -> None:
    """Compare the words that the columns of ``predictions`` use.

    Parameters
    ----------
    compared
        What labels and predictions are compared as: ``text``, or ``double`` or ``boolean`` however
        they are written.
    may_refuse
        Whether there are so many rows that no prediction being a label is no chance.

    Raises
    ------
    InputError
        When no prediction is one of the labels, or a label is never predicted but a word like it.
    """
    sql = queries.find("discovery/checks/class_names", session.plans).render(session.dialect)
    words = [_Word(text, *map(int, rows)) for text, *rows in session.execute("class_names", sql)]
    labels = {word.text: word for word in words if word.label_rows}
    predicted = {word.text: word for word in words if word.prediction_rows}
    may_refuse = may_refuse and options.error is None
    where = f"predictions.{options.label} and predictions.{options.prediction}"
    pairs = []
    if compared == "text" and options.error is None:
        pairs = _alike(labels, predicted)
    if pairs:
        _tell_alike(pairs, labels, predicted, where, inputs, may_refuse=may_refuse)
    elif (
        compared != "boolean"
        and not any(word.right_rows for word in words)
        and inputs.rows["predictions"] >= _FEWEST_ROWS
    ):
        numbers = compared == "double"
        _check_disjoint(labels, predicted, where, inputs, numbers=numbers, may_refuse=may_refuse)
    _warn_of_classes(words, inputs)


def _alike(labels: dict[str, _Word], predicted: dict[str, _Word]) -> list[tuple[str, str]]:
    """Return labels and predictions that are read as one word, of which one is not both."""
    by_key: dict[str, list[str]] = {}
    for text in predicted:
        by_key.setdefault(alike.key(text), []).append(text)
    return [
        (label, text)
        for label in labels
        for text in by_key.get(alike.key(label), [])
        if text != label and (text not in labels or label not in predicted)
    ]


def _tell_alike(
    pairs: list[tuple[str, str]],
    labels: dict[str, _Word],
    predicted: dict[str, _Word],
    where: str,
    inputs: Inputs,
    *,
    may_refuse: bool,
) -> None:
    never = [pair for pair in pairs if pair[0] not in predicted and pair[1] not in labels]
    label, text = max(never or pairs, key=lambda pair: (labels[pair[0]].label_rows, pair))
    what = (
        f"{where} are not written alike: the label {alike.shown(label)} and the prediction "
        f"{alike.shown(text)} differ only in {alike.difference(label, text)}"
    )
    what += f" ({len(pairs) - 1:,} more pairs do so)" if len(pairs) > 1 else ""
    if never and may_refuse:
        raise InputError(
            f"{what}; all {labels[label].label_rows:,} images with this label would be wrong: "
            "write both alike, or say with error what is wrong"
        )
    rows = sum(predicted[each].prediction_rows for each in {text for _, text in pairs})
    inputs.warn(f"{what}; {rows:,} rows have such a prediction, and it is not equal to the label")


def _check_disjoint(
    labels: dict[str, _Word],
    predicted: dict[str, _Word],
    where: str,
    inputs: Inputs,
    *,
    numbers: bool,
    may_refuse: bool,
) -> None:
    if not labels or not predicted:
        return
    if numbers:
        if not {float(text) for text in labels}.isdisjoint(float(text) for text in predicted):
            return
    elif not labels.keys().isdisjoint(predicted):
        return
    what = (
        f"{where} have no value in common: {len(labels):,} labels such as "
        f"{alike.shown(next(iter(labels)))}, {len(predicted):,} predictions such as "
        f"{alike.shown(next(iter(predicted)))}"
    )
    if may_refuse and min(len(labels), len(predicted)) > 1:
        raise InputError(
            f"{what}; every prediction would be wrong: use the same names in both, or say with "
            "error what is wrong"
        )
    inputs.warn(f"{what}; check that both name the same things")


def warn_of_tags(session: Session, inputs: Inputs, options: Options) -> None:
    """Warn of tags that people read as one, and of those that look like several."""
    tags = [tag for (tag,) in session.execute("check_tags", "select tag from vocabulary")]
    same = [] if options.normalise_tags else alike.groups(tags)
    if same:
        one, other = same[0][:2]
        inputs.warn(
            f"{sum(map(len, same)):,} tags are alike but for how they are written, for example "
            f"{alike.shown(one)} and {alike.shown(other)}, which differ only in "
            f"{alike.difference(one, other)}; they count as different tags: clean them, or add "
            "--normalise-tags"
        )
    joined = None if options.split_tags is not None else alike.separator(tags)
    if joined:
        separator, how, example = joined
        inputs.warn(
            f"many tags look like {how}, for example {alike.shown(example)}; each counts as one "
            f'tag: if they are several, add --split-tags "{separator}"'
        )


def _warn_of_classes(words: list[_Word], inputs: Inputs) -> None:
    same = alike.groups(word.text for word in words if word.class_rows)
    if same:
        one, other = same[0][:2]
        inputs.warn(
            "there are classes that are alike but for how they are written, for example "
            f"{alike.shown(one)} and {alike.shown(other)}, which differ only in "
            f"{alike.difference(one, other)}; write them alike to count them as one"
        )
