"""Images become embeddings, and so do texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from prime_sql.engine import queries
from prime_sql.engine.database import Destination
from prime_sql.engine.errors import InputError, OptionError, PrimeSqlError, first_line
from prime_sql.engine.interrupts import InterruptError, heard, listen, note
from prime_sql.engine.session import OnSql, Session
from prime_sql.vision.clip import Clip, weights
from prime_sql.vision.functions import ImageFunction, udf
from prime_sql.vision.network import Place, batch_size_on
from prime_sql.vision.settings import forget, settle
from prime_sql.vision.steps import Done, OnImages, Step, columns, make, open_session, run
from prime_sql.vision.texts import check_template, load_texts

SAME = 0.99  # least cosine similarity of a text's embeddings by the same weights, fp32 or bf16


def embed(
    into: Destination,
    model: str,
    pretrained: str | None = None,
    *,
    name: str | None = None,
    table: str = "embeddings",
    replace: bool = False,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    on_sql: OnSql | None = None,
    on_images: OnImages | None = None,
) -> Done:
    """Embed the images of a database that a model has not embedded yet.

    Rows go into ``embeddings(image_id, model, embedding FLOAT[d])``, of unit length.

    Parameters
    ----------
    into
        The database with the table ``images``: a DuckDB file or an Ibis DuckDB connection.
    model, pretrained, name
        See `Clip.load`.
    table
        Where the rows go. One table holds embeddings of one length.
    replace
        Embed all images again.
    device
        auto, cpu, cuda, cuda:1, … or mps.
    precision
        fp32 or bf16; auto is bf16 on CUDA.
    batch_size
        Images per batch of the model; halved when memory runs out. None chooses.
    threads
        Threads that read and decode; one per core if left out.
    on_sql, on_images
        Called after every statement, and after every batch of images.

    Raises
    ------
    InputError
        When there are no images, or the weights cannot be obtained.
    OptionError
        When an option is out of range.
    """
    with open_session(into, on_sql) as session:
        place = Place.choose(device, precision)
        size = batch_size_on(place, batch_size)
        clip = Clip.load(model, pretrained, place, name)
        return embed_missing(
            session,
            clip,
            weights(model, pretrained),
            table=table,
            replace=replace,
            batch_size=size,
            threads=threads,
            on_images=on_images,
        )


def embed_missing(
    session: Session,
    clip: Clip,
    settings: dict[str, Any],
    *,
    table: str = "embeddings",
    option: str = "--table",
    replace: bool = False,
    batch_size: int,
    threads: int | None,
    on_images: OnImages | None,
) -> Done:
    """Embed the images of a session that a loaded model has not embedded yet; see `embed`.

    `option` is the command-line option that names the table.
    """
    _make(session, "embeddings", table, clip, option)
    settle(session, "embed", table, clip.name, settings, replace=replace)
    function = ImageFunction.over(clip, "clip_embed", batch_size=batch_size, threads=threads)
    values = {"table": table, "model": clip.name}
    to_do = queries.find("vision/todo/to_do").render(
        session.dialect, model_column="model", **values
    )
    write = queries.find("vision/write/embedded").render(session.dialect, **values)
    step = Step("embed", clip.name, table, to_do=to_do, write=write)
    return run(step, function, session, on_images)


def embed_texts(
    into: Destination,
    texts: Any,
    model: str,
    pretrained: str | None = None,
    *,
    column: str | None = None,
    template: str = "{}",
    name: str | None = None,
    table: str = "text_embeddings",
    replace: bool = False,
    device: str = "auto",
    precision: str = "auto",
    on_sql: OnSql | None = None,
) -> Done:
    """Embed texts, such as tags, into the space of the images.

    Rows go into ``text_embeddings(text, model, template, embedding FLOAT[d])``; existing ones are
    left alone.

    Parameters
    ----------
    into, model, pretrained, name, table, device, precision, on_sql
        As for `embed`.
    texts, column
        See `load_texts`.
    template
        The prompt, with ``{}`` where the text goes.
    replace
        Forget all texts that the model has embedded so far.

    Raises
    ------
    InputError
        When the texts cannot be read, or the weights cannot be obtained.
    OptionError
        When an option is out of range, or the table has texts embedded by other weights.
    """
    check_template(template)
    with open_session(into, on_sql, has_images=False) as session:
        load_texts(texts, column, "texts", session)
        clip = Clip.load(model, pretrained, Place.choose(device, precision), name)
        start = time.perf_counter()
        _make(session, "text_embeddings", table, clip)
        if replace:
            with session.transaction():
                forget(session, "embed", table, clip.name)
        _check_same_weights(clip, table, session)
        return _embed_texts(clip, template, table, session, start)


def _check_same_weights(clip: Clip, table: str, session: Session) -> None:
    """Embed one of the stored texts again: a folder's weights may have changed since."""
    known = session.execute(
        "texts",
        f"select text, template, embedding from {queries.identifier(table)} "
        f"where model = {queries.literal(clip.name)} order by text, template limit 1",
    )
    for text, template, before in known:
        (now,) = clip.embed_texts([template.replace("{}", text)])
        if now @ np.asarray(before) < SAME:
            raise OptionError(
                f"{table} holds texts embedded by other weights of the name {clip.name}; "
                "--replace recomputes them, --name keeps both"
            )


def _embed_texts(clip: Clip, template: str, table: str, session: Session, start: float) -> Done:
    values = {"table": table, "model": clip.name, "template": template}
    new = queries.find("vision/todo/new_texts").render(session.dialect, **values)
    count = session.create("new_texts", new)
    texts = session.backend.table("new_texts")
    with calling(clip.embed_text_array, clip.name, rows=32) as function:
        apply = udf(function, "clip_embed_text", ["string"], clip.returns)
        session.create_from("outputs", texts.select(texts.text, output=apply(texts.prompt)))
    with session.transaction():
        sql = queries.find("vision/write/embedded_texts").render(session.dialect, **values)
        session.script("embed", sql)
    session.drop("texts", "new_texts", "outputs")
    return Done("embed", clip.name, table, count, 0, time.perf_counter() - start)


@contextmanager
def calling(
    function: Callable[..., Any], name: str, rows: int = 256
) -> Iterator[Callable[..., Any]]:
    """Yield the function for an engine to call, and raise unchanged what it raises.

    An engine calls from several threads, which models were not made for, and passes on only the
    text of an error. It gives the function `rows` at a time, so that an interrupt is heard soon.

    Raises
    ------
    PrimeSqlError
        Instead of an error that is not ours.
    """
    listen()
    one_at_a_time = threading.Lock()
    raised: list[BaseException] = []

    def call(*columns: Any) -> Any:
        before = heard()
        try:
            with one_at_a_time:
                parts = []
                for first in range(0, max(1, len(columns[0])), rows):
                    if heard() > before:
                        raise InterruptError(f"{name} was interrupted")
                    parts.append(function(*(column.slice(first, rows) for column in columns)))
                return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
        except BaseException as error:
            raised.append(error)
            if isinstance(error, KeyboardInterrupt):
                note()
            raise

    try:
        yield call
    except Exception as error:
        if not raised or isinstance(raised[0], InterruptError):
            raise  # of an interrupt, the engine says it as it does elsewhere
        if isinstance(raised[0], PrimeSqlError) or not isinstance(raised[0], Exception):
            raise raised[0] from error
        raise PrimeSqlError(
            f"{name} failed: {type(raised[0]).__name__}: {first_line(raised[0])}"
        ) from raised[0]


def _make(session: Session, kind: str, table: str, clip: Clip, option: str = "--table") -> None:
    make(session, kind, table, dimensions=clip.dimensions)
    there = columns(session, table)["embedding"]
    if there != f"FLOAT[{clip.dimensions}]":
        raise InputError(
            f"{table} holds embeddings of type {there}; those of {clip.name} are "
            f"FLOAT[{clip.dimensions}]: keep them in a table of their own, with {option}"
        )
