"""The emoji example: real pictures, human-written tags, a real classifier's predictions."""

from __future__ import annotations

import shlex
from pathlib import Path

import polars as pl

from prime_sql import queries
from prime_sql.results import Run
from prime_sql.search import OnProgress, search
from prime_sql.warehouse import Database, OnSql, Warehouse

_PACKAGED = Path(__file__).parent / "emoji"
FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent / "examples" / "emoji"
TABLES = ("images", "metadata", "predictions", "tags")


def make(path: Path, *, on_sql: OnSql | None = None, on_progress: OnProgress | None = None) -> Run:
    """Load the example into schema ``emoji`` of a DuckDB file, and search it.

    An existing file keeps everything else that it holds; the run is appended.
    """
    database = Database(path)
    try:
        warehouse = Warehouse(database.backend, on_sql)
        warehouse.execute("demo", "create schema if not exists emoji")
        for name in TABLES:
            file = queries.literal(str(FOLDER / f"{name}.parquet"))
            warehouse.execute(
                "demo", f"create or replace table emoji.{name} as from read_parquet({file})"
            )
        warehouse.close()
        database.publish()
    finally:
        database.discard()
    return search(
        "emoji.predictions",
        "emoji.tags",
        into=path,
        min_images=15,
        min_drop=0.30,
        on_sql=on_sql,
        on_progress=on_progress,
    )


def introduction(images: int, errors: int) -> str:
    """Say what the reader is about to see."""
    return (
        f"{images:,} emoji pictures of one vendor, sorted into nine categories by a linear\n"
        "classifier on EfficientNet-Lite0 features, trained on another vendor's pictures:\n"
        f"{errors:,} errors, accuracy {1 - errors / images:.1%}. The tags are the keywords that\n"
        "people wrote for them.\n"
    )


def next_commands(path: Path, modes: pl.DataFrame) -> str:
    """Return the three commands worth typing next."""
    file = shlex.quote(str(path))
    query = "select tags, images, accuracy from failure_modes where class_name = 'Objects'"
    return (
        "What next?\n"
        f"  prime-sql query {file} failure_modes_by --param column=subcategory\n"
        f"  prime-sql query {file} images_of_mode --param mode_id={modes['mode_id'][0]}\n"
        f'  prime-sql sql {file} "{query}"'
    )
