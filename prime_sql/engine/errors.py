"""The one family of errors: each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import re
import sys
import warnings
from collections.abc import Iterable
from typing import Any

# Modules of the package, and those through which its functions call each other.
_INSIDE = ("prime_sql", "contextlib")

# Characters of a line in a message: what is wrong comes first, what to do about it last.
LONGEST_LINE = 480
_LONGEST_NAME = 200


class PrimeSqlError(Exception):
    """Base of every error that prime_sql raises on purpose.

    A long line of the message loses its middle, because names and cells of tables may be megabytes;
    the SQL of a step, which follows an empty line, stays whole.
    """

    def __init__(self, message: object = "", *rest: object) -> None:
        said, blank, sql = str(message).partition("\n\n")
        super().__init__("\n".join(map(cut, said.split("\n"))) + blank + sql, *rest)


class InputWarning(UserWarning):
    """Something in the input is odd, but the work can go on; the message says how often."""


class OptionError(PrimeSqlError, ValueError):
    """An option is out of range, misspelt or contradicts another one."""


class InputError(PrimeSqlError, ValueError):
    """An input table is missing or unreadable, or breaks the definition of its columns."""


class QueryError(PrimeSqlError, ValueError):
    """A named question does not exist, or its parameters do not fit."""


class StoredCountsError(PrimeSqlError, ValueError):
    """The stored tag sets of a run do not suffice for the requested thresholds."""


class WarehouseError(PrimeSqlError, RuntimeError):
    """The database cannot be opened, or it refused a statement."""


class LimitError(WarehouseError):
    """Memory, or the disk for temporary files, is too small for the work."""


class InstallError(PrimeSqlError, ImportError):
    """A package of an extra is not installed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` did you mean 'x'?`` for the closest known word, or an empty string."""
    by_lower = {name.lower(): name for name in known}
    # Nobody means a name of a hundred characters, and comparing megabytes would take minutes.
    short = [name for name in by_lower if len(name) <= _LONGEST_NAME]
    looked_up = word.lower() if len(word) <= _LONGEST_NAME else ""
    close = difflib.get_close_matches(looked_up, short, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def cut(text: str, limit: int = LONGEST_LINE) -> str:
    """Return `text` without its middle if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    end = limit // 3
    return f"{text[: limit - end - 1]}…{text[-end:]}"


def shorten(value: object, limit: int = 80, *, escaped: bool = False) -> str:
    """Return ``repr(value)`` cut to `limit` characters, for use as an example in a message.

    `escaped` writes all but ASCII as escapes.
    """
    # Not repr() of five megabytes: only its beginning will be seen.
    short = value[: limit + 1] if isinstance(value, str | bytes) else value
    text = ascii(short) if escaped else repr(short)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def first_line(error: BaseException) -> str:
    """Return the first line of an engine's message, or which extension the engine needs."""
    extension = extension_of(error)
    if extension is not None:
        return install(extension)
    return cut((str(error).strip().splitlines() or [type(error).__name__])[0])


_EXTENSION = re.compile(
    r'^(?:Install it first using "INSTALL (\w+)"|INSTALL (\w+);$)', re.MULTILINE
)


def extension_of(error: BaseException) -> str | None:
    """Return the extension for lack of which DuckDB refuses something, or None."""
    if type(error).__module__.lstrip("_").partition(".")[0] != "duckdb":
        return None
    found = _EXTENSION.search(str(error))
    return found and (found[1] or found[2])


def install(extension: str) -> str:
    """Say how to install an extension of DuckDB."""
    return (
        f"this needs the extension {extension} of DuckDB, which is not installed; nothing is "
        "downloaded unasked, so install it once, with the Python that prime-sql runs in: "
        f"python -c \"import duckdb; duckdb.execute('install {extension}')\""
    )


def shorten_list(names: Any, most: int = 12) -> str:
    """Return up to `most` names, and how many more there are."""
    names = [name if len(name) <= 60 else f"{name[:59]}…" for name in names]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def warn(message: str) -> None:
    """Warn of something odd in the input, at the user's line that called the package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    message = "\n".join(map(cut, message.split("\n")))
    warnings.warn(message, InputWarning, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in _INSIDE
