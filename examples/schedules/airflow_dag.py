"""Failure modes every night, as an Airflow DAG (Airflow 3).

The variable PRIME_JOB of the environment names the job file. Where prime_sql has an environment of
its own, put the path of its prime-sql instead of the name.
"""

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

JOB = Path(os.environ.get("PRIME_JOB", "/srv/failures/nightly.toml"))


@dag(schedule="15 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def failure_modes() -> None:
    @task(retries=2, retry_delay=timedelta(minutes=10))
    def search() -> None:
        status = subprocess.run(["prime-sql", "run", JOB], check=False).returncode
        if status == 1:
            # Not tried again: compared with the run that tripped it, nothing would be new.
            raise AirflowFailException("a gate tripped; the log names the failure modes")
        if status != 0:
            raise AirflowException(f"prime-sql run ended with status {status}; the log says why")

    search()


failure_modes_dag = failure_modes()
