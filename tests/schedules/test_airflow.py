"""The Airflow DAG of `examples/schedules`, imported and run by Airflow."""

import subprocess
import sys

import pytest

from tests.schedules.conftest import COMMANDS, SCHEDULES

pytest.importorskip("airflow.sdk", reason="Airflow comes with make test-schedules")

# Airflow reads its settings when it is imported: each test has a process of its own.
RUN = """
from airflow_dag import failure_modes_dag as dag

print(dag.test().state)
"""
BAD_DATA = """
from airflow_dag import failure_modes_dag as dag
from airflow.sdk.exceptions import AirflowException, AirflowFailException

try:
    dag.get_task("search").python_callable()
except AirflowFailException:
    raise SystemExit("not tried again")
except AirflowException as error:
    print(error)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a database, in SQLite; nothing is reported to anyone."""
    home = tmp_path_factory.mktemp("airflow")
    subprocess.run(
        [COMMANDS / "airflow", "db", "migrate"], env=settings(home), capture_output=True, check=True
    )
    return home


def settings(home, environment=None):
    return {
        **(environment or {"PATH": "/usr/bin:/bin"}),
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(SCHEDULES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONPATH": str(SCHEDULES),
    }


@pytest.fixture
def python(home, night):
    def python(code):
        return subprocess.run(
            [sys.executable, "-c", code], env=settings(home, night.environment),
            capture_output=True, text=True, check=False, timeout=500,
        )  # fmt: skip

    return python


def test_the_dag_runs_and_fails_at_once_where_a_gate_trips(python, night):
    def state():
        done = python(RUN)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    assert state() == "success"
    assert night.modes().height == 12
    night.worsen()
    assert state() == "failed"  # were it tried again, this would wait for ten minutes
    assert night.modes().height == 13


def test_bad_data_is_tried_again(python, night):
    night.break_()
    done = python(BAD_DATA)
    assert done.returncode == 0, done.stderr
    assert "status 2" in done.stdout


def test_it_is_scheduled_for_the_night(python):
    code = (
        "from airflow_dag import failure_modes_dag as d; t = d.get_task('search'); "
        "print(d.dag_id, d.timetable.expression, d.catchup, d.max_active_runs, t.retries)"
    )
    done = python(code)
    assert done.stdout.splitlines()[-1] == "failure_modes 15 2 * * * False 1 2", done.stderr
