"""Threads that share a file or a run wait for each other, and lose nothing."""

from concurrent.futures import ThreadPoolExecutor

import ibis
import pytest

import prime_sql as ps
from tests import tables as data

FOUR = range(4)


def at_once(work):
    """Do the work in four threads; return the answers, or raise what one of them raised."""
    with ThreadPoolExecutor(len(FOUR)) as pool:
        return list(pool.map(work, FOUR))


@pytest.mark.parametrize("place", ["new", "existing", "without the later columns"])
def test_four_searches_into_one_file(tmp_path, place):
    db = tmp_path / "a.duckdb"
    if place != "new":
        data.search(into=db).close()
    if place == "without the later columns":
        with ibis.duckdb.connect(db).con as con:
            con.execute("drop view if exists prime.v_runs cascade")
            con.execute("drop table prime.rare_tags")
    before = len(ps.runs(db)) if db.exists() else 0

    def search(_):
        with data.search(into=db) as run:
            return run.run_id, data.found(run)

    found = dict(at_once(search))
    assert sorted(found) == [before + n for n in (1, 2, 3, 4)]
    assert all(modes == data.expected() for modes in found.values())
    assert ps.runs(db)["run_id"].to_list() == list(range(1, before + 5))


def test_four_searches_into_one_connection():
    connection = ibis.duckdb.connect()
    runs = at_once(lambda _: data.search(into=connection))
    assert sorted(run.run_id for run in runs) == [1, 2, 3, 4]
    assert all(data.found(run) == data.expected() for run in runs)


def test_a_file_is_made_by_the_next_where_the_first_fails(tmp_path):
    db = tmp_path / "a.duckdb"

    def search(number):
        if number == 0:
            with pytest.raises(ps.InputError):
                data.search(data.frame(data.PREDICTIONS).drop("label"), into=db)
            return None
        with data.search(into=db) as run:
            return run.run_id

    assert sorted(filter(None, at_once(search))) == [1, 2, 3]


def test_all_that_is_asked_of_one_run_is_answered(tmp_path):
    with data.search(into=tmp_path / "a.duckdb", job="nightly") as run:
        (mode_id, *_) = run.failure_modes.to_polars()["mode_id"]

        def ask(_):
            explained = run.explain(mode_id)
            return [
                run.failure_modes.to_polars().rows(),
                run.tag_sets.to_arrow().num_rows,
                len(run.failure_mode_images.to_pandas()),
                run.sql("select count(*) from failure_modes").to_polars().item(),
                run.query("near_misses").to_polars().height,
                run.cover().to_polars().rows(),
                run.families().to_polars().rows(),
                run.overlaps().to_polars().height,
                run.sweep(min_drop=[0.3, 0.4]).to_polars().rows(),
                run.weights().to_polars().height,
                run.history().to_polars().height,
                run.validation,
                explained.images.to_polars().rows(),
                run.report().to_json(),
            ]

        alone = ask(0)
        for _ in range(3):
            for together in at_once(ask):
                assert together == alone


def test_what_is_stored_of_one_run_is_stored_once(tmp_path):
    with data.search(into=tmp_path / "a.duckdb") as run:
        at_once(lambda _: (run.chance(), run.null(2), run.success_modes()))
        assert run.sql("select count(*) from failure_mode_chance").to_polars().item() == 3
        assert run.query("shuffles").to_polars().height == 2
