"""Runs that are compared with each other: what changed since the last one, and how modes did.

Runs are comparable if one job made them with the same options; without a job, if their
predictions came from the same place.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from typing import Any

import ibis
import pyarrow as pa

from prime_sql.discovery.stored import UNPUBLISHED, R, StoredRun, records
from prime_sql.engine import queries
from prime_sql.engine.defaults import RUNS
from prime_sql.engine.options import Options, whole_number
from prime_sql.engine.relation import Relation
from prime_sql.engine.session import OnSql
from prime_sql.questions.compare import compare, counts, load_wanted, mode_tags

STATUSES = ("new", "persisting", "fixed", "undecided")
_BARS = "▁▂▃▄▅▆▇█"


def series(record: dict[str, Any]) -> Hashable:
    """Return what a row of ``runs`` has in common with those that it is compared with."""
    job = record["job"]
    source = json.loads(record["sources"]).get("predictions") if job is None else None
    return job, source, Options.from_json(record["options"])


def comparable(run: StoredRun) -> list[int]:
    """Return the numbers of the runs that `run` is compared with, and its own, in order.

    Nobody has seen a run that its job never published: no run is compared with it.
    """
    earlier = [each for each in records(run.backend, None) if each["run_id"] <= run.run_id]
    own = series(earlier[-1])
    before = [each for each in earlier[:-1] if each["status"] != UNPUBLISHED]
    return [*(each["run_id"] for each in before if series(each) == own), run.run_id]


def previous(run: R) -> R | None:
    """Return the run that `run` is compared with; see `Run.previous`."""
    before = comparable(run)[:-1]
    return run.other(before[-1]) if before else None


def changes(run: StoredRun, on_sql: OnSql | None = None) -> Relation | None:
    """Compare `run` with the previous one; see `Run.changes`."""
    before = previous(run)
    return None if before is None else compare(before, run, on_sql=on_sql)


def history(run: StoredRun, runs: int = RUNS, *, on_sql: OnSql | None = None) -> Relation:
    """Follow the failure modes through the last runs that this one is compared with.

    They are those of this run, and those of the previous run that are gone. They are counted
    in every run, even where they were not failure modes.

    Parameters
    ----------
    runs
        How many runs at most, including this one.
    on_sql
        Called with a `Statement` after every statement.

    Returns
    -------
    Relation
        place (of the mode, from 1, in the order of `changes`), status (since the previous run:
        new, persisting, fixed or undecided, see `compare`; null without one), mode_id,
        class_name, tags, tag_count, run_id, created_at (of that run), is_mode (whether it was a
        failure mode there); images, errors, accuracy, class_accuracy and accuracy_drop there.
        One row for each mode and run, by place and run_id. All numbers are null where the class
        was missing; those of the images with the tags where a tag was not frequent in it; the
        accuracy where no image has the tags.

    Raises
    ------
    OptionError
        When `runs` is not such a number.
    """
    runs = whole_number("runs", runs)
    return followed(run, runs, changes(run, on_sql), on_sql)


def followed(
    run: StoredRun, runs: int, changed: Relation | None, on_sql: OnSql | None = None
) -> Relation:
    """Follow the failure modes of `run`, given the answer of `changes`; see `history`."""
    last = [run.other(run_id) for run_id in comparable(run)[-runs:]]
    before = previous(run)
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
    with run.session(on_sql) as session:
        load_wanted(session, wanted)
        session.create_from("places", ibis.memtable(places))
        session.create_from("counted", ibis.memtable(pa.concat_tables(counted)))
        session.create_from("dates", ibis.memtable(pa.table(dates)))
        found = queries.find("questions/history/history").render(session.dialect)
        return Relation.of(session.fetch("history", found))


def sparkline(accuracies: Iterable[float | None]) -> str:
    """Return accuracies as a line of bars, ▁ for 0 and █ for 1, and a dot for None."""
    return "".join(
        "·" if accuracy is None else _BARS[min(int(accuracy * len(_BARS)), len(_BARS) - 1)]
        for accuracy in accuracies
    )
