"""How sure is each failure mode? Intervals, p-values, q-values, and searches on shuffled errors.

The SQL is in ``queries/validate/01`` to ``07``.
"""

from __future__ import annotations

import json
from typing import Any

from prime_sql import counting, queries, recount
from prime_sql.errors import OptionError
from prime_sql.recount import Stored
from prime_sql.results import Run
from prime_sql.warehouse import OnSql, Warehouse


def fill(warehouse: Warehouse, stored: Stored, *, q_values: bool) -> int | None:
    """Fill ``prime.failure_mode_chance`` for a run; return how many tag sets were eligible.

    Parameters
    ----------
    warehouse
        A session in a transaction, whose temporary relations are not needed any more.
    stored
        The run, whose ``failure_modes`` and ``tag_sets`` are there.
    q_values
        Whether eligible tag sets are counted, which takes several times as long as the search;
        without it q_value stays null.
    """
    eligible = count_eligible(warehouse, stored) if q_values else None
    sizes: dict[str, Any] = {"schema": warehouse.schema, "run_id": stored.run_id}
    counting.step(
        warehouse,
        "tested",
        folder="validate",
        min_images=stored.options.min_images,
        every=q_values,
        **sizes,
    )
    _p_values(warehouse)
    sql = queries.find("validate/chance").render(eligible=eligible, **sizes)
    table = f"{warehouse.schema}.failure_mode_chance"
    warehouse.execute("chance", f"delete from {table} where run_id = {stored.run_id}")
    warehouse.execute("chance", f"insert into {table}\n{sql}")
    warehouse.drop("tested", "p_values")
    return eligible


def keep_significant(warehouse: Warehouse, stored: Stored, max_q: float) -> int:
    """Remove the failure modes of a run whose q-value is larger; return how many are left."""
    sql = queries.find("validate/only_significant").render(
        schema=warehouse.schema, run_id=stored.run_id, max_q=max_q
    )
    warehouse.script("only_significant", sql)
    left = f"select count(*) from {warehouse.schema}.failure_modes where run_id = {stored.run_id}"
    return int(warehouse.execute("only_significant", left)[0][0])


def count_eligible(warehouse: Warehouse, stored: Stored) -> int:
    """Return how many tag sets have enough images to be failure modes, whatever their errors.

    These are all that could have been found: the search on its own visits those alone that have
    enough errors. With every image taken for an error it visits every one.
    """
    recount.load(warehouse, stored, "every")
    options = stored.options
    last_tag = warehouse.execute("vocabulary", "select coalesce(max(tag_id), 0) from vocabulary")
    total = counting.count_tag_sets(
        warehouse,
        options.max_tags,
        max_absent=options.max_absent,
        last_tag=last_tag[0][0],
        accuracies=False,
    )
    recount.clear(warehouse, options)
    return total


def chance(run: Run, on_sql: OnSql | None = None) -> None:
    """Fill the q-values of a run; see `Run.chance`."""
    with recount.writing(run, on_sql) as warehouse:
        run.row_counts["eligible_tag_sets"] = fill(warehouse, Stored.of(run), q_values=True) or 0
        counts = queries.literal(json.dumps(run.row_counts))
        warehouse.execute(
            "chance",
            f"update {warehouse.schema}.runs set row_counts = {counts} where run_id = {run.run_id}",
        )
        _family_wise(warehouse, run.run_id)


def null(run: Run, shuffles: int, seed: int, on_sql: OnSql | None = None) -> None:
    """Search on shuffled errors; see `Run.null`."""
    for name, value, lowest in (("shuffles", shuffles, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise OptionError(f"{name} must be a whole number from {lowest} on, got {value!r}")
    stored = Stored.of(run)
    with recount.writing(run, on_sql) as warehouse:
        table = f"{warehouse.schema}.shuffles"
        warehouse.execute("shuffles", f"delete from {table} where run_id = {run.run_id}")
        for shuffle in range(1, shuffles + 1):
            last_tag = recount.load(
                warehouse,
                stored,
                "shuffled",
                seed=f"{seed}/{shuffle}",
                min_drop=run.options.min_drop,
            )
            recount.failure_modes(warehouse, run.options, last_tag)
            counting.step(warehouse, "tested_shuffle", "tested", folder="validate")
            _p_values(warehouse)
            sql = queries.find("validate/shuffle").render(
                schema=warehouse.schema, run_id=run.run_id, shuffle=shuffle, seed=seed
            )
            warehouse.execute("shuffle", sql)
            recount.clear(warehouse, run.options)
        _family_wise(warehouse, run.run_id)


def _p_values(warehouse: Warehouse) -> None:
    """Fill ``p_values`` from ``tested``."""
    most = warehouse.execute("tested", "select coalesce(max(terms), 1) from tested")[0][0]
    counting.step(warehouse, "p_values", folder="validate", digits=len(str(most)))


def _family_wise(warehouse: Warehouse, run_id: int) -> None:
    values: dict[str, Any] = {"schema": warehouse.schema, "run_id": run_id}
    count = f"select count(*) from {warehouse.schema}.shuffles where run_id = {run_id}"
    if warehouse.execute("shuffles", count)[0][0]:
        sql = queries.find("validate/family_wise").render(**values)
        warehouse.execute("family_wise", sql)
