"""The command line: thin, one function per command; exit 0: done, 1: a gate tripped, 2: bad data.

A command imports what it needs when it runs: printing the version, a help text or an error in the
options loads no engine, data frame or table of `rich`.
"""

from prime_sql.cli.app import app, main

# In the order of the help.
from prime_sql.cli import search, run, top, report, chance, validate, explain  # isort: skip  # noqa: F401
from prime_sql.cli import compare, history, gate, pick, ask  # isort: skip  # noqa: F401
from prime_sql.cli import compile, images, embed, tag, predict, demo  # isort: skip  # noqa: F401

__all__ = ["app", "main"]
