"""Texts that people read as one: in what they differ."""

from __future__ import annotations

import pytest

from prime_sql.engine import alike

TEXTS = {
    ("cat", "cat "): "spaces at their ends",
    ("cat", "Cat"): "upper and lower case",
    ("Straße", "STRASSE"): "upper and lower case",
    ("café", "cafe\u0301"): "Unicode form (NFC and NFD)",
    ("cat", "cat\u200b"): "characters without width",
    ("cat", "\ufeffcat"): "characters without width",
    ("cat", "\u00a0cat"): "spaces at their ends",
    ("7", "007"): "leading zeros or decimals",
    ("12", "12.0"): "leading zeros or decimals",
    ("polar bear", "polar_bear"): "spaces, hyphens or underscores",
    ("polar bear", "polar  bear"): "spaces, hyphens or underscores",
    ("cat", "'cat'"): "quotes around them",
    ("Polar bear", "polar_bear"): "upper and lower case, and spaces, hyphens or underscores",
    ("cat", "dog"): None,
    ("1.1", "1.10"): None,
    ("1", "-1"): None,
    ("C", "C_"): None,
    ("cat", "cats"): None,
    ("a/cat", "b/cat"): None,
    ("cat.jpg", "cat"): None,
}


@pytest.mark.parametrize(("one", "other"), TEXTS)
def test_differences(one: str, other: str) -> None:
    want = TEXTS[one, other]
    assert alike.difference(one, other) == want
    assert alike.difference(other, one) is want or alike.difference(other, one) == want
    assert (alike.key(one) == alike.key(other)) == (want is not None)


IDS = {
    ("val/cat.jpg", "cat.jpg"): "folders",
    ("/data/val/cat.jpg", "val/cat.jpg"): "folders",
    ("val\\cat.jpg", "cat.jpg"): "folders",
    ("cat.jpg", "cat"): "endings of file names",
    ("val/cat.jpg", "cat"): "folders, and endings of file names",
    ("007.png", "7.png"): None,
    ("train/cat.jpg", "val/cat.jpg"): None,
    ("cat.jpg", "cat.png"): None,
    ("007", "7.0"): "leading zeros or decimals",
}


@pytest.mark.parametrize(("one", "other"), IDS)
def test_differences_of_ids(one: str, other: str) -> None:
    assert alike.difference(one, other, ids=True) == IDS[one, other]


def test_groups() -> None:
    assert alike.groups(["snow", "Snow", "dog", "snow ", "a", "A"]) == [
        ["snow", "Snow", "snow "],
        ["a", "A"],
    ]


@pytest.mark.parametrize(
    ("tags", "mark"),
    [
        (["['snow', 'dog']", "['snow']", "cat"], ","),
        (["snow;dog", "snow;cat", "dog"], ";"),
        (["snow|dog", "snow|cat", "dog"], "|"),
        (["snow, dog", "snow, cat", "dog"], ","),
        (["snow", "dog;", "cat"], None),
        (["snow;dog", "a", "b", "c"], None),
        ([], None),
    ],
)
def test_separators(tags: list[str], mark: str | None) -> None:
    found = alike.separator(tags)
    assert (found and found[0]) == mark


def test_what_cannot_be_seen_is_shown_as_an_escape() -> None:
    assert alike.shown("café") == "'café'"
    assert alike.shown("cafe\u0301") == r"'cafe\u0301'"
    assert alike.shown("cat\u200b") == r"'cat\u200b'"
