"""A process that does what it is told, one command line after the other, and says how each ended.

A line of JSON comes in and one goes out. Its parent ends it when it hangs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from prime_sql import cli
from tests.fuzz import world


def invoke(arguments: list[str], variables: dict[str, str]) -> dict[str, Any]:
    """Run one command line in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(cli.app, arguments, env=variables)
    unexpected = result.exception
    trace = ""
    if unexpected is not None and not isinstance(unexpected, SystemExit):
        trace = "".join(traceback.format_exception(unexpected))
    return {
        "status": result.exit_code,
        "out": result.stdout,
        "err": result.stderr,
        "trace": trace,
    }


def main(template: Path) -> None:
    """Do what comes on standard input, in a folder as `template` is."""
    asked, told = sys.stdin, sys.stdout
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115
    place = Path(tempfile.mkdtemp(prefix="prime-sql-fuzz-"))
    try:
        folder = None
        for line in asked:
            task = json.loads(line)
            if folder is None:
                folder = Path(tempfile.mkdtemp(dir=place))
                world.copy(template, folder)
                os.chdir(folder)
                kept = world.Kept(folder)
            for name, content in task["files"].items():
                (folder / name).write_bytes(bytes.fromhex(content))
            before = world.Kept(folder) if task["files"] else kept
            answer = invoke(task["arguments"], task["variables"])
            answer["changes"] = before.changes()
            told.write(json.dumps(answer) + "\n")
            told.flush()
            for name in task["files"]:
                (folder / name).unlink()
            if answer["changes"]:
                folder = None  # the next one finds everything as it was
    finally:
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
