"""What takes a minute, made once."""

import os
import shutil

import pytest
from typer.testing import CliRunner

from prime_sql import cli
from prime_sql.demo import emoji
from tests.demo.emoji.example import Clip, one_at_a_time


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of all processes that share the tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def made(shared):
    with one_at_a_time(shared):
        return emoji.build(on_step=print)


@pytest.fixture(scope="session")
def clip(made):
    return Clip(made.clip)


@pytest.fixture(scope="session")
def of_pictures(made, shared, tmp_path_factory):
    """The database of ``prime-sql demo --images``: pictures embedded, tagged and predicted."""
    database, own = shared / "pictures.duckdb", tmp_path_factory.mktemp("demo") / "p.duckdb"
    with one_at_a_time(shared):
        if not database.exists():
            result = CliRunner().invoke(cli.app, ["demo", "--images", "--db", str(own)])
            assert result.exit_code == 0, result.output
            own.rename(database)
        shutil.copy(database, own)
    return own
