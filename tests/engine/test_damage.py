"""A damaged database is said to be one, whichever block is damaged, and nothing else is blamed."""

import pytest

import prime_sql as ps
from tests import tables as data
from tests.refusals import contents

BLOCK = 262_144
HEADERS = 3 * 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "runs.duckdb"
    data.search(into=path).close()
    return path.read_bytes()


def asked(path):
    """Ask for everything that a run has; return the first complaint."""
    try:
        with ps.open_run(path) as run:
            for name in ("tagged", "outcomes", "vocabulary", "tag_sets", "classes"):
                run.sql(f"select * from prime.{name}").to_arrow()
            run.cover().to_arrow()
            run.report(thumbnails=False)
        data.search(into=path).close()
    except ps.PrimeSqlError as error:
        return error
    return None


def damaged(whole):
    """Yield the file with one block after the other overwritten, and cut off in many places."""
    for start in range(HEADERS, len(whole), BLOCK):
        yield whole[:start] + bytes(BLOCK) + whole[start + BLOCK :]
        yield whole[: start + 500] + b"\xaa" * 100 + whole[start + 600 :]
    for start in (0, 12, 16, 52, 4096, 8192):
        yield whole[:start] + b"\xaa" * 4 + whole[start + 4 :]
    for length in (100, 4096, HEADERS, HEADERS + 1000, len(whole) - BLOCK, len(whole) - 1):
        yield whole[:length]


def test_damage_is_told_from_anything_else(whole, tmp_path):
    path = tmp_path / "runs.duckdb"
    found = []
    for content in damaged(whole):
        path.write_bytes(content)
        before = contents(tmp_path)
        complaint = asked(path)
        if complaint is not None:
            found.append(complaint)
            assert contents(tmp_path) == before
        for left in tmp_path.iterdir():
            left.unlink()
    # Most blocks hold nothing, or a column of which nobody asks.
    assert len(found) > 20
    for complaint in found:
        assert type(complaint) is ps.WarehouseError
        assert "runs.duckdb is damaged, or was cut off, and cannot be read: " in str(complaint)
        assert str(complaint).endswith("a copy, or name another file and search again")
        assert len(str(complaint)) < 600
