"""Make the database of this release, for tests/engine/test_duckdb_versions.py from it on.

Once for each version, with the lowest DuckDB: ``make .venv/duckdb/.done``, then
``PYTHONPATH=.venv/duckdb/1.4:. .venv/bin/python tests/data/make.py``.
"""

import gzip
import os
import tempfile
from pathlib import Path

import prime_sql
from tests.engine import test_duckdb_versions as versions


def main() -> None:
    target = Path(__file__).with_name(f"{prime_sql.__version__}.duckdb.gz")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        versions.write_inputs(folder)
        os.chdir(folder)
        versions.visit(versions.RELEASED)
        target.write_bytes(gzip.compress((folder / versions.DB).read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    main()
