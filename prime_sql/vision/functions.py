"""A model as one vectorised Arrow function, for Ibis and for SQL.

URIs or the bytes of files go in, one result for each comes out; null where a picture cannot be
used. Worker threads read and decode beside the device.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import ibis
import pyarrow as pa
from ibis.formats.pyarrow import PyArrowType

from prime_sql.engine.errors import OptionError, PrimeSqlError, first_line
from prime_sql.engine.interrupts import InterruptError, heard, note
from prime_sql.vision.network import Model
from prime_sql.vision.pictures import PictureError, decode, read


class ImageFunction:
    """A function over URIs or bytes of images: one Arrow array in, one of the same length out.

    Parameters
    ----------
    name
        What it is called in SQL.
    returns
        Arrow type of one result.
    work
        Turns one URI, or the bytes of a file, into what `run` takes; called in worker threads.
        May raise PictureError.
    run
        Turns a list of what `work` returned into an array of type `returns`.
    batch_size
        How many images `run` is given at once. Halved when the device runs out of memory.
    threads
        Worker threads; one per core if left out.
    beside
        Whether they work while `run` does; if left out, they do where there is an accelerator.

    Attributes
    ----------
    model
        The model that it applies, if any.
    problems
        Why results are null, by URI or bytes; whoever records the reasons removes them.
    failure
        What the last call raised, of which an engine passes on only the text.
    on_batch
        Called after every batch, with the number of images done in the current call.
    """

    def __init__(
        self,
        name: str,
        returns: pa.DataType,
        work: Callable[[Any], Any],
        run: Callable[[list[Any]], pa.Array],
        *,
        batch_size: int = 32,
        threads: int | None = None,
        beside: bool | None = None,
    ) -> None:
        self.name, self.returns = name, returns
        self.model: Model | None = None
        self.batch_size = batch_size
        self.problems: dict[str | bytes, str] = {}
        self.failure: BaseException | None = None
        self.on_batch: Callable[[int], object] | None = None
        self._work, self._run = work, run
        if threads is not None and threads < 1:
            raise OptionError(f"threads must be at least 1, got {threads}")
        self._threads = threads or cores()
        self._beside = has_accelerator() if beside is None else beside
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=f"{name}_decode")
        self._ahead: dict[str | bytes, Future[Any]] = {}
        self._following: Sequence[str] = ()
        self._closed = False
        self._device = threading.Lock()  # the engine may call from several threads

    @staticmethod
    def over(model: Model, name: str, **options: Any) -> ImageFunction:
        """Return the function that applies a model to decoded pictures."""

        def work(source: str | bytes) -> Any:
            return model.prepare(decode(read(source), model.pixels))

        function = ImageFunction(name, model.returns, work, model.run, **options)
        function.model = model
        return function

    def __call__(self, uris: pa.ChunkedArray) -> pa.Array:
        """Return one result for each image; null for null and for what cannot be used."""
        before = heard()
        try:
            with self._device:
                self.failure = None
                try:
                    self._check(before)
                    return self._apply(uris.to_pylist(), before)
                except BaseException as error:
                    self.failure = error
                    raise
        except KeyboardInterrupt:
            note()  # for calls in the engine's other threads
            raise

    def _check(self, before: int) -> None:
        """End the call if it was interrupted since it began."""
        if self._closed or heard() > before:
            raise InterruptError(f"{self.name} was interrupted")

    def _apply(self, uris: list[str | bytes | None], before: int) -> pa.Array:
        parts: list[pa.Array] = []
        batch: list[Any] = []
        places: list[int | None] = []  # of each URI's result in all parts together
        good = 0
        for prepared in self._prepared(uris, before):
            places.append(None if prepared is None else good)
            if prepared is not None:
                batch.append(prepared)
                good += 1
            if len(batch) >= self.batch_size:
                parts += self._halving(batch, before)
                batch = []
                if self.on_batch is not None:
                    self.on_batch(len(places))
        parts += self._halving(batch, before)
        results = pa.chunked_array(parts, self.returns).combine_chunks()
        return results if good == len(places) else results.take(pa.array(places, pa.int64()))

    def follow(self, uris: Sequence[str]) -> None:
        """Say what the call after the next one will ask for, so that the threads start on it."""
        self._following = uris

    def close(self) -> None:
        """End the worker threads; a call that still runs ends with its next image."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _window(self) -> int:
        """Return how many decoded images may wait in memory for the model."""
        if self._beside:
            return 2 * self.batch_size + self._threads
        return -(-4 * self._threads // self.batch_size) * self.batch_size

    def _under_way(self, waiting: Sized) -> int:
        return len(waiting) + len(self._ahead)

    def _prepared(self, uris: list[str | bytes | None], before: int) -> Iterator[Any]:
        """Yield each URI's prepared picture, in order, or None."""
        waiting: deque[tuple[str | bytes, Future[Any]] | None] = deque()
        upcoming, following = iter(uris), iter(self._following)
        self._following = ()
        for _ in uris:
            self._check(before)
            # With a device the threads keep a window full, beyond the end of this call. On a CPU
            # they and the model take turns: at the same time, OpenMP's threads would spin while
            # one of them waits for its core, and the model would take up to twice as long.
            refill = not waiting
            while refill or (self._beside and self._under_way(waiting) < self._window()):
                uri = next(upcoming, _END)
                if uri is not _END:
                    waiting.append(None if uri is None else (uri, self._future(uri)))
                    refill = not self._beside and len(waiting) < self._window()
                    continue
                uri = next(following, None) if self._beside else None
                if uri is None:
                    break
                self._ahead[uri] = self._future(uri)
            if not self._beside:
                self._wait([entry[1] for entry in waiting if entry is not None], before)
            first = waiting.popleft()
            if first is None:
                yield None
                continue
            uri, future = first
            self._wait([future], before)
            try:
                yield future.result()
            except PictureError as error:
                self.problems[uri] = str(error)
                yield None
            except PrimeSqlError:
                raise
            except Exception as error:  # one bad file never stops a run
                self.problems[uri] = f"{type(error).__name__}: {first_line(error)}"
                yield None

    def _wait(self, futures: Iterable[Future[Any]], before: int) -> None:
        """Wait for pictures, which may come from a network that does not answer."""
        waiting = {future for future in futures if not future.done()}
        while waiting:
            waiting = wait(waiting, timeout=_LISTENS).not_done
            self._check(before)

    def _future(self, uri: str | bytes) -> Future[Any]:
        future = self._ahead.pop(uri, None)
        return future if future is not None else self._pool.submit(self._work, uri)

    def _halving(self, batch: list[Any], before: int) -> list[pa.Array]:
        """Run a batch; if it does not fit into the device's memory, in halves from then on."""
        if not batch:
            return []
        if len(batch) > self.batch_size:
            half = self.batch_size
            parts = (batch[:half], batch[half:])
            return [result for part in parts for result in self._halving(part, before)]
        self._check(before)
        try:
            result = self._run(batch)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise PrimeSqlError(
                    "the device has too little memory for a single image; use --device cpu, or a "
                    "smaller model"
                ) from error
            self.batch_size = max(1, len(batch) // 2)
        else:
            if len(result) != len(batch):
                raise PrimeSqlError(
                    f"{self.name} gave {len(result)} results for {len(batch)} images"
                )
            return [result]
        _free_memory()  # outside the handler, as the traceback holds on to the tensors
        return self._halving(batch, before)


_END: Any = object()
_LISTENS = 0.2  # seconds between two looks for an interrupt


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_accelerator() -> bool:
    """Return whether torch, if it is imported, has a device besides the CPU."""
    torch = sys.modules.get("torch")
    return torch is not None and (torch.cuda.is_available() or torch.backends.mps.is_available())


def _is_out_of_memory(error: BaseException) -> bool:
    # On the CPU torch raises a bare RuntimeError; onnxruntime has exceptions of its own.
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in text
        or "can't allocate memory" in text
        or "not enough memory" in text
        or "failed to allocate memory" in text
    )


def _free_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def udf(function: Callable[..., pa.Array], name: str, takes: Sequence[Any], returns: Any) -> Any:
    """Return an Arrow function as a scalar UDF of Ibis, for any engine that runs such functions.

    Parameters
    ----------
    function
        Takes one Arrow array for each argument.
    name
        What the engine may call it; Ibis appends a number.
    takes
        Ibis types of the arguments, one or two.
    returns
        Arrow type of one result.
    """
    # DuckDB's default handling of nulls refuses a null that the function returns.
    return ibis.udf.scalar.pyarrow(
        _with_arguments(function, len(takes)),
        name=name,
        signature=(tuple(takes), PyArrowType.to_ibis(returns)),
        null_handling="special",
    )


def _with_arguments(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return a plain function: Ibis reads the number of arguments off its signature."""
    if count == 1:
        return lambda first: function(first)
    return lambda first, second: function(first, second)
