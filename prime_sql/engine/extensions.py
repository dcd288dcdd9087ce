"""Extensions of DuckDB: what is installed is loaded when it is needed, and nothing is downloaded.

DuckDB would fetch an extension by itself for a function or a URL that somebody names in a
condition, and Ibis for a URL that is read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import duckdb
from ibis.backends.duckdb import Backend

from prime_sql.engine.errors import extension_of, install

Result = TypeVar("Result")


def download_none(backend: Backend) -> Backend:
    """Let a connection that we opened load extensions, but install none.

    Not when it is opened: DuckDB opens no file twice in a process with different settings.
    """
    backend.con.execute("set autoinstall_known_extensions = false")
    return load_only(backend)


def load_only(backend: Backend) -> Backend:
    """Let Ibis install no extension either, unless the connection allows it."""

    def load(names: list[str], force_install: bool = False) -> None:
        if _setting(backend, "autoinstall_known_extensions"):
            Backend._load_extensions(backend, names, force_install)
            return
        for name in names:
            try:
                backend.con.execute(f'load "{name}"')
            except duckdb.Error as error:
                raise duckdb.IOException(install(name)) from error  # what reads says which source

    backend._load_extensions = load
    return backend


def loading(backend: Backend, work: Callable[[], Result]) -> Result:
    """Do some work; again, if that fails for an installed extension that DuckDB has not loaded.

    It does not load all of them by itself.
    """
    try:
        return work()
    except duckdb.Error as error:
        name = extension_of(error)
        if name is None or not _setting(backend, "autoload_known_extensions"):
            raise
        loaded = False
        with suppress(duckdb.Error):
            backend.con.execute(f'load "{name}"')
            loaded = True
        if not loaded:
            raise
    return work()


def _setting(backend: Backend, name: str) -> bool:
    row = backend.con.execute(f"select current_setting('{name}')").fetchone()
    return bool(row == (True,))
