"""Runs that are compared with each other: what changed since the last one, and how modes did.

Runs are comparable where one job made them with the same options; without a job, where their
predictions came from the same place. Each function stands behind a method of `Run`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from typing import Any

import ibis
import pyarrow as pa

from prime_sql import queries
from prime_sql.answers import Relation
from prime_sql.compare import compare, counts, load_wanted, mode_tags
from prime_sql.defaults import RUNS
from prime_sql.options import Options, whole_number
from prime_sql.results import Run
from prime_sql.stored import UNPUBLISHED, records
from prime_sql.warehouse import OnSql, Warehouse

STATUSES = ("new", "persisting", "fixed", "undecided")
_BARS = "▁▂▃▄▅▆▇█"


def series(record: dict[str, Any]) -> Hashable:
    """Return what a row of ``runs`` has in common with those that it is compared with."""
    job = record["job"]
    source = json.loads(record["sources"]).get("predictions") if job is None else None
    return job, source, Options.from_json(record["options"])


def comparable(run: Run) -> list[int]:
    """Return the numbers of the runs that `run` is compared with, and its own, in order.

    What a job never published, nobody has seen: no run is compared with it.
    """
    earlier = [each for each in records(run.backend, None) if each["run_id"] <= run.run_id]
    own = series(earlier[-1])
    before = [each for each in earlier[:-1] if each["status"] != UNPUBLISHED]
    return [*(each["run_id"] for each in before if series(each) == own), run.run_id]


def previous(run: Run) -> Run | None:
    """Return the latest run that `run` is compared with; see `Run.previous`."""
    before = comparable(run)[:-1]
    return _opened(run, before[-1]) if before else None


def changes(run: Run, on_sql: OnSql | None = None) -> Relation | None:
    """Compare `run` with the previous one; see `Run.changes`."""
    before = previous(run)
    return None if before is None else compare(before, run, on_sql=on_sql)


def history(
    run: Run, runs: int = RUNS, on_sql: OnSql | None = None, changed: Relation | None = None
) -> Relation:
    """Follow the failure modes of `run` through the last runs; see `Run.history`.

    `changed` spares a caller who has the answer of `changes` to ask for it again.
    """
    last = [_opened(run, run_id) for run_id in comparable(run)[-whole_number("runs", runs) :]]
    before = previous(run)
    if changed is None and before is not None:
        changed = compare(before, run, on_sql=on_sql)
    modes = (run.failure_modes if changed is None else changed).to_arrow()
    places = pa.table(
        {
            "place": pa.array(range(1, len(modes) + 1), pa.int32()),
            "status": pa.nulls(len(modes), pa.string()) if changed is None else modes["status"],
            "mode_id": modes["mode_id"],
        }
    )
    wanted = pa.concat_tables(mode_tags(each) for each in (run, before) if each is not None)
    counted = []
    for each in last:
        table = counts(each, wanted, on_sql)
        counted.append(table.append_column("run_id", pa.repeat(each.run_id, len(table))))
    dates = {
        "run_id": [each.run_id for each in last],
        "created_at": pa.array([each.created_at for each in last], pa.timestamp("us")),
    }
    warehouse = Warehouse(run.backend, on_sql)
    try:
        load_wanted(warehouse, wanted)
        warehouse.create_from("places", ibis.memtable(places))
        warehouse.create_from("counted", ibis.memtable(pa.concat_tables(counted)))
        warehouse.create_from("dates", ibis.memtable(pa.table(dates)))
        found = queries.find("history/history").render(warehouse.dialect)
        return Relation.of(warehouse.backend.sql(found).to_pyarrow())
    finally:
        warehouse.close()


def _opened(run: Run, run_id: int) -> Run:
    """Return another run on the connection of `run`."""
    return run.other(run_id)


def sparkline(accuracies: Iterable[float | None]) -> str:
    """Return accuracies as a line of bars, ▁ for 0 and █ for 1; where there is none, a dot."""
    return "".join(
        "·" if accuracy is None else _BARS[min(int(accuracy * len(_BARS)), len(_BARS) - 1)]
        for accuracy in accuracies
    )
