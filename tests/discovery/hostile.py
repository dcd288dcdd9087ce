"""Names that could do harm, and an error by hand."""

from __future__ import annotations

from typing import Any


def wrong(row: dict[str, Any]) -> bool:
    return bool(row["label"] != row["prediction"])


NAMES = [
    "it's",
    'say "so"',
    "'; drop table tags; --",
    "{{ tag }}{% raw %}{#",
    "two\nlines\r\n",
    "a\\b\\'",
    "t" * 10_000,
    "a + b",
    "a",
    "A",
    " lead",
    "日本",
    "🙂",
    "é",
    "e\u0301",
    "%s $1 ? :x",
    "NULL",
    "\x00\x01",
]
