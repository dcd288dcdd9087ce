"""Failure modes every night, as a Dagster asset with a check: ``dagster dev -f dagster_asset.py``.

The variable PRIME_JOB of the environment names the job file. The asset is made also where a gate
trips; then its check fails.
"""

import os
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb

JOB = Path(os.environ.get("PRIME_JOB", "/srv/failures/nightly.toml"))


@dg.asset(
    name="failure_modes",
    check_specs=[dg.AssetCheckSpec("gates", asset="failure_modes")],
    kinds={"duckdb"},
)
def failure_modes(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Where the classifier fails, in words."""
    done = subprocess.run(["prime-sql", "run", JOB], check=False, capture_output=True, text=True)
    context.log.info(done.stdout + done.stderr)
    if done.returncode not in (0, 1):
        raise dg.Failure(f"prime-sql run ended with status {done.returncode}: {done.stderr}")
    job = tomllib.loads(JOB.read_text(encoding="utf-8"))
    with duckdb.connect(JOB.parent / job["db"], read_only=True) as con:
        run = con.sql(
            "select run_id, images, errors, failure_modes from prime.v_runs "
            "where is_latest and job = $job",
            params={"job": job["name"]},
        )
        metadata = dict(zip(run.columns, run.fetchall()[0], strict=True))
    yield dg.MaterializeResult(metadata=metadata)
    yield dg.AssetCheckResult(
        passed=done.returncode == 0, check_name="gates", description=done.stderr
    )


nightly = dg.ScheduleDefinition(
    name="nightly",
    target=dg.AssetSelection.assets(failure_modes),
    cron_schedule="15 2 * * *",
)

defs = dg.Definitions(assets=[failure_modes], schedules=[nightly])
