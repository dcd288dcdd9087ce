"""How similar the images of a pool are to tags, by their embeddings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from prime_sql.engine import queries
from prime_sql.engine.errors import OptionError, did_you_mean, warn
from prime_sql.engine.session import Session

_FIXED = re.compile(r"\[(\d+)\]$")  # FLOAT[512], not FLOAT[]
NO_SIMILARITIES = (
    "select cast(null as varchar) as image_id, cast(null as double) as similarity where false"
)


@dataclass(frozen=True)
class Similarities:
    """Two tables of embeddings (quoted names) by one model, of one length."""

    embeddings: str
    texts: str
    model: str
    dimensions: int


def embeddings_to_compare(
    path: Path, places: dict[str, None], catalog: str, session: Session, model: str | None
) -> Similarities | None:
    """Return the embeddings in which all present tags can be compared, or None."""
    image_columns = columns_of(catalog, "embeddings", session)
    fixed = _FIXED.search(image_columns.get("embedding", ""))
    known: set[str] = set()
    fitting: dict[str, Similarities] = {}
    partly: dict[str, list[str]] = {}
    wanted = wanted_tags(session, present=True)
    for place in places:
        texts = columns_of(place, "text_embeddings", session)
        if (
            not fixed
            or not {"image_id", "model"} <= image_columns.keys()
            or not {"text", "model"} <= texts.keys()
            or texts.get("embedding") != image_columns["embedding"]
        ):
            continue
        tables = {
            "embeddings": quoted(catalog, "embeddings"),
            "texts": quoted(place, "text_embeddings"),
        }
        sql = queries.find("questions/pick/models").render(**tables)
        tags: dict[str, list[str]] = {}
        for name, tag in session.execute("models", sql):
            tags.setdefault(name, []).extend([] if tag is None else [tag])
        known |= tags.keys()
        for name, embedded in tags.items():
            if wanted and embedded == wanted:
                fitting.setdefault(
                    name, Similarities(**tables, model=name, dimensions=int(fixed[1]))
                )
            elif embedded:
                partly[name] = [tag for tag in wanted if tag not in embedded]
    if not wanted:  # nothing to compare with
        if model is not None:
            raise OptionError(
                "the failure mode has only absent tags, and similarities need a present one; leave "
                "model out"
            )
        return None
    if model is not None:
        if model in fitting:
            return fitting[model]
        raise OptionError(
            f"model {model!r} did not embed both images of {path} and the tags {names(wanted)}."
            f"{did_you_mean(model, known)} Models that did: {', '.join(sorted(fitting)) or 'none'}."
        )
    if len(fitting) > 1:
        raise OptionError(
            f"{path} has embeddings of {len(fitting)} models: {', '.join(sorted(fitting))}; choose "
            "one with model (--model)"
        )
    if fitting:
        return next(iter(fitting.values()))
    for name, missing in partly.items():
        warn(
            f"no similarities: {name} has not embedded the tags {names(missing)}; "
            "`prime-sql embed --texts` does"
        )
    return None


def wanted_tags(session: Session, *, present: bool = False) -> list[str]:
    """Return the tags of the failure mode, or only those that are `present`."""
    sql = f"select tag from wanted {'where present = 1 ' if present else ''}order by tag"
    return [tag for (tag,) in session.execute("wanted", sql)]


def quoted(catalog: str, table: str) -> str:
    """Return the quoted name of a table in schema main of a database."""
    return ".".join(queries.identifier(part) for part in (catalog, "main", table))


def tables_of(catalog: str, session: Session) -> list[str]:
    """Return the names of a database's tables and views, without those of the session."""
    rows = session.execute(
        "tables",
        "select distinct table_name from duckdb_columns() where not internal and database_name = "
        f"{queries.literal(catalog)} and schema_name = 'main' order by 1",
    )
    return [name for (name,) in rows]


def columns_of(catalog: str, table: str, session: Session) -> dict[str, str]:
    """Return a table's columns and their types; none if there is no such table."""
    return dict(
        session.execute(
            "columns",
            "select column_name, data_type from duckdb_columns() where database_name = "
            f"{queries.literal(catalog)} and schema_name = 'main' and table_name = "
            f"{queries.literal(table)}",
        )
    )


def names(words: list[str], word: str = "and") -> str:
    """Return words in quotes, for a message."""
    quotes = [repr(each) for each in words]
    return f" {word} ".join(filter(None, (", ".join(quotes[:-1]), quotes[-1])))
