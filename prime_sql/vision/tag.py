"""Images become tags: by a CLIP model, or by RAM."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ibis.expr.types import Table

from prime_sql.engine import queries
from prime_sql.engine.database import Destination
from prime_sql.engine.session import OnSql, Session
from prime_sql.vision.clip import Clip, weights
from prime_sql.vision.embed import calling, embed_missing
from prime_sql.vision.functions import ImageFunction, udf
from prime_sql.vision.network import TAGS, Place, batch_size_on
from prime_sql.vision.ram import RamTagger
from prime_sql.vision.settings import fingerprint, settle
from prime_sql.vision.steps import Done, OnImages, Step, open_session, run
from prime_sql.vision.tagging import (
    load_synonyms,
    make_table,
    retag,
    write_script,
    written_synonyms,
)
from prime_sql.vision.texts import check_template, load_texts
from prime_sql.vision.zero_shot import ZeroShotTagger, chosen


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

    Images that the model has not embedded yet are embedded first. Then all images are tagged again
    from the embeddings, which takes seconds: try thresholds and vocabularies.

    Parameters
    ----------
    into
        The database with the table ``images``.
    vocabulary, column
        The tags: see `load_texts`.
    model, pretrained
        See `Clip.load`.
    template
        The prompt, with ``{}`` where the tag goes.
    threshold, top_k, calibrate
        See `ZeroShotTagger`. With neither of the first two, an image gets the tags that are 2.5
        standard deviations above their mean or, without calibration, the 10 closest.
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
    with open_session(into, on_sql) as session:
        load_texts(vocabulary, column, "vocabulary", session)
        load_synonyms(synonyms, session)
        words = [w for (w,) in session.execute("vocabulary", "from temp.vocabulary order by 1")]
        make_table(session, table, name)
        place = Place.choose(device, precision)
        size = batch_size_on(place, batch_size)
        clip = Clip.load(model, pretrained, place)
        texts = clip.embed_texts([template.replace("{}", word) for word in words])
        tagger = ZeroShotTagger(words, texts, threshold=threshold, top_k=top_k, calibrate=calibrate)
        done = embed_missing(
            session,
            clip,
            weights(model, pretrained),
            table=embeddings,
            option="--embeddings",
            batch_size=size,
            threads=threads,
            on_images=on_images,
        )
        images = _embedded(session, embeddings, clip)
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
            session.create_from(
                "outputs",
                images.select(images.image_id, output=apply(images.embedding, images.label)),
            )
        count = retag(session, table, name, settings)
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
    with open_session(into, on_sql) as session:
        load_synonyms(synonyms, session)
        known_as = name or kind
        make_table(session, table, known_as)
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
            "synonyms": written_synonyms(session),
        }
        settle(session, "tag", table, known_as, settings, replace=replace)
        function = ImageFunction.over(tagger, "ram_tag", batch_size=size, threads=threads)
        step = Step(
            "tag",
            known_as,
            table,
            to_do=queries.find("vision/todo/to_do").render(
                session.dialect, table="tagged_images", model_column="tagger", model=known_as
            ),
            write=write_script(session, table, known_as, from_outputs=True),
        )
        return run(step, function, session, on_images)


def _embedded(session: Session, table: str, clip: Clip) -> Table:
    """Return image_id, label and embedding of all images that the model has embedded."""
    embeddings, images = (session.backend.table(name) for name in (table, "images"))
    own = embeddings.filter(embeddings.model == clip.name)
    return own.join(images, "image_id").select("image_id", "label", "embedding")


def _batches(images: Table) -> Iterator[tuple[np.ndarray, list[str | None]]]:
    for batch in images.select("embedding", "label").to_pyarrow_batches(chunk_size=2048):
        vectors = batch.column(0)
        width = vectors.type.list_size
        flat = vectors.flatten().to_numpy(zero_copy_only=False)
        yield flat.reshape(-1, width), batch.column(1).to_pylist()
