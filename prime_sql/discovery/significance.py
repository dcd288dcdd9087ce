"""How likely chance alone is to make a tag set this inaccurate: p-values and q-values."""

from __future__ import annotations

from typing import Any

from prime_sql.discovery import counting, recount
from prime_sql.discovery.recount import Stored
from prime_sql.engine import queries
from prime_sql.engine.session import Session


def fill(session: Session, stored: Stored, *, q_values: bool) -> int | None:
    """Fill ``prime.failure_mode_chance`` for a run; return how many tag sets were eligible.

    Parameters
    ----------
    session
        A session in a transaction, whose temporary relations are no longer needed.
    stored
        The run, whose ``failure_modes`` and ``tag_sets`` are stored.
    q_values
        Whether eligible tag sets are counted, which takes several times as long as the search;
        without it q_value stays null.
    """
    eligible = count_eligible(session, stored) if q_values else None
    sizes: dict[str, Any] = {"schema": session.schema, "run_id": stored.run_id}
    session.step(
        "discovery/significance/tested",
        min_images=stored.options.min_images,
        every=q_values,
        **sizes,
    )
    p_values(session)
    sql = queries.find("discovery/significance/chance").render(eligible=eligible, **sizes)
    table = f"{session.schema}.failure_mode_chance"
    session.execute("chance", f"delete from {table} where run_id = {stored.run_id}")
    session.execute("chance", f"insert into {table}\n{sql}")
    session.drop("tested", "p_values")
    return eligible


def keep_significant(session: Session, stored: Stored, max_q: float) -> int:
    """Remove the failure modes of a run whose q-value is larger; return how many are left."""
    sql = queries.find("discovery/significance/only_significant").render(
        schema=session.schema, run_id=stored.run_id, max_q=max_q
    )
    session.script("only_significant", sql)
    left = f"select count(*) from {session.schema}.failure_modes where run_id = {stored.run_id}"
    return int(session.execute("only_significant", left)[0][0])


def count_eligible(session: Session, stored: Stored) -> int:
    """Return how many tag sets have enough images to be failure modes, regardless of their errors.

    These are all that could have been found: the search itself visits only those that have enough
    errors. With every image counted as an error, it visits all of them.
    """
    recount.load(session, stored, "every")
    options = stored.options
    last_tag = session.execute("vocabulary", "select coalesce(max(tag_id), 0) from vocabulary")
    total = counting.count_tag_sets(
        session,
        options.max_tags,
        max_absent=options.max_absent,
        last_tag=last_tag[0][0],
        accuracies=False,
    )
    recount.clear(session, options)
    return total


def p_values(session: Session) -> None:
    """Fill ``p_values`` from ``tested``."""
    most = session.execute("tested", "select coalesce(max(terms), 1) from tested")[0][0]
    session.step("discovery/significance/p_values", digits=len(str(most)))
