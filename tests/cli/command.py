"""The command in this process or on a terminal, and what many of its tests give it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import typer
from typer.testing import CliRunner

from prime_sql import cli

EMOJI = Path(__file__).parents[2] / "examples" / "emoji"

COLUMNS = [  # DESIGN section 3, in its order
    "run_id",
    "mode_id",
    "class_name",
    "tags",
    "tag_count",
    "images",
    "errors",
    "accuracy",
    "class_images",
    "class_errors",
    "class_accuracy",
    "accuracy_drop",
    "excess_errors",
    "error_coverage",
]

THRESHOLDS = ["--min-images", "4", "--min-drop", "0.3"]

# Enough work for progress to be seen, and for a signal to arrive in.
LONG = [
    "search",
    str(EMOJI / "predictions.parquet"),
    str(EMOJI / "tags.parquet"),
    *["--min-images", "2", "--min-drop", "0.05", "--necessity", "0", "--max-tags", "5"],
]

PRIME_SQL = [sys.executable, "-m", "prime_sql"]

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def call(*arguments):
    """Run a command in this process; it may end in an exit status, never in a traceback."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments):
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def fail(*arguments):
    """Return the one message of a command that fails."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(re.findall("^Error: ", result.stderr, re.MULTILINE)) == 1
    return result.stderr


SEARCH = ["search", "predictions.parquet", "tags.parquet", *THRESHOLDS]


def parameters(command):
    return {p.name: p for p in typer.main.get_command(cli.app).commands[command].params}


def on_a_terminal(command, cwd, columns=80):
    """Run a command on a pseudo-terminal; return its status and everything it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        os.close(ours)
    return process.wait(), written.decode()
