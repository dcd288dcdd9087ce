"""Each bad input gives one clear error, and leaves every file as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tables import PREDICTIONS, TAGS, write_tables


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A DuckDB file with the tables."""
    return write_tables(tmp_path / "data.duckdb", predictions=PREDICTIONS, tags=TAGS)
