"""PRIME as declarative analytics: where does this model fail, in words?"""

__version__ = "0.1.0"

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
