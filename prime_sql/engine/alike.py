"""Texts that people read as one and a computer does not: how they differ, in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

import ibis
from ibis.expr.types import StringColumn

from prime_sql.engine.errors import shorten

_UNSEEN = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")  # no width, or only where a line breaks
_SPACES = re.compile(r"(?<=[^\W_])[\s_\-]+(?=[^\W_])")  # between words: -1 is not 1
_LIST = re.compile(r"\s*[\[({].*[\])}]\s*", re.S)
_QUOTES = "'\"`\u2018\u2019\u201c\u201d"


def _without_unseen(text: str) -> str:
    return _UNSEEN.sub("", text)


def _as_number(text: str) -> str:
    whole = re.fullmatch(r"0*(\d+)(\.0*)?", text)
    return whole[1] if whole else text


def _without_folders(text: str) -> str:
    return re.split(r"[/\\]", text)[-1]


def _without_ending(text: str) -> str:
    return re.sub(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{1,4}$", "", text)


# Each way to make texts alike, and what they then differ in; in the order in which they are tried.
_WAYS: dict[str, Callable[[str], str]] = {
    "spaces at their ends": str.strip,
    "upper and lower case": str.casefold,
    "Unicode form (NFC and NFD)": lambda text: unicodedata.normalize("NFC", text),
    "characters without width": _without_unseen,
    "leading zeros or decimals": _as_number,
    "spaces, hyphens or underscores": lambda text: _SPACES.sub(" ", text),
    "quotes around them": lambda text: text.strip(_QUOTES),
}
_WAYS_OF_IDS = {
    **_WAYS,
    "folders": _without_folders,
    "endings of file names": _without_ending,
}


def shown(text: str) -> str:
    """Return a text as an example in a message, with escapes for what cannot be seen."""
    seen = unicodedata.normalize("NFC", text) == text and text.isprintable()
    return shorten(text) if seen and not _UNSEEN.search(text) else shorten(text, escaped=True)


def key(text: str) -> str:
    """Return what is alike in texts that people read as one."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", _without_unseen(text))
    return _as_number(_SPACES.sub(" ", text.casefold()).strip().strip(_QUOTES).strip())


def difference(one: str, other: str, *, ids: bool = False) -> str | None:
    """Return in what two different texts differ that people read as one; None if they do not.

    Parameters
    ----------
    one, other
        The texts.
    ids
        Whether they may be paths of files, of which one has more folders or an ending.
    """
    ways = _WAYS_OF_IDS if ids else _WAYS
    for name, change in ways.items():
        if change(one) == change(other) and _is_sure(name, one, other):
            return name
    for first, second in ((a, b) for a in ways for b in ways if a != b):
        changed = [ways[second](ways[first](text)) for text in (one, other)]
        if changed[0] == changed[1] and all(_is_sure(n, one, other) for n in (first, second)):
            return f"{first}, and {second}"
    return "more than one way" if key(one) == key(other) else None


def _is_sure(name: str, one: str, other: str) -> bool:
    """Whether a path can be the other one: a folder or ending is missing, and not another."""
    if name == "folders":
        short, long = sorted((one.replace("\\", "/"), other.replace("\\", "/")), key=len)
        return "/" not in short.strip("/") or long.lower().endswith(
            "/" + short.lower().lstrip("./")
        )
    if name == "endings of file names":
        return (_without_ending(one) == one) != (_without_ending(other) == other)
    return True


def normalised(text: StringColumn) -> StringColumn:
    """Return a column of DuckDB whose texts are equal if they differ only in how they are written.

    In Unicode's form NFC and lower case, without characters that have no width, and with one space
    for each white space but none around.
    """
    bare = _nfc_normalize(text.re_replace(_UNSEEN.pattern, ""))
    return bare.lower().re_replace(r"[\s\p{Z}]+", " ").strip()


@ibis.udf.scalar.builtin(name="nfc_normalize")  # type: ignore[untyped-decorator]
def _nfc_normalize(text: str) -> str:
    """Return a text in Unicode's form NFC: a function of DuckDB."""
    return text


def separator(texts: list[str]) -> tuple[str, str, str] | None:
    """Return what seems to stand between several words, how it looks, and an example.

    None, if fewer than a third of the texts look so.
    """
    lists = [text for text in texts if _LIST.fullmatch(text)]
    if len(lists) > 1 and 3 * len(lists) >= len(texts):
        return ",", "a list that was saved as text", max(lists, key=lambda text: text.count(","))
    for mark in (";", "|", ","):
        found = [text for text in texts if mark in text.strip(mark)]
        if len(found) > 1 and 3 * len(found) >= len(texts):
            return mark, f"several with {mark!r} between them", found[0]
    return None


def groups(texts: Iterable[str]) -> list[list[str]]:
    """Return the texts that people read as one, most of them first."""
    found: dict[str, list[str]] = {}
    for text in texts:
        found.setdefault(key(text), []).append(text)
    return sorted((same for same in found.values() if len(same) > 1), key=lambda s: (-len(s), s))
