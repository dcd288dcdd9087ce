"""The command line: thin, one function a command; exit 0 done, 2 bad usage or bad data."""

from prime_sql.cli.app import app, main

from prime_sql.cli import search, top, chance, validate, explain, compare, pick, ask, vision, demo  # isort: skip  # noqa: F401  (the order of the help)

__all__ = ["app", "main"]
