"""The emoji example: real pictures, human-written tags, a real classifier's predictions."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import polars as pl

from prime_sql import queries
from prime_sql.errors import WarehouseError
from prime_sql.results import Run
from prime_sql.search import OnProgress, search
from prime_sql.warehouse import Database, OnSql, Warehouse

_PACKAGED = Path(__file__).parent / "emoji"
FOLDER = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent / "examples" / "emoji"
TABLES = ("images", "metadata", "predictions", "tags")


SHOWN = 20  # failure modes; the rest is a query away
_OURS = "Example of prime-sql demo"


def make(path: Path, *, on_sql: OnSql | None = None, on_progress: OnProgress | None = None) -> Run:
    """Load the example into schema ``emoji`` of a DuckDB file, and search it.

    An existing file keeps everything else that it holds; the run is appended.

    Raises
    ------
    WarehouseError
        When the file cannot be opened, or holds such a table that the demo did not make.
    """
    database = Database(path)
    try:
        warehouse = Warehouse(database.backend, on_sql)
        # In a file called emoji.duckdb, emoji alone could mean the file, too.
        schema = f"{queries.identifier(database.backend.current_catalog)}.emoji"
        taken = warehouse.execute(
            "demo",
            "select table_name from duckdb_tables() where schema_name = 'emoji' "
            f"and database_name = current_database() and comment is distinct from '{_OURS}'",
        )
        for (name,) in taken:
            if name in TABLES:
                raise WarehouseError(
                    f"{path} holds a table emoji.{name} that the demo did not make, and was left "
                    "alone; name another file with --db"
                )
        with warehouse.transaction():
            warehouse.execute("demo", f"create schema if not exists {schema}")
            for name in TABLES:
                file = queries.literal(str(FOLDER / f"{name}.parquet"))
                table = f"{schema}.{name}"
                warehouse.execute(
                    "demo", f"create or replace table {table} as from read_parquet({file})"
                )
                warehouse.execute("demo", f"comment on table {table} is '{_OURS}'")
        warehouse.close()
        database.publish()
    finally:
        database.discard()
    # Sets of three are mostly skin tones of the pairs.
    return search(
        "emoji.predictions",
        "emoji.tags",
        into=path,
        max_tags=2,
        min_images=10,
        on_sql=on_sql,
        on_progress=on_progress,
    )


def introduction(images: int, errors: int) -> str:
    """Say what the reader is about to see."""
    accuracy = f"{1 - errors / images:.1%}"
    return (
        f"{images:,} emoji pictures drawn by one vendor, sorted into nine categories by a\n"
        "linear classifier on EfficientNet-Lite0 features that learnt from another\n"
        f"vendor's pictures: {errors:,} errors, accuracy {accuracy}. Where does it fail,\n"
        "in words that people use for the pictures?\n"
    )


def next_commands(path: Path, modes: pl.DataFrame) -> str:
    """Return the three commands worth typing next."""
    program, file = _program(), shlex.quote(str(path))
    class_name = modes["class_name"][0]  # the demo's data hold no quotes
    query = f"select class_name, tags from failure_modes where class_name <> '{class_name}'"
    return (
        f"All {modes.height} stand in schema prime of {path}, the pictures in schema emoji.\n"
        "What next?\n\n"
        f"  {program} query {file} images_of_mode --param mode_id={modes['mode_id'][0]}\n"
        f"  {program} query {file} failure_modes_by --param column=subcategory\n"
        f'  {program} sql {file} "{query}"'
    )


def _program() -> str:
    """Return what the reader has to type for ``prime-sql``: it may stand outside the PATH."""
    started = Path(sys.argv[0])
    if started.stem != "prime-sql":
        return (
            "prime-sql"
            if shutil.which("prime-sql")
            else f"{shlex.quote(sys.executable)} -m prime_sql"
        )
    found = shutil.which("prime-sql")
    if found is not None and Path(found).resolve() == started.resolve():
        return "prime-sql"
    return shlex.quote(str(started))
