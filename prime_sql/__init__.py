"""PRIME as declarative analytics: where does this model fail, in words?"""

import importlib
from typing import TYPE_CHECKING

from prime_sql.engine.version import __version__ as __version__

if TYPE_CHECKING:
    from prime_sql.discovery.compile import compile
    from prime_sql.discovery.steps import Progress
    from prime_sql.engine.errors import (
        InputError,
        InputWarning,
        InstallError,
        OptionError,
        PrimeSqlError,
        QueryError,
        StoredCountsError,
        WarehouseError,
    )
    from prime_sql.engine.options import Options
    from prime_sql.engine.relation import Relation
    from prime_sql.engine.session import Statement
    from prime_sql.questions.api import open_run, runs, search, sql
    from prime_sql.questions.compare import compare
    from prime_sql.questions.explain import Explanation
    from prime_sql.questions.prune import prune
    from prime_sql.questions.run import Run
    from prime_sql.questions.validation import Validation
    from prime_sql.report import Report

__all__ = [
    "Explanation",
    "InputError",
    "InputWarning",
    "InstallError",
    "OptionError",
    "Options",
    "PrimeSqlError",
    "Progress",
    "QueryError",
    "Relation",
    "Report",
    "Run",
    "Statement",
    "StoredCountsError",
    "Validation",
    "WarehouseError",
    "compare",
    "compile",
    "open_run",
    "prune",
    "runs",
    "search",
    "sql",
]

# Where each name is defined: it is imported when it is first used, so that a command that only
# prints its help loads no engine.
_HOMES = {
    "Explanation": "questions.explain",
    "InputError": "engine.errors",
    "InputWarning": "engine.errors",
    "InstallError": "engine.errors",
    "OptionError": "engine.errors",
    "Options": "engine.options",
    "PrimeSqlError": "engine.errors",
    "Progress": "discovery.steps",
    "QueryError": "engine.errors",
    "Relation": "engine.relation",
    "Report": "report",
    "Run": "questions.run",
    "Statement": "engine.session",
    "StoredCountsError": "engine.errors",
    "Validation": "questions.validation",
    "WarehouseError": "engine.errors",
    "compare": "questions.compare",
    "compile": "discovery.compile",
    "open_run": "questions.api",
    "prune": "questions.prune",
    "runs": "questions.api",
    "search": "questions.api",
    "sql": "questions.api",
}

if not TYPE_CHECKING:  # to a type checker, it would mean that every name exists

    def __getattr__(name):  # noqa: ANN001, ANN202
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # looked up only once
        return value

    def __dir__():  # noqa: ANN202
        return sorted({*globals(), *__all__})
