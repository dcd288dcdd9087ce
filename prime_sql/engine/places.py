"""What is at a path that a user names, without the exceptions of the system.

Where a name is too long for the system, holds a null character or is a link that leads back to
itself, methods of `Path` raise one of three errors, each version of Python another.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from prime_sql.engine.errors import PrimeSqlError, cut

_LONGEST_SHOWN = 160  # characters of a path in a message
_SPECIAL = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_STATED = {
    errno.ENAMETOOLONG: "its name is too long for the system",
    errno.ELOOP: "it is a symbolic link that leads back to itself",
    errno.EACCES: "permission denied",
}


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path for a message; of a very long one, the beginning and the end."""
    return cut(os.fspath(path), _LONGEST_SHOWN)


def trouble(path: str | os.PathLike[str]) -> str | None:
    """Say why the system can find nothing under this name; None if there is or might be a file."""
    try:
        Path(path).stat()
    except OSError as error:
        return _STATED.get(error.errno or 0)
    except ValueError:  # a null character, or one that file names cannot have
        return "its name holds a character that no file name can have"
    return None


def special(path: str | os.PathLike[str]) -> str | None:
    """Name what is there if it is a pipe or a device, at which a reader may wait forever."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return None
    return next((name for is_one, name in _SPECIAL if is_one(mode)), None)


def check_name(
    path: str | os.PathLike[str], doing: str, kind: type[PrimeSqlError] = PrimeSqlError
) -> None:
    """Refuse a path that no file can have.

    Parameters
    ----------
    path
        What the user named.
    doing
        How the message begins: ``cannot open``.
    kind
        The error to raise.
    """
    if not os.fspath(path).strip():
        raise kind(f"{doing} {os.fspath(path)!r}: the name is empty")
    why = trouble(path)
    if why is not None:
        raise kind(f"{doing} {shown(path)}: {why}")


def check_readable(
    path: str | os.PathLike[str], doing: str, kind: type[PrimeSqlError] = PrimeSqlError
) -> None:
    """Refuse a path that no file can have, and what is not a file that can be read twice."""
    check_name(path, doing, kind)
    what = special(path)
    if what is not None:
        raise kind(f"{doing} {shown(path)}: it is {what}, not a file; name a regular file")


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether there is a regular file; False where `Path.is_file` would raise."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether there is a folder; False where `Path.is_dir` would raise."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether there is anything; False where `Path.exists` would raise."""
    return os.path.exists(path)  # noqa: PTH110


def real(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads through all links; where they lead in a circle, the path itself."""
    return Path(os.path.realpath(path))
