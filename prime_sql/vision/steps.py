"""A step over images: what is not done yet, chunk by chunk, each committed as it ends.

For each chunk, one statement applies the model's Arrow function (an Ibis UDF), and a transaction
writes what it returned. A killed step loses one chunk, and continues from there when run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from prime_sql.engine import places, queries
from prime_sql.engine.database import Database, Destination
from prime_sql.engine.errors import InputError, PrimeSqlError, WarehouseError, first_line
from prime_sql.engine.session import OnSql, Session
from prime_sql.vision.functions import ImageFunction, udf

CHUNK = 512  # images per commit
_LISTENS = 0.5  # seconds until a waiting thread hears an interrupt if the system does not wake it

# The tables of the steps, by the script that creates each, and the columns that each must have.
TABLES = {
    "images": ("image_id", "uri", "width", "height", "split", "label", "sha256"),
    "image_files": ("image_id", "file_size", "modified_ns"),
    "embeddings": ("image_id", "model", "embedding"),
    "text_embeddings": ("text", "model", "template", "embedding"),
    "tags": ("image_id", "tag", "score", "tagger"),
    "predictions": ("image_id", "label", "prediction", "confidence", "model"),
}
_LOAD_IMAGES = "`prime-sql images FOLDER --db FILE` loads them"
_FIRST = ("images", "image_problems", "model_settings")  # one of them is written first
_PROBLEMS = pa.schema([("uri", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class ImageProgress:
    """How far a step over images is.

    Attributes
    ----------
    step
        images, embed, tag or predict.
    done, total
        Images done so far, and all images that this run has to do.
    seconds
        Since the step began.
    """

    step: str
    done: int
    total: int
    seconds: float


OnImages = Callable[[ImageProgress], object]


@dataclass(frozen=True)
class Done:
    """What a step did.

    Attributes
    ----------
    step
        images, embed, tag or predict.
    model
        The model or tagger; empty for images.
    table
        Where the results are.
    images
        Images done by this run.
    problems
        Images that could not be used; ``image_problems`` says why.
    seconds
        Wall-clock time.
    note
        What else the user should know.
    changed, gone
        Images whose files had changed, and whose files are gone, since they were loaded.
    dry_run
        Whether nothing was done; the other numbers say what would have been.
    """

    step: str
    model: str
    table: str
    images: int
    problems: int
    seconds: float
    note: str = ""
    changed: int = 0
    gone: int = 0
    dry_run: bool = False


@contextmanager
def open_session(
    into: Destination,
    on_sql: OnSql | None = None,
    *,
    has_images: bool = True,
    dry_run: bool = False,
) -> Iterator[Session]:
    """Open a database for steps over images, with the tables of images in it.

    A file that does not exist yet is created with these tables, empty; steps then commit into it.
    It is removed again if the first step stops before it has written anything.

    Parameters
    ----------
    into
        A DuckDB file or an Ibis DuckDB connection.
    on_sql
        Called after every statement.
    has_images
        Whether the images must have been loaded before.
    dry_run
        Open it for reading only, with empty tables in the session for those that it lacks; without
        a file, in memory.

    Raises
    ------
    InputError
        When they have not been, though they must, or when `into` is in memory, where nobody could
        read it afterwards.
    WarehouseError
        When the database cannot be opened or written.
    """
    if into is None or str(into) == ":memory:":
        raise InputError("images go into a database that stays: a DuckDB file, or a connection")
    if isinstance(into, (str, os.PathLike)):
        places.check_readable(into, "cannot open the database", WarehouseError)
        if has_images and not Path(into).exists():
            raise InputError(f"there is no database {places.shown(into)}; {_LOAD_IMAGES}")
    if dry_run:
        with _reading(into, on_sql) as session:
            yield session
        return
    database = Database(into)
    new = database.path if database.is_new else None
    try:
        _prepare(database, on_sql, has_images=has_images)
        with Session(database.publish(), on_sql) as session:
            if has_images and not session.execute("images", "from images limit 1"):
                if session.execute("images", "from image_problems limit 1"):
                    raise InputError("no image could be read; the table image_problems says why")
                raise InputError(f"the database holds no images; {_LOAD_IMAGES}")
            try:
                yield session
                new = None
            finally:
                if new is not None and any(
                    session.execute("tables", f"from {table} limit 1") for table in _FIRST
                ):
                    new = None
    finally:
        database.discard()
        if new is not None:
            new.unlink(missing_ok=True)


@contextmanager
def _reading(into: Destination, on_sql: OnSql | None) -> Iterator[Session]:
    exists = not isinstance(into, (str, os.PathLike)) or Path(into).exists()
    database = Database(into, read_only=True) if exists else Database(None)
    try:
        with Session(database.backend, on_sql) as session:
            _check_columns(session, "images", "images")
            for name in ("images", "image_files", "model_settings"):
                if not columns(session, name):
                    session.script("tables", _render(session, "tables/stand_ins", table=name))
            yield session
    finally:
        database.discard()


def _prepare(database: Database, on_sql: OnSql | None, *, has_images: bool) -> None:
    with Session(database.backend, on_sql) as session:
        if session.read_only:
            raise WarehouseError(
                "the connection is for reading only; open the database for writing as well"
            )
        if has_images and not columns(session, "images"):
            raise InputError(f"the database holds no images; {_LOAD_IMAGES}")
        make(session, "images")
        if not _are_made(session, "model_settings"):
            sql = queries.find("vision/tables/settings").render(session.dialect)
            with session.transaction():
                session.script("tables", sql)


def _are_made(session: Session, *names: str) -> bool:
    """Return whether there are tables with these names and with our comments.

    Making them again would change nothing but the file, even where a command is refused.
    """
    found = session.execute(
        "tables",
        "select count(*) from duckdb_tables() where database_name = current_database() "
        "and schema_name = current_schema() and comment is not null "
        f"and table_name in ({', '.join(map(queries.literal, names))})",
    )
    return bool(found[0][0] == len(names))


def make(session: Session, kind: str, table: str | None = None, **values: Any) -> None:
    """Create the table of a step if it does not exist.

    Raises
    ------
    InputError
        When there is a table of this name with other columns.
    """
    name = table or kind
    _check_columns(session, kind, name)
    if kind != "images":
        values["table"] = name
    elif _are_made(session, "images", "image_bytes", "image_problems", "image_files"):
        return
    with session.transaction():
        sql = queries.find(f"vision/tables/{kind}").render(session.dialect, **values)
        session.script("tables", sql)


def _check_columns(session: Session, kind: str, name: str) -> None:
    for also in ("image_files",) if kind == "images" else ():
        _check_columns(session, also, also)
    existing = columns(session, name)
    wrong = [f"without the column {c!r}" for c in TABLES[kind] if existing and c not in existing]
    key = TABLES[kind][0]
    if not wrong and existing and existing[key] != "VARCHAR":
        wrong = [f"whose {key} is {existing[key]}, not VARCHAR"]
    if wrong:
        is_fixed = kind in ("images", "image_files")
        change = "rename it first" if is_fixed else "name another one with --table"
        raise InputError(f"the database has a table {name} of its own, {wrong[0]}; {change}")


def columns(session: Session, table: str) -> dict[str, str]:
    """Return a table's columns and their types; empty if there is no such table."""
    return dict(
        session.execute(
            "tables",
            "select column_name, data_type from duckdb_columns() "
            "where database_name = current_database() and schema_name = current_schema() "
            f"and lower(table_name) = {queries.literal(table.lower())}",
        )
    )


@dataclass(frozen=True)
class Step:
    """What to do with the images that are not done yet.

    Attributes
    ----------
    name
        images, embed, tag or predict.
    model
        The model or tagger; empty for images.
    table
        Where the results go.
    to_do
        SELECT of place (1, 2, …) and image_id.
    write
        Script that writes the session's ``outputs`` (image_id, uri, output).
    """

    name: str
    model: str
    table: str
    to_do: str
    write: str


def run(
    step: Step,
    function: ImageFunction,
    session: Session,
    on_images: OnImages | None = None,
    chunk: int = CHUNK,
) -> Done:
    """Apply a function to every image that is not done yet, and write what it returns.

    Raises
    ------
    PrimeSqlError
        When the model cannot continue. What was committed stays.
    """
    start = time.perf_counter()
    total = session.create("to_do", step.to_do)
    # Problems may be gone by now: a file is back, a disk is mounted.
    session.script("problems", _render(session, "todo/try_again", step=step.name, model=step.model))
    apply = udf(function, function.name, ["string"], function.returns)
    problems = 0

    def show(done: int) -> None:
        if on_images is not None:
            on_images(ImageProgress(step.name, done, total, time.perf_counter() - start))

    def uris(first: int) -> Table:
        """Create the chunk that starts at a place, as a relation of the session."""
        sql = _render(
            session, "todo/chunk", listed=step.name == "images", first=first, last=first + chunk - 1
        )
        session.create(f"chunk_{first}", sql)
        return session.backend.table(f"chunk_{first}")

    show(0)
    rows = uris(1)
    engine = ThreadPoolExecutor(1, thread_name_prefix=f"{function.name}_engine")
    try:
        for first in range(1, total + 1, chunk):
            following = uris(first + chunk)
            function.follow(
                [
                    uri
                    for (uri,) in session.execute("chunk", f"select uri from chunk_{first + chunk}")
                ]
            )
            function.on_batch = lambda images, first=first: show(first - 1 + images)
            outputs = rows.select(rows.image_id, rows.uri, output=apply(rows.uri))
            _apply(step, function, outputs, session, engine)
            problems += _write(step, function, session)
            session.drop(f"chunk_{first}", "outputs", "problems")
            rows = following
            show(min(first + chunk - 1, total))
    finally:
        function.close()
        engine.shutdown()
    return Done(
        step.name,
        step.model,
        step.table,
        images=total - problems,
        problems=problems,
        seconds=time.perf_counter() - start,
    )


def _apply(
    step: Step,
    function: ImageFunction,
    outputs: Table,
    session: Session,
    engine: ThreadPoolExecutor,
) -> None:
    """Run the statement that calls the function, and raise unchanged what the function raised.

    It runs in a thread of its own while this one waits in Python, which hears an interrupt at
    once; DuckDB 2 may hear it only when the statement has ended.
    """
    made = engine.submit(session.create_from, "outputs", outputs)
    try:
        while not wait((made,), timeout=_LISTENS).done:
            pass
        made.result()
    except Exception:
        if function.failure is None:
            raise
        failure = function.failure  # the engine's own message contains a traceback
        if isinstance(failure, PrimeSqlError) or not isinstance(failure, Exception):
            raise failure from failure.__cause__
        raise PrimeSqlError(
            f"{step.model or step.name} failed on an image: {type(failure).__name__}: "
            f"{first_line(failure)}"
        ) from failure


def _write(step: Step, function: ImageFunction, session: Session) -> int:
    """Commit what the function returned for a chunk; return how many images had problems."""
    reasons = pa.table(
        [list(function.problems), list(function.problems.values())], schema=_PROBLEMS
    )
    function.problems.clear()
    session.create_from("problems", ibis.memtable(reasons))
    with session.transaction():
        session.script(step.name, step.write)
        session.script(
            "problems", _render(session, "write/problems", step=step.name, model=step.model)
        )
    count = "select count(*) from outputs where output is null"
    return int(session.execute("problems", count)[0][0])


def _render(session: Session, name: str, **values: Any) -> str:
    return queries.find(f"vision/{name}").render(session.dialect, **values)
