"""A database and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "images.duckdb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture
def pictures(folder: Path) -> Path:
    from tests.vision.images.listing import write

    return write(folder, "a.png", "b.png", "sub/c d.png")
