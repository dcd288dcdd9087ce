"""The tags of a search, in any form, checked."""

from __future__ import annotations

from typing import Any

import ibis
from ibis.expr.types import Table

from prime_sql.discovery.loaded import Inputs
from prime_sql.discovery.vocabularies import warn_of_tags
from prime_sql.discovery.wide_tags import unpivot
from prime_sql.engine import alike, queries
from prime_sql.engine.errors import (
    InputError,
    shorten,
)
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Source, Wanted, column_of, example_of, shape_refused


def wanted_tags(options: Options) -> Wanted:
    """Return which columns of a tags table are read."""
    if options.wide:
        flags = options.present is None
        return Wanted(text=frozenset({options.image_id}) if flags else None, flags=flags)
    score = () if options.min_score is None else (options.score,)
    names = frozenset({options.image_id, options.tag, *score})
    return Wanted(names, numbers=frozenset(score))


def load_tags(source: Source, options: Options, session: Session) -> Table:
    """Make the session's view ``tags`` (image_id, tag), in the long form, blank tags null.

    Returns
    -------
    Table
        Every image_id of the source, even if none of its tags counts.

    Raises
    ------
    InputError
        When a column is missing, or is not of a type that tags or scores can have.
    """
    table = source.table
    image_id = column_of(source, options.image_id, "tags", "--image-id")
    named = table.select(image_id=image_id.cast(str)).distinct()
    named = named.filter(named.image_id.notnull())
    long = unpivot(source, options, session) if options.wide else _long(source, options)
    long = long.select(image_id=long.image_id.cast(str), tag=long.tag.cast(str))
    if options.split_tags is not None:
        long = _split(long, options.split_tags)
    if options.normalise_tags:
        long = long.mutate(tag=session.normalised(long.tag))
    long = long.mutate(tag=session.is_blank(long.tag).ifelse(ibis.null(str), long.tag))
    session.keep("tags", long)
    return named


def _long(source: Source, options: Options) -> Table:
    """Return image_id and tag of a table that has a row for each, or for each image."""
    table = source.table
    tag = column_of(source, options.tag, "tags", "--tag")
    if options.min_score is not None:
        score = column_of(source, options.score, "tags", "--score")
        if not score.type().is_numeric() or score.type().is_boolean():
            raise InputError(
                f"tags.{options.score} is {score.type()}{example_of(score)}; min_score needs a "
                "column of numbers: convert it"
            )
        # DuckDB treats "not a number" as larger than any number.
        strong = score >= options.min_score
        table = table.filter(strong & ~score.isnan() if score.type().is_floating() else strong)
    type_ = tag.type()
    value_type = type_.value_type if type_.is_array() else type_
    if not value_type.is_string() and not value_type.is_integer():
        if value_type.is_nested() or value_type.is_json():
            kind = "a list" if type_.is_array() else "an object"
            raise InputError(shape_refused("tags", options.tag, kind, example_of(tag), kind))
        raise InputError(
            f"tags.{options.tag} is {type_}{example_of(tag)}; a tag is text, or a list of texts "
            "per image: convert it (a table with a column per tag is read with wide)"
        )
    image_id = table[options.image_id]
    return table.select(image_id=image_id, tag=tag.unnest() if type_.is_array() else tag)


def _split(long: Table, separator: str) -> Table:
    """Return a row for each part of a tag, without the marks of a list that was saved as text."""
    whole = long.tag.re_replace(r"^\s*[\[({](.*)[\])}]\s*$", r"\1")
    parts = long.select(long.image_id, tag=whole.split(separator).unnest())
    return parts.mutate(tag=parts.tag.re_replace(r"^[\s'\"]+|[\s'\"]+$", ""))


def _ids_alike(session: Session) -> tuple[int, str] | None:
    """Return how many images would have tags if ids were written alike, and in what they differ."""
    sql = queries.find("discovery/checks/ids_alike", session.plans).render(session.dialect)
    pairs = session.execute("check_tags", sql)
    differences: dict[str, list[tuple[str, str]]] = {}
    for image, tagged, _ in pairs:
        how = alike.difference(image, tagged, ids=True)
        if how is not None:
            differences.setdefault(how, []).append((image, tagged))
    if not differences:
        return None
    how, meeting = max(differences.items(), key=lambda item: len(item[1]))
    image, tagged = meeting[0]
    example = f"{alike.shown(image)} in predictions and {alike.shown(tagged)} in tags"
    # Of so many pairs, only the first ones are fetched.
    return round(pairs[0][2] * len(meeting) / len(pairs)), f"{example} differ only in {how}"


def _check_ids(session: Session, inputs: Inputs, untagged: int, images: int) -> None:
    """Say so if images without tags, and tags without an image, would meet if written alike.

    Raises
    ------
    InputError
        When most images have no tags for that reason.
    """
    found = _ids_alike(session)
    if found is None:
        return
    count, example = found
    what = f"{count:,} of {images:,} images have no tags, as their ids are written otherwise there"
    if 2 * count >= untagged and 2 * untagged >= images:
        raise InputError(f"{inputs.about}{what}: {example}; write them alike in both tables")
    inputs.warn(f"{what}: {example}; write them alike in both tables to count these tags")


def check_tags(
    session: Session,
    inputs: Inputs,
    options: Options,
    check: str = "discovery/checks/tags",
    *,
    vocabulary: bool = True,
    **values: Any,
) -> None:
    """Check how the tags fit the images, once both are numbered.

    `check` is the file of ``queries/`` that counts what is odd; `vocabulary` is whether the
    session has one to look at.

    Raises
    ------
    InputError
        When there are tags but none of their image_ids has a prediction; or, with `max_absent`,
        when a tag has the name of the absence of another one.
    """
    if options.max_absent:
        mixed_up = session.check("discovery/checks/absent_tags")
        if mixed_up["tags"]:
            raise InputError(
                f"tags has {mixed_up['tags']:,} tags named like the absence of others, for example "
                f"both {shorten(mixed_up['tag'])} and {shorten('not ' + mixed_up['tag'])}; rename "
                "them, or leave out max_absent"
            )
    if vocabulary:
        warn_of_tags(session, inputs, options)
    found = session.check(check, **values)
    inputs.rows["tag_rows"] = found["tag_rows"]
    usable = found["tag_rows"] - found["null_image_ids"] - found["blank_tags"]
    unknown = usable - found["matched_rows"]
    if unknown:
        images = session.check("discovery/checks/unknown_images")
        if not found["matched_rows"]:
            known, other = session.execute(
                "check_tags", "select count(*), min(image_id) from images"
            )[0]
            found_alike = _ids_alike(session)
            raise InputError(
                f"{inputs.about}tags and predictions have no image_id in common: {usable:,} tag "
                f"rows, for example image {shorten(images['example'])}, against "
                f"{known:,} images, for example {shorten(other)}; "
                + (
                    "map the columns with --image-id, or write the identifiers the same way in both"
                    if found_alike is None
                    else f"{found_alike[1]}: write them the same way in both"
                )
            )
        # The tags of the other parts' images are in the same table.
        if inputs.part is None:
            inputs.warn(
                f"{unknown:,} tag rows were left out: their {images['images']:,} images have no "
                f"prediction, for example {shorten(images['example'])}"
            )
        if found["untagged_images"] and inputs.part is None:
            _check_ids(session, inputs, found["untagged_images"], found["images"])
    if found["untagged_images"]:
        inputs.warn(
            f"{found['untagged_images']:,} of {found['images']:,} images have no tag; they count "
            + (
                "as lacking all: leave out those that nobody tagged"
                if options.max_absent
                else "for their class only"
            )
        )
    if found["duplicate_rows"]:
        inputs.warn(f"{found['duplicate_rows']:,} duplicate (image_id, tag) rows were counted once")
    if found["blank_tags"]:
        inputs.warn(f"{found['blank_tags']:,} tag rows were left out: their tag is blank")
    if found["null_image_ids"]:
        inputs.warn(f"{found['null_image_ids']:,} tag rows were left out: their image_id is null")
