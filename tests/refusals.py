"""A refusal says what is wrong, and leaves a folder as it was."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import prime_sql as ps


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def refused(folder: Path, kind: type[ps.PrimeSqlError], *pieces: str) -> Iterator[None]:
    """The error is of this kind, its message holds the pieces in order; no file has changed."""
    before = contents(folder)
    with pytest.raises(ps.PrimeSqlError) as caught:
        yield
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert re.search(".*".join(map(re.escape, pieces)), message), message
    assert "\n" not in message  # one line, without the engine's SQL
    assert "Possible fixes" not in message  # nor its advice, on options that nobody has here
    assert contents(folder) == before
