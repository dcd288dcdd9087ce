"""The engines themselves: what is loaded comes back, and they are what they say they are."""

import os
from datetime import date, datetime

import polars as pl
from polars.testing import assert_frame_equal

FRAME = pl.DataFrame(
    {
        "image_id": ["a", "B", "ä", "it's", "back\\slash", 'quo"te', "", "tab\t", None],
        "n": [1, 2, None, 4, 5, 6, 7, 8, 9],
        "score": [0.5, None, 1e300, -1.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        "ok": [True, False, None, True, True, True, False, False, True],
        "day": [date(2026, 1, 2)] * 8 + [None],
        "at": [datetime(2026, 1, 2, 3, 4, 5)] * 8 + [None],
    }
)


def test_what_is_loaded_comes_back(engine):
    for frame in (FRAME.head(3), FRAME, FRAME.clear()):  # each in place of the one before
        engine.load("marts.frame", frame)
        table = engine.con.table("frame", database="marts")
        assert_frame_equal(table.to_polars(), frame, check_row_order=False, check_dtypes=False)
    engine.load("marts.frame", FRAME)
    answer = engine.run("select image_id, n, score from marts.frame where n > 2 order by n")
    assert_frame_equal(answer, FRAME.filter(pl.col("n") > 2).select(answer.columns))


def test_spark_works_in_two_other_processes(engines):
    context = engines("spark").con._session.sparkContext
    parents = context.parallelize(range(8), 8).map(lambda _: os.getppid()).collect()
    assert len(set(parents)) == 2


def test_postgres_sorts_by_a_language(engines):
    rows = engines("postgres").run("select t from (values ('b'), ('B'), ('a')) as v (t) order by t")
    assert rows["t"].to_list() == ["a", "b", "B"]
