"""A database file that is damaged: cut off, or changed by a disk. Said as such, not as SQL."""

from __future__ import annotations

import os

from prime_sql.engine.errors import WarehouseError, first_line
from prime_sql.engine.places import shown

# DuckDB reads a block when it needs it, so that any statement may be the one that finds out.
_SIGNS = ("Corrupt database file", "Could not read enough bytes", "Failed to deserialize")


def explain(error: BaseException, file: str | os.PathLike[str] | None) -> WarehouseError | None:
    """Return what to tell of a damaged database; None if the error means something else."""
    text = str(error)
    if not any(sign in text for sign in _SIGNS):
        return None
    name = "the database" if file is None else shown(file)
    return WarehouseError(
        f"{name} is damaged, or was cut off, and cannot be read: {first_line(error)}. Bring it "
        "back from a copy, or name another file and search again"
    )
