"""The commands on a terminal, in a pipe, and interrupted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import ANSI, PRIME_SQL, on_a_terminal
from tests.vision import samples
from tests.vision.commands.lines import NEW, rows

# On a terminal ------------------------------------------------------------------------------------


def on_lines(text):
    """Return what a terminal showed, line after line, without what stayed the same."""
    lines = [line.rstrip() for line in ANSI.sub("", text).replace("\r", "\n").splitlines()]
    return [
        line for line, before in zip(lines, ["", *lines], strict=False) if line not in ("", before)
    ]


PREDICT = ["predict", "photos", *NEW, "--model", "slow_classifier:classify"]


@pytest.mark.parametrize("columns", [80, 44])
def test_a_terminal_shows_images_a_second_and_the_time_left(here, columns):
    pytest.importorskip("torch")
    samples.write_numbered(here / "photos" / "ape", 60, first=100)
    status, text = on_a_terminal([*PRIME_SQL, *PREDICT, "--batch-size", "8"], here, columns)
    assert status == 0
    shown = on_lines(text)
    progress = [line for line in shown if re.match("images|predict ", line)]
    assert max(map(len, progress)) <= columns
    for step, total in (("images", 81), ("predict", 80)):
        done = [line for line in progress if line.startswith(step)]
        assert any(re.search(rf" {total}/{total} [\d,]+ images/s \d:\d\d:\d\d$", d) for d in done)
    under_way = [line for line in progress if re.search(r" (8|16|24|32|40|48|56|64|72)/80 ", line)]
    assert any(re.search(r" [\d,]+ images/s \d:\d\d:\d\d$", line) for line in under_way)
    # It is wiped: what stays is what a pipe would get.
    kept = on_lines(text[text.rindex("\x1b[2K") :])
    assert kept[0].startswith("Classified 80 images with slow_classifier:classify into")
    assert not [line for line in kept if "images/s" in line]


def test_a_quiet_command_shows_nothing_on_a_terminal(here):
    status, text = on_a_terminal([*PRIME_SQL, "images", "photos", *NEW, "--quiet"], here)
    assert (status, text) == (0, "")


def test_a_pipe_gets_no_progress_and_no_colours(here):
    done = subprocess.run(
        [*PRIME_SQL, "images", "photos", *NEW], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["Loaded", "1"]
    assert "\x1b" not in done.stderr


# Interrupted --------------------------------------------------------------------------------------

SLOW_IMPORT = """
import pathlib, time

pathlib.Path("loading").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("progress", [True, False])
def test_an_interrupt_while_a_model_loads(here, loaded, progress):
    """As it is read from a disk; torch plays its part here, and takes a minute."""
    shutil.copy(loaded, "new.duckdb")
    before = rows("from images order by all")
    (here / "stand_in").mkdir()
    (here / "stand_in" / "torch.py").write_text(SLOW_IMPORT)
    command = [*PRIME_SQL, "embed", *NEW, "--model", "ViT-B-32", "--pretrained", "openai"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "stand_in", **({"FORCE_COLOR": "1"} if progress else {})},
    )
    while not Path("loading").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    kept = ANSI.sub("", err).splitlines()[-1]
    assert kept == "Interrupted; what is done is kept; the same command goes on from there."
    assert rows("from images order by all") == before
