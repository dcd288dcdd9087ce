"""The tags of a search, in any form, checked."""

from __future__ import annotations

from typing import Any

import ibis
from ibis.expr.types import Column, Table

from prime_sql.discovery.loaded import Inputs
from prime_sql.engine.errors import (
    InputError,
    shorten,
)
from prime_sql.engine.options import Options
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Source, Wanted, column_of


def wanted_tags(options: Options) -> Wanted:
    """Return which columns of a tags table are read."""
    if options.wide:
        return Wanted()
    score = () if options.min_score is None else (options.score,)
    return Wanted(frozenset({options.image_id, options.tag, *score}))


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
    if options.wide:
        long = _unpivot(table, options)
    else:
        tag = column_of(source, options.tag, "tags", "--tag")
        if options.min_score is not None:
            score = column_of(source, options.score, "tags", "--score")
            if not score.type().is_numeric() or score.type().is_boolean():
                raise InputError(
                    f"tags.{options.score} is {score.type()}{_example(score)}; min_score needs a "
                    "column of numbers: convert it"
                )
            # DuckDB treats "not a number" as larger than any number.
            strong = score >= options.min_score
            table = table.filter(strong & ~score.isnan() if score.type().is_floating() else strong)
        if tag.type().is_array():
            long = table.select(image_id=image_id, tag=tag.unnest())
        else:
            long = table.select(image_id=image_id, tag=tag)
        if not long["tag"].type().is_string() and not long["tag"].type().is_integer():
            raise InputError(
                f"tags.{options.tag} is {tag.type()}{_example(tag)}; a tag is text, or a list of "
                "texts per image: convert it (a table with a column per tag is read with wide)"
            )
    long = long.select(image_id=long.image_id.cast(str), tag=long.tag.cast(str))
    long = long.mutate(tag=session.is_blank(long.tag).ifelse(ibis.null(str), long.tag))
    session.keep("tags", long)
    return named


def _example(column: Column) -> str:
    """Return how many rows a column fills, and one of its values, for a message."""
    table = column.as_table()
    table = table.filter(column.notnull())
    first = table.limit(1).to_pyarrow()
    if not len(first):
        return " and null in every row"
    rows = table.count().to_pyarrow().as_py()
    return f" in {rows:,} rows, for example {shorten(first[0][0].as_py())}"


def _unpivot(table: Table, options: Options) -> Table:
    columns = [column for column in table.columns if column != options.image_id]
    if not columns:
        raise InputError("tags has no column besides the image_id; wide needs one for each tag")
    numbers = []
    for name in columns:
        dtype = table[name].type()
        if dtype.is_numeric() and not dtype.is_boolean():
            numbers.append(name)
        elif not dtype.is_boolean():
            raise InputError(
                f"tags.{name} is {dtype}{_example(table[name])}; with wide, every column besides "
                f"{options.image_id} must be boolean or 0/1: leave this one out"
            )
    if numbers:
        odd = {str(i): (~table[name].isin([0, 1])).sum() for i, name in enumerate(numbers)}
        counts = table.aggregate(**odd).to_pyarrow().to_pylist()[0]
        for i, name in enumerate(numbers):
            if counts[str(i)]:
                example = table.filter(~table[name].isin([0, 1])).select(
                    image_id=table[options.image_id], value=table[name]
                )
                row = example.order_by("image_id").limit(1).to_pyarrow().to_pylist()[0]
                raise InputError(
                    f"tags.{name} holds values other than 0 and 1 in {counts[str(i)]:,} rows, for "
                    f"example {shorten(row['value'])} for image {shorten(row['image_id'])}; with "
                    f"wide, every column besides {options.image_id} must be boolean or 0/1: leave "
                    "it out, or write a condition such as value > 0 instead"
                )
    present = table.select(
        table[options.image_id].name("image_id"),
        **{f"tag {name}": table[name].cast("boolean") for name in columns},
    )
    long = present.pivot_longer(
        ~ibis.selectors.cols("image_id"), names_to="tag", values_to="present"
    )
    return long.filter(long.present).select("image_id", tag=long.tag.substr(len("tag ")))


def check_tags(
    session: Session,
    inputs: Inputs,
    max_absent: int = 0,
    check: str = "discovery/checks/tags",
    **values: Any,
) -> None:
    """Check how the tags fit the images, once both are numbered.

    `check` is the file of ``queries/`` that counts what is odd.

    Raises
    ------
    InputError
        When there are tags but none of their image_ids has a prediction; or, with `max_absent`,
        when a tag has the name of the absence of another one.
    """
    if max_absent:
        mixed_up = session.check("discovery/checks/absent_tags")
        if mixed_up["tags"]:
            raise InputError(
                f"tags has {mixed_up['tags']:,} tags named like the absence of others, for example "
                f"both {shorten(mixed_up['tag'])} and {shorten('not ' + mixed_up['tag'])}; rename "
                "them, or leave out max_absent"
            )
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
            raise InputError(
                f"{inputs.about}tags and predictions have no image_id in common: {usable:,} tag "
                f"rows, for example image {shorten(images['example'])}, against "
                f"{known:,} images, for example {shorten(other)}; map the columns "
                "with --image-id, or write the identifiers the same way in both"
            )
        # The tags of the other parts' images are in the same table.
        if inputs.part is None:
            inputs.warn(
                f"{unknown:,} tag rows were left out: their {images['images']:,} images have no "
                f"prediction, for example {shorten(images['example'])}"
            )
    if found["untagged_images"]:
        inputs.warn(
            f"{found['untagged_images']:,} of {found['images']:,} images have no tag; they count "
            + (
                "as lacking all: leave out those that nobody tagged"
                if max_absent
                else "for their class only"
            )
        )
    if found["duplicate_rows"]:
        inputs.warn(f"{found['duplicate_rows']:,} duplicate (image_id, tag) rows were counted once")
    if found["blank_tags"]:
        inputs.warn(f"{found['blank_tags']:,} tag rows were left out: their tag is blank")
    if found["null_image_ids"]:
        inputs.warn(f"{found['null_image_ids']:,} tag rows were left out: their image_id is null")
