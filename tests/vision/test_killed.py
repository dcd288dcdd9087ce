"""Steps that are killed or interrupted, and completed afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prime_sql import vision
from prime_sql.vision import load_images
from prime_sql.vision.steps import CHUNK
from tests.vision.few_and_many import COUNT, FEW, ROOT, SMALL, embeddings, expected, problems, query
from tests.vision.models import MeanColour, embed_mean

# Killed -------------------------------------------------------------------------------------------

# Forks one process for each moment, after the imports, and lets it kill itself there.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from prime_sql.vision import load_images
from tests.vision.models import MeanColour, embed_mean

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Mortal(MeanColour):
    left = -1
    def run(self, batch):
        if 0 <= self.left <= self.seen + len(batch):
            die()
        return super().run(batch)

def go(path, moment, chunk):
    kind, _, number = moment.partition(":")
    number = int(number)
    model, statements = Mortal(), 0

    def on_sql(statement):
        nonlocal statements
        statements += 1
        path.with_suffix(".seen").write_text(str(model.seen))
        if statements == number:
            die()

    def on_images(progress):
        if progress.done >= number:
            die()

    if kind == "load":
        load_images(path.parent / "pictures", path, on_images=on_images)
    elif kind == "image":
        model.left = number
        embed_mean(path, model, chunk=chunk)
    else:
        embed_mean(path, model, chunk=chunk, on_sql=on_sql)

chunk = int(sys.argv[1])
for path, moment in zip(sys.argv[2::2], sys.argv[3::2]):
    child = os.fork()
    if not child:
        try:
            go(Path(path), moment, chunk)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    print(-os.waitstatus_to_exitcode(status))
"""


def kill(chunk: int, moments: dict[Path, str]) -> list[bool]:
    """Run the step on each database until its moment; return whether it was killed there."""
    arguments = [str(part) for pair in moments.items() for part in pair]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(chunk), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(line) == signal.SIGKILL for line in done.stdout.splitlines()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_in_the_model(many: Path, tmp_path: Path) -> None:
    moments = [1, CHUNK + 33, 2 * CHUNK, 2 * CHUNK + 1]
    paths = {Path(shutil.copy(many, tmp_path / f"{n}.duckdb")): f"image:{n}" for n in moments}
    assert kill(CHUNK, paths) == [True] * len(moments)
    for path, moment in zip(paths, moments, strict=True):
        # All chunks before the one that was under way, as a whole.
        committed = (moment - 1) // CHUNK * CHUNK
        assert embeddings(path) == expected(*range(committed))
        model = MeanColour()
        assert embed_mean(path, model).images == model.seen == COUNT - committed
        assert embeddings(path) == expected(*range(COUNT))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_a_statement(loaded_few: Path, tmp_path: Path) -> None:
    statements: list[Any] = []
    whole = Path(shutil.copy(loaded_few, tmp_path / "whole.duckdb"))
    embed_mean(whole, MeanColour(), chunk=SMALL, on_sql=statements.append)
    commits = [n for n, s in enumerate(statements, 1) if s.sql == "commit"]
    first, second, last = commits[-3:]
    moments = [commits[0], commits[1], first - 1, first, second - 4, second - 1, second, last + 1]
    paths = {
        Path(shutil.copy(loaded_few, tmp_path / f"{n}.duckdb")): f"statement:{n}" for n in moments
    }
    assert kill(SMALL, paths) == [True] * len(moments)
    for path, moment in zip(paths, moments, strict=True):
        committed = min(FEW, SMALL * sum(commit <= moment for commit in commits[-3:]))
        found = embeddings(path) if moment > commits[1] else {}
        assert found == expected(*range(committed)), moment
        seen = int(path.with_suffix(".seen").read_text())
        assert seen - committed <= SMALL
        assert embed_mean(path, MeanColour()).images == FEW - committed
        assert embeddings(path) == expected(*range(FEW))
        assert problems(path) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_loading(many: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").symlink_to(many.parent / "pictures")
    moments = [500, CHUNK + 100, COUNT]
    paths = {tmp_path / f"{n}.duckdb": f"load:{n}" for n in moments}
    assert kill(CHUNK, paths) == [True] * len(moments)
    facts = "select image_id, width, height, sha256 from images order by image_id"
    for path in paths:
        committed = query(path, "select count(*) from images")[0][0]
        assert committed % CHUNK == 0 or committed == COUNT
        moment = int(path.stem)
        assert 0 <= moment - committed <= CHUNK
        assert load_images(tmp_path / "pictures", path).images == COUNT - committed
        assert query(path, facts) == query(many, facts)
        assert not list(tmp_path.glob(".*partial*"))


# The command --------------------------------------------------------------------------------------

FUNCTION = """
import os, signal, time
seen, at, how = 0, int(os.environ["AT"]), int(os.environ["HOW"])

def name(pictures):
    global seen
    before, seen = seen, seen + len(pictures)
    if before < at <= seen:
        os.kill(os.getpid(), how)
    if seen >= at:
        time.sleep(0.02 * len(pictures))  # time to notice
    return [("odd" if p.getpixel((0, 0))[0] % 2 else "even", 0.75) for p in pictures]
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_predict_killed_interrupted_completed(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    path = Path(shutil.copy(many, tmp_path / "predict.duckdb"))
    (tmp_path / "parity.py").write_text(FUNCTION)

    def command(how: int, at: int) -> subprocess.CompletedProcess[str]:
        arguments = ["predict", "--db", str(path), "--model", "parity:name"]
        return subprocess.run(
            [sys.executable, "-m", "prime_sql", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HOW": str(how), "AT": str(at)},
            capture_output=True,
            text=True,
        )

    def count() -> int:
        counts = query(path, "select count(*), count(distinct image_id) from predictions")
        assert counts[0][0] == counts[0][1]
        return int(counts[0][0])

    done = command(signal.SIGKILL, 600)
    assert (done.returncode, count()) == (-signal.SIGKILL, CHUNK)
    done = command(signal.SIGINT, 600)
    assert done.returncode == 130, done.stderr
    assert done.stderr == (
        "Interrupted; what is done is kept; the same command goes on from there.\n"
    )
    assert count() == 2 * CHUNK
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AT", str(COUNT + 1))
    monkeypatch.setenv("HOW", "0")
    assert vision.predict(path, "parity:name").images == COUNT - 2 * CHUNK
    assert count() == COUNT
    wrong = (
        "select * from predictions where prediction is distinct from case "
        "when cast(left(image_id, 5) as int) % 256 % 2 = 1 then 'odd' else 'even' end "
        "or confidence <> 0.75 or model <> 'parity:name'"
    )
    assert query(path, wrong) == []


def test_an_interrupted_session_ends_what_runs(many: Path, tmp_path: Path) -> None:
    """Python must not end, or the connection be used, while a function still runs elsewhere."""
    path = Path(shutil.copy(many, tmp_path / "interrupted.duckdb"))
    running = threading.Event()

    class Slow(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            if self.seen > CHUNK and not running.is_set():
                running.set()
                os.kill(os.getpid(), signal.SIGINT)
            if running.is_set():
                time.sleep(0.5)  # a batch: a busy machine takes its time to hear the signal
            return super().run(batch)

    model = Slow()
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        embed_mean(path, model)
    seen = model.seen
    assert seen < 2 * CHUNK  # it did not finish its chunk, either
    time.sleep(1)
    assert model.seen == seen
    assert embeddings(path) == expected(*range(CHUNK))
