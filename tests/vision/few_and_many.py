"""Databases of few and of many images, and what a step wrote into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from tests.vision.models import colour_of

ROOT = Path(__file__).parent.parent.parent

COUNT = 1500  # images of the larger data set: two chunks and a part of one

FEW, SMALL = 20, 8  # images of the smaller one, and its chunk


def query(path: Any, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path) as con:
        return con.sql(sql).fetchall()


def embeddings(path: Path, model: str = "mean colour", table: str = "embeddings") -> dict[str, Any]:
    rows = query(path, f"select image_id, embedding from {table} where model = '{model}'")
    assert len(dict(rows)) == len(rows), "an image twice"
    return dict(rows)


def expected(*numbers: int) -> dict[str, Any]:
    return {f"{number:05}.png": colour_of(number) for number in numbers}


def problems(path: Path) -> dict[str, str]:
    rows = query(path, "select image_id, reason from image_problems where step = 'embed'")
    assert len(dict(rows)) == len(rows)
    return dict(rows)
