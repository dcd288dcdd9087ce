"""Jobs that fail or are killed, and what they leave of yesterday."""

import json
import os
import signal
import subprocess
import sys

import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data
from tests.job.jobs import (
    JOB,
    LATE,
    MODES,
    REPORT,
    ROOT,
    TABLE,
    contents,
    fail,
    partials,
    statuses,
    succeed,
    write,
)


def test_a_failure_in_the_last_output_leaves_all_of_yesterday(folder):
    table = '\n[[outputs]]\ntable = "modes"\n'
    good = JOB + REPORT + MODES + table
    succeed("run", write(folder, good))
    before = {name: (folder / name).read_bytes() for name in ("report.html", "modes.csv")}
    message = fail("run", write(folder, good + LATE))
    assert "prime.toml: outputs[4] failed: " in message
    assert "no_such_table" in message
    assert "Nothing was published: all outputs are unchanged. Run 2 stays in prime" in message
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not partials(folder)
    database = folder / "prime.duckdb"
    assert statuses(database) == ["complete", "unpublished"]
    assert ps.sql(database, "select distinct run_id from main.modes").item() == 1
    seen = "select distinct run_id from v_failure_modes_all_runs"
    assert ps.sql(database, seen.replace("v_", "prime.v_")).item() == 1
    divided = table.replace("modes", "divided") + 'sql = "select cast(tags as integer) as x from '
    message = fail("run", write(folder, f'{good}{divided}failure_modes"'))
    assert "prime.toml: outputs[4] failed: " in message
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert ps.sql(database, "select distinct run_id from main.modes").item() == 1
    succeed("run", write(folder, good))
    assert statuses(database) == ["complete", "unpublished", "unpublished", "complete"]
    with ps.open_run(database) as run:
        assert run.previous.run_id == 1  # nobody has seen runs 2 and 3


def test_a_file_that_cannot_be_replaced_takes_all_else_back(folder):
    good = JOB.replace("max_tags = 2", "max_tags = 1") + REPORT + TABLE
    succeed("run", write(folder, good))
    report, mounted = folder / "report.html", folder / "mounted.csv"
    before = report.read_bytes()
    mounted.write_text("yesterday")
    mount = ["mount", "--bind", str(mounted), str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("it takes the right to mount")
    try:
        message = fail("run", write(folder, f"{good}[[outputs]]\nfile = 'mounted.csv'"))
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    assert "prime.toml: publish failed: cannot write" in message
    assert "Nothing was published: all outputs are unchanged. Run 2 stays" in message
    assert (report.read_bytes(), mounted.read_text()) == (before, "yesterday")
    assert not partials(folder)
    assert statuses(folder / "prime.duckdb") == ["complete", "unpublished"]
    assert ps.sql(folder / "prime.duckdb", "select distinct run_id from marts.modes").item() == 1


def test_the_answer_of_every_question_can_be_a_table(folder):
    """Some are worked out in Python, and are not a query that the engine could ask again."""
    question = f'{JOB}[[outputs]]\nfile = "families.json"\nquestion = "families"'
    succeed("run", write(folder, question + TABLE + 'question = "families"'))
    stored = ps.sql(folder / "prime.duckdb", "select * from marts.modes")
    assert stored.height
    listed = json.loads((folder / "families.json").read_text())
    assert [row["tags"] for row in listed] == stored["tags"].to_list()


def test_a_failing_search_is_no_run(folder):
    path = write(folder, JOB + REPORT)
    (folder / "tags.parquet").write_bytes(b"PAR1 but damaged PAR1")
    message = fail("run", path)
    assert "prime.toml: search failed: cannot read tags (tags.parquet)" in message
    assert not (folder / "prime.duckdb").exists()
    assert not (folder / "report.html").exists()
    assert not partials(folder)


@pytest.mark.parametrize(
    ("join", "why"),
    [
        ("image_id = 'photos'", "joins.orders has no column 'photos'. Did you mean 'photo'?"),
        ("", "joins.orders has no column 'image_id'. It has: photo, country, value."),
    ],
)
def test_a_business_table_without_its_image(join, why, folder):
    message = fail("run", write(folder, f"{JOB}[joins.orders]\nsource = 'orders.csv'\n{join}"))
    assert why in message


def start(path, **variables):
    """Start a job in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "prime_sql", "run", path],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def halfway(folder):
    """A job that is stuck while it writes its last output, a pipe that nobody empties."""
    os.mkfifo(folder / "pipe.csv")
    endless = "select range as n from range(100000)"
    return f"{JOB}{REPORT}{MODES}[[outputs]]\nfile = 'pipe.csv'\nsql = '{endless}'"


def wait_until_it_writes(process, folder):
    """Open the pipe and read its beginning: then all other outputs are written beside."""
    pipe = os.open(folder / "pipe.csv", os.O_RDONLY)  # returns when the other end is opened
    assert os.read(pipe, 2) == b"n\n"
    assert process.poll() is None
    assert len(partials(folder)) == 2
    return pipe


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_job_leaves_all_of_yesterday(how, folder):
    succeed("run", write(folder, JOB + REPORT + MODES))
    before = {name: (folder / name).read_bytes() for name in ("report.html", "modes.csv")}
    process = start(write(folder, halfway(folder)))
    pipe = wait_until_it_writes(process, folder)
    process.send_signal(how)
    if how == signal.SIGINT:
        os.close(pipe)
    _, printed = process.communicate(timeout=300)
    if how == signal.SIGKILL:
        os.close(pipe)
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert "Interrupted; nothing was published" in printed
        assert not partials(folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    database = folder / "prime.duckdb"
    assert statuses(database) == ["complete", "unpublished"]
    with ps.open_run(database) as run:
        assert data.found(run) == data.expected()
    # The next job cleans up.
    (folder / "pipe.csv").unlink()
    succeed("run", write(folder, JOB + REPORT + MODES))
    assert not partials(folder)
    assert statuses(database) == ["complete", "unpublished", "complete"]


KILLED = """
import os, signal, sys
from prime_sql import job
from prime_sql.engine import files

path, moment, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def seen(what):
    global left
    left -= moment in what
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

sync = files._sync_folder
files._sync_folder = lambda folder: (sync(folder), seen("a file has its name"))
job.run(job.read(path), on_sql=lambda statement: seen(statement.sql))
"""


# The search and the outputs each have a transaction; the files get their names in the second one.
@pytest.mark.parametrize(
    ("moment", "count", "status", "published"),
    [
        ("insert into", 3, None, 0),
        ("commit", 1, "unpublished", 0),
        ("set status = 'complete'", 1, "unpublished", 0),
        ("a file has its name", 1, "unpublished", 1),
        ("a file has its name", 2, "unpublished", 2),
        ("commit", 2, "complete", 2),
    ],
)
def test_a_job_killed_at_any_time_leaves_files_whole(moment, count, status, published, folder):
    outputs = [folder / "modes.csv", folder / "report.json"]
    text = JOB + MODES + REPORT.replace("html", "json")
    succeed("run", write(folder, text))
    before = [path.read_bytes() for path in outputs]
    path = write(folder, text.replace("max_tags = 2", "max_tags = 1"))
    command = [sys.executable, "-c", KILLED, path, moment, str(count)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert statuses(folder / "prime.duckdb") == ["complete", *([status] if status else [])]
    after = [path.read_bytes() for path in outputs]
    assert [old != new for old, new in zip(before, after, strict=True)] == [
        published > place for place in range(2)
    ]
    # With one tag in a set there are two failure modes; with two there are three.
    assert pl.read_csv(outputs[0]).height == (2 if published else 3)
    assert len(json.loads(after[1])["modes"]) == (2 if published == 2 else 3)


def test_on_a_full_disk_outputs_stay_and_the_message_says_why(folder, small_disk):
    outputs = "".join(
        f"\n[[outputs]]\n{kind} = '{small_disk}/{name}'\n"
        for kind, name in (("file", "modes.csv"), ("report", "report.html"))
    )
    (small_disk / "report.html").write_text("yesterday")
    (small_disk / "filler").write_bytes(b"x" * (2**20 - 3 * 4096))
    message = fail("run", write(folder, JOB + outputs))
    assert "prime.toml: outputs[2] failed: cannot write" in message
    assert "report.html: No space left on device" in message
    assert contents(small_disk).keys() == {"report.html", "filler"}
    assert (small_disk / "report.html").read_text() == "yesterday"
    assert statuses(folder / "prime.duckdb") == ["unpublished"]


def test_on_a_full_disk_the_database_stays_readable(folder, small_disk):
    text = JOB.replace('"prime.duckdb"', f'"{small_disk}/prime.duckdb"') + REPORT + TABLE
    (folder / "report.html").write_text("yesterday")
    message = fail("run", write(folder, text))
    assert "prime.toml: search failed: " in message
    assert "No space left on device" in message
    assert (folder / "report.html").read_text() == "yesterday"
    assert not list(small_disk.iterdir())
    # One that is there.
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    succeed("run", write(folder, text))
    before = (folder / "report.html").read_bytes()
    filler = small_disk / "filler"
    for pages, step in ((0, "search"), (2, "publish")):  # two hold the run, but no more
        free = os.statvfs(small_disk)
        filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - pages * 4096))
        message = fail("run", write(folder, text))
        assert f"prime.toml: {step} failed: " in message
        assert "No space left on device" in message
        assert (folder / "report.html").read_bytes() == before
        assert not partials(folder)
        assert not partials(small_disk)
        filler.unlink()
    assert statuses(small_disk / "prime.duckdb") == ["complete", "unpublished"]
    with ps.open_run(small_disk / "prime.duckdb", 1) as run:
        assert data.found(run) == data.expected()
    succeed("run", write(folder, text))
