"""PRIME as declarative analytics: where does this model fail, in words?"""

__version__ = "0.1.0"

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prime_sql.answers import Relation
    from prime_sql.compare import compare
    from prime_sql.compile import compile
    from prime_sql.errors import (
        InputError,
        InputWarning,
        InstallError,
        OptionError,
        PrimeSqlError,
        QueryError,
        StoredCountsError,
        WarehouseError,
    )
    from prime_sql.explain import Explanation
    from prime_sql.options import Options
    from prime_sql.prune import prune
    from prime_sql.report import Report
    from prime_sql.results import Run, open_run, runs, sql
    from prime_sql.search import Progress, search
    from prime_sql.validate import Validation
    from prime_sql.warehouse import Statement

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

# Where each name is defined: it is imported when it is first asked for, so that a command that only
# prints its help loads no engine.
_HOMES = {
    "Explanation": "explain",
    "InputError": "errors",
    "InputWarning": "errors",
    "InstallError": "errors",
    "OptionError": "errors",
    "Options": "options",
    "PrimeSqlError": "errors",
    "Progress": "search",
    "QueryError": "errors",
    "Relation": "answers",
    "Report": "report",
    "Run": "results",
    "Statement": "warehouse",
    "StoredCountsError": "errors",
    "Validation": "validate",
    "WarehouseError": "errors",
    "compare": "compare",
    "compile": "compile",
    "open_run": "results",
    "prune": "prune",
    "runs": "results",
    "search": "search",
    "sql": "results",
}


class _Package(ModuleType):
    """The package, in which a function is not replaced by the module of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        # Once a submodule is imported, Python sets it as an attribute of its package: without this,
        # `prime_sql.search` would be the function or the module, depending on what ran before. The
        # module itself is still had by `from prime_sql.search import …`.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

if not TYPE_CHECKING:  # to a type checker, it would mean that every name exists

    def __getattr__(name):  # noqa: ANN001, ANN202
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # asked for once
        return value

    def __dir__():  # noqa: ANN202
        return sorted({*globals(), *__all__})
