"""Tables become tags: captions, or tags that somebody else made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ibis
from ibis.expr.types import Table

from prime_sql.engine.database import Destination
from prime_sql.engine.errors import (
    InputError,
    did_you_mean,
    first_line,
    shorten_list,
)
from prime_sql.engine.open_source import open_source
from prime_sql.engine.session import OnSql, Session
from prime_sql.engine.sources import Wanted, describe
from prime_sql.vision.captions import PARTS, CaptionTagger
from prime_sql.vision.embed import calling
from prime_sql.vision.functions import udf
from prime_sql.vision.network import TAGS
from prime_sql.vision.steps import Done, open_session
from prime_sql.vision.tagging import load_synonyms, make_table, retag


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
    """Tag images with the words of their captions; earlier tags are replaced.

    Parameters
    ----------
    into, table, on_sql
        As for `embed`; the images need not be loaded.
    captions
        A table in any form that `prime_sql.search` takes, with a caption or a list of captions per
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
        When a source cannot be read, or a synonym means two tags.
    OptionError
        When a part is unknown.
    """
    tagger = CaptionTagger(parts)
    with open_session(into, on_sql, has_images=False) as session:
        start = time.perf_counter()
        load_synonyms(synonyms, session)
        rows = _rows(captions, "captions", {"image_id": image_id, "caption": column}, session)
        make_table(session, table, name)
        with calling(tagger.tag, name) as function:
            apply = udf(function, "caption_tags", ["string"], TAGS)
            session.create_from("outputs", rows.select(rows.image_id, output=apply(rows.caption)))
        settings = {"captions": describe(captions), "parts": list(parts)}
        count = retag(session, table, name, settings)
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
    """Take over tags that somebody else made; earlier ones are replaced.

    Parameters
    ----------
    into, table, on_sql
        As for `embed`; the images need not be loaded.
    tags
        One row per image and tag, or per image with a list of tags, in any form that
        `prime_sql.search` takes.
    image_id, tag, score
        Its columns; without scores, each score is 1.
    synonyms
        A table of two columns, ``synonym`` and ``tag``: a tag of the first becomes the second.
    name
        What to call the tagger.

    Raises
    ------
    InputError
        When a source cannot be read, or a synonym means two tags.
    """
    with open_session(into, on_sql, has_images=False) as session:
        start = time.perf_counter()
        load_synonyms(synonyms, session)
        names = {"image_id": image_id, "tag": tag, "score": score}
        session.create_from("seen", _rows(tags, "tags", names, session))
        make_table(session, table, name)
        count = retag(session, table, name, {"tags": describe(tags)}, from_outputs=False)
        return Done("tag", name, table, count, 0, time.perf_counter() - start)


# Sources ------------------------------------------------------------------------------------------


def _rows(source: Any, role: str, names: dict[str, str], session: Session) -> Table:
    """Open a source and return its columns under our names; a list of texts as one row each.

    An image with an empty list, or null, has one row without a text.
    """
    wanted = Wanted(
        frozenset(names.values()), numbers=frozenset({names["score"]} if "score" in names else ())
    )
    opened = open_source(source, role, session, wanted)
    where = f"{role} ({describe(source)})"
    table, selected = opened.table, {}
    for ours, theirs in names.items():
        if theirs in opened.columns:
            selected[ours] = table[theirs]
        elif ours != "score" or theirs != "score":
            raise InputError(
                f"{where} has no column {theirs!r}.{did_you_mean(theirs, opened.columns)} "
                f"It has: {shorten_list(opened.columns)}."
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
            "texts per image: convert it"
        )
    typed = {"image_id": table.image_id.cast("string"), text: table[text].cast("string").strip()}
    if "score" in names:
        typed["score"] = table.score.try_cast("float32")
    try:
        rows = session.create_from(f"{role}_rows", table.select(**typed))
    except Exception as error:  # from a file that is read in place
        raise InputError(f"cannot read {where}: {first_line(error)}") from error
    found = session.check("vision/checks/image_rows", table=f"{role}_rows", scored="score" in names)
    for count, column in ((found["no_id"], "image_id"), (found["no_score"], "score")):
        if count:
            raise InputError(
                f"{where}: {count:,} of {found['all_rows']:,} rows have no {column}; fill it in or "
                "leave them out"
            )
    return rows
