"""Tables for jobs."""

import pytest

from tests import tables as data


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tiny tables as files, and a business table with its own name for the image."""
    folder = tmp_path_factory.mktemp("tables")
    data.write(data.PREDICTIONS, folder / "predictions.parquet")
    data.write(data.TAGS, folder / "tags.parquet")
    orders = [
        {"photo": row["image_id"], "country": "de" if n % 2 else "fr", "value": n}
        for n, row in enumerate(data.PREDICTIONS)
    ]
    data.write(orders, folder / "orders.csv")
    return folder


@pytest.fixture
def folder(tables, tmp_path):
    """A folder with the tables in it."""
    for file in tables.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path
