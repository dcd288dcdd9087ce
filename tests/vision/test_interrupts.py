"""Interrupts while an engine calls a function of ours: it ends at the next of its small batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest

from prime_sql.engine import interrupts
from prime_sql.engine.errors import OptionError
from prime_sql.engine.interrupts import InterruptError
from prime_sql.vision import functions, register
from prime_sql.vision.embed import calling
from prime_sql.vision.functions import ImageFunction, udf
from tests.vision.few_and_many import ROOT
from tests.vision.models import MeanColour
from tests.vision.samples import numbered

PICTURES = 500


class Stopping(MeanColour):
    """Says when it is in its second batch, and waits there until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.running, self.may_go_on = threading.Event(), threading.Event()

    def run(self, batch: Any) -> pa.Array:
        if len(self.batches) == 1:
            self.running.set()
            assert self.may_go_on.wait(300)
        return super().run(batch)


@pytest.fixture
def connection() -> Any:
    with duckdb.connect() as connection:
        connection.execute("create table pictures (content blob)")
        connection.executemany("insert into pictures values (?)", [[numbered(1)]])
        connection.execute(
            f"create table many as select content from pictures, range({PICTURES}) as r(i)"
        )
        yield connection


def test_an_interrupt_of_the_connection_ends_the_call_at_its_next_batch(connection: Any) -> None:
    model = Stopping()
    function = register(connection, model, "f")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(connection.execute, "create table o as select f(content) from many")
        assert model.running.wait(300)
        connection.interrupt()
        model.may_go_on.set()
        with pytest.raises(duckdb.Error):
            asked.result()
    assert model.batches == [8, 8]
    assert isinstance(function.failure, InterruptError)
    # The next call knows nothing of it.
    assert connection.sql("select count(f(content)) from many").fetchall() == [(PICTURES,)]


def test_an_interrupt_while_pictures_are_awaited() -> None:
    """From a network that does not answer."""
    reading, answers = threading.Event(), threading.Event()

    def work(uri: str) -> int:
        reading.set()
        assert answers.wait(300)
        return 1

    function = ImageFunction("f", pa.int64(), work, lambda batch: pa.array(batch, pa.int64()))
    interrupts.listen()
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(function, pa.chunked_array([["a", "b"]]))
        assert reading.wait(300)
        interrupts.note()
        with pytest.raises(InterruptError):
            called.result()  # which comes although nothing was answered
        answers.set()


def test_a_call_that_waits_for_another_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model, begun = Stopping(), threading.Event()
    function = ImageFunction.over(model, "f", batch_size=1)
    content = pa.chunked_array([pa.array([numbered(1)] * 4, pa.binary())])

    def heard() -> int:
        found = interrupts.heard()
        if threading.current_thread().name == "second":
            begun.set()
        return found

    monkeypatch.setattr(functions, "heard", heard)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function(content)
        except InterruptError as error:
            raised.append(error)

    first, second = (threading.Thread(target=call, name=name) for name in ("first", "second"))
    first.start()
    assert model.running.wait(300)
    second.start()
    assert begun.wait(300)
    interrupts.note()
    model.may_go_on.set()
    first.join()
    second.join()
    assert len(raised) == 2
    assert model.batches == [1, 1]


def test_functions_of_texts_are_called_bit_by_bit() -> None:
    seen: list[int] = []

    def lengths(texts: pa.ChunkedArray) -> pa.Array:
        seen.append(len(texts))
        if len(seen) == 2:
            interrupts.note()
        return pa.array([len(text) for text in texts.to_pylist()], pa.int64())

    con = ibis.duckdb.connect()
    table = ibis.memtable({"text": ["a" * (i % 7) for i in range(100)]})
    with (
        pytest.raises(Exception, match="lengths was interrupted"),
        calling(lengths, "lengths", rows=32) as function,
    ):
        con.to_pyarrow(table.select(n=udf(function, "lengths", ["string"], pa.int64())(table.text)))
    assert seen == [32, 32]
    with calling(lengths, "lengths", rows=32) as function:
        apply = udf(function, "lengths", ["string"], pa.int64())
        found = con.to_pyarrow(table.select(n=apply(table.text))).column("n").to_pylist()
    assert found == [i % 7 for i in range(100)]
    assert seen[2:] == [32, 32, 32, 4]


CTRL_C = """
import json, os, signal, sys, time
import duckdb
from prime_sql.engine import interrupts
from prime_sql.vision import register
from tests.vision.models import MeanColour
from tests.vision.samples import numbered

class Slow(MeanColour):
    def run(self, batch):
        if len(self.batches) == 1:
            before = interrupts.heard()
            os.kill(os.getpid(), signal.SIGINT)
            while interrupts.heard() == before:  # raises KeyboardInterrupt in the main thread
                time.sleep(0.01)
        return super().run(batch)

model, raised = Slow(), ""
con = duckdb.connect(config={"threads": int(sys.argv[1])})
con.execute("set enable_progress_bar = false")
register(con, model, "f")
con.execute("create table many as select ?::blob as content from range(2000)", [numbered(1)])
try:
    try:
        con.execute("create table o as select f(content) from many")
    except duckdb.Error as error:  # of the function, before Python comes to the signal
        raised = type(error).__name__
except (KeyboardInterrupt, RuntimeError) as error:
    raised = type(error).__name__
print(json.dumps([raised, model.batches]))
"""


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c(threads: str) -> None:
    """Whichever thread DuckDB calls from: the main one, or one of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, threads],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    raised, batches = json.loads(done.stdout)
    assert raised
    assert len(batches) <= 2  # not the 250 batches of one call


def test_a_handler_of_somebodys_own_is_heeded() -> None:
    """Who takes Ctrl-C for something else does not want functions to end."""
    interrupts.listen()
    before = interrupts.heard()
    heard: list[int] = []
    theirs = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.heard() == before
    finally:
        signal.signal(signal.SIGINT, theirs)
    assert heard == [1]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert interrupts.heard() == before + 1


# Bytes --------------------------------------------------------------------------------------------


def test_a_blob(connection: Any, tmp_path: Path) -> None:
    function = register(connection, MeanColour(), "f")
    (tmp_path / "a.png").write_bytes(numbered(5))
    sql = "select f(content), f(?), f(null), f('x'::blob) from pictures"
    rows = connection.execute(sql, [str(tmp_path / "a.png")]).fetchall()
    assert rows == [((1.0, 0.0, 77.0), (5.0, 0.0, 77.0), None, None)]
    assert function.problems == {b"x": "not an image of a known format"}
    register(connection, MeanColour(), "f")  # again, both of them
    with duckdb.connect() as other:
        register(other, MeanColour(), "f")
        assert other.execute("select f(?::blob)", [numbered(2)]).fetchall() == [((2.0, 0, 77),)]
    assert connection.execute("select f(content) from pictures").fetchall()[0][0][0] == 1


def test_a_blob_in_a_transaction(connection: Any) -> None:
    connection.execute("begin")
    register(connection, MeanColour(), "f")
    assert connection.execute("select f(content)[1] from pictures").fetchall() == [(1.0,)]
    connection.execute("commit")
    assert connection.execute("select f(content)[1] from pictures").fetchall() == [(1.0,)]
    connection.execute("begin")
    connection.execute("select count(*) from many").fetchall()
    with pytest.raises(OptionError, match=r"in a transaction.*; commit it or roll it back first"):
        register(connection, MeanColour(), "g")


def test_the_engine_says_what_was_wrong_in_one_line(connection: Any) -> None:
    class Failing(MeanColour):
        def run(self, batch: Any) -> pa.Array:
            raise ValueError("no idea\nwhat this is")

    register(connection, Failing(), "f")
    with pytest.raises(duckdb.Error, match=r"\bf failed: ValueError: no idea\b") as caught:
        connection.execute("select f(content) from pictures").fetchall()
    assert "what this is" not in str(caught.value)
    # DuckDB 1 adds where it was raised; 2 does not.
    at = str(caught.value).partition("\n\nAt:\n")[2]
    assert bool(at) == duckdb.__version__.startswith("1.")
