"""A folder, a glob or a table of images becomes the tables ``images`` and ``image_problems``."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from ibis.expr.types import Table, Value

from prime_sql.engine import queries
from prime_sql.engine.database import Destination
from prime_sql.engine.errors import (
    InputError,
    did_you_mean,
    shorten,
    shorten_list,
)
from prime_sql.engine.open_source import open_source
from prime_sql.engine.options import Options
from prime_sql.engine.places import shown
from prime_sql.engine.session import OnSql, Session
from prime_sql.engine.sources import CSV, DATABASE, JSON, PARQUET, Wanted, describe
from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.pictures import PictureError, read, upright_size
from prime_sql.vision.steps import Done, OnImages, Step, columns, open_session, run

# The names that folders of splits have, in the layouts of ImageNet, torchvision and Hugging Face.
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
URI_COLUMNS = ("uri", "path", "file", "file_name", "filename")
BYTES_COLUMNS = ("bytes", "image")

_FEW = 20  # images that are looked at before any is loaded

_FACTS = pa.struct([("width", pa.int32()), ("height", pa.int32()), ("sha256", pa.string())])
_LISTED = pa.schema(
    [(name, pa.string()) for name in ("image_id", "uri", "split", "label")]
    + [("bytes", pa.binary())]
)


def load_images(
    source: Any,
    into: Destination,
    *,
    image_id: str = "image_id",
    uri: str | None = None,
    bytes_: str | None = None,
    label: str = "label",
    split: str = "split",
    root: str | os.PathLike[str] | None = None,
    replace: bool = False,
    threads: int | None = None,
    on_sql: OnSql | None = None,
    on_images: OnImages | None = None,
) -> Done:
    """Load images into the tables ``images`` and ``image_problems`` of a database.

    Every file is decoded once, so that what cannot be used is known before a model sees it.
    Images that were loaded before are left as they are.

    Parameters
    ----------
    source
        A folder (``label/picture.jpg`` or ``split/label/picture.jpg``; image_id is the path in
        it), a glob, or a table in any form that `prime_sql.search` takes, with a column of URIs
        or of bytes.
    into
        A DuckDB file, which is created if need be, or an Ibis DuckDB connection.
    image_id, label, split
        Columns of the table. Without the first, the image_id is the URI as it is written; the
        other two are optional.
    uri
        Column of file names, paths or URIs; ``uri``, ``path``, ``file``, ``file_name`` or
        ``filename`` if left out.
    bytes_
        Column of files as bytes, or of structs with a field ``bytes``; ``bytes`` or ``image`` if
        left out.
    root
        Folder that relative paths start from; the folder of the table's file if left out.
    replace
        Read the images that were loaded before again. What was computed from an image whose file
        or label has changed is removed, so that the next step computes it again.
    threads
        Threads that read and decode; one per core if left out.
    on_sql, on_images
        Called after every statement, and after every batch of images.

    Raises
    ------
    InputError
        When the source cannot be read, holds no image, or gives two images the same id.
    WarehouseError
        When the database cannot be opened.
    """
    with open_session(into, on_sql, has_images=False) as session:
        names = (image_id, uri, bytes_, label, split)
        _list(source, session, names, root, replace=replace)
        _check_pictures(session, source)
        function = ImageFunction(
            "image_facts", _FACTS, _facts, _as_facts, threads=threads, beside=True
        )
        step = Step(
            "images",
            model="",
            table="images",
            to_do=queries.find("vision/todo/to_read").render(session.dialect, again=replace),
            write=queries.find("vision/write/read").render(
                session.dialect, computed=_computed(session)
            ),
        )
        return run(step, function, session, on_images)


def _facts(uri: str) -> dict[str, Any]:
    content = read(uri)
    width, height = upright_size(content)
    return {"width": width, "height": height, "sha256": hashlib.sha256(content).hexdigest()}


def _as_facts(batch: list[dict[str, Any]]) -> pa.Array:
    return pa.array(batch, _FACTS)


def _computed(session: Session) -> list[tuple[str, str, str]]:
    """Return what was computed from pixels: table, its column for the model, and the model."""
    # Tags from captions or from a table stay: whoever changes a picture knows what is in it.
    rows = session.execute("tables", "select step, table_name, model, settings from model_settings")
    return [
        place
        for step, table, model, settings in rows
        if columns(session, table)  # else the user has dropped it
        if not {"captions", "tags"} & json.loads(settings).keys()
        for place in (
            [(table, "tagger", model), ("tagged_images", "tagger", model)]
            if step == "tag"
            else [(table, "model", model)]
        )
    ]


# Listing ------------------------------------------------------------------------------------------


def _list(
    source: Any,
    session: Session,
    names: tuple[str, str | None, str | None, str, str],
    root: str | os.PathLike[str] | None,
    *,
    replace: bool,
) -> None:
    """Make the session's ``listed`` (image_id, uri, split, label, bytes) and check it."""
    if isinstance(source, (str, os.PathLike)) and _is_of_files(str(os.fspath(source))):
        rows = list(_in_files(str(os.fspath(source))))
        if not rows:
            raise InputError(f"there is no file in {source}; give a folder with images")
        listed = ibis.memtable(pa.Table.from_pylist(rows, schema=_LISTED))
    else:
        listed = _in_table(source, session, names, root)
    session.create_from("listed", listed)
    session.drop("source_images_rows")
    found = session.check("vision/checks/listed")
    where = describe(source)
    if not found["images"]:
        raise InputError(f"{where} has no rows; give at least one image")
    for what, column in (("no_id", "image_id"), ("no_file", "uri")):
        if found[what]:
            raise InputError(
                f"{where}: {found[what]:,} of {found['images']:,} rows have no {column}; "
                "fill it in or leave them out"
            )
    if found["twice"]:
        raise InputError(
            f"{where}: {found['twice']:,} image_ids occur more than once, such as "
            f"{shorten(found['example'])}; give every image an id of its own"
        )
    if found["taken"] and not replace:
        raise InputError(
            f"{where}: the database has other images of the same image_id, {found['taken']:,} of "
            f"them, such as {shorten(found['taken_example'])}; give these others (load the folder "
            "above both, or a table with a column image_id), or replace the old ones with --replace"
        )


def _check_pictures(session: Session, source: Any) -> None:
    """Refuse a list without a single picture: it is another folder or column that was meant.

    Raises
    ------
    InputError
        When there are a few files, and none can be used. More would be read twice for this.
    """
    ((images,),) = session.execute("listed", "select count(*) from listed")
    if images > _FEW:
        return
    why = ""
    for place in range(images):
        ordered = f"from listed order by image_id limit 1 offset {place}"
        ((uri, content),) = session.execute("listed", f"select uri, bytes {ordered}")
        try:
            upright_size(read(uri if content is None else content))
        except PictureError as error:
            why = why or (f"{shown(uri or '')}: {error}" if content is None else str(error))
        else:
            return
    if not images:
        return  # a later check says so
    what = "the file cannot" if images == 1 else f"none of the {images:,} files can"
    raise InputError(
        f"{describe(source)}: {what} be used as a picture, for example {why}; nothing was loaded"
    )


def _is_of_files(name: str) -> bool:
    """Tell a folder, a glob of images or one image from a table."""
    lower = name.lower()
    if "://" in name and not lower.startswith("file://"):
        return False
    if os.path.isdir(name):  # noqa: PTH112  # Path.is_dir raises where a name is too long
        return True
    if lower.endswith((*PARQUET, *CSV, *JSON, *DATABASE)):
        return False
    if glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110
        if not glob.glob(name, recursive=True):
            raise InputError(f"no file matches {name}")
        return True
    if os.path.isfile(name):  # noqa: PTH113
        return True
    if "/" in name and ":" not in name:  # not the name of a table
        path = Path(name)
        near = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"there is no file or folder {name}.{did_you_mean(path.name, near)}")
    return False


def _in_files(name: str) -> Iterator[dict[str, str | None]]:
    """Yield the files of a folder or glob, sorted by path, without hidden ones."""
    if os.path.isdir(name):  # noqa: PTH112
        base, files = Path(name), _walk(name)
    elif glob.has_magic(name) and not os.path.exists(name):  # noqa: PTH110
        fixed = []
        for part in Path(name).parts[:-1]:
            if glob.has_magic(part):
                break
            fixed.append(part)
        base = Path(*fixed)
        files = sorted(Path(file) for file in glob.glob(name, recursive=True))
        files = [file for file in files if file.is_file()]
    else:
        base, files = Path(name).parent, [Path(name)]
    relative = [file.relative_to(base) for file in files]
    base = _from_the_root(base)
    folders = {path.parts[0] for path in relative if len(path.parts) > 1}
    in_splits = bool(folders) and folders <= SPLITS
    for path in relative:
        parents = list(path.parts[:-1])
        split = parents.pop(0) if in_splits and parents else None
        yield {
            "image_id": _printable(path.as_posix()),
            "uri": _uri(base / path),
            "split": split and _printable(split),
            "label": _printable(parents[0]) if parents else None,
        }


def _walk(name: str) -> list[Path]:
    files, seen = [], set()

    def list_as_file(error: OSError) -> None:
        files.append(Path(error.filename))  # a folder that cannot be read is a problem of its own

    for place, folders, names in os.walk(name, onerror=list_as_file, followlinks=True):
        # Following a link to a folder above would never end.
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(f for f in folders if not f.startswith("."))
        files += [] if real in seen else [Path(place, n) for n in names if not n.startswith(".")]
        seen.add(real)
    return sorted(files)


def _from_the_root(folder: Path) -> Path:
    """Return an absolute path that is the same wherever it is written from."""
    return folder.resolve() if ".." in folder.parts else folder.absolute()


def _uri(file: Path) -> str:
    name = str(file)
    # A name that is not UTF-8 is not text.
    return name if _printable(name) == name else file.as_uri()


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _in_table(
    source: Any,
    session: Session,
    names: tuple[str, str | None, str | None, str, str],
    root: str | os.PathLike[str] | None,
) -> Table:
    image_id, uri, bytes_, label, split = names
    known = {image_id, label, split, *((uri,) if uri else URI_COLUMNS)}
    known |= {bytes_} if bytes_ else {*BYTES_COLUMNS}
    opened = open_source(source, "images", session, Options(), Wanted(frozenset(known)))
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
    return text.rstrip("/") + "/" if "://" in text else f"{_from_the_root(Path(text))}/"


def _absolute(path: Value, root: str) -> Value:
    stays = path.startswith("/") | path.contains("://") | path.startswith("data:")
    stays |= path.startswith("file:") | path.re_search(r"^[A-Za-z]:[\\/]")
    return ibis.ifelse(stays, path, ibis.literal(root).concat(path))
