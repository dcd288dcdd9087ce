"""A search within a memory limit: the same rows, and one clear error where it is too tight."""

import hashlib
import json
import os
import subprocess
import sys

import duckdb
import ibis
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.discovery import counting
from prime_sql.engine.errors import OptionError
from prime_sql.engine.limits import Limits
from prime_sql.engine.session import Session
from tests import oracle
from tests.cli.command import fail
from tests.examples import examples
from tests.generated import PLANS, assert_same, frames, options, tables
from tests.tables import expected, found, search

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


def rows(run, *names):
    """All rows of tables of a run, sorted; without what differs from run to run."""
    return {name: sorted(getattr(run, name).to_polars().rows(), key=repr) for name in names}


FOUND = ("classes", "tag_sets", "failure_modes", "failure_mode_tags", "failure_mode_images")


@pytest.fixture
def one_class_at_a_time(monkeypatch):
    monkeypatch.setattr(counting, "_SHARE", 0)


# Groups of classes -------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS)
@examples(8)
@given(tables(), options())
def test_classes_counted_one_by_one_equal_the_oracle(plan, data, chosen):
    predictions, tags = data
    outcomes = [(label, image, label != guess) for image, label, guess in predictions]
    expected = oracle.failure_modes(outcomes, tags, **chosen)
    counted = oracle.counted_sets(outcomes, tags, **chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "plans", plan)
        patch.setattr(counting, "_SHARE", 0)
        with ps.search(*frames(predictions, tags), **chosen) as run:
            assert_same(run, expected, counted)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("asked", [{}, {"max_absent": 1}, {"method": "greedy", "width": 2}])
def test_groups_give_the_same_run(plan, asked, monkeypatch):
    monkeypatch.setattr(Session, "plans", plan)
    whole = search(**asked, max_q=1.0)
    monkeypatch.setattr(counting, "_SHARE", 0)
    steps, told = [], []
    split = search(
        **asked, max_q=1.0, on_sql=lambda each: steps.append(each.step), on_progress=told.append
    )
    assert steps.count("candidates_1") > 4  # that of all classes, and of each; twice, for q-values
    assert rows(split, *FOUND) == rows(whole, *FOUND)
    assert split.row_counts == whole.row_counts
    sizes = [(each.size, each.count) for each in told if each.size and each.count is not None]
    assert [size for size, _ in sizes] == [1, 2]
    assert sum(count for _, count in sizes) == split.row_counts["tag_sets"]
    assert told[-1].done == told[-1].total
    split.null(shuffles=2)
    whole.null(shuffles=2)
    table = "select * from prime.shuffles order by shuffle"
    # DuckDB adds numbers in any order: the last digit of a p-value may be another one.
    assert_frame_equal(*(run.backend.sql(table).to_polars() for run in (split, whole)))


def test_the_estimate_decides_how_many_classes_go_together(monkeypatch):
    def groups(share):
        monkeypatch.setattr(counting, "_SHARE", share)
        steps = []
        assert found(search(on_sql=lambda each: steps.append(each.step))) == expected()
        return steps.count("members_1")

    # An estimate of each class, from numbers that are known by hand: hundreds of bytes.
    assert groups(1) == 1 + 1  # one query more asks for the longest bit strings
    assert groups(0) == 3 * 2


def test_bit_strings_stand_in_for_words_where_memory_is_short(monkeypatch):
    def bits(statements):
        return [each for each in ("bit_or(", "bitstring_agg(") if each in "".join(statements)]

    runs = []
    for bytes_of_a_column, wanted in ((1, "bit_or("), (10**12, "bitstring_agg(")):
        monkeypatch.setattr(counting, "_COLUMN_BYTES", bytes_of_a_column)
        statements = []
        run = search(
            max_tags=3,
            max_absent=2,
            min_images=2,
            on_sql=lambda each, seen=statements: seen.append(each.sql),
        )
        assert bits(statements) == [wanted]
        runs.append(rows(run, *FOUND))
    assert runs[0] == runs[1]
    assert {row[3] for row in runs[0]["tag_sets"]} == {1, 2, 3}


def test_rows_stand_in_for_lists_of_tags_where_memory_is_short(monkeypatch):
    runs = []
    for bytes_of_a_row, wanted in ((1, True), (10**12, False)):
        monkeypatch.setattr(counting, "_LISTED_BYTES", bytes_of_a_row)
        statements = []
        run = search(on_sql=lambda each, seen=statements: seen.append(each.sql))
        assert any("list_distinct(" in each for each in statements) == wanted
        runs.append((rows(run, *FOUND), run.row_counts, run.warnings))
    assert runs[0] == runs[1]


# Real limits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Files of 200,000 images with 2 million tags, whose search takes more than a small limit."""
    folder = tmp_path_factory.mktemp("large")
    names = [str(folder / f"{name}.parquet") for name in ("predictions", "tags")]
    with duckdb.connect() as con:
        con.execute(
            f"""
            copy (
                select
                    'image ' || i as image_id,
                    'class ' || i % 20 as label,
                    case when i // 20 % 5 = 0 or hash(i) % 10 = 0 then 'other' else label end
                        as prediction
                from range(200_000) as images (i)
            ) to '{names[0]}'
            """
        )
        con.execute(
            f"""
            copy (
                select 'image ' || i as image_id, 'tag ' || hash(i, j) % 40 as tag
                from range(200_000) as images (i), range(10) as tags (j)
                union all
                select 'image ' || i, 'dark'
                from range(200_000) as images (i)
                where i // 20 % 5 = 0 or i % 3 = 0
            ) to '{names[1]}'
            """
        )
    return names


# The peak is that of the process itself: getrusage would count what the tests took before the fork.
SEARCH = """
import hashlib, json, re, sys
import prime_sql as ps
with ps.search(*sys.argv[1:3], max_tags=3, min_drop=0.2, memory_limit=sys.argv[3] or None) as run:
    modes = sorted(run.failure_modes.to_polars().drop("run_id").rows())
status = open("/proc/self/status").read()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024
rows = hashlib.sha256(repr(modes).encode()).hexdigest()
print(json.dumps({"modes": len(modes), "rows": rows, "peak": peak}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_search_stays_near_its_limit(large):
    def measured(limit):
        done = subprocess.run(
            [sys.executable, "-c", SEARCH, *large, limit],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    limited, free = measured("300MB"), measured("")
    assert limited["modes"] == free["modes"] > 100
    assert limited["rows"] == free["rows"]
    assert limited["peak"] < 1.5 * 300e6
    assert limited["peak"] < free["peak"]


def test_tags_that_come_tag_by_tag_fit_as_well(tmp_path):
    """Lists of six million tags, all begun with the first tag, would not."""
    names = [str(tmp_path / f"{name}.parquet") for name in ("predictions", "tags")]
    with duckdb.connect() as con:
        images = "select 'image ' || i as image_id, 'class ' || i % 20 as label"
        guess = "case when i % 3 = 0 then 'other' else label end as prediction"
        con.execute(f"copy ({images}, {guess} from range(300_000) as t (i)) to '{names[0]}'")
        tags = "select 'image ' || i % 300_000 as image_id, 'tag ' || i // 300_000 as tag"
        con.execute(f"copy ({tags} from range(6_000_000) as t (i)) to '{names[1]}'")
    with ps.search(*names, max_tags=1, memory_limit="300MB", temp_dir=tmp_path) as run:
        assert run.row_counts["tag_rows"] == 6_000_000
        assert run.row_counts["tag_sets"] == 20 * 20


@pytest.fixture
def before(tmp_path):
    """A database that holds a run, and its hash."""
    path = tmp_path / "prime.duckdb"
    search(into=path).close()
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def refused(large, before, *flags):
    path, its_hash = before
    said = fail("search", *large, "--db", str(path), "--max-tags", "4", *flags)
    assert "The step wrote nothing to the database; what it held before is still there." in said
    assert hashlib.sha256(path.read_bytes()).hexdigest() == its_hash
    assert [each.name for each in path.parent.iterdir() if each.is_file()] == [path.name]
    return said


def test_a_full_disk_leaves_the_database_as_it_was(large, before, small_disk):
    said = refused(large, before, "--memory-limit", "250MB", "--temp-dir", str(small_disk))
    assert "a disk is full" in said
    assert "give another folder with --temp-dir" in said
    assert not [*small_disk.iterdir()]


def test_too_small_a_limit_leaves_the_database_as_it_was(large, before, tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    said = refused(large, before, "--memory-limit", "100MB", "--temp-dir", str(folder))
    assert "the memory limit is too small" in said
    assert "Raise --memory-limit" in said
    assert not [*folder.iterdir()]


# Settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("2GiB", 2 * 2**30),
        ("1.5 gb", 1_500_000_000),
        (" 400 mib ", 400 * 2**20),
        ("0.5TB", 500_000_000_000),
    ],
)
def test_sizes(text, size):
    assert Limits.of(text, None).memory == size


def test_a_percentage_is_one_of_the_memory_there_is():
    whole = Limits.of("100%", None).memory
    assert whole > 200_000_000
    assert Limits.of("50%", None).memory == pytest.approx(whole / 2, rel=0.01)
    if sys.platform == "linux":
        assert whole <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 1.01


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("much", "is not a size: 'much'; give it as 500MB, 2GiB or 75%"),
        ("", "is not a size"),
        ("500", "is not a size"),
        ("-5GB", "is not a size"),
        ("500 bytes", "is not a size"),
        ("5XB", "is not a size"),
        ("1e3MB", "is not a size"),
        (500, "is not a size"),
        ("0%", "must be between 0% and 100%"),
        ("101%", "must be between 0% and 100%"),
        ("99MB", "must be at least 100MB"),
        ("0GB", "must be at least 100MB"),
    ],
)
def test_what_is_no_size_is_refused_before_anything_is_made(text, message, tmp_path):
    with pytest.raises(OptionError, match=f"memory_limit {message}"):
        search(into=tmp_path / "a.duckdb", memory_limit=text)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OptionError, match=r"temp_dir must be a folder, but .*file is a file"):
        search(temp_dir=file)
    with pytest.raises(OptionError, match="gone does not exist; make it first"):
        search(temp_dir=tmp_path / "gone")


def settings_of(backend):
    names = ("memory_limit", "threads", "preserve_insertion_order", "temp_directory")
    return backend.raw_sql(
        "select " + ", ".join(f"current_setting('{name}')" for name in names)
    ).fetchone()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("own", [{}, {"memory_limit": "3GB"}, {"memory_limit": "-1"}])
def test_a_connection_has_its_own_settings_back(own, fails):
    backend = ibis.duckdb.connect(**own, threads=3)
    before = settings_of(backend)
    inside = []
    try:
        search(
            into=backend,
            memory_limit="450MB",
            on_sql=lambda _: inside.append(settings_of(backend)),
            **({"where": "no_such_column = 1"} if fails else {}),
        )
    except ps.InputError:
        assert fails
    else:
        assert not fails
        assert inside
        assert {each[:3] for each in inside} == {("238.4 MiB", 2, False)}
    assert settings_of(backend) == before


def test_temp_dir_is_refused_on_a_connection(tmp_path):
    with pytest.raises(OptionError, match=r"open it with ibis\.duckdb\.connect"):
        search(into=ibis.duckdb.connect(), temp_dir=tmp_path)


def test_a_file_keeps_its_limit_while_it_is_open(tmp_path):
    with search(into=tmp_path / "a.duckdb", memory_limit="500MB", temp_dir=tmp_path) as run:
        memory, _, _, folder = settings_of(run.backend)
        assert memory == "286.1 MiB"
        assert folder.startswith(str(tmp_path / "prime_sql-"))
        # The same file again, while it is open: as with several models.
        again = search(into=tmp_path / "a.duckdb", memory_limit="500MB", temp_dir=tmp_path)
        assert settings_of(again.backend) == settings_of(run.backend)
        again.close()
    with ps.open_run(tmp_path / "a.duckdb") as run:
        assert settings_of(run.backend)[0] != "286.1 MiB"
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]
