"""The command line: thin, one function a command; exit 0 done, 1 a gate tripped, 2 bad data.

What a command needs is imported when it runs: to print the version, a help text or what is wrong
with the options, no engine, frame or table of `rich` is loaded.
"""

from prime_sql.cli.app import app, main

# In the order of the help.
from prime_sql.cli import search, run, top, report, chance, validate, explain  # isort: skip  # noqa: F401
from prime_sql.cli import compare, history, gate, pick, ask  # isort: skip  # noqa: F401
from prime_sql.cli import compile, vision, demo  # isort: skip  # noqa: F401

__all__ = ["app", "main"]
