"""The function that DuckDB calls with images: threads, order, memory."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prime_sql.vision.functions import ImageFunction
from prime_sql.vision.pictures import PictureError
from tests.examples import examples
from tests.vision.few_and_many import SMALL
from tests.vision.models import MeanColour, embed_mean


def numbers(
    work: Any = None, run: Any = None, **options: Any
) -> tuple[ImageFunction, list[list[int]]]:
    """A function from '7' to 7, and the batches that it ran."""
    batches: list[list[int]] = []

    def default_work(uri: str) -> int:
        if not uri.lstrip("-").isdecimal():
            raise PictureError(f"{uri} is no number")
        return int(uri)

    def default_run(batch: list[int]) -> pa.Array:
        batches.append(batch)
        return pa.array(batch, pa.int64())

    function = ImageFunction(
        "number", pa.int64(), work or default_work, run or default_run, **options
    )
    return function, batches


def call(function: ImageFunction, uris: list[str | None]) -> list[int | None]:
    found: list[int | None] = function(pa.chunked_array([pa.array(uris, pa.string())])).to_pylist()
    return found


@examples(60)
@given(
    calls=st.lists(
        st.lists(st.one_of(st.none(), st.sampled_from("x12345"), st.integers(0, 99).map(str)),
                 max_size=12), min_size=1, max_size=4),
    batch_size=st.integers(1, 7),
    threads=st.integers(1, 3),
    fits=st.integers(1, 7),
    follows=st.booleans(),
)  # fmt: skip
def test_any_call(
    calls: list[list[str | None]], batch_size: int, threads: int, fits: int, follows: bool
) -> None:
    """One result for each URI, in order, whatever the batches are and what is read ahead."""

    def run(batch: list[int]) -> pa.Array:
        if len(batch) > fits:
            raise MemoryError
        return pa.array(batch, pa.int64())

    function, _ = numbers(run=run, batch_size=batch_size, threads=threads)
    try:
        for uris, after in zip(calls, [*calls[1:], []], strict=True):
            if follows:
                function.follow([uri for uri in after if uri is not None])
            expected_ = [None if uri in (None, "x") else int(uri) for uri in uris]
            assert call(function, uris) == expected_
            assert function.problems == ({"x": "x is no number"} if "x" in uris else {})
            function.problems.clear()
    finally:
        function.close()


def test_order_is_kept_when_threads_overtake() -> None:
    pauses = random.Random(1)

    def work(uri: str) -> int:
        time.sleep(pauses.random() / 200)
        return int(uri)

    function, batches = numbers(work, batch_size=7, threads=8)
    assert call(function, [str(i) for i in range(200)]) == list(range(200))
    assert [len(batch) for batch in batches] == [7] * 28 + [4]


def test_duplicates_and_nulls() -> None:
    function, batches = numbers(batch_size=3)
    assert call(function, ["1", None, "1", "no", "2", "no", None]) == [
        1, None, 1, None, 2, None, None,
    ]  # fmt: skip
    assert batches == [[1, 1, 2]]
    assert function.problems == {"no": "no is no number"}
    assert call(function, []) == call(function, [None])[1:] == []


def test_how_much_is_in_memory() -> None:
    """A slow model does not let decoded pictures pile up, also over the end of a call."""
    lock, waiting, most = threading.Lock(), 0, 0

    def work(uri: str) -> int:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        return int(uri)

    def run(batch: list[int]) -> pa.Array:
        nonlocal waiting
        time.sleep(0.002)
        with lock:
            waiting -= len(batch)
        return pa.array(batch, pa.int64())

    function, _ = numbers(work, run, batch_size=4, threads=3, beside=True)
    for first in range(0, 400, 100):
        function.follow([str(i) for i in range(first + 100, first + 200)])
        call(function, [str(i) for i in range(first, first + 100)])
    # What is in the batch under way is no longer in the window.
    assert most <= function._window() + function.batch_size == 2 * 4 + 3 + 4


def test_threads_go_on_while_a_chunk_is_written() -> None:
    done: Counter[str] = Counter()
    work = lambda uri: done.update([uri]) or int(uri)  # noqa: E731
    function, _ = numbers(work, batch_size=4, threads=2, beside=True)
    function.follow([str(i) for i in range(8, 16)])
    call(function, [str(i) for i in range(8)])
    function._pool.submit(lambda: None).result()  # after what was asked for before
    assert sum(done.values()) > 8
    call(function, [str(i) for i in range(8, 16)])
    assert done == Counter(str(i) for i in range(16))


def test_the_next_chunk_is_read_ahead(few: Path) -> None:
    model, ahead = MeanColour(), []
    function = ImageFunction.over(model, "mean_colour", batch_size=2, threads=2, beside=True)

    def on_sql(statement: Any) -> None:
        if statement.sql == "commit" and model.seen:
            ahead.append(len(function._ahead))

    embed_mean(few, model, function=function, chunk=SMALL, on_sql=on_sql)
    assert ahead == [5, 4, 0]  # a window less the last one of the call, or what there is


def test_on_a_cpu_threads_and_model_take_turns() -> None:
    lock, under_way, beside = threading.Lock(), [0], []

    def work(uri: str) -> int:
        with lock:
            under_way[0] += 1
        time.sleep(0.002)
        with lock:
            under_way[0] -= 1
        return int(uri)

    def run(batch: list[int]) -> pa.Array:
        beside.append(under_way[0])
        return pa.array(batch, pa.int64())

    function, _ = numbers(work, run, batch_size=4, threads=3, beside=False)
    uris = [str(i) for i in range(50)]
    function.follow(uris)
    assert call(function, uris) == list(range(50))
    assert beside == [0] * 13


def test_two_threads_call_at_once() -> None:
    """One after the other: few models can do two things at a time."""
    running = threading.Lock()

    def run(batch: list[int]) -> pa.Array:
        assert running.acquire(blocking=False)
        time.sleep(0.0005)
        running.release()
        return pa.array(batch, pa.int64())

    function, _ = numbers(run=run, batch_size=5, threads=2)
    found: dict[int, Any] = {}

    def ask(start: int) -> None:
        found[start] = [call(function, [str(start + i) for i in range(40)]) for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 400, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {s: [list(range(s, s + 40))] * 10 for s in range(0, 400, 100)}


def test_after_a_failure_the_function_is_as_good_as_new() -> None:
    function, _ = numbers(batch_size=2)
    run, function._run = function._run, lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        call(function, ["1", "2", "3"])
    assert isinstance(function.failure, ZeroDivisionError)
    function._run = run
    assert call(function, ["4", "5", "6"]) == [4, 5, 6]
    assert function.failure is None
