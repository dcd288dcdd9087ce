"""Tags and captions that are there already."""

from __future__ import annotations

import math
import time

import duckdb
import ibis
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError, PrimeSqlError
from tests.vision.tagged import PEOPLE, dump, long, rows, run, tagged, tags

# Tags that somebody else made ---------------------------------------------------------------------

LONG = [("a", "cat", 0.5), ("a", "sofa", 0.25), ("b", "cat", 0.75), ("007", "1e3", 1.0)]

TAGS = {("a", "cat"): 0.5, ("a", "sofa"): 0.25, ("b", "cat"): 0.75, ("007", "1e3"): 1.0}


def table_in(form, folder):
    """Hand over `LONG` in one of the forms that a user may have it in."""
    frame = pl.DataFrame(LONG, ["image_id", "tag", "score"], orient="row")
    frame = frame.with_columns(other=pl.lit("x"))
    if form == "polars":
        return frame
    if form == "lazy":
        return frame.lazy()
    if form == "pandas":
        return frame.to_pandas().set_index("image_id")
    if form == "arrow":
        return frame.to_arrow()
    if form == "ibis":
        return ibis.memtable(frame)
    path = folder / f"mine.{form}"
    if form == "duckdb":
        connection = duckdb.connect(str(path))
        connection.register("frame", frame.to_arrow())
        connection.execute("create table mine as from frame")
        connection.close()
        return f"{path}:mine"
    write = {
        "csv": frame.write_csv,
        "tsv": lambda file: frame.write_csv(file, separator="\t"),
        "parquet": frame.write_parquet,
        "jsonl": frame.write_ndjson,
    }
    write[form](path)
    return path if form == "parquet" else str(path)


FORMS = ["polars", "lazy", "pandas", "arrow", "ibis", "csv", "tsv", "parquet", "jsonl", "duckdb"]


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_tags_in_any_form(db, tmp_path, form):
    done = vision.tag_table(db, table_in(form, tmp_path))
    assert tags(db) == TAGS
    assert tagged(db) == {"a": 2, "b": 1, "007": 1}
    assert (done.step, done.model, done.table, done.images, done.problems) == (
        "tag",
        "table",
        "tags",
        3,
        0,
    )
    types = rows(db, "select column_name, data_type from duckdb_columns() where table_name='tags'")
    assert dict(types) == {
        "image_id": "VARCHAR",
        "tag": "VARCHAR",
        "score": "FLOAT",
        "tagger": "VARCHAR",
    }


def test_a_table_in_the_database_itself(db):
    run(db, "create table keywords (file varchar, word varchar)")
    run(db, "insert into keywords values ('a', 'cat'), ('b', 'dog')")
    vision.tag_table(db, "keywords", image_id="file", tag="word")
    assert tags(db) == {("a", "cat"): 1, ("b", "dog"): 1}


def test_columns_of_other_names_and_a_tagger_of_another_name(db):
    mine = long(file=[1, 2], word=["cat", "dog"], weight=[2, 3], tag=["x", "y"], score=[7, 8])
    vision.tag_table(db, mine, image_id="file", tag="word", score="weight", name="me", table="mine")
    assert tags(db, "me", "mine") == {("1", "cat"): 2, ("2", "dog"): 3}
    assert tagged(db, "me") == {"1": 1, "2": 1}


def test_without_scores_each_is_one(db):
    vision.tag_table(db, long(image_id=["a", "b"], tag=["cat", "cat"]))
    assert tags(db) == {("a", "cat"): 1, ("b", "cat"): 1}


@pytest.mark.parametrize("form", ["polars", "pandas", "parquet", "jsonl"])
def test_a_list_of_tags_for_each_image(db, tmp_path, form):
    frame = pl.DataFrame(
        {"image_id": ["a", "b", "c", "d"], "tag": [["cat", "sofa", "cat"], [], None, [None, " "]]},
        schema_overrides={"tag": pl.List(pl.String)},
    )
    if form == "pandas":
        frame = frame.to_pandas()
    elif form == "parquet":
        frame.write_parquet(tmp_path / "t.parquet")
        frame = tmp_path / "t.parquet"
    elif form == "jsonl":
        frame.write_ndjson(tmp_path / "t.jsonl")
        frame = tmp_path / "t.jsonl"
    done = vision.tag_table(db, frame)
    assert tags(db) == {("a", "cat"): 1, ("a", "sofa"): 1}
    # Images without a tag were looked at, too.
    assert tagged(db) == {"a": 2, "b": 0, "c": 0, "d": 0}
    assert done.images == 4


def test_a_list_of_tags_under_one_score(db):
    vision.tag_table(db, long(image_id=["a"], tag=[["cat", "sofa"]], score=[0.5]))
    assert tags(db) == {("a", "cat"): 0.5, ("a", "sofa"): 0.5}


def test_of_several_rows_of_a_tag_the_highest_score_counts(db):
    mine = long(image_id=["a"] * 4, tag=["cat", "cat ", "\tcat", "dog"], score=[0.1, 0.9, 0.5, 0.2])
    vision.tag_table(db, mine)
    assert tags(db) == {("a", "cat"): 0.9, ("a", "dog"): 0.2}
    assert tagged(db) == {"a": 2}


def test_tags_that_are_null_or_blank_are_none(db):
    mine = long(image_id=["a", "a", "b", "c", "d"], tag=["cat", None, None, "", " "])
    vision.tag_table(db, mine.with_columns(score=pl.Series([1.0, None, None, None, None])))
    assert tags(db) == {("a", "cat"): 1}
    assert tagged(db) == {"a": 1, "b": 0, "c": 0, "d": 0}


def test_no_rows(db):
    vision.tag_table(db, long(image_id=["a"], tag=["cat"]))
    done = vision.tag_table(db, long(image_id=[], tag=[]))
    assert (done.images, tags(db), tagged(db)) == (0, {}, {})


NAN = math.nan


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image_id": ["a"], "tga": ["x"]}, r"no column 'tag'\. Did you mean 'tga'\? It has: im"),
        ({"file": ["a"], "tag": ["x"]}, "no column 'image_id'. It has: file, tag"),
        ({"image_id": ["a"], "tag": ["x"], "score": ["high"]}, "score is string; scores must be n"),
        ({"image_id": ["a"], "tag": ["x"], "score": [True]}, "score is boolean; scores must be nu"),
        ({"image_id": ["a"], "tag": [["x"]], "score": [[0.5]]}, "scores must be numbers"),
        ({"image_id": ["a"], "tag": [1.5]}, "tag is float64; a tag is text, or a list of texts"),
        ({"image_id": ["a"], "tag": [[{"tag": "x"}]]}, "a tag is text, or a list of texts"),
        ({"image_id": ["a", None], "tag": ["x", "y"]}, "1 of 2 rows have no image_id; fill it in"),
        ({"image_id": ["a", ""], "tag": ["x", "y"]}, "1 of 2 rows have no image_id; fill it in"),
        (
            {"image_id": ["a", "b"], "tag": ["x", "y"], "score": [None, 1.0]},
            "1 of 2 rows have no s",
        ),
        (
            {"image_id": ["a", "b"], "tag": ["x", "y"], "score": [NAN, 1.0]},
            "1 of 2 rows have no sco",
        ),
        ({"image_id": ["a"], "tag": ["x"], "score": [1e300]}, "1 of 1 rows have no score"),
    ],
    ids=str,
)
def test_a_table_that_does_not_fit_changes_nothing(unchanged, columns, message):
    with pytest.raises(InputError, match=message):
        vision.tag_table(unchanged, pl.DataFrame(columns))
    assert len(tags(unchanged)) == len(PEOPLE)


def test_a_score_column_that_was_named_must_be_there(db):
    with pytest.raises(InputError, match="no column 'weight'"):
        vision.tag_table(db, long(image_id=["a"], tag=["x"], score=[1]), score="weight")


def test_files_that_cannot_be_read(db, tmp_path):
    with pytest.raises(InputError, match=r"tags: there is no file nope\.csv"):
        vision.tag_table(db, "nope.csv")
    (tmp_path / "late.csv").write_text("image_id,tag,score\n" + "a,x,1\n" * 30_000 + "b,y,high\n")
    with pytest.raises(InputError, match=r"tags.score is no number in 1 of 30,001 rows.*'high'"):
        vision.tag_table(db, tmp_path / "late.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing more PAR1")
    with pytest.raises(InputError, match=r"cannot read tags .*bad\.parquet"):
        vision.tag_table(db, tmp_path / "bad.parquet")
    # Its end says that all is well; its pages are not, which only shows as they are read.
    table = pa.table({"image_id": [f"image {i}" for i in range(5000)], "tag": ["cat"] * 5000})
    pq.write_table(table, tmp_path / "torn.parquet", compression="zstd")
    content = bytearray((tmp_path / "torn.parquet").read_bytes())
    content[200:400] = bytes(200)
    (tmp_path / "torn.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read tags .*torn\.parquet"):
        vision.tag_table(db, tmp_path / "torn.parquet")


def test_tables_of_the_users_own_may_have_the_names_of_the_session(db):
    names = ["seen", "found", "synonyms", "tags_rows", "outputs", "source_tags_rows", "to_do"]
    run(db, *[f"create table {name} as select 'mine' as mine" for name in names])
    before = dump(db)
    vision.tag_table(
        db, long(image_id=["a"], tag=["tyke"]), synonyms=long(synonym=["tyke"], tag=["child"])
    )
    assert tags(db) == {("a", "child"): 1}
    assert {name: dump(db)[name] for name in names} == before


# Captions -----------------------------------------------------------------------------------------


def test_captions_of_an_image_are_put_together(db, captions):
    done = vision.tag_captions(db, captions)
    assert tags(db, "captions") == {
        ("a", "black"): 1,
        ("a", "cat"): 1,
        ("a", "sofa"): 1,
        ("a", "black cat"): 1,
        ("b", "dog"): 1,
    }
    # Whoever has no caption was not looked at.
    assert tagged(db, "captions") == {"a": 4, "b": 1, "c": 0}
    assert (done.model, done.images) == ("captions", 3)


@pytest.mark.parametrize("form", ["frame", "csv", "parquet"])
def test_captions_in_columns_of_other_names_and_some_parts_only(db, captions, tmp_path, form):
    renamed = captions.rename({"image_id": "file", "caption": "says"})
    if form == "csv":
        renamed.write_csv(tmp_path / "captions.csv")
        renamed = tmp_path / "captions.csv"
    elif form == "parquet":
        renamed.write_parquet(tmp_path / "captions.parquet")
        renamed = tmp_path / "captions.parquet"
    same = long(synonym=["dog"], tag=["pet"])
    vision.tag_captions(
        db, renamed, image_id="file", column="says", parts=["noun"], synonyms=same, name="nouns"
    )
    assert tags(db, "nouns") == {("a", "cat"): 1, ("a", "sofa"): 1, ("b", "pet"): 1}


def test_a_list_of_captions_for_each_image(db, captions):
    lists = captions.group_by("image_id", maintain_order=True).agg("caption")
    vision.tag_captions(db, lists)
    assert tagged(db, "captions") == {"a": 4, "b": 1, "c": 0}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"image_id": ["a"], "captions": ["x"]},
            r"no column 'caption'\. Did you mean 'captions'\?",
        ),
        ({"image_id": ["a"], "caption": [5]}, "caption is int64; a caption is text"),
        ({"image_id": ["a", None], "caption": ["x", "y"]}, "1 of 2 rows have no image_id"),
    ],
    ids=str,
)
def test_captions_that_do_not_fit_change_nothing(unchanged, captions, columns, message):
    with pytest.raises(InputError, match=message):
        vision.tag_captions(unchanged, pl.DataFrame(columns))
    with pytest.raises(OptionError, match=r"there is no part 'nouns'\. Did you mean 'noun'"):
        vision.tag_captions(unchanged, captions, parts=["nouns"])


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (RuntimeError("lost my words"), PrimeSqlError, "captions failed: RuntimeError: lost my wo"),
        (InputError("no words"), InputError, "^no words$"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
    ids=repr,
)
def test_what_a_tagger_raises_passes_through_the_engine(
    db, captions, monkeypatch, raised, expected, message
):
    from prime_sql.vision.captions import CaptionTagger

    vision.tag_captions(db, captions)
    before = dump(db)

    def fail(self, captions):
        raise raised

    monkeypatch.setattr(CaptionTagger, "tag", fail)
    with pytest.raises(expected, match=message):
        vision.tag_captions(db, captions)
    assert dump(db) == before


def test_a_tagger_is_called_by_one_thread_at_a_time(db, captions, monkeypatch):
    """Where the engine has several: HanTa's tagger was not made for that."""
    from prime_sql.vision.captions import CaptionTagger

    inside, most = [], []

    def tag(self, captions):
        inside.append(1)
        time.sleep(0.001)
        most.append(len(inside))
        found = [[{"tag": str(c), "score": 1.0}] for c in captions.to_pylist()]
        inside.pop()
        return pa.array(found, vision.tag.TAGS)

    monkeypatch.setattr(CaptionTagger, "tag", tag)
    count = 260_000  # which the engine reads in three parts
    ids = pa.array(range(count)).cast("string")
    done = vision.tag_captions(db, pa.table({"image_id": ids, "caption": ["x"] * count}))
    assert done.images == count
    assert max(most) == 1
