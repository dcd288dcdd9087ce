"""Files and a database for commands."""

import shutil

import pytest

import prime_sql as ps
from tests import tables as data


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The tiny tables as files, and a database with two runs, read by many tests."""
    folder = tmp_path_factory.mktemp("cli")
    data.write(data.PREDICTIONS, folder / "predictions.parquet")
    data.write(data.TAGS, folder / "tags.parquet")
    for drop in (0.3, 0.47):
        ps.search(
            str(folder / "predictions.parquet"),
            str(folder / "tags.parquet"),
            into=folder / "runs.duckdb",
            min_images=4,
            min_drop=drop,
        ).close()
    return folder


@pytest.fixture
def folder(source, tmp_path, monkeypatch):
    """A folder of its own with the files in it, as the working directory."""
    for file in source.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
