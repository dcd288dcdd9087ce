"""Named questions: queries over the tables of a run, some joined with a table of yours."""

from __future__ import annotations

from typing import Any

from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.errors import QueryError
from prime_sql.engine.joins import table_to_join
from prime_sql.engine.options import LARGEST_MAX_TAGS
from prime_sql.engine.relation import Relation
from prime_sql.questions import rank

_THRESHOLDS = ("min_images", "min_drop", "necessity")


def query(run: StoredRun, name: str, /, **parameters: Any) -> Relation:
    """Answer a named question of ``queries/questions/``.

    Parameters
    ----------
    name
        The question: the name of its file without number and ending, such as ``near_misses``.
    **parameters
        Those that the file's header declares. Thresholds default to those of the run. A
        `table` is the name of a table in the database or a file; if left out, it is the one
        table with the column asked for.

    Raises
    ------
    QueryError
        When the question, a parameter or the table is unknown.
    """
    question = queries.question(name)
    declared = {parameter.name for parameter in question.parameters}
    values = {key: value for key, value in parameters.items() if value is not None}
    options = run.options.replace(
        **{key: _threshold(key, values[key]) for key in _THRESHOLDS if key in values}
    )
    thresholds = {
        "min_images": options.min_images,
        "min_drop": options.min_drop,
        "necessity": [options.necessity_of(size) for size in range(1, LARGEST_MAX_TAGS + 1)],
    }
    values |= {key: value for key, value in thresholds.items() if key in {*declared, *values}}
    needed = {parameter.name for parameter in question.parameters if parameter.default is None}
    if "table" in declared and needed <= set(values) <= declared:
        columns = [values.get("image_id", "image_id")]
        columns += [values[key] for key in ("column", "measure") if values.get(key)]
        values["table"] = table_to_join(run.backend, values.get("table"), columns)
    if question.uses == "mode_images":
        return rank.ask(run, question, values)
    return run.sql(question.render(**values))


def _threshold(name: str, value: Any) -> Any:
    """Read a threshold that a command line passes as text."""
    if not isinstance(value, str):
        return value
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError as error:
        raise QueryError(f"{name} takes a number, got {value!r}") from error
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
