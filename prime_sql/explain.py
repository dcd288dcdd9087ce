"""One failure mode, explained: which tags matter, what it is taken for, what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prime_sql import queries
from prime_sql.answers import Relation, answer
from prime_sql.errors import OptionError, QueryError
from prime_sql.options import LARGEST_MAX_TAGS
from prime_sql.warehouse import catalog_of, in_turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.expr.datatypes import DataType

    from prime_sql.results import Run

_MOST_NAMED = 5


@dataclass(frozen=True)
class Explanation:
    """What there is to know about one failure mode.

    Attributes
    ----------
    mode_id
        The mode.
    mode
        Its row of ``failure_modes``.
    subsets
        One row per subset of its tags, from none (the class) to all (the mode): tags, tag_count,
        images, errors, accuracy, accuracy_drop (PRIME paper, Fig. 3, Tables 1 and 5).
    wrong_predictions
        One row per wrong prediction on its images: prediction, images, error_share (of the mode's
        errors), other_error_share (of the class's errors outside of the mode). Commonest first.
        Where the class is the prediction: one row per label, in the place of prediction.
    images
        Example images, hard ones (errors) before easy ones: image_id, label, prediction, error,
        uri. The uri comes from a table ``images(image_id, uri)`` of the database, beside the
        predictions or in schema main, and is null where there is none. Which images are chosen
        looks random and is the same every time.
    """

    mode_id: str
    mode: Relation
    subsets: Relation
    wrong_predictions: Relation
    images: Relation


def explain(run: Run, mode_id: str, *, examples: int = 12) -> Explanation:
    """Explain one failure mode of `run`; see `Run.explain`."""
    if not isinstance(mode_id, str) or not mode_id.strip():
        raise QueryError(f"mode_id takes a mode_id or its first characters, got {mode_id!r}")
    if not isinstance(examples, int) or isinstance(examples, bool) or examples < 0:
        raise OptionError(f"examples must be a whole number from 0 on, got {examples!r}")
    mode_id = complete_mode_id(run, mode_id.strip())

    def ask(name: str, **values: Any) -> Relation:
        sql = queries.find(f"explain/{name}").render(mode_id=mode_id, **values)
        return answer(sql, run.backend, run.scope("outcomes"))

    return Explanation(
        mode_id,
        mode=ask("mode"),
        subsets=ask("subsets", largest=LARGEST_MAX_TAGS),
        wrong_predictions=ask("wrong_predictions", column=told_by(run)),
        images=ask("images", examples=examples, images=table_of_images(run)),
    )


def told_by(run: Run) -> str:
    """Return what tells the errors of a class apart: within one prediction, their labels."""
    names = {run.options.prediction, "prediction"}
    return "label" if names & set(run.options.group_by) else "prediction"


def complete_mode_id(run: Run, beginning: str) -> str:
    """Return the one mode_id that begins so."""
    known = queries.find("explain/mode").render(mode_id=beginning)
    found = run.sql(known).to_polars().select("mode_id", "class_name", "tags").rows()
    if len(found) == 1:
        return str(found[0][0])
    if found:
        problem = f"{len(found):,} failure modes begin with {beginning!r}"
    else:
        problem = f"run {run.run_id} has no failure mode {beginning!r}"
        modes = run.failure_modes.to_polars()
        found = modes.select("mode_id", "class_name", "tags").rows()
        if not found:
            raise QueryError(f"{problem}; it has none at all. {run.note or ''}".strip())
    named = "; ".join(f"{each} ({group}: {tags})" for each, group, tags in found[:_MOST_NAMED])
    more = len(found) - _MOST_NAMED
    rest = f"; and {more:,} more, see failure_modes" if more > 0 else ""
    raise QueryError(f"{problem}. Choose one of {named}{rest}")


def table_of_images(run: Run) -> str | None:
    """Return the quoted name of the database's table of images, where it has URIs."""
    for schema in _schemas_of_images(run):
        if {"image_id", "uri"} <= {*_columns(run, schema, "images")}:
            return _quoted(run, schema, "images")
    return None


def table_of_pictures(run: Run) -> tuple[str, str] | None:
    """Return the quoted names of the database's table of pictures and of its column of bytes.

    That is ``image_bytes``, or the one such column of ``images``.
    """
    for schema in _schemas_of_images(run):
        for table in ("image_bytes", "images"):
            columns = _columns(run, schema, table)
            binary = [name for name, kind in columns.items() if kind.is_binary()]
            if "image_id" in columns and len(binary) == 1:
                return _quoted(run, schema, table), queries.identifier(binary[0])
    return None


def _schemas_of_images(run: Run) -> list[str]:
    """Return where to look: beside the predictions, where they are of this database; then main."""
    schema, _, table = run.sources.get("predictions", "").rpartition(".")
    with in_turn(run.backend):
        schemas = run.backend.list_databases(catalog=catalog_of(run.backend))
    beside = schema in schemas and table in _tables(run, schema)
    return [*([schema] if beside and schema != "main" else []), "main"]


def _tables(run: Run, schema: str) -> list[str]:
    with in_turn(run.backend):
        return list(run.backend.list_tables(database=(catalog_of(run.backend), schema)))


def _columns(run: Run, schema: str, table: str) -> Mapping[str, DataType]:
    if table not in _tables(run, schema):
        return {}
    with in_turn(run.backend):
        place = (catalog_of(run.backend), schema)
        return dict(run.backend.table(table, database=place).schema().items())


def _quoted(run: Run, *names: str) -> str:
    return ".".join(map(queries.identifier, (catalog_of(run.backend), *names)))
