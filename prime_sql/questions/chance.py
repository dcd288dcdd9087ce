"""How sure is each failure mode? Intervals, p-values, q-values, and searches on shuffled errors.

The SQL is in ``queries/questions/chance/`` and, for p-values, in
``queries/discovery/significance/``.
"""

from __future__ import annotations

import json
from typing import Any

from prime_sql.discovery import recount
from prime_sql.discovery.recount import Stored
from prime_sql.discovery.significance import fill, p_values
from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.defaults import MOST_SHUFFLES
from prime_sql.engine.options import whole_number
from prime_sql.engine.relation import Relation
from prime_sql.engine.session import OnSql, Session
from prime_sql.questions.ask import query


def chance(run: StoredRun, *, on_sql: OnSql | None = None) -> Relation:
    """Return how sure each failure mode is, the one least likely by chance first.

    Counts all eligible tag sets, and keeps the answer in the database; a second call reads it.

    Returns
    -------
    Relation
        mode_id, class_name, tags, images, errors, accuracy, accuracy_low and accuracy_high
        (Wilson interval, 95 %), class_accuracy, p_value (exact and one-sided, of as many errors
        among the images of its class: hypergeometric), q_value (Benjamini and Hochberg),
        family_wise_p (from `null`, else null).

    Raises
    ------
    WarehouseError
        When there are no q-values yet and the database is open for reading only.

    Notes
    -----
    q-values are over *all* tag sets that could have been failure modes: those of up to
    `max_tags` frequent tags with `min_images` images, including those that the search never
    visited because they have too few errors. They are counted for this. Their p-values are larger
    than those of the failure modes except in rare cases, which make a q-value too large, never
    too small.
    """
    missing = "select count(*) from failure_mode_chance where q_value is null"
    if run.sql(missing).to_arrow()[0][0].as_py():
        with run.writing(on_sql) as session:
            run.row_counts["eligible_tag_sets"] = fill(session, Stored.of(run), q_values=True) or 0
            counts = queries.literal(json.dumps(run.row_counts))
            session.execute(
                "chance",
                f"update {session.schema}.runs set row_counts = {counts} "
                f"where run_id = {run.run_id}",
            )
            _family_wise(session, run.run_id)
    return query(run, "chance")


def null(
    run: StoredRun, shuffles: int = 20, *, seed: int = 0, on_sql: OnSql | None = None
) -> Relation:
    """Shuffle the errors within each class and search again: what does chance alone give?

    Parameters
    ----------
    shuffles
        How many times to shuffle, up to 10,000; each shuffle is a search.
    seed
        Another seed gives other shuffles; the same seed the same ones on every machine.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        shuffle, failure_modes (how many at the run's thresholds, without `max_q`), smallest_p.
        ``family_wise_p`` of `chance` is then the share of shuffles in which chance gave a
        failure mode as unlikely, where the errors as they are count as one more shuffle.

    Raises
    ------
    OptionError
        When `shuffles` or `seed` is not such a number.
    WarehouseError
        When the database is open for reading only.
    """
    whole_number("shuffles", shuffles, most=MOST_SHUFFLES)
    whole_number("seed", seed, lowest=0)
    stored = Stored.of(run)
    with run.writing(on_sql) as session:
        table = f"{session.schema}.shuffles"
        session.execute("shuffles", f"delete from {table} where run_id = {run.run_id}")
        for shuffle in range(1, shuffles + 1):
            last_tag = recount.load(
                session,
                stored,
                "shuffled",
                seed=f"{seed}/{shuffle}",
                min_drop=run.options.min_drop,
            )
            recount.failure_modes(session, run.options, last_tag)
            session.step("questions/chance/tested_shuffle", "tested")
            p_values(session)
            sql = queries.find("questions/chance/shuffle").render(
                schema=session.schema, run_id=run.run_id, shuffle=shuffle, seed=seed
            )
            session.execute("shuffle", sql)
            recount.clear(session, run.options)
        _family_wise(session, run.run_id)
    return query(run, "shuffles")


def _family_wise(session: Session, run_id: int) -> None:
    values: dict[str, Any] = {"schema": session.schema, "run_id": run_id}
    count = f"select count(*) from {session.schema}.shuffles where run_id = {run_id}"
    if session.execute("shuffles", count)[0][0]:
        sql = queries.find("questions/chance/family_wise").render(**values)
        session.execute("family_wise", sql)
