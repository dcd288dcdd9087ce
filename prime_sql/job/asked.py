"""What is asked in the session of a job, when it runs and when it is bound: joins and outputs."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prime_sql.engine import queries
from prime_sql.engine.errors import InputError, InputWarning, did_you_mean, shorten_list
from prime_sql.engine.open_source import open_source
from prime_sql.engine.session import Session
from prime_sql.engine.sources import Wanted
from prime_sql.job.checks import read_sql
from prime_sql.job.sections import Job, Join, Output
from prime_sql.questions.run import Run

if TYPE_CHECKING:
    from prime_sql.engine.relation import Relation


@contextlib.contextmanager
def hidden_warnings(job: Job) -> Iterator[None]:
    """Pass on warnings without the values of environment variables."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        try:
            yield
        finally:
            held = list(caught)
    for warning in held:
        text = job.environment.hide(str(warning.message))
        warnings.warn_explicit(text, warning.category, warning.filename, warning.lineno)


def keep_join(name: str, join: Join, session: Session) -> None:
    """Keep a business table as the relation `name` of the session.

    Its key is there as text, by the name that all tables of a run give to an image, and as it is.
    """
    role = f"joins.{name}"
    wanted = Wanted(text=frozenset({join.image_id}))
    opened = open_source(join.source, role, session, wanted)
    table, key = opened.table, join.image_id
    if key not in opened.columns:
        hint = did_you_mean(key, opened.columns)
        raise InputError(
            f"{role} has no column {key!r}.{hint} It has: {shorten_list(opened.columns)}. "
            f"Say which one names the image with {role}.image_id."
        )
    others = [column for column in opened.columns if column.lower() != "image_id"]
    if key.lower() != "image_id" and len(others) < len(opened.columns):
        raise InputError(f"{role} has a column image_id besides {key}; name it, or rename it")
    joined = table.select(*others, image_id=table[key].cast(str)).select("image_id", *others)
    session.keep(queries.identifier(name), joined)


def rows_of(output: Output, run: Run) -> Relation:
    """Return the rows of an output, which the engine has bound and not yet computed."""
    if output.question:
        return run.query(output.question, **output.params)
    if output.sql_file:
        return run.sql(read_sql(output.sql_file))
    return run.sql(output.sql) if output.sql else run.failure_modes
