"""Success modes, and the failure modes that a greedy search missed.

The images of the run are counted again; see `discovery.recount`.
"""

from __future__ import annotations

from prime_sql.discovery.recount import Stored, failure_modes, load
from prime_sql.discovery.stored import StoredRun
from prime_sql.engine import queries
from prime_sql.engine.errors import OptionError
from prime_sql.engine.relation import Relation
from prime_sql.engine.session import OnSql


def success_modes(
    run: StoredRun, min_gain: float | None = None, *, on_sql: OnSql | None = None
) -> Relation:
    """Return minimal tag sets on which accuracy rises sharply, best first (paper, 4.2).

    Parameters
    ----------
    min_gain
        Least rise of accuracy above that of the class; the run's `min_drop` if left out.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        The columns of failure_modes up to class_accuracy, and accuracy_gain. Every tag is
        necessary in the other direction: without it, accuracy falls by the run's `necessity`.

    Raises
    ------
    OptionError
        When `min_gain` is out of range.
    WarehouseError
        When the database is open for reading only: the answer is kept in it.
    """
    options = run.options
    if min_gain is not None:
        try:
            options = options.replace(min_drop=min_gain)
        except OptionError as error:
            raise OptionError(str(error).replace("min_drop", "min_gain")) from error
    stored = Stored(run.run_id, run.counted_run_id, options)
    with run.writing(on_sql) as session:
        last_tag = load(session, stored, "flipped", min_drop=options.min_drop)
        failure_modes(session, options, last_tag)
        sql = queries.find("questions/success/success_modes").render(run_id=run.run_id)
        table = f"{session.schema}.success_modes"
        session.execute("success_modes", f"delete from {table} where run_id = {run.run_id}")
        session.execute("success_modes", f"insert into {table}\n{sql}")
    return run.relation("success_modes")


def missed(run: StoredRun, *, on_sql: OnSql | None = None) -> Relation:
    """Return the failure modes that a greedy search missed, worst first.

    Searches the stored images exhaustively, at the run's thresholds.

    Returns
    -------
    Relation
        The columns of failure_modes; no rows where nothing was missed.

    Raises
    ------
    OptionError
        When the run has a `max_q`: it has then left out some of what it found.
    """
    if run.options.max_q is not None:
        raise OptionError(
            "max_q left out some of what the search found, so what it missed is unknown; search "
            "again without max_q"
        )
    with run.session(on_sql) as session:
        last_tag = load(session, Stored.of(run), min_drop=run.options.min_drop)
        failure_modes(session, run.options, last_tag, exhaustive=True)
        session.step("questions/success/missed", schema=session.schema, run_id=run.run_id)
        return Relation.of(session.fetch("missed", "from missed"))
