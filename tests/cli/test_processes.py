"""Commands as processes: terminals, pipes, full disks, interrupts."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import ANSI, LONG, PRIME_SQL, SEARCH, on_a_terminal, succeed


def test_a_terminal_shows_progress_and_then_a_table(tmp_path):
    status, text = on_a_terminal([*PRIME_SQL, *LONG, "--db", "t.duckdb"], tmp_path)
    assert status == 0
    plain = ANSI.sub("", text).replace("\r", "\n")
    # Progress: the step, the size of its sets, and what was counted.
    assert re.search(r" \d+/11 tag sets of [2345] tags? \(tag sets of \d tags?: [\d,]+\)", plain)
    # It is wiped: after it come the table and the last line only.
    after = ANSI.sub("", text[text.rindex("\x1b[2K") :])
    lines = [line.rstrip() for line in after.splitlines() if line.strip()]
    assert re.fullmatch(r"[\d,]+ failure modes", lines[0])
    assert lines[1].split() == ["new", "errors"]
    heads = ["class", "tags", "images", "accuracy", "drop", "errors", "so", "far"]
    assert lines[2].split() == heads
    assert lines[-1] == "Run 1 is in t.duckdb."
    assert re.match("All [\\d,]+: --format csv, or prime-sql sql t.duckdb", lines[-2])
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if re.search(r"\d%  +\d", line)]) == 10


def test_a_narrow_terminal_and_quiet(source):
    command = [*PRIME_SQL, *SEARCH, "--quiet"]
    status, text = on_a_terminal(command, source, columns=44)
    assert status == 0
    assert "tag sets" not in text
    lines = ANSI.sub("", text).splitlines()
    assert max(map(len, lines)) <= 44
    assert "No room for" in text
    assert "black + hang" in text


def test_a_pipe_that_closes_early_is_no_error(source):
    query = "select * from range(300000) t(x)"  # more than the pipe holds
    process = subprocess.Popen(
        [*PRIME_SQL, "sql", "runs.duckdb", query, "--format", "csv"],
        cwd=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"x\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141  # 1 would be a gate


def shell(line, cwd):
    """Return the exit status and messages of a command; nobody reads the pipe {gone}."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        ["bash", "-c", line.format(gone=write)],
        cwd=cwd,
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    return done.returncode, done.stderr


FULL = "Error: cannot write the output: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "where", "expected"),
    [
        ("runs none.duckdb --quite", ">&{gone} 2>&1", (2, "")),
        ("runs runs.duckdb", ">&-", (0, "")),
        ("runs runs.duckdb --format csv", ">&{gone}", (141, "")),
        ("runs runs.duckdb", ">&{gone}", (141, "")),
        ("--help", ">&{gone}", (141, "")),
        ("runs runs.duckdb --format csv", "> /dev/full", (2, FULL)),
        ("runs runs.duckdb", "> /dev/full", (2, FULL)),
        ("sql runs.duckdb 'from range(300000)' --format csv", "> /dev/full", (2, FULL)),
        ("runs runs.duckdb --keep 1", "2> /dev/full", (2, "")),
        ("runs runs.duckdb --format csv", "", (0, "")),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_does_not_arrive_is_no_tripped_gate(source, arguments, where, expected):
    command = shlex.join(map(str, PRIME_SQL))
    assert shell(f"{command} {arguments} {where}", source) == expected


RAISES = """
import sys
import prime_sql as ps
from prime_sql import cli
class Panic(BaseException):
    pass
def fails(*arguments, **options):
    raise {error}
ps.runs = fails
sys.argv = ["prime-sql", "runs", "runs.duckdb"]
cli.main()
"""


@pytest.mark.parametrize("error", ["ZeroDivisionError('odd')", "Panic('odd')", "OSError(5, 'odd')"])
def test_what_nobody_expected_ends_with_its_traceback_and_status_2(source, error):
    done = subprocess.run(
        [sys.executable, "-c", RAISES.format(error=error)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("odd\n")


def test_output_is_utf8_wherever_it_goes(source):
    query = "select '猿 🐒 é' as x"
    done = subprocess.run(
        [*PRIME_SQL, "sql", "runs.duckdb", query, "--format", "csv"],
        cwd=source,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},  # as Windows has its code pages
    )
    assert done.stdout.decode() == "x\n猿 🐒 é\n"


@pytest.mark.parametrize(
    ("name", "line", "seconds"),
    [
        ("runs.duckdb", "counts_3: ", 0),
        ("new.duckdb", "counts_5: ", 0.3),  # the engine is at work: its longest step comes next
        ("runs.duckdb", "begin transaction", 0.1),  # it writes the run
    ],
)
def test_an_interrupted_search_leaves_the_database_as_it_was(folder, name, line, seconds):
    before = sorted(folder.iterdir())
    process = subprocess.Popen(
        [*PRIME_SQL, *LONG, "--db", name, "--verbose"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pipesize=4096,  # what it says of the steps to come does not fit in: it cannot end before us
    )
    for written in process.stderr:
        if written.startswith(line):
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("Interrupted; the database is unchanged.\n")
    assert "Traceback" not in err
    assert sorted(folder.iterdir()) == before  # no half-made file either
    assert json.loads(succeed("runs", "runs.duckdb", "--format", "json").stdout)[-1]["run_id"] == 2
    assert (
        succeed("sql", "runs.duckdb", "from failure_modes", "--format", "csv").stdout.count("\n")
        == 3
    )
