"""The one family of errors: each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PrimeSqlError(Exception):
    """Base of every error that prime_sql raises on purpose."""


class InputWarning(UserWarning):
    """Something in the input is odd, but the work can go on; counted in the message."""


class OptionError(PrimeSqlError, ValueError):
    """An option is out of range, misspelt or contradicts another one."""


class InputError(PrimeSqlError, ValueError):
    """An input table is missing, unreadable or breaks the definition of its columns."""


class QueryError(PrimeSqlError, ValueError):
    """A named question does not exist, or its parameters do not fit."""


class StoredCountsError(PrimeSqlError, ValueError):
    """The stored tag sets of a run do not hold the answer to the thresholds asked for."""


class WarehouseError(PrimeSqlError, RuntimeError):
    """The database cannot be opened, or it refused a statement."""


class LimitError(WarehouseError):
    """Memory or the disk for temporary files is not enough for the work."""


class InstallError(PrimeSqlError, ImportError):
    """A package of an extra is not installed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` did you mean 'x'?`` for the closest known word, or an empty string."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def shorten(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` cut to `limit` characters, for use as an example in a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
