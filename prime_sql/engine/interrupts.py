"""Whether the user has interrupted the engine, for functions of ours that it calls.

DuckDB looks for an interrupt between two calls of a function, and one call may be of 2,048 images.
It mostly calls from threads of its own, where Python delivers no signal.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any

import duckdb

from prime_sql.engine.errors import PrimeSqlError


class InterruptError(PrimeSqlError):
    """A function ended early, as the statement that called it was interrupted."""


_guard = threading.Lock()
_count = 0  # interrupts so far
_signals: tuple[socket.socket, socket.socket] | None = None  # Python writes signals into the last
_their_interrupt: Any = None


def listen() -> None:
    """Begin to notice interrupts, once for the process: of a connection, and by Ctrl-C.

    The latter only if the main thread calls this, and nothing else reads signals in this way, such
    as an event loop; functions then stop where the engine itself hears of it.
    """
    global _their_interrupt
    with _guard:
        if _their_interrupt is None:
            connection: Any = duckdb.DuckDBPyConnection
            _their_interrupt = connection.interrupt
            connection.interrupt = _interrupt
        if _signals is None and threading.current_thread() is threading.main_thread():
            _listen_to_signals()


def _interrupt(self: duckdb.DuckDBPyConnection) -> None:
    """Interrupt what the connection does, and the functions of prime_sql that are called."""
    note()
    _their_interrupt(self)


def _listen_to_signals() -> None:
    global _signals
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    try:
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    except ValueError:  # in a subinterpreter
        before = None
    if before == -1:
        _signals = (reader, writer)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget_signals)
        return
    if before is not None:
        signal.set_wakeup_fd(before)
    reader.close()
    writer.close()


def _forget_signals() -> None:
    # A child that shared the pair with its parent would take its signals.
    global _signals
    if _signals is not None:
        signal.set_wakeup_fd(-1)
        for end in _signals:
            end.close()
        _signals = None


def note() -> None:
    """Note an interrupt: every call that is under way ends at its next batch."""
    global _count
    with _guard:
        _count += 1


def heard() -> int:
    """Return how many interrupts there have been; more than before: stop."""
    global _count
    with _guard:
        # A handler of somebody's own may take Ctrl-C for something else.
        if _signals is not None and signal.SIGINT in _received(_signals[0]):
            _count += signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return _count


def _received(reader: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            part = reader.recv(4096)
        except BlockingIOError:
            return found
        if not part:
            return found
        found += part
