"""A step over images: what is not done yet, chunk by chunk, each committed as it ends.

One statement a chunk applies the model's Arrow function (an Ibis UDF); the next one writes what
it returned, in one transaction. A killed step loses one chunk and goes on where it stood.
"""

from __future__ import annotations

import hashlib
import json
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

from prime_sql import queries
from prime_sql.errors import InputError, OptionError, PrimeSqlError, WarehouseError
from prime_sql.vision.functions import ImageFunction, udf
from prime_sql.warehouse import Database, Destination, OnSql, Warehouse, first_line

CHUNK = 512  # images a commit
_LISTENS = 0.5  # seconds: where a system does not wake a thread that waits, how soon it hears

# The tables of each step: the script that makes them, and the columns that it must have.
TABLES = {
    "images": ("image_id", "uri", "width", "height", "split", "label", "sha256"),
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
        Images behind, images in all that this run has to do.
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
    """

    step: str
    model: str
    table: str
    images: int
    problems: int
    seconds: float
    note: str = ""


@contextmanager
def session(
    into: Destination, on_sql: OnSql | None = None, *, has_images: bool = True
) -> Iterator[Warehouse]:
    """Open a database for steps over images, with the tables of images in it.

    A file that does not exist yet is made with these tables, empty; steps then commit into it. It
    goes again where the first step stops before it has written anything.

    Parameters
    ----------
    into
        A DuckDB file or an Ibis DuckDB connection.
    on_sql
        Called after every statement.
    has_images
        Whether the images must have been loaded before.

    Raises
    ------
    InputError
        When they must and have not, or `into` is memory that nobody could read afterwards.
    WarehouseError
        When the database cannot be opened or written.
    """
    if into is None or str(into) == ":memory:":
        raise InputError("images go into a database that stays: a DuckDB file, or a connection")
    if has_images and isinstance(into, (str, os.PathLike)) and not Path(into).exists():
        raise InputError(f"there is no database {into}; {_LOAD_IMAGES}")
    database = Database(into)
    new = database.path if database.is_new else None
    try:
        _prepare(database, on_sql, has_images=has_images)
        warehouse = Warehouse(database.publish(), on_sql)
        try:
            if has_images and not warehouse.execute("images", "from images limit 1"):
                if warehouse.execute("images", "from image_problems limit 1"):
                    raise InputError("no image could be read; the table image_problems says why")
                raise InputError(f"the database holds no images; {_LOAD_IMAGES}")
            try:
                yield warehouse
                new = None
            finally:
                if new is not None and any(
                    warehouse.execute("tables", f"from {table} limit 1") for table in _FIRST
                ):
                    new = None
        finally:
            warehouse.close()
    finally:
        database.discard()
        if new is not None:
            new.unlink(missing_ok=True)


def _prepare(database: Database, on_sql: OnSql | None, *, has_images: bool) -> None:
    warehouse = Warehouse(database.backend, on_sql)
    try:
        if warehouse.read_only:
            raise WarehouseError(
                "the connection is for reading only; open the database for writing as well"
            )
        if has_images and not columns(warehouse, "images"):
            raise InputError(f"the database holds no images; {_LOAD_IMAGES}")
        make(warehouse, "images")
        with warehouse.transaction():
            warehouse.script("tables", queries.find("vision/settings").render(warehouse.dialect))
    finally:
        warehouse.close()


def make(warehouse: Warehouse, kind: str, table: str | None = None, **values: Any) -> None:
    """Make the table of a step if it is not there.

    Raises
    ------
    InputError
        When there is a table of this name that has other columns.
    """
    name = table or kind
    existing = columns(warehouse, name)
    wrong = [f"without the column {c!r}" for c in TABLES[kind] if existing and c not in existing]
    key = TABLES[kind][0]
    if not wrong and existing and existing[key] != "VARCHAR":
        wrong = [f"whose {key} is {existing[key]}, not VARCHAR"]
    if wrong:
        change = "rename it first" if kind == "images" else "name another one with --table"
        raise InputError(f"the database has a table {name} of its own, {wrong[0]}; {change}")
    if kind != "images":
        values["table"] = name
    with warehouse.transaction():
        sql = queries.find(f"vision/{kind}").render(warehouse.dialect, **values)
        warehouse.script("tables", sql)


def settle(
    warehouse: Warehouse,
    step: str,
    table: str,
    model: str,
    settings: dict[str, Any],
    *,
    replace: bool = False,
    write: str | None = None,
) -> None:
    """Note the settings of a model, so that results of two settings are never mixed in a table.

    Parameters
    ----------
    warehouse, step, table, model
        Where its results go, under which name.
    settings
        What they depend on.
    replace
        Remove what the model has done so far.
    write
        A script that writes its new results, in the same transaction.

    Raises
    ------
    OptionError
        When there are results of other settings, and they are not to be replaced.
    """
    written = json.dumps(settings, sort_keys=True, default=str)
    done, column = ("tagged_images", "tagger") if step == "tag" else (table, "model")
    results = f"from {queries.identifier(done)} where {column} = {queries.literal(model)} limit 1"
    place = f"table_name = {queries.literal(table)} and model = {queries.literal(model)}"
    known = warehouse.execute("settings", f"select settings from model_settings where {place}")
    others = known and known[0][0] != written and not replace
    if others and warehouse.execute("settings", results):
        before = json.loads(known[0][0])
        changed = [k for k in {**before, **settings} if before.get(k) != json.loads(written).get(k)]
        raise OptionError(
            f"{table} holds results of {model} with other settings ({', '.join(sorted(changed))}); "
            f"`prime-sql {step} --replace` makes them anew, --name keeps both"
        )
    with warehouse.transaction():
        if replace:
            forget(warehouse, step, table, model)
        warehouse.execute("settings", f"delete from model_settings where {place}")
        row = ", ".join(queries.literal(value) for value in (step, table, model, written))
        warehouse.execute("settings", f"insert into model_settings values ({row})")
        if write is not None:
            warehouse.script(step, write)


def forget(warehouse: Warehouse, step: str, table: str, model: str) -> None:
    """Remove what a model has done so far; part of the caller's transaction."""
    column = "tagger" if step == "tag" else "model"
    for name in [table, "tagged_images"] if step == "tag" else [table]:
        warehouse.execute(
            step,
            f"delete from {queries.identifier(name)} where {column} = {queries.literal(model)}",
        )


def fingerprint(*paths: Path | None) -> str:
    """Return a SHA-256 of files, and of all files in folders; hidden ones are left out."""
    digest = hashlib.sha256()
    for path in paths:
        inside = path is not None and path.is_dir()
        for file in sorted(path.rglob("*")) if path and inside else [path] if path else []:
            if file.is_file() and not file.name.startswith("."):
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def columns(warehouse: Warehouse, table: str) -> dict[str, str]:
    """Return a table's columns and their types; none where there is no such table."""
    return dict(
        warehouse.execute(
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
    warehouse: Warehouse,
    on_images: OnImages | None = None,
    chunk: int = CHUNK,
) -> Done:
    """Apply a function to every image that is not done yet, and write what it returns.

    Raises
    ------
    PrimeSqlError
        When the model cannot go on. What was committed stays.
    """
    start = time.perf_counter()
    total = warehouse.create("to_do", step.to_do)
    # Problems may be gone by now: a file is back, a disk is mounted.
    warehouse.script("problems", _render(warehouse, "try_again", step=step.name, model=step.model))
    apply = udf(function, function.name, ["string"], function.returns)
    problems = 0

    def show(done: int) -> None:
        if on_images is not None:
            on_images(ImageProgress(step.name, done, total, time.perf_counter() - start))

    def uris(first: int) -> Table:
        """Make the chunk from a place on, the session's relation of that name."""
        sql = _render(
            warehouse, "chunk", listed=step.name == "images", first=first, last=first + chunk - 1
        )
        warehouse.create(f"chunk_{first}", sql)
        return warehouse.backend.table(f"chunk_{first}")

    show(0)
    rows = uris(1)
    engine = ThreadPoolExecutor(1, thread_name_prefix=f"{function.name}_engine")
    try:
        for first in range(1, total + 1, chunk):
            following = uris(first + chunk)
            function.follow(
                [
                    uri
                    for (uri,) in warehouse.execute(
                        "chunk", f"select uri from chunk_{first + chunk}"
                    )
                ]
            )
            function.on_batch = lambda images, first=first: show(first - 1 + images)
            outputs = rows.select(rows.image_id, rows.uri, output=apply(rows.uri))
            _apply(step, function, outputs, warehouse, engine)
            problems += _write(step, function, warehouse)
            warehouse.drop(f"chunk_{first}", "outputs", "problems")
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
    warehouse: Warehouse,
    engine: ThreadPoolExecutor,
) -> None:
    """Run the one statement over the function, and raise what was raised in it as it was.

    It runs in a thread of its own, and this one waits in Python, which hears an interrupt at once:
    DuckDB 2 may hear it only when the statement has ended.
    """
    made = engine.submit(warehouse.create_from, "outputs", outputs)
    try:
        while not wait((made,), timeout=_LISTENS).done:
            pass
        made.result()
    except Exception:
        if function.failure is None:
            raise
        failure = function.failure  # the engine's own message holds a traceback
        if isinstance(failure, PrimeSqlError) or not isinstance(failure, Exception):
            raise failure from failure.__cause__
        raise PrimeSqlError(
            f"{step.model or step.name} failed on an image: {type(failure).__name__}: "
            f"{first_line(failure)}"
        ) from failure


def _write(step: Step, function: ImageFunction, warehouse: Warehouse) -> int:
    """Commit what the function returned for a chunk; return how many images had problems."""
    reasons = pa.table(
        [list(function.problems), list(function.problems.values())], schema=_PROBLEMS
    )
    function.problems.clear()
    warehouse.create_from("problems", ibis.memtable(reasons))
    with warehouse.transaction():
        warehouse.script(step.name, step.write)
        warehouse.script(
            "problems", _render(warehouse, "problems", step=step.name, model=step.model)
        )
    count = "select count(*) from outputs where output is null"
    return int(warehouse.execute("problems", count)[0][0])


def _render(warehouse: Warehouse, name: str, **values: Any) -> str:
    return queries.find(f"vision/{name}").render(warehouse.dialect, **values)
