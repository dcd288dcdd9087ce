"""Act on failure modes: images to label or to collect next.

The matching is in ``queries/questions/pick/``; this module opens the pool, chooses what can be
used from it, and orders the steps.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ibis.expr.types import Table

from prime_sql.discovery import tags
from prime_sql.discovery.stored import StoredRun
from prime_sql.discovery.unseen import options_for
from prime_sql.engine import errors, queries
from prime_sql.engine.errors import InputError, OptionError, QueryError, warn
from prime_sql.engine.named_sources import catalog_of, detaching
from prime_sql.engine.open_source import open_source
from prime_sql.engine.options import Options, finite_number, whole_number
from prime_sql.engine.relation import Relation
from prime_sql.engine.session import OnSql, Session
from prime_sql.engine.sources import DATABASE, Source, describe, reading
from prime_sql.questions.explain import complete_mode_id
from prime_sql.questions.images import table_of_images
from prime_sql.questions.similar import (
    NO_SIMILARITIES,
    Similarities,
    columns_of,
    embeddings_to_compare,
    names,
    quoted,
    tables_of,
    wanted_tags,
)

_NO_TAGS = "select cast(null as varchar) as image_id, cast(null as varchar) as tag where false"
_NO_IDS = "select cast(null as varchar) as image_id where false"


def pick(
    run: StoredRun,
    mode_id: str,
    pool: Any,
    *,
    limit: int | None = 100,
    seen: bool = False,
    model: str | None = None,
    min_similarity: float | None = None,
    image_id: str | None = None,
    tag: str | None = None,
    score: str | None = None,
    min_score: float | None = None,
    wide: bool | None = None,
    present: str | None = None,
    split_tags: str | None = None,
    on_sql: OnSql | None = None,
) -> Relation:
    """Pick images of an unlabelled pool that match a failure mode, to label or to collect.

    Images that carry all its present tags and none of its absent ones come first. If the pool
    has embeddings, others follow by the mean cosine similarity of the image to the mode's
    present tags, except those that carry an absent one. Labels play no part: the class of the
    mode is not looked for.

    Parameters
    ----------
    mode_id
        The mode, or the first characters of its mode_id.
    pool
        A tags table in the forms that `search` takes; or a DuckDB file with any of the tables
        that ``prime-sql images``, ``tag`` and ``embed`` make. Similarities need ``embeddings``
        of its images and, by the same model, of the tags in ``text_embeddings``, in the file or
        in the database of the run (``prime-sql embed --texts``); if a tag has several prompts,
        their mean counts.
    limit
        How many images at most; None for all.
    seen
        Whether to pick images that the run already has, too: an unlabelled pool has none.
    model
        Which model's embeddings to compare, if there are several.
    min_similarity
        Least similarity of an image whose tags do not match.
    image_id, tag, score, min_score, wide, present, split_tags
        What the columns of the tags are called, and how tags are read; as in the run where left
        out, but in a DuckDB file as ``prime-sql tag`` calls them.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        place (from 1), image_id, uri (from a table ``images`` of the file, or of the database
        of the run; null where unknown), matched_by (``tags`` or ``similarity``), carried_tags
        (how many of the present tags it carries, null where it was not tagged), similarity
        (null where unknown). No rows where nothing matches.

    Raises
    ------
    QueryError
        When no mode_id begins like this, or several do.
    OptionError
        When an option is out of range, or a model must be chosen.
    InputError
        When the pool cannot be read, or has none of the mode's tags and no embeddings to
        compare.
    """
    columns = {
        "image_id": image_id,
        "tag": tag,
        "score": score,
        "min_score": min_score,
        "wide": wide,
        "present": present,
        "split_tags": split_tags,
    }
    if limit is not None:
        limit = whole_number("limit", limit)
    if min_similarity is not None:
        min_similarity = finite_number("min_similarity", min_similarity)
        if not -1 <= min_similarity <= 1:
            raise OptionError(f"min_similarity must be between -1 and 1, got {min_similarity:g}")
    if not isinstance(mode_id, str) or not mode_id.strip():
        raise QueryError(f"mode_id takes a mode_id or its first characters, got {mode_id!r}")
    mode_id = complete_mode_id(run, mode_id.strip())
    with run.session(on_sql) as session, detaching(session):
        step = session.step
        step("questions/pick/wanted", scope=run.scope(), mode_id=mode_id)
        if seen:
            session.create("seen", _NO_IDS)
        else:
            step("questions/pick/seen", scope=run.scope("outcomes"))
        images = table_of_images(run)
        all_images = [] if images is None else [images]
        if _is_database(pool):
            path = Path(pool)
            catalog = catalog_of(path, "pool", session)
            all_images = list(dict.fromkeys([*_tables_of_images(catalog, session), *all_images]))
            found = _open_database(path, catalog, run, session, model, columns)
        else:
            found = None
            if model is not None or min_similarity is not None:
                name = "min_similarity" if model is None else "model"
                raise OptionError(f"{name} needs a pool with embeddings, as in pool.duckdb")
            _open_tags(pool, options_for(run.options, None, columns), session)
        with reading("pool", describe(pool)):
            step("questions/pick/carried")
        if found is None:
            session.create("similarities", NO_SIMILARITIES)
        else:
            step("questions/pick/similarities", **vars(found))
        _check_tags(pool, session, similar=found is not None)
        step("questions/pick/matches", images=all_images, min_similarity=min_similarity)
        step("questions/pick/picks", limit=limit)
        left_out = session.execute("matches", "select sum(seen) from matches")[0][0]
        if left_out:
            warn(
                f"{left_out:,} images of the pool match but were left out: the run already has "
                "them. seen=True (--seen) keeps them."
            )
        return Relation.of(session.fetch("picks", "from picks"))


def _is_database(pool: Any) -> bool:
    return (
        isinstance(pool, (str, os.PathLike))
        and str(os.fspath(pool)).lower().endswith(DATABASE)
        and os.path.isfile(pool)  # noqa: PTH113  # Path.is_file raises where a name is too long
    )


def _open_tags(pool: Any, options: Options, session: Session) -> None:
    """Make ``tags`` and ``tagged_pool`` of the session from a tags table."""
    source = open_source(pool, "tags", session, tags.wanted_tags(options))
    with reading("tags", describe(pool)):
        try:
            tags.load_tags(source, options, session)
        except InputError as error:
            raise InputError(f"pool ({describe(pool)}): {error}") from error
        _tagged([source.table.select(image_id=source.table[options.image_id])], session)


def _open_database(
    path: Path,
    catalog: str,
    run: StoredRun,
    session: Session,
    model: str | None,
    columns: dict[str, Any],
) -> Similarities | None:
    """Make ``tags`` and ``tagged_pool`` from a database; return what can be compared in it."""
    backend = session.backend
    place = (catalog, "main")
    there = tables_of(catalog, session)
    if not {"tags", "embeddings"} & {*there}:
        raise InputError(
            f"{path} has no table tags or embeddings; `prime-sql tag` and `prime-sql "
            f"embed` make them. It has: {errors.shorten_list(there) or 'no table'}. "
            f"Name another table of tags as {path}:TABLE."
        )
    if "tags" in there:
        # The run's own tables may call their columns anything; ours have fixed names.
        usual = {"image_id": "image_id", "tag": "tag", "score": "score", "wide": False}
        given = {name: value for name, value in columns.items() if value is not None}
        options = options_for(run.options, None, {**usual, **given})
        table = backend.table("tags", database=place)
        with reading("pool", str(path)):
            tags.load_tags(Source(table, list(table.columns)), options, session)
        tagged = [table.select(image_id=table[options.image_id])]
        if (
            "tagged_images" in there
            and "image_id" in (listed := backend.table("tagged_images", database=place)).columns
        ):
            tagged.append(listed.select("image_id"))  # including those without a tag
        _tagged(tagged, session)
    else:
        session.create("tags", _NO_TAGS)
        session.create("tagged_pool", _NO_IDS)
    # Texts may have been embedded beside the images, or beside the run.
    own = session.catalog
    found = embeddings_to_compare(path, dict.fromkeys((catalog, own)), catalog, session, model)
    if found is None and "tags" not in there:
        raise InputError(
            f"{path} has no tags, and no embeddings that could be compared with those of the "
            f"tags {names(wanted_tags(session))}; embed these with the same model, with `prime-sql "
            "embed --texts`"
        )
    return found


def _tagged(tables: list[Table], session: Session) -> None:
    ids = [table.select(image_id=table.image_id.cast(str)) for table in tables]
    every = ids[0].union(*ids[1:]) if len(ids) > 1 else ids[0]
    every = every.filter(every.image_id.notnull()).distinct()
    session.keep("tagged_pool", every, view=False)


def _tables_of_images(catalog: str, session: Session) -> list[str]:
    found = columns_of(catalog, "images", session)
    return [quoted(catalog, "images")] if {"image_id", "uri"} <= found.keys() else []


def _check_tags(pool: Any, session: Session, *, similar: bool) -> None:
    """Say which tags the pool does not have; refuse it if it has none of them and nothing else."""
    wanted = wanted_tags(session)
    sql = queries.find("questions/pick/unknown_tags").render()
    unknown = [tag for (tag,) in session.execute("unknown_tags", sql)]
    if not unknown:
        return
    if unknown == wanted and not similar:
        raise InputError(
            f"no image of the pool ({describe(pool)}) carries any tag of the failure mode: "
            f"{names(wanted)}; tag the pool with the words of the run, or give a database with "
            "embeddings of its images and, by the same model, of these tags"
        )
    if unknown != wanted or session.execute("unknown_tags", "select count(*) from tags")[0][0]:
        warn(f"no image of the pool carries {names(unknown, 'or')}; check the spelling")
