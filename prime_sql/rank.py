"""Few failure modes instead of many: an order, near-duplicates, overlaps, and a greedy cover.

What each step computes stands in ``queries/rank/``; here is their order. All of them read which
images a mode has, as numbers: that is worked out once a call, in a session of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from prime_sql import queries
from prime_sql.answers import Relation
from prime_sql.defaults import ORDERS, OVERLAP, TOP
from prime_sql.errors import OptionError, did_you_mean
from prime_sql.warehouse import OnSql, Warehouse

if TYPE_CHECKING:
    from prime_sql.results import Run
    from prime_sql.stored import StoredRun


@dataclass(frozen=True)
class Summary:
    """The failure modes of a run in short.

    Attributes
    ----------
    cover
        The modes that explain most errors, in the order in which they were picked; see
        `Run.cover`.
    modes
        Failure modes of the run.
    hidden
        Near-duplicates among them, which were left out.
    errors
        Errors of the run, in all classes.
    complete
        Whether no other mode would explain another error.
    """

    cover: pl.DataFrame
    modes: int
    hidden: int
    errors: int
    complete: bool

    @property
    def explained(self) -> int:
        """Errors that the modes of the cover have."""
        return int(self.cover["new_errors"].sum())


def summarize(
    run: Run,
    top: int | None = TOP,
    by: str = "excess_errors",
    overlap: float | None = OVERLAP,
    on_sql: OnSql | None = None,
) -> Summary:
    """Cover the errors of `run` greedily, and count what is not shown; see `Run.cover`."""
    check(top=top, by=by, overlap=overlap)
    with _session(run, on_sql) as warehouse:
        # Exact copies are looked for where nothing is hidden: that costs next to nothing.
        families = _step("families", by=by, overlap=1.0 if overlap is None else overlap)
        _create(run, warehouse, "families", families)
        errors = _step("mode_errors", hide=overlap is not None)
        left = warehouse.create("errors_0", errors)
        warehouse.create("picks", _step("picks", pick=1))
        pick = 1
        while left and (top is None or pick <= top):
            if pick > 1:
                warehouse.execute("picks", f"insert into picks\n{_step('picks', pick=pick)}")
            left = warehouse.create(f"errors_{pick}", _step("unexplained", pick=pick))
            warehouse.drop(f"errors_{pick - 1}")
            pick += 1
        cover = _read(run, warehouse, "cover", _step("cover"))
        counts = "select count(*), coalesce(sum(case when hidden then 1 else 0 end), 0) from"
        ((modes, hidden),) = warehouse.execute("families", f"{counts} families")
        all_errors = f"with {run.scope()}\nselect coalesce(sum(errors), 0) from classes"
        ((run_errors,),) = warehouse.execute("cover", all_errors)
    return Summary(
        cover=cover,
        modes=int(modes),
        hidden=0 if overlap is None else int(hidden),
        errors=int(run_errors),
        complete=not left,
    )


def cover(
    run: Run,
    top: int | None = TOP,
    by: str = "excess_errors",
    overlap: float | None = OVERLAP,
    on_sql: OnSql | None = None,
) -> Relation:
    """Return the cover alone; see `Run.cover`."""
    return _relation(summarize(run, top, by, overlap, on_sql).cover)


def ask(run: StoredRun, question: queries.Query, values: dict[str, Any]) -> Relation:
    """Answer a question of ``queries/rank/``, which reads `mode_images` beside the run."""
    check(**values)
    sql = question.render(**values)
    with _session(run, values.get("on_sql")) as warehouse:
        return _relation(_read(run, warehouse, question.name, sql))


def check(
    *,
    top: Any = None,
    by: Any = None,
    overlap: Any = None,
    min_jaccard: Any = None,
    **others: Any,
) -> None:
    """Refuse what no question of ``queries/rank/`` can mean.

    Raises
    ------
    OptionError
        When a value is out of range; numbers may be text, as a command line hands them over.
    """
    if by is not None and by not in ORDERS:
        raise OptionError(
            f"by must be one of {', '.join(ORDERS)}, got {by!r}.{did_you_mean(str(by), ORDERS)}"
        )
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        raise OptionError(f"top must be at least 1, got {top!r}")
    for name, value, least in (("overlap", overlap, 0.0), ("min_jaccard", min_jaccard, -1.0)):
        if value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not least < number <= 1 or (least < 0 and number < 0):
            span = "above 0 and at most 1" if least == 0 else "from 0 to 1"
            raise OptionError(f"{name} must be a share, {span}, got {value!r}")


@contextmanager
def _session(run: StoredRun, on_sql: OnSql | None) -> Iterator[Warehouse]:
    """Open a session that holds `mode_images`."""
    warehouse = Warehouse(run.backend, on_sql)
    try:
        _create(run, warehouse, "mode_images", _step("mode_images", schema=warehouse.schema))
        yield warehouse
    finally:
        warehouse.close()


def _step(name: str, **values: Any) -> str:
    return queries.find(f"rank/{name}").render(**values)


def _create(run: StoredRun, warehouse: Warehouse, name: str, sql: str) -> int:
    """Keep the answer of a query over the run's tables."""
    return warehouse.create(name, f"with {run.scope()}\nselect * from (\n{sql}\n)")


def _read(run: StoredRun, warehouse: Warehouse, name: str, sql: str) -> pl.DataFrame:
    # Kept first, so that the statement is shown and timed like all others.
    _create(run, warehouse, f"{name}_answer", sql)
    rows: pl.DataFrame = warehouse.backend.table(f"{name}_answer").to_polars()
    return rows


def _relation(rows: pl.DataFrame) -> Relation:
    return Relation.of(rows)
