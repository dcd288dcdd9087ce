"""One database, opened and written by the lines of DuckDB in turn: the same tables as of one alone.

Run as a module, this file carries out commands with whatever DuckDB is first on PYTHONPATH.
"""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import ibis
import polars as pl
import pytest

from prime_sql.engine.options import Options
from tests import tables as data
from tests.cli.command import succeed

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "tests/data/0.1.0.duckdb.gz"  # which make.py there made
LINES = ("1.4", "1.5", "2")

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

DB = "runs.duckdb"
OPTIONS = ["--min-images", "40", "--max-tags", "2", "--job", "nightly", "--quiet"]
TO_LATEST = ["--db", DB, "--append", *OPTIONS]
# Each is done by one line, the next by the same or another.
STEPS = {
    "search": ["search", "first.parquet", "tags.parquet", "--db", DB, *OPTIONS],
    "append": ["search", "new.parquet", "new_tags.parquet", *TO_LATEST],
    "validate": ["validate", DB, "unseen.parquet", "new_tags.parquet"],
    "chance": ["chance", DB, "--shuffles", "2"],
    "successes": ["successes", DB, "--min-gain", "0.05"],
    "search again": ["search", "second.parquet", "tags.parquet", "--db", DB, *OPTIONS],
    "append last": ["search", "last.parquet", "last_tags.parquet", *TO_LATEST],
    "prune": ["runs", DB, "--prune", "--keep", "1", "--job", "nightly"],
    "refilter": ["search", "--db", DB, "--from-run", "4", "--min-drop", "0.4", "--quiet"],
}
RELEASED = list(STEPS)[:5]  # done by the release, whose database is kept
QUESTIONS = [
    ["top", DB],
    ["query", DB, "failure_modes_by", "--param", "column=region", "--param", "table=first.parquet"],
]


def visit(names):
    """Do the steps in this process; return all that is stored and answered after each."""
    after = []
    for name in names:
        succeed(*STEPS[name])
        asked = [succeed(*question, "--format", "json").stdout for question in QUESTIONS]
        after.append({"stored": contents(DB), "asked": [timeless(each) for each in asked]})
    return after


def contents(path):
    """The rows of all tables and views of schema prime, without times and versions."""
    with duckdb.connect(path, read_only=True) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'prime'"
        ).fetchall()
        found = {}
        for (name,) in sorted(names):
            frame = connection.sql(f'from prime."{name}"').pl()
            times = [column for column, kind in frame.schema.items() if kind.is_temporal()]
            rows = frame.drop(times).drop("seconds", "version", strict=False).to_dicts()
            for row in rows:
                if "options" in row:  # a release knows fewer of them
                    row["options"] = Options.from_json(row["options"]).to_json()
            found[name] = sorted(json.dumps(rounded(row)) for row in rows)
        return found


def rounded(row):
    """A row without the last digits of its numbers: p-values are added up in any order."""
    return {
        name: float(f"{value:.12g}") if isinstance(value, float) else value
        for name, value in row.items()
    }


def timeless(answer):
    return [
        rounded({name: row[name] for name in row if not name.endswith(("_at", "_seen"))})
        for row in json.loads(answer)
    ]


def write_inputs(folder):
    """Write tables of 1,800 images, of two nights with few new ones, and of unseen ones."""

    def copies(rows, numbers):
        return [
            {**row, "image_id": f"{row['image_id']}-{number}"} for number in numbers for row in rows
        ]

    def regressed(rows):
        return [
            {**row, "prediction": "cat" if row["image_id"].endswith("7") else row["prediction"]}
            for row in rows
        ]

    tables = {
        "first": copies(data.PREDICTIONS, range(40)),
        "second": regressed(copies(data.PREDICTIONS, range(40))),
        "tags": copies(data.TAGS, range(40)),
        "new": copies(data.PREDICTIONS, [40]),
        "new_tags": copies(data.TAGS, [40]),
        "last": regressed(copies(data.PREDICTIONS, [47])),
        "last_tags": copies(data.TAGS, [47]),
        "unseen": regressed(copies(data.PREDICTIONS, [40])),
    }
    tables["tags"].append({"image_id": "img-000-0", "tag": "rare", "score": 0.9})
    for name, rows in tables.items():
        data.write(rows, folder / f"{name}.parquet")


def python(line, folder, *arguments):
    """Run Python with one of the lines of DuckDB."""
    packages = Path(sys.prefix, "duckdb", line)
    if not packages.is_dir():
        pytest.fail(f"{packages} is not there: make .venv/duckdb/.done")
    path = os.pathsep.join(map(str, (packages, ROOT)))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def visit_with(line, folder, names):
    """Do the steps in a process of its own, with one of the lines of DuckDB."""
    done = python(line, folder, "-m", "tests.engine.test_duckdb_versions", line, *names)
    # Nor a warning: DuckDB 2 has advice for whoever calls what Ibis calls.
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What is stored after each step where this process does them all."""
    folder = tmp_path_factory.mktemp("alone")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return dict(zip(STEPS, visit(STEPS), strict=True))


def test_the_steps_do_what_they_are_for(alone):
    runs = {name: len(after["stored"]["runs"]) for name, after in alone.items()}
    assert list(runs.values()) == [1, 2, 2, 2, 2, 3, 4, 1, 2]
    stored = alone[RELEASED[-1]]["stored"]
    assert all(
        rows for name, rows in stored.items() if "groups" not in name and "group_" not in name
    )
    for name in ("append", "append last"):  # to counts that were kept
        appended = json.loads(alone[name]["stored"]["runs"][-1])
        counts = json.loads(appended["row_counts"])
        assert (counts["new_predictions"], counts["recounted_classes"]) == (45, 0)
    modes = [json.loads(row) for row in alone["search"]["stored"]["failure_modes"]]
    assert {(mode["class_name"], mode["tags"]) for mode in modes} == {
        (class_name, " + ".join(tags)) for class_name, tags in data.MODES
    }


@pytest.mark.parametrize(
    "journey",
    [
        [("2", 1), ("1.4", 7), ("2", 1)],
        [("1.4", 1), ("1.5", 2), ("2", 4), ("1.5", 1), ("1.4", 1)],
    ],
    ids=["made by 2", "made by 1.4"],
)
def test_lines_take_turns(journey, alone, tmp_path):
    write_inputs(tmp_path)
    left = list(STEPS)
    for line, steps in journey:
        names, left = left[:steps], left[steps:]
        for name, after in zip(names, visit_with(line, tmp_path, names), strict=True):
            assert after == alone[name], f"{name}, done by {line}"
    assert not left


# A database of a release ------------------------------------------------------------------------


@pytest.fixture
def release(tmp_path):
    """A folder with the database of the release, and the inputs that it was made from."""
    (tmp_path / DB).write_bytes(gzip.decompress(RELEASE.read_bytes()))
    write_inputs(tmp_path)
    return tmp_path


def test_a_release_is_read_and_grows(release, alone, monkeypatch):
    monkeypatch.chdir(release)
    assert contents(DB) == alone[RELEASED[-1]]["stored"]
    compared = succeed("compare", DB, "1", "2", "--format", "csv").stdout.splitlines()
    assert compared[0].startswith("status,mode_id,class_name,tags")
    assert len(compared) > len(data.MODES)
    left = [name for name in STEPS if name not in RELEASED]
    assert visit(left) == [alone[name] for name in left]


@pytest.mark.parametrize("line", LINES)
def test_a_release_is_read_and_grows_on_each_line(line, release, alone):
    left = [name for name in STEPS if name not in RELEASED]
    assert visit_with(line, release, left) == [alone[name] for name in left]


# Files that only a newer DuckDB reads -----------------------------------------------------------


@pytest.mark.parametrize(
    "makes",
    [
        "attach '{db}' as made; create table made.numbers as from range(3)",
        # Made by an older one, then lifted.
        "attach '{db}' as made (storage_version 'v1.0.0'); create table made.numbers as "
        "from range(3); detach made; attach '{db}' as made (storage_version 'v2.0.0'); "
        "insert into made.numbers values (3); force checkpoint made",
    ],
    ids=["made by 2", "lifted by 2"],
)
def test_what_to_do_about_a_file_that_is_too_new(makes, tmp_path):
    made = python("2", tmp_path, "-c", f"import duckdb; duckdb.sql({makes.format(db=DB)!r})")
    assert made.returncode == 0, made.stderr
    for line in ("1.4", "1.5"):
        refused = python(line, tmp_path, "-m", "prime_sql", "runs", DB)
        assert refused.returncode == 2
        message, *sql = refused.stderr.splitlines()
        assert re.fullmatch(
            rf"Error: {DB} was made by DuckDB 2\.\d+\.\d+, in a storage format that DuckDB "
            rf"{re.escape(line)}\.\d+ cannot read; upgrade it: pip install --upgrade "
            r'"duckdb<3"; or let the newer one copy the file into a format that both read:',
            message,
        )
    sql = " ".join(sql)
    copied = python("2", tmp_path, "-c", f"import duckdb; duckdb.sql({sql!r})")
    assert copied.returncode == 0, copied.stderr
    ask = ["sql", "runs-copy.duckdb", "select count(*) as numbers from numbers", "--format", "csv"]
    answer = python("1.4", tmp_path, "-m", "prime_sql", *ask)
    assert answer.stdout.split() == ["numbers", "4" if "insert" in makes else "3"]


# What Ibis asks of DuckDB -----------------------------------------------------------------------


def test_ibis_reads_from_a_connection():
    backend = ibis.duckdb.connect()
    assert "main" in backend.list_databases()
    assert "memory" in backend.list_catalogs()
    batches = backend.to_pyarrow_batches(ibis.range(5).unnest().name("n").as_table(), chunk_size=2)
    assert [number for batch in batches for number in batch["n"].to_pylist()] == [0, 1, 2, 3, 4]


def test_columns_of_nulls_only():
    with data.search() as run:
        answer = run.sql("select null as x, [null] as y, {'NULL': 1, 'z': null} as s").to_polars()
    fields = pl.Struct({"NULL": pl.Int32, "z": pl.Int32})
    assert answer.schema == {"x": pl.Int32, "y": pl.List(pl.Int32), "s": fields}
    assert answer.rows() == [(None, [None], {"NULL": 1, "z": None})]


def main():
    line, *names = sys.argv[1:]
    assert duckdb.__version__.startswith(f"{line}."), duckdb.__version__
    print(json.dumps(visit(names)))


if __name__ == "__main__":
    main()
