"""The steps of a search: reported as they run, and stored in the database whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ibis.backends import BaseBackend

from prime_sql.engine import limits
from prime_sql.engine.database import Database, Destination, Opened
from prime_sql.engine.defaults import NO_WAIT, SCHEMA
from prime_sql.engine.limits import NO_LIMITS, Limits
from prime_sql.engine.opening import open_database
from prime_sql.engine.options import Options
from prime_sql.engine.schema import remove_leftovers
from prime_sql.engine.session import OnSql, Session


@dataclass(frozen=True)
class Progress:
    """What a progress display needs: which step starts or has just ended, and with what count.

    Attributes
    ----------
    step
        A phrase such as ``tag sets``.
    size
        Tags in a set if the step belongs to one size, else None.
    done, total
        Steps finished, steps in total.
    count
        Rows that the step made, once it has ended; None while it runs.
    """

    step: str
    size: int | None
    done: int
    total: int
    count: int | None = None


OnProgress = Callable[[Progress], object]

# Takes where results go, the session that counts images, the one that publishes and the steps;
# returns the run_id.
Work = Callable[[Database, Session, Session, "Steps"], int]


class Steps:
    """Counts the steps for `on_progress`."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._tell = on_progress or (lambda progress: None)
        self._total = total
        self._done = 0
        self._now: tuple[str, int | None] = ("", None)

    def start(self, step: str, size: int | None = None) -> None:
        """Report that a step begins."""
        self._now = step, size
        self._tell(Progress(step, size, self._done, self._total))

    def end(self, count: int) -> None:
        """Report that it has ended, with its number of rows."""
        self._done += 1
        self._tell(Progress(*self._now, self._done, self._total, count))


def carry_out(
    work: Work,
    options: Options,
    into: Destination | BaseBackend | Database,
    *,
    step_count: int | None = None,
    schema: str = SCHEMA,
    allowed: Limits = NO_LIMITS,
    wait: float = NO_WAIT,
    on_sql: OnSql | None = None,
    on_progress: OnProgress | None = None,
) -> Opened:
    """Open the database, do the work in a session of its own, and keep it whole or not at all.

    Parameters
    ----------
    work
        What is done; see `Work`.
    options
        Those of the run that it makes.
    into, schema, allowed, wait, on_sql, on_progress
        As in `search`; or an open database, which stays open.
    step_count
        How many steps `on_progress` is told of; those of a search if left out.
    """
    database = open_database(into, schema=schema, wait=wait)
    owned = database.owned and database is not into
    if step_count is None:
        step_count = 1 + 2 + options.max_tags + 3 + (options.check is not None)
    try:
        with database.limited(allowed, owned=owned):
            session = database.session(on_sql)
            counted_in = database.counting(session, on_sql)
            try:
                session.check_writable()
                remove_leftovers(session)  # also says if another version made the database
                run_id = work(database, counted_in, session, Steps(on_progress, step_count))
            finally:
                if counted_in is not session:
                    counted_in.close()
                session.close()
        opened = database.backend
        backend = database.publish()
        if backend is not opened:  # a new file took its name
            limits.apply(backend, allowed)
        return Opened(database, run_id, owned)
    except BaseException:
        if owned:
            database.discard()
        raise
