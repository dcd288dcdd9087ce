"""Which tests to run with the lowest versions: few, that call what others have written.

A plugin of pytest, for Python 3.12 and newer: ``make lowest-tests`` runs the tests with it. It
notes which functions of other packages `prime_sql` calls in each test, and from where, and which
SQL files it renders; and it writes ``tests/lowest_tests.txt``: the least costly tests, one after
the other, until every such call of any test is in one of them.
"""

import os
import sys
from pathlib import Path

import jinja2
import pytest

import prime_sql

OURS = str(Path(prime_sql.__file__).parent) + os.sep
CHOSEN = Path(__file__).with_name("lowest_tests.txt")
# What these show is not ours to pin: how wide rich draws a table, in which words sqlglot writes.
EXACT = ("test_snapshots", "test_readme", "sql_in_every_form", "made_of", "databricks_gets")
ELSEWHERE = {*sys.stdlib_module_names, "prime_sql", "tests", "pytest", "_pytest", "hypothesis"}

calls: set[str] = set()  # of the test that runs
found: dict[str, tuple[float, set[str]]] = {}  # of each test: seconds of CPU, calls


def called(code, offset, function, argument):
    if not code.co_filename.startswith(OURS):
        return sys.monitoring.DISABLE
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str):  # a method that is written in C, or an object that is called
        of = getattr(function, "__objclass__", None) or type(
            getattr(function, "__self__", function)
        )
        module, name = of.__module__, f"{of.__qualname__}.{getattr(function, '__name__', '')}"
    root = module.partition(".")[0]
    if root not in ELSEWHERE and root.lstrip("_") not in ELSEWHERE:
        calls.add(f"{code.co_filename}:{code.co_qualname} {root}.{name}")
    return None


def rendered(self, name, *arguments, get=jinja2.Environment.get_template, **more):
    calls.add(f"sql {name}")
    return get(self, name, *arguments, **more)


def spent():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    calls.clear()
    began = spent()
    yield
    if not any(name in item.nodeid for name in EXACT):
        found[item.nodeid] = spent() - began, {*calls}


def pytest_configure():
    monitoring = sys.monitoring
    monitoring.use_tool_id(monitoring.PROFILER_ID, "calls")
    monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.CALL, called)
    monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.CALL)
    jinja2.Environment.get_template = rendered


def pytest_sessionfinish(session):
    CHOSEN.write_text("".join(f"{name}\n" for name in sorted(choose(found))), encoding="utf-8")


def choose(tests):
    """Return the tests whose calls are those of all, each the one with most new ones a second."""
    missing = set().union(*(its_calls for _, its_calls in tests.values()))
    chosen = []
    while missing:
        best = max(tests, key=lambda test: len(missing & tests[test][1]) / (0.2 + tests[test][0]))
        chosen.append(best)
        missing -= tests[best][1]
    return chosen
