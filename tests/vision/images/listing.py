"""What is stored of images, and tables that list them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from tests.vision.samples import numbered

BROKEN = b"no picture"


def write(folder: Path, *names: str) -> Path:
    """Write a picture of its own colour for each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(name))
    return folder


def content_of(name: str) -> bytes:
    return numbered(int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]))


def query(path: Any, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path) as con:
        return con.sql(sql).fetchall()


def labels(path: Path) -> dict[str, tuple[str | None, str | None]]:
    """Split and label of each image."""
    rows = query(path, "select image_id, split, label from images")
    found = {image_id: (split, label) for image_id, split, label in rows}
    assert len(found) == len(rows)
    return found


def problems(path: Path) -> dict[str, str]:
    rows = query(path, "select image_id, reason from image_problems where step = 'images'")
    assert len(dict(rows)) == len(rows)
    return dict(rows)


ROWS = [
    {"key": "007", "where": "a.png", "class": "1", "part": "train"},
    {"key": "1e3", "where": "b.png", "class": "01", "part": "test"},
    {"key": "x", "where": "sub/c d.png", "class": None, "part": None},
]

NAMES = {"image_id": "key", "uri": "where", "label": "class", "split": "part"}

EXPECTED = {"007": ("train", "1"), "1e3": ("test", "01"), "x": (None, None)}


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    frame = pl.DataFrame(rows)
    path.parent.mkdir(exist_ok=True)
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[
        path.suffix
    ](path)
    return path


BYTES = [content_of("a"), content_of("b"), BROKEN]


def byte_forms(tmp_path: Path) -> dict[str, Any]:
    plain_ = {"image_id": [1, 2, 3], "label": ["x", "y", "y"], "bytes": BYTES}
    structs = [{"bytes": content, "path": None} for content in BYTES]
    of_structs = {**{k: v for k, v in plain_.items() if k != "bytes"}, "image": structs}
    pl.DataFrame(plain_).write_parquet(tmp_path / "1.parquet")
    pa.parquet.write_table(pa.table(of_structs), tmp_path / "2.parquet")
    return {
        "polars": pl.DataFrame(plain_),
        "pandas": pd.DataFrame(plain_),
        "arrow": pa.table(plain_),
        "large": pa.table({**plain_, "bytes": pa.array(BYTES, pa.large_binary())}),
        "parquet": tmp_path / "1.parquet",
        "structs": pl.DataFrame(of_structs),
        "structs in parquet": str(tmp_path / "2.parquet"),
    }
