"""What taggers and embedders wrote into a database."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest


def rows(db, query):
    connection = duckdb.connect(str(db))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def run(db, *statements):
    connection = duckdb.connect(str(db))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def tags(db, tagger="table", table="tags"):
    """Return a tagger's rows as {(image_id, tag): score}."""
    found = rows(db, f"select image_id, tag, score from \"{table}\" where tagger = '{tagger}'")
    assert len({(image_id, tag) for image_id, tag, _ in found}) == len(found)
    return {(image_id, tag): pytest.approx(score) for image_id, tag, score in found}


def tagged(db, tagger="table"):
    return dict(rows(db, f"select image_id, tags from tagged_images where tagger = '{tagger}'"))


def dump(db):
    """Return everything that a database holds."""
    tables = rows(db, "select table_name from duckdb_tables() order by all")
    return {name: rows(db, f'from "{name}" order by all') for (name,) in tables}


def long(**columns):
    return pl.DataFrame(columns)


PEOPLE = [("a", "tyke", 0.2), ("a", "child", 0.1), ("a", "toddler", 0.7), ("b", "tyke", 0.3)]


def people():
    return pl.DataFrame(PEOPLE, ["image_id", "tag", "score"], orient="row")


def write_pictures(folder, classes, first=0):
    """Write pictures of a few colours, different ones, and one file that is none."""
    image = pytest.importorskip("PIL.Image")
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([ord(name[0]), first + number])
            patches = image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
            patches.resize((70, 50), image.Resampling.BILINEAR).save(
                folder / name / f"{number}.png"
            )
    (folder / "cat" / "bad.png").write_bytes(b"no picture")
    return folder


CLASSES = {"cat": 14, "dog": 12, "ape": 4}


def vectors(db, table="embeddings", model="tiny", key="image_id"):
    found = rows(db, f"select {key}, embedding from {table} where model = '{model}' order by all")
    return {key: np.array(vector, np.float32) for key, vector in found}
