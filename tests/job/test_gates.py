"""Gates of a job."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tables as data
from tests.job.jobs import JOB, LATE, MODES, ROOT, call, fail, statuses, write

GATES = """
[gates]
fail_on = ["accuracy_drop > 0.4 and images >= 5"]
junit = "gates.xml"
summary = "${SUMMARY}"
"""


def test_a_gate_that_trips_exits_with_1_and_publishes_all_the_same(folder):
    summary = folder / "summary.md"
    summary.write_text("what other steps wrote\n")
    result = call("run", write(folder, JOB + MODES + GATES), SUMMARY=str(summary))
    assert result.exit_code == 1, result.output
    assert "toy" in result.stderr
    assert statuses(folder / "prime.duckdb") == ["complete"]
    assert (folder / "modes.csv").exists()
    assert "toy" in (folder / "gates.xml").read_text()
    assert summary.read_text().startswith("what other steps wrote\n")
    assert "toy" in summary.read_text()


def test_a_gate_that_trips_is_said_where_the_summary_fails(folder):
    text = JOB.replace("max_tags = 2", "max_tags = 1") + MODES + GATES
    message = fail("run", write(folder, text), SUMMARY="/dev/full")
    assert "gates.summary failed: cannot write ${SUMMARY}: No space left on device" in message
    assert "The outputs are published." in message
    assert "Gate accuracy_drop > 0.4 and images >= 5: tripped by" in message
    assert re.search(r"^  \w+: .*toy.* \(\d+ images", message, re.MULTILINE)
    assert statuses(folder / "prime.duckdb") == ["complete"]


def test_what_a_failed_job_found_is_new_the_next_time(folder):
    gates = '\n[gates]\nfail_on = ["new"]\n'
    fewer = [
        {**row, "prediction": row["label"]} if row["label"] == "cat" else row
        for row in data.PREDICTIONS
    ]
    data.write(fewer, folder / "predictions.parquet")
    assert call("run", write(folder, JOB + gates)).exit_code == 0
    data.write(data.PREDICTIONS, folder / "predictions.parquet")
    fail("run", write(folder, JOB + LATE + gates))
    result = call("run", write(folder, JOB + gates))
    assert result.exit_code == 1
    assert "toy" in result.stderr


def test_a_gate_is_heard_where_nobody_reads_the_table(folder):
    text = JOB.replace("max_tags = 2", "max_tags = 1") + GATES.partition("junit")[0]
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "prime_sql", "run", write(folder, text)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr.startswith("Gate accuracy_drop > 0.4 and images >= 5: tripped by")
    assert "Traceback" not in process.stderr
    assert "Exception ignored" not in process.stderr


@pytest.mark.parametrize(
    "moment", ["prime_sql.job.steps.append_text", "prime_sql.questions.rank.summarize"]
)
def test_an_interrupt_after_publishing_does_not_say_that_nothing_was(moment, folder, monkeypatch):
    text = JOB.replace("max_tags = 2", "max_tags = 1") + MODES
    path = write(folder, text + "[gates]\nsummary = 'summary.md'")
    monkeypatch.setattr(moment, lambda *_: signal.raise_signal(signal.SIGINT))
    result = call("run", path, "--quiet")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted; the outputs are published.\n"
    assert statuses(folder / "prime.duckdb") == ["complete"]
    assert (folder / "modes.csv").exists()
