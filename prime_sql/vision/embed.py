"""Images become embeddings, and so do texts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from prime_sql import queries
from prime_sql.errors import InputError, OptionError, PrimeSqlError
from prime_sql.vision.clip import Clip
from prime_sql.vision.functions import ImageFunction, udf
from prime_sql.vision.network import Place, batch_size_on
from prime_sql.vision.steps import (
    Done,
    OnImages,
    Step,
    columns,
    fingerprint,
    forget,
    make,
    run,
    session,
    settle,
)
from prime_sql.vision.texts import load_texts
from prime_sql.warehouse import Destination, OnSql, Warehouse, first_line

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
        Embed all images anew.
    device
        auto, cpu, cuda, cuda:1, … or mps.
    precision
        fp32 or bf16; auto is bf16 on CUDA.
    batch_size
        Images the model is given at once; halved when memory runs out. None chooses.
    threads
        Threads that read and decode; one a core if left out.
    on_sql, on_images
        Called after every statement, and after every batch of images.

    Raises
    ------
    InputError
        When there are no images, or the weights cannot be had.
    OptionError
        When an option is out of range.
    """
    with session(into, on_sql) as warehouse:
        place = Place.choose(device, precision)
        size = batch_size_on(place, batch_size)
        clip = Clip.load(model, pretrained, place, name)
        return embed_missing(
            warehouse,
            clip,
            weights(model, pretrained),
            table=table,
            replace=replace,
            batch_size=size,
            threads=threads,
            on_images=on_images,
        )


def embed_missing(
    warehouse: Warehouse,
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

    `option` is what names the table on the command line.
    """
    _make(warehouse, "embeddings", table, clip, option)
    settle(warehouse, "embed", table, clip.name, settings, replace=replace)
    function = ImageFunction.over(clip, "clip_embed", batch_size=batch_size, threads=threads)
    values = {"table": table, "model": clip.name}
    to_do = queries.find("vision/to_do").render(warehouse.dialect, model_column="model", **values)
    write = queries.find("vision/embedded").render(warehouse.dialect, **values)
    step = Step("embed", clip.name, table, to_do=to_do, write=write)
    return run(step, function, warehouse, on_images)


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

    Rows go into ``text_embeddings(text, model, template, embedding FLOAT[d])``; those that are
    there already are left alone.

    Parameters
    ----------
    into, model, pretrained, name, table, device, precision, on_sql
        As for `embed`.
    texts, column
        See `load_texts`.
    template
        The prompt; the text stands in it at ``{}``.
    replace
        Forget all texts that the model has embedded so far.

    Raises
    ------
    InputError
        When the texts cannot be read, or the weights cannot be had.
    OptionError
        When an option is out of range, or texts are there that other weights embedded.
    """
    check_template(template)
    with session(into, on_sql, has_images=False) as warehouse:
        load_texts(texts, column, "texts", warehouse)
        clip = Clip.load(model, pretrained, Place.choose(device, precision), name)
        start = time.perf_counter()
        _make(warehouse, "text_embeddings", table, clip)
        if replace:
            with warehouse.transaction():
                forget(warehouse, "embed", table, clip.name)
        _check_same_weights(clip, table, warehouse)
        return _embed_texts(clip, template, table, warehouse, start)


def _check_same_weights(clip: Clip, table: str, warehouse: Warehouse) -> None:
    """Embed a text that is there once more: a folder's weights may have changed since."""
    known = warehouse.execute(
        "texts",
        f"select text, template, embedding from {queries.identifier(table)} "
        f"where model = {queries.literal(clip.name)} order by text, template limit 1",
    )
    for text, template, before in known:
        (now,) = clip.embed_texts([template.replace("{}", text)])
        if now @ np.asarray(before) < SAME:
            raise OptionError(
                f"{table} holds texts that other weights of the name {clip.name} embedded; "
                "--replace makes them anew, --name keeps both"
            )


def _embed_texts(clip: Clip, template: str, table: str, warehouse: Warehouse, start: float) -> Done:
    values = {"table": table, "model": clip.name, "template": template}
    new = queries.find("vision/new_texts").render(warehouse.dialect, **values)
    count = warehouse.create("new_texts", new)
    texts = warehouse.backend.table("new_texts")
    with calling(clip.embed_text_array, clip.name) as function:
        apply = udf(function, "clip_embed_text", ["string"], clip.returns)
        warehouse.create_from("outputs", texts.select(texts.text, output=apply(texts.prompt)))
    with warehouse.transaction():
        sql = queries.find("vision/embedded_texts").render(warehouse.dialect, **values)
        warehouse.script("embed", sql)
    warehouse.drop("texts", "new_texts", "outputs")
    return Done("embed", clip.name, table, count, 0, time.perf_counter() - start)


@contextmanager
def calling(function: Callable[..., Any], name: str) -> Iterator[Callable[..., Any]]:
    """Yield the function for an engine to call, and raise what is raised in it as it was.

    An engine calls from several threads, which models were not made for, and passes on no more
    than an error's text.

    Raises
    ------
    PrimeSqlError
        In the place of an error that is none of ours.
    """
    one_at_a_time = threading.Lock()
    raised: list[BaseException] = []

    def call(*columns: Any) -> Any:
        with one_at_a_time:
            try:
                return function(*columns)
            except BaseException as error:
                raised.append(error)
                raise

    try:
        yield call
    except Exception as error:
        if not raised:
            raise
        if isinstance(raised[0], PrimeSqlError) or not isinstance(raised[0], Exception):
            raise raised[0] from error
        raise PrimeSqlError(
            f"{name} failed: {type(raised[0]).__name__}: {first_line(raised[0])}"
        ) from raised[0]


def check_template(template: str) -> None:
    """Refuse a prompt in which the text has no place.

    Raises
    ------
    OptionError
        When ``{}`` does not stand in it exactly once.
    """
    if template.count("{}") != 1:
        raise OptionError(
            f'template must hold {{}} once, as in "a photo of {{}}", got {template!r}'
        )


def weights(model: str, pretrained: str | None) -> dict[str, Any]:
    """Return what a CLIP model's embeddings depend on: its names, and the content of its files."""
    files: list[Path | None] = []
    known_as: list[str] = []
    # A file is what it holds, wherever it is; open_clip takes - for _ in the names of weights.
    for name in (model.removeprefix("local-dir:"), pretrained or ""):
        there = bool(name) and os.path.exists(name)  # noqa: PTH110  # Path's raises on long names
        files.append(Path(name) if there else None)
        known_as.append(Path(name).absolute().name if there else name.replace("-", "_"))
    return {
        "model": known_as[0],
        "pretrained": known_as[1] or None,
        "files": fingerprint(*files),
    }


def _make(warehouse: Warehouse, kind: str, table: str, clip: Clip, option: str = "--table") -> None:
    make(warehouse, kind, table, dimensions=clip.dimensions)
    there = columns(warehouse, table)["embedding"]
    if there != f"FLOAT[{clip.dimensions}]":
        raise InputError(
            f"{table} holds embeddings of type {there}; those of {clip.name} are "
            f"FLOAT[{clip.dimensions}]: keep them in a table of their own, with {option}"
        )
