"""A folder, a glob or a table of images becomes the tables ``images`` and ``image_problems``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from prime_sql.engine import queries
from prime_sql.engine.database import Destination
from prime_sql.engine.errors import (
    InputError,
    shorten,
)
from prime_sql.engine.places import shown
from prime_sql.engine.session import OnSql, Session
from prime_sql.engine.sources import describe
from prime_sql.vision import changes
from prime_sql.vision.folders import Listing, is_of_files, list_files
from prime_sql.vision.functions import ImageFunction, cores
from prime_sql.vision.image_tables import in_table
from prime_sql.vision.pictures import PictureError, local_path, read, upright_size
from prime_sql.vision.steps import (
    Done,
    ImageProgress,
    OnImages,
    Step,
    columns,
    open_session,
    run,
)

_FEW = 20  # images that are looked at before any is loaded

_FACTS = pa.struct(
    {
        "width": pa.int32(),
        "height": pa.int32(),
        "sha256": pa.string(),
        "file_size": pa.int64(),
        "modified_ns": pa.int64(),
    }
)
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
    prune: bool = False,
    prune_all: bool = False,
    dry_run: bool = False,
    threads: int | None = None,
    on_sql: OnSql | None = None,
    on_images: OnImages | None = None,
) -> Done:
    """Load images into the tables ``images`` and ``image_problems`` of a database.

    Every file is decoded once, so that what cannot be used is known before a model sees it.
    Images that were loaded before are left as they are, unless their files have changed: if a size
    or a time differs, and then the SHA-256. Such images are read again, and what models computed
    from them is removed, so that the next step computes it again. Only files on this machine are
    compared.

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
    prune
        Drop images whose files are gone: of the folder, or of the table's rows. With them go all
        embeddings, tags and predictions of these images. It is refused if more than half are gone.
    prune_all
        Drop them even then.
    dry_run
        Compare, count and warn, but write nothing.
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
    start = time.perf_counter()
    where = describe(source)
    wants_gone = prune or prune_all
    with open_session(into, on_sql, has_images=False, dry_run=dry_run) as session:
        names = (image_id, uri, bytes_, label, split)
        listing = _list(source, session, names, root, replace=replace, may_be_empty=wants_gone)
        if listing is not None:
            listing.tell(where)
        _check_pictures(session, source)
        none = "select cast(null as varchar) as table_name, cast(null as bigint) as dropped"
        session.create("forgotten", f"{none} where false")

        def on_checked(checked: int, total: int) -> None:
            if on_images is not None:
                on_images(ImageProgress("images", checked, total, time.perf_counter() - start))

        found = changes.find(
            session,
            listing,
            threads=threads or cores(),
            on_checked=on_checked,
            read_changed=not replace,
            writes=not dry_run,
        )
        if listing is not None and not (listing.rows or found.gone):
            raise _no_file(where)
        changes.check(found, where, prune=wants_gone, in_any_case=prune_all or dry_run)
        to_do = queries.find("vision/todo/to_read").render(session.dialect, again=replace)
        if dry_run:
            count = session.create("to_do", to_do)
            seconds = time.perf_counter() - start
            done = Done("images", "", "images", count, 0, seconds, dry_run=True)
            note = _what_would_be(found, wants_gone, prune_all)
        else:
            if wants_gone and found.gone:
                changes.prune(session)
            dropped = changes.counted(session)
            session.execute("forgotten", "delete from forgotten")
            function = ImageFunction(
                "image_facts", _FACTS, _facts, _as_facts, threads=threads, beside=True
            )
            write = queries.find("vision/write/read").render(
                session.dialect, computed=_computed(session)
            )
            step = Step("images", model="", table="images", to_do=to_do, write=write)
            done = run(step, function, session, on_images)
            changes.tell_same_content(session, where)
            changes.tell_what_to_install(session, where)
            forgotten = changes.counted(session)
            note = _what_was_dropped(dropped, len(found.gone) if wants_gone else 0, forgotten)
            done = dataclasses.replace(done, changed=forgotten.get("images", 0))
        return dataclasses.replace(
            done, note=note, gone=len(found.gone), changed=done.changed or len(found.changed)
        )


def _what_would_be(found: changes.Changes, wants_gone: bool, prune_all: bool) -> str:
    said = ["Nothing was written."]
    if found.changed:
        count = len(found.changed)
        said.append(f"{count:,} of them {'has' if count == 1 else 'have'} changed.")
    if wants_gone and found.gone:
        takes = "; this takes --prune-all" if found.are_most_gone and not prune_all else ""
        said.append(f"It would drop {_images(len(found.gone))} whose files are gone{takes}.")
    return " ".join(said)


def _what_was_dropped(dropped: dict[str, int], gone: int, forgotten: dict[str, int]) -> str:
    said = []
    if gone:
        results = changes.in_words(dropped)
        and_results = f", and what was computed from them: {results}" if results else ""
        said.append(f"Dropped {_images(gone)} whose files are gone{and_results}.")
    changed = forgotten.get("images", 0)
    if changed:
        results = changes.in_words(forgotten)
        and_results = (
            f"; removed what was computed from {'it' if changed == 1 else 'them'}, for the next "
            f"embed, tag and predict to compute again: {results}"
            if results
            else ""
        )
        said.append(f"{_images(changed)} had changed{and_results}.")
    return "\n".join(said)


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _facts(uri: str) -> dict[str, Any]:
    path = local_path(uri)
    modified = None
    if path is not None:
        try:  # before it is read: what is written meanwhile shows next time
            modified = changes.settled_time(Path(path).stat())
        except (OSError, ValueError):
            modified = None  # reading says why
    content = read(uri)
    width, height = upright_size(content)
    return {
        "width": width,
        "height": height,
        "sha256": hashlib.sha256(content).hexdigest(),
        "file_size": len(content),
        "modified_ns": modified,
    }


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
    may_be_empty: bool,
) -> Listing | None:
    """Make the session's ``listed`` (image_id, uri, split, label, bytes) and check it.

    Return where the files are, None if a table lists them.
    """
    listing = None
    if isinstance(source, (str, os.PathLike)) and is_of_files(str(os.fspath(source))):
        listing = list_files(str(os.fspath(source)))
        if not listing.rows and not may_be_empty:
            raise _no_file(describe(source))
        listed = ibis.memtable(pa.Table.from_pylist(listing.rows, schema=_LISTED))
    else:
        listed = in_table(source, session, names, root)
    session.create_from("listed", listed)
    session.drop("source_images_rows")
    found = session.check("vision/checks/listed")
    where = describe(source)
    if not found["images"] and listing is None:
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
    return listing


def _no_file(where: str) -> InputError:
    return InputError(f"there is no file in {where}; give a folder with images")


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
