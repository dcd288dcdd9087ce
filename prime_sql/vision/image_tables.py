"""Images that a table lists, by URI or as bytes."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import ibis
from ibis.expr.types import Table, Value

from prime_sql.engine.errors import InputError, did_you_mean, shorten_list
from prime_sql.engine.open_source import open_source
from prime_sql.engine.session import Session
from prime_sql.engine.sources import CSV, JSON, PARQUET, Wanted
from prime_sql.vision.folders import from_the_root

URI_COLUMNS = ("uri", "path", "file", "file_name", "filename")
BYTES_COLUMNS = ("bytes", "image")


def in_table(
    source: Any,
    session: Session,
    names: tuple[str, str | None, str | None, str, str],
    root: str | os.PathLike[str] | None,
) -> Table:
    """Return image_id, uri, split, label and bytes of the images that a table lists.

    Parameters
    ----------
    names
        What the columns of image_id, URI, bytes, label and split are called; None for the usual
        names of the second and third.
    root
        Folder that relative paths start from; the folder of the table's file if left out.

    Raises
    ------
    InputError
        When the table has no column of URIs or bytes, or lacks one that was named.
    """
    image_id, uri, bytes_, label, split = names
    known = {image_id, label, split, *((uri,) if uri else URI_COLUMNS)}
    known |= {bytes_} if bytes_ else {*BYTES_COLUMNS}
    opened = open_source(source, "images", session, Wanted(frozenset(known)))
    table, there = opened.table, opened.columns
    usual = {"--label": "label", "--split": "split"}
    asked = {"--uri": uri, "--bytes": bytes_, "--label": label, "--split": split}
    for option, name in asked.items():
        if name is not None and name not in (usual.get(option), *there):
            raise InputError(
                f"images has no column {name!r} ({option}).{did_you_mean(name, there)} "
                f"It has: {shorten_list(there)}."
            )
    where = next((table[name] for name in ([uri] if uri else URI_COLUMNS) if name in there), None)
    content = None
    for name in [bytes_] if bytes_ else BYTES_COLUMNS:
        if content is None and name in there:
            content, beside = _bytes_of(table[name])
            where = beside if where is None else where
    if bytes_ is not None and content is None:
        raise InputError(f"images: {bytes_!r} is {table[bytes_].type()}; give a column of bytes")
    if where is None and content is None:
        raise InputError(
            "images has neither a column of URIs nor of bytes; name one with --uri or --bytes. "
            f"It has: {shorten_list(there)}."
        )
    if image_id not in there and (where is None or image_id != "image_id"):
        raise InputError(
            f"images has no column {image_id!r} (--image-id).{did_you_mean(image_id, there)} "
            f"It has: {shorten_list(there)}."
        )
    ids = table[image_id] if where is None or image_id in there else where
    text = ibis.null("string")
    path = text if where is None else where.cast("string").nullif("")
    if uri is None and content is not None:
        # Where there are bytes, the path only says where they came from.
        path = ibis.ifelse(content.isnull(), path, text)
    return table.select(
        image_id=ids.cast("string"),
        uri=_absolute(path, _root(source, root)),
        split=table[split].cast("string") if split in there else text,
        label=table[label].cast("string") if label in there else text,
        bytes=ibis.null("binary") if content is None else content,
    )


def _bytes_of(column: Value) -> tuple[Value | None, Value | None]:
    """Return the bytes, and the path that Hugging Face stores with them or instead of them."""
    kind, path = column.type(), None
    if kind.is_struct() and "bytes" in kind.names:
        path = column["path"] if "path" in kind.names else None
        column, kind = column["bytes"], kind["bytes"]
    return (column, path) if kind.is_binary() else (None, None)


def _root(source: Any, root: str | os.PathLike[str] | None) -> str:
    """Return the folder that relative paths start from, with a slash at its end."""
    if root is None:
        name = str(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else ""
        is_file = name.lower().endswith((*PARQUET, *CSV, *JSON)) and "://" not in name
        root = Path(name).parent if is_file and not glob.has_magic(name) else "."
    text = str(root)
    return text.rstrip("/") + "/" if "://" in text else f"{from_the_root(Path(text))}/"


def _absolute(path: Value, root: str) -> Value:
    stays = path.startswith("/") | path.contains("://") | path.startswith("data:")
    stays |= path.startswith("file:") | path.re_search(r"^[A-Za-z]:[\\/]")
    return ibis.ifelse(stays, path, ibis.literal(root).concat(path))
