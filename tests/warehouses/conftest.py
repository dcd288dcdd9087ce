"""The engines on which the tests run: each is started when a test first asks for it."""

import contextlib
import importlib.util
import os

import pytest

from tests.warehouses.engines import NEEDED, STARTED, Engine, MissingError

# `make test-warehouses` and CI install all of them: nothing may be left out there unnoticed.
REQUIRED = os.environ.get("PRIME_SQL_ENGINES") == "all"


@pytest.fixture(scope="session")
def engines():
    """A function from the name of an engine to the engine, connected; all end with the tests."""
    started: dict[str, Engine] = {}

    def cannot(why):
        if REQUIRED:
            pytest.fail(why)
        pytest.skip(why)

    def get(name):
        for package in NEEDED.get(name, ()):
            if importlib.util.find_spec(package) is None:
                cannot(f"{name} needs the package {package}: make test-warehouses installs it")
        if name not in started:
            try:
                started[name] = stack.enter_context(STARTED[name]())
            except MissingError as missing:
                cannot(str(missing))
        return started[name]

    with contextlib.ExitStack() as stack:
        yield get


@pytest.fixture(scope="session", params=STARTED)
def engine(request, engines):
    """Each of the engines in turn."""
    return engines(request.param)
