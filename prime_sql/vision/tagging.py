"""What several taggers share: the table of tags, the script that fills it, and synonyms."""

from __future__ import annotations

from typing import Any

from prime_sql.engine import queries
from prime_sql.engine.errors import (
    InputError,
    OptionError,
    shorten,
    shorten_list,
)
from prime_sql.engine.open_source import open_source
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Wanted, describe
from prime_sql.vision.settings import forget, settle
from prime_sql.vision.steps import columns, make


def make_table(session: Session, table: str, tagger: str) -> None:
    """Create the table of tags; a tagger fills only one, as the images it saw are noted once."""
    is_new = not columns(session, table)
    make(session, "tags", table)
    others = session.execute(
        "settings",
        "select table_name from model_settings where step = 'tag' "
        f"and model = {queries.literal(tagger)} and table_name <> {queries.literal(table)}",
    )
    for (other,) in others:
        if columns(session, other):
            raise OptionError(
                f"the tagger {tagger} fills the table {other}; give it another name with --name to "
                f"fill {table} as well"
            )
    if is_new:  # an earlier one was dropped
        with session.transaction():
            forget(session, "tag", table, tagger)


def write_script(session: Session, table: str, tagger: str, *, from_outputs: bool) -> str:
    """Return the script that writes a tagger's tags, from the session's outputs or its seen."""
    return queries.find("vision/write/tagged").render(
        session.dialect, table=table, tagger=tagger, from_outputs=from_outputs
    )


def retag(
    session: Session,
    table: str,
    name: str,
    settings: dict[str, Any],
    *,
    from_outputs: bool = True,
) -> int:
    """Replace a tagger's tags with the session's outputs or seen; return the number of images."""
    settings["synonyms"] = written_synonyms(session)
    write = write_script(session, table, name, from_outputs=from_outputs)
    settle(session, "tag", table, name, settings, replace=True, write=write)
    count = f"select count(*) from tagged_images where tagger = {queries.literal(name)}"
    return int(session.execute("tag", count)[0][0])


def load_synonyms(source: Any, session: Session) -> None:
    """Create the session's ``synonyms`` (synonym, tag), empty if the user has none."""
    if source is None:
        none = "select cast(null as varchar) as synonym, cast(null as varchar) as tag where false"
        session.create("synonyms", none)
        return
    names = ("synonym", "tag")
    opened = open_source(source, "synonyms", session, Wanted(frozenset(names)))
    for name in names:
        if name not in opened.columns:
            raise InputError(
                f"synonyms ({describe(source)}) has no column {name!r}. It has: "
                f"{shorten_list(opened.columns)}. A row 'tyke,child' of synonym,tag makes one of "
                "two."
            )
    columns = {name: opened.table[name].cast("string").strip() for name in names}
    session.create_from("synonyms", opened.table.select(**columns).distinct())
    found = session.check("vision/checks/synonyms")
    if found["empty"]:
        raise InputError(f"synonyms: {found['empty']} rows lack a synonym or a tag; fill them in")
    if found["several"]:
        raise InputError(
            f"synonyms: {shorten(found['several_example'])} means more than one tag; "
            "leave it with one"
        )
    if found["chained"]:
        raise InputError(
            f"synonyms: {shorten(found['chained_example'])} is a tag and a synonym of another one; "
            "name the last tag in both rows"
        )


def written_synonyms(session: Session) -> list[list[str]]:
    """Return the session's synonyms: pairs of a synonym and its tag, sorted."""
    rows = session.execute("synonyms", "select synonym, tag from synonyms order by all")
    return [list(row) for row in rows]
