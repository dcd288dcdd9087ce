"""A run is in the database whole, or not at all."""

import os
import signal
import subprocess
import sys

import duckdb
import pytest

import prime_sql as ps
from tests.stored import THRESHOLDS, contents

KILLED = """
import os, signal, sys
import prime_sql as ps

moment = sys.argv[4]
seen = 0

def on_sql(statement):
    global seen
    seen += statement.step == moment.partition(":")[0]
    if seen and seen == int(moment.partition(":")[2] or 1):
        os.kill(os.getpid(), signal.SIGKILL)

ps.search(sys.argv[1], sys.argv[2], into=sys.argv[3], min_images=4, min_drop=0.2, on_sql=on_sql)
print("complete")
"""


def kill_at(moment, folder, path):
    return subprocess.run(
        [sys.executable, "-c", KILLED, folder / "p.parquet", folder / "t.parquet", path, moment],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def files(example, tmp_path):
    example[0].write_parquet(tmp_path / "p.parquet")
    example[1].write_parquet(tmp_path / "t.parquet")
    return tmp_path


# The transaction: begin, the statements that make the tables (once), the number of the run, eight
# inserts, commit. Counted from its end in the test below.
@pytest.mark.parametrize("moment", ["predictions", "members_2", "publish:1", "publish:5"])
@pytest.mark.parametrize("existing", [True, False])
def test_a_killed_process_leaves_the_database_as_it_was(moment, existing, files):
    path = files / "prime.duckdb"
    if existing:
        ps.search(files / "p.parquet", files / "t.parquet", into=path, **THRESHOLDS).close()
    before = contents(path)
    process = kill_at(moment, files, path)
    assert process.returncode == -signal.SIGKILL
    assert contents(path) == before
    # What the killed process left beside it is in nobody's way.
    with ps.search(files / "p.parquet", files / "t.parquet", into=path, **THRESHOLDS) as run:
        assert run.run_id == (2 if existing else 1)
        assert run.failure_modes.to_polars().height == 2
    assert sorted(file.name for file in files.iterdir()) == [
        "p.parquet",
        "prime.duckdb",
        "t.parquet",
    ]


def test_killed_at_every_statement_around_the_commit(files):
    path = files / "prime.duckdb"
    for _ in range(2):  # the first run makes the tables as well
        published = []
        ps.search(
            files / "p.parquet",
            files / "t.parquet",
            into=path,
            on_sql=published.append,
            **THRESHOLDS,
        ).close()
    last = sum(statement.step == "publish" for statement in published)
    before = contents(path)
    for moment in range(last - 3, last):
        kill_at(f"publish:{moment}", files, path)
        assert contents(path) == before
    kill_at(f"publish:{last}", files, path)  # after the commit
    after = contents(path)
    assert [row[0] for row in after["prime.runs"]] == [1, 2, 3]
    for name in ("classes", "tag_sets", "failure_modes", "failure_mode_tags", "outcomes"):
        rows_of = [
            [row[1:] for row in after[f"prime.{name}"] if row[0] == run_id] for run_id in (1, 3)
        ]
        assert rows_of[0] == rows_of[1] != []


@pytest.mark.parametrize("moment", ["predictions", "candidates_1", "tag_sets", "publish"])
def test_a_process_killed_from_outside(moment, files):
    """Killed while it goes on working after it said that a step is done."""
    path = files / "prime.duckdb"
    ps.search(files / "p.parquet", files / "t.parquet", into=path, **THRESHOLDS).close()
    before = contents(path)
    with subprocess.Popen(
        [sys.executable, "-m", "prime_sql", "search", files / "p.parquet", files / "t.parquet",
         "--db", path, "--min-images", "4", "--verbose"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, pipesize=4096,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if line.startswith(f"{moment}:"):
                process.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail(f"no step {moment}")
        process.stderr.read()
    # What it says of the steps to come does not fit into the pipe: early on, it waits for us. Later
    # it may be faster than the signal, or have ended before: then the run is there, whole.
    after = contents(path)
    late = moment in ("tag_sets", "publish")
    assert process.returncode == -signal.SIGKILL or (late and process.returncode == 0)
    assert after != before or process.returncode != 0
    if after != before:
        assert late
        with ps.open_run(path) as run:
            assert run.run_id == 2
            assert run.row_counts["tag_sets"] == run.tag_sets.to_polars().height


def test_half_made_files_of_dead_processes_are_cleared_away(example, tmp_path):
    path = tmp_path / "prime.duckdb"
    with subprocess.Popen(["true"]) as dead:
        pass
    for leftover in (
        f".prime.duckdb.{dead.pid}-1a2b.partial",
        f".prime.duckdb.{dead.pid}-1a2b.partial.wal",
    ):
        (tmp_path / leftover).write_bytes(b"half a header")
    busy = tmp_path / f".prime.duckdb.{os.getpid()}-1a2b.partial"
    busy.touch()
    ps.search(*example, into=path, **THRESHOLDS).close()
    assert sorted(tmp_path.iterdir()) == [busy, path]


def test_two_searches_for_one_new_file(example, tmp_path):
    """The second to finish leaves the first one's file alone."""
    path = tmp_path / "prime.duckdb"
    inner = []

    def nested(statement):
        if not inner:
            inner.append(None)
            inner[0] = ps.search(*example, into=path, **THRESHOLDS)

    with pytest.raises(ps.WarehouseError, match="appeared while"):
        ps.search(*example, into=path, on_sql=nested, **THRESHOLDS)
    assert inner[0].failure_modes.to_polars().height == 2
    inner[0].close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_without_its_database_is_not_revived(example, tmp_path):
    (tmp_path / "prime.duckdb.wal").touch()
    with pytest.raises(ps.WarehouseError, match=r"prime\.duckdb\.wal is still there"):
        ps.search(*example, into=tmp_path / "prime.duckdb", **THRESHOLDS)


def test_a_symbolic_link_stays_one(example, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(tmp_path / "real.duckdb")
    ps.search(*example, into=link, **THRESHOLDS).close()
    assert link.is_symlink()
    assert ps.runs(tmp_path / "real.duckdb").height == 1


def test_an_error_in_the_middle_leaves_nothing(example, tmp_path):
    class StopError(Exception):
        pass

    def stop(statement):
        if statement.step == "publish" and "failure_modes" in statement.sql:
            raise StopError

    path = tmp_path / "prime.duckdb"
    with pytest.raises(StopError):
        ps.search(*example, into=path, on_sql=stop, **THRESHOLDS)
    assert list(tmp_path.iterdir()) == []
    ps.search(*example, into=path, **THRESHOLDS).close()
    before = contents(path)
    with pytest.raises(StopError):
        ps.search(*example, into=path, on_sql=stop, **THRESHOLDS)
    assert contents(path) == before


def test_a_database_that_appears_meanwhile_is_left_alone(example, tmp_path):
    path = tmp_path / "prime.duckdb"

    def appear(statement):
        if not path.exists():
            duckdb.connect(str(path)).close()

    with pytest.raises(ps.WarehouseError, match="appeared while"):
        ps.search(*example, into=path, on_sql=appear, **THRESHOLDS)
    assert contents(path) == {}
    assert list(tmp_path.iterdir()) == [path]
