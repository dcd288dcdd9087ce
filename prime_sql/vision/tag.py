"""Images become tags: by a CLIP model, by RAM, from captions, or from a finished table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ibis
import numpy as np
from ibis.expr.types import Table

from prime_sql import queries
from prime_sql.errors import InputError, OptionError, did_you_mean, shorten
from prime_sql.options import Options
from prime_sql.sources import Wanted, describe, open_source
from prime_sql.vision.captions import PARTS, CaptionTagger
from prime_sql.vision.clip import Clip
from prime_sql.vision.embed import calling, check_template, embed_missing, weights
from prime_sql.vision.functions import ImageFunction, udf
from prime_sql.vision.network import TAGS, Place, batch_size_on
from prime_sql.vision.ram import RamTagger
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
from prime_sql.vision.zero_shot import ZeroShotTagger, chosen
from prime_sql.warehouse import Destination, OnSql, Warehouse, first_line


def tag_clip(
    into: Destination,
    vocabulary: Any,
    model: str,
    pretrained: str | None = None,
    *,
    column: str | None = None,
    template: str = "a photo of {}",
    threshold: float | None = None,
    top_k: int | None = None,
    calibrate: str = "all",
    synonyms: Any = None,
    name: str = "clip",
    table: str = "tags",
    embeddings: str = "embeddings",
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    on_sql: OnSql | None = None,
    on_images: OnImages | None = None,
) -> Done:
    """Tag images with the words of a vocabulary that lie close to them in a CLIP model's space.

    Images that the model has not embedded yet are embedded first. From the embeddings all images
    are tagged anew, which takes seconds: try thresholds and vocabularies.

    Parameters
    ----------
    into
        The database with the table ``images``.
    vocabulary, column
        The tags: see `load_texts`.
    model, pretrained
        See `Clip.load`.
    template
        The prompt; the tag stands in it at ``{}``.
    threshold, top_k, calibrate
        See `ZeroShotTagger`. With neither of the first two, an image gets the tags that are 2.5
        standard deviations above their mean, or without calibration its 10 closest.
    synonyms
        See `tag_table`.
    name
        What to call the tagger in the column ``tagger``.
    table
        Where the rows go.
    embeddings
        The table of `embed` with the images' embeddings.
    device, precision, batch_size, threads, on_sql, on_images
        As for `embed`.

    Raises
    ------
    InputError
        When there are no images, or a source cannot be read.
    OptionError
        When an option is out of range.
    """
    check_template(template)
    threshold, top_k = chosen(threshold, top_k, calibrate)
    with session(into, on_sql) as warehouse:
        load_texts(vocabulary, column, "vocabulary", warehouse)
        load_synonyms(synonyms, warehouse)
        words = [w for (w,) in warehouse.execute("vocabulary", "from temp.vocabulary order by 1")]
        _make(warehouse, table, name)
        place = Place.choose(device, precision)
        size = batch_size_on(place, batch_size)
        clip = Clip.load(model, pretrained, place)
        texts = clip.embed_texts([template.replace("{}", word) for word in words])
        tagger = ZeroShotTagger(words, texts, threshold=threshold, top_k=top_k, calibrate=calibrate)
        done = embed_missing(
            warehouse,
            clip,
            weights(model, pretrained),
            table=embeddings,
            option="--embeddings",
            batch_size=size,
            threads=threads,
            on_images=on_images,
        )
        images = _embedded(warehouse, embeddings, clip)
        tagger.fit(_batches(images))
        settings = {
            "model": clip.name,
            "template": template,
            "threshold": threshold,
            "top_k": top_k,
            "calibrate": calibrate,
        }
        start = time.perf_counter()
        with calling(tagger, name) as function:
            apply = udf(function, "clip_tag", [images.embedding.type(), "string"], TAGS)
            warehouse.create_from(
                "outputs",
                images.select(images.image_id, output=apply(images.embedding, images.label)),
            )
        count = _retag(warehouse, table, name, settings)
        seconds = time.perf_counter() - start
        return Done("tag", name, table, count, done.problems, done.seconds + seconds)


def tag_ram(
    into: Destination,
    checkpoint: Path,
    *,
    kind: str = "ram",
    image_size: int = 384,
    threshold: float | None = None,
    extra_tags: Sequence[str] = (),
    trust: bool = False,
    synonyms: Any = None,
    name: str | None = None,
    table: str = "tags",
    replace: bool = False,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    on_sql: OnSql | None = None,
    on_images: OnImages | None = None,
) -> Done:
    """Tag the images that RAM or RAM++ has not tagged yet.

    Parameters
    ----------
    into, table, replace, device, precision, batch_size, threads, on_sql, on_images
        As for `embed`.
    checkpoint, kind, image_size, threshold, extra_tags, trust
        See `RamTagger.load`.
    synonyms
        See `tag_table`.
    name
        What to call the tagger; its kind if left out.

    Raises
    ------
    InstallError
        When the package ``ram`` is not installed.
    InputError
        When there are no images, or the checkpoint does not fit.
    OptionError
        When an option is out of range.
    """
    with session(into, on_sql) as warehouse:
        load_synonyms(synonyms, warehouse)
        known_as = name or kind
        _make(warehouse, table, known_as)
        place = Place.choose(device, precision)
        size = batch_size_on(place, batch_size)
        tagger = RamTagger.load(
            kind,
            checkpoint,
            image_size=image_size,
            threshold=threshold,
            extra_tags=extra_tags,
            place=place,
            trust=trust,
        )
        settings = {
            "kind": kind,
            "checkpoint": fingerprint(checkpoint),
            "image_size": image_size,
            "threshold": threshold,
            "extra_tags": list(extra_tags),
            "synonyms": written_synonyms(warehouse),
        }
        settle(warehouse, "tag", table, known_as, settings, replace=replace)
        function = ImageFunction.over(tagger, "ram_tag", batch_size=size, threads=threads)
        step = Step(
            "tag",
            known_as,
            table,
            to_do=queries.find("vision/to_do").render(
                warehouse.dialect, table="tagged_images", model_column="tagger", model=known_as
            ),
            write=_write(warehouse, table, known_as, from_outputs=True),
        )
        return run(step, function, warehouse, on_images)


def tag_captions(
    into: Destination,
    captions: Any,
    *,
    image_id: str = "image_id",
    column: str = "caption",
    parts: Sequence[str] = PARTS,
    synonyms: Any = None,
    name: str = "captions",
    table: str = "tags",
    on_sql: OnSql | None = None,
) -> Done:
    """Tag images with the words of their captions; all anew.

    Parameters
    ----------
    into, table, on_sql
        As for `embed`; the images need not be there.
    captions
        A table in any form that `prime_sql.search` takes, with a caption or a list of captions a
        row; an image may have several rows.
    image_id, column
        Its columns.
    parts
        See `CaptionTagger`.
    synonyms, name
        As for `tag_table`.

    Raises
    ------
    InstallError
        When the packages of the extra ``captions`` are not installed.
    InputError
        When a source cannot be read, or a synonym stands for two tags.
    OptionError
        When a part is unknown.
    """
    tagger = CaptionTagger(parts)
    with session(into, on_sql, has_images=False) as warehouse:
        start = time.perf_counter()
        load_synonyms(synonyms, warehouse)
        rows = _rows(captions, "captions", {"image_id": image_id, "caption": column}, warehouse)
        _make(warehouse, table, name)
        with calling(tagger.tag, name) as function:
            apply = udf(function, "caption_tags", ["string"], TAGS)
            warehouse.create_from("outputs", rows.select(rows.image_id, output=apply(rows.caption)))
        settings = {"captions": describe(captions), "parts": list(parts)}
        count = _retag(warehouse, table, name, settings)
        return Done("tag", name, table, count, 0, time.perf_counter() - start)


def tag_table(
    into: Destination,
    tags: Any,
    *,
    image_id: str = "image_id",
    tag: str = "tag",
    score: str = "score",
    synonyms: Any = None,
    name: str = "table",
    table: str = "tags",
    on_sql: OnSql | None = None,
) -> Done:
    """Take over tags that somebody else made; all anew.

    Parameters
    ----------
    into, table, on_sql
        As for `embed`; the images need not be there.
    tags
        One row per image and tag, or per image with a list of tags, in any form that
        `prime_sql.search` takes.
    image_id, tag, score
        Its columns; without scores each is 1.
    synonyms
        A table of two columns, ``synonym`` and ``tag``: a tag of the first becomes the second.
    name
        What to call the tagger.

    Raises
    ------
    InputError
        When a source cannot be read, or a synonym stands for two tags.
    """
    with session(into, on_sql, has_images=False) as warehouse:
        start = time.perf_counter()
        load_synonyms(synonyms, warehouse)
        names = {"image_id": image_id, "tag": tag, "score": score}
        warehouse.create_from("seen", _rows(tags, "tags", names, warehouse))
        _make(warehouse, table, name)
        count = _retag(warehouse, table, name, {"tags": describe(tags)}, from_outputs=False)
        return Done("tag", name, table, count, 0, time.perf_counter() - start)


# Steps of several taggers -------------------------------------------------------------------------


def _make(warehouse: Warehouse, table: str, tagger: str) -> None:
    """Make the table of tags; what a tagger saw is noted once, so that it fills one table only."""
    is_new = not columns(warehouse, table)
    make(warehouse, "tags", table)
    others = warehouse.execute(
        "settings",
        "select table_name from model_settings where step = 'tag' "
        f"and model = {queries.literal(tagger)} and table_name <> {queries.literal(table)}",
    )
    for (other,) in others:
        if columns(warehouse, other):
            raise OptionError(
                f"the tagger {tagger} fills the table {other}; give it another name with --name to "
                f"fill {table} as well"
            )
    if is_new:  # the one before was dropped
        with warehouse.transaction():
            forget(warehouse, "tag", table, tagger)


def _write(warehouse: Warehouse, table: str, tagger: str, *, from_outputs: bool) -> str:
    return queries.find("vision/tagged").render(
        warehouse.dialect, table=table, tagger=tagger, from_outputs=from_outputs
    )


def _retag(
    warehouse: Warehouse,
    table: str,
    name: str,
    settings: dict[str, Any],
    *,
    from_outputs: bool = True,
) -> int:
    """Replace a tagger's tags by those of the session's outputs or seen; return how many images."""
    settings["synonyms"] = written_synonyms(warehouse)
    write = _write(warehouse, table, name, from_outputs=from_outputs)
    settle(warehouse, "tag", table, name, settings, replace=True, write=write)
    count = f"select count(*) from tagged_images where tagger = {queries.literal(name)}"
    return int(warehouse.execute("tag", count)[0][0])


def _embedded(warehouse: Warehouse, table: str, clip: Clip) -> Table:
    """Return image_id, label and embedding of all images that the model has embedded."""
    embeddings, images = (warehouse.backend.table(name) for name in (table, "images"))
    own = embeddings.filter(embeddings.model == clip.name)
    return own.join(images, "image_id").select("image_id", "label", "embedding")


def _batches(images: Table) -> Iterator[tuple[np.ndarray, list[str | None]]]:
    for batch in images.select("embedding", "label").to_pyarrow_batches(chunk_size=2048):
        vectors = batch.column(0)
        width = vectors.type.list_size
        flat = vectors.flatten().to_numpy(zero_copy_only=False)
        yield flat.reshape(-1, width), batch.column(1).to_pylist()


# Sources ------------------------------------------------------------------------------------------


def _rows(source: Any, role: str, names: dict[str, str], warehouse: Warehouse) -> Table:
    """Open a source and return its columns under our names; a list of texts as one row each.

    An image with an empty list, or null, has one row without a text.
    """
    wanted = Wanted(frozenset(names.values()))
    opened = open_source(source, role, warehouse, _as_options(names), wanted)
    where = f"{role} ({describe(source)})"
    table, selected = opened.table, {}
    for ours, theirs in names.items():
        if theirs in opened.columns:
            selected[ours] = table[theirs]
        elif ours != "score" or theirs != "score":
            raise InputError(
                f"{where} has no column {theirs!r}.{did_you_mean(theirs, opened.columns)} "
                f"It has: {', '.join(opened.columns)}."
            )
    if "score" in names:
        selected.setdefault("score", ibis.literal(1.0))
        kind = selected["score"].type()
        if not kind.is_numeric() or kind.is_boolean():
            raise InputError(f"{where}: {names['score']} is {kind}; scores must be numbers")
    table = table.select(**selected)
    text = "tag" if "tag" in names else "caption"
    if table[text].type().is_array():
        table = table.unnest(text, keep_empty=True)
    kind = table[text].type()
    if not kind.is_string() and not (text == "tag" and kind.is_integer()):
        raise InputError(
            f"{where}: {names[text]} is {selected[text].type()}; a {text} is text, or a list of "
            "texts an image: convert it"
        )
    typed = {"image_id": table.image_id.cast("string"), text: table[text].cast("string").strip()}
    if "score" in names:
        typed["score"] = table.score.try_cast("float32")
    try:
        rows = warehouse.create_from(f"{role}_rows", table.select(**typed))
    except Exception as error:  # of a file that is read where it lies
        raise InputError(f"cannot read {where}: {first_line(error)}") from error
    found = warehouse.check("image_rows", table=f"{role}_rows", scored="score" in names)
    for count, column in ((found["no_id"], "image_id"), (found["no_score"], "score")):
        if count:
            raise InputError(
                f"{where}: {count:,} of {found['all_rows']:,} rows have no {column}; fill it in or "
                "leave them out"
            )
    return rows


def _as_options(names: dict[str, str]) -> Options:
    """Text columns of a file are told by the options of a search: '007' must not become 7."""
    return Options(image_id=names["image_id"], tag=names.get("tag", "tag"))


def load_synonyms(source: Any, warehouse: Warehouse) -> None:
    """Make the session's ``synonyms`` (synonym, tag), empty where the user has none."""
    if source is None:
        none = "select cast(null as varchar) as synonym, cast(null as varchar) as tag where false"
        warehouse.create("synonyms", none)
        return
    names = ("synonym", "tag")
    opened = open_source(source, "synonyms", warehouse, Options(), Wanted(frozenset(names)))
    for name in names:
        if name not in opened.columns:
            raise InputError(
                f"synonyms ({describe(source)}) has no column {name!r}. It has: "
                f"{', '.join(opened.columns)}. A row 'tyke,child' of synonym,tag makes one of two."
            )
    columns = {name: opened.table[name].cast("string").strip() for name in names}
    warehouse.create_from("synonyms", opened.table.select(**columns).distinct())
    found = warehouse.check("synonyms")
    if found["empty"]:
        raise InputError(f"synonyms: {found['empty']} rows lack a synonym or a tag; fill them in")
    if found["several"]:
        raise InputError(
            f"synonyms: {shorten(found['several_example'])} stands for more than one tag; "
            "leave it with one"
        )
    if found["chained"]:
        raise InputError(
            f"synonyms: {shorten(found['chained_example'])} is a tag and a synonym of another one; "
            "name the last tag in both rows"
        )


def written_synonyms(warehouse: Warehouse) -> list[list[str]]:
    """Return the session's synonyms: pairs of a synonym and its tag, sorted."""
    rows = warehouse.execute("synonyms", "select synonym, tag from synonyms order by all")
    return [list(row) for row in rows]
