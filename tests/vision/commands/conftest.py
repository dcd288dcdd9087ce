"""A folder and a database for commands."""

from __future__ import annotations

import sys

import pytest

from prime_sql import vision
from tests.vision.commands.lines import CLASSIFIER


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Make a working directory with pictures, one file that is none, and a classifier."""
    from tests.vision import samples

    samples.write_numbered(tmp_path / "photos" / "cat", 12)
    samples.write_numbered(tmp_path / "photos" / "dog", 8, first=12)
    (tmp_path / "photos" / "dog" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "slow_classifier.py").write_text(CLASSIFIER)
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "tags.csv").write_text("image_id,tag\ncat/00000.png,red\ncat/00001.png,blue\n")
    (tmp_path / "captions.csv").write_text("image_id,caption\ncat/00000.png,a red dog\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("slow_classifier", None)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Return a database with two images; do not change it."""
    from tests.vision import samples

    folder = tmp_path_factory.mktemp("loaded")
    samples.write_numbered(folder / "photos", 2)
    vision.load_images(folder / "photos", folder / "loaded.duckdb")
    return folder / "loaded.duckdb"
