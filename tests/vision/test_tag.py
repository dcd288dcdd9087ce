"""Tags and embeddings: what the steps write into the database, and what they refuse."""

from __future__ import annotations

import importlib
import json
import math
import os
import pickle
import shutil
import sys
import time
from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import prime_sql as ps
from prime_sql import vision
from prime_sql.errors import InputError, OptionError, PrimeSqlError
from tests.vision import tiny_clip

image = pytest.importorskip("PIL.Image")


def rows(db, query):
    connection = duckdb.connect(str(db))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def run(db, *statements):
    connection = duckdb.connect(str(db))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def tags(db, tagger="table", table="tags"):
    """Return a tagger's rows as {(image_id, tag): score}."""
    found = rows(db, f"select image_id, tag, score from \"{table}\" where tagger = '{tagger}'")
    assert len({(image_id, tag) for image_id, tag, _ in found}) == len(found)
    return {(image_id, tag): pytest.approx(score) for image_id, tag, score in found}


def tagged(db, tagger="table"):
    return dict(rows(db, f"select image_id, tags from tagged_images where tagger = '{tagger}'"))


def dump(db):
    """Return everything that a database holds."""
    tables = rows(db, "select table_name from duckdb_tables() order by all")
    return {name: rows(db, f'from "{name}" order by all') for (name,) in tables}


@pytest.fixture
def db(tmp_path):
    return tmp_path / "prime.duckdb"


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """Return a database with tags, for what must not change it."""
    db = tmp_path_factory.mktemp("unchanged") / "prime.duckdb"
    vision.tag_table(db, people())
    before = dump(db)
    yield db
    assert dump(db) == before


def long(**columns):
    return pl.DataFrame(columns)


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
    with pytest.raises(InputError, match=r"cannot read tags .*late\.csv.*high"):
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


# Synonyms -----------------------------------------------------------------------------------------

PEOPLE = [("a", "tyke", 0.2), ("a", "child", 0.1), ("a", "toddler", 0.7), ("b", "tyke", 0.3)]


def people():
    return pl.DataFrame(PEOPLE, ["image_id", "tag", "score"], orient="row")


@pytest.mark.parametrize("form", ["frame", "csv", "table"])
def test_synonyms_become_one_tag_with_the_highest_score(db, tmp_path, form):
    same = long(synonym=["tyke", " toddler", "tyke"], tag=["child", "child ", "child"])
    if form == "csv":
        same.write_csv(tmp_path / "same.csv")
        same = tmp_path / "same.csv"
    elif form == "table":
        same.write_parquet(tmp_path / "same.parquet")
        run(db, f"create table synonyms as from '{tmp_path / 'same.parquet'}'")
        same = "synonyms"
    vision.tag_table(db, people(), synonyms=same)
    assert tags(db) == {("a", "child"): 0.7, ("b", "child"): 0.3}
    assert tagged(db) == {"a": 1, "b": 1}


def test_numbers_in_a_file_of_synonyms_stay_as_they_are_written(db, tmp_path):
    (tmp_path / "same.csv").write_text("synonym,tag\n007,08\n")
    vision.tag_table(db, long(image_id=["a"], tag=["007"]), synonyms=tmp_path / "same.csv")
    assert tags(db) == {("a", "08"): 1}


def test_a_tag_may_be_its_own_synonym(db):
    same = long(synonym=["child", "tyke"], tag=["child", "child"])
    vision.tag_table(db, people(), synonyms=same)
    assert tags(db) == {("a", "child"): 0.2, ("a", "toddler"): 0.7, ("b", "child"): 0.3}


@pytest.mark.parametrize(
    ("same", "message"),
    [
        ({"synonym": ["tyke", None], "tag": ["child", "x"]}, "1 rows lack a synonym or a tag"),
        ({"synonym": ["tyke", "x"], "tag": ["child", " "]}, "1 rows lack a synonym or a tag"),
        ({"synonym": ["x", "x"], "tag": ["child", "kid"]}, "'x' stands for more than one tag"),
        ({"synonym": ["x", "y"], "tag": ["y", "z"]}, "'y' is a tag and a synonym of another one"),
        ({"synonym": ["x", "y"], "tag": ["y", "x"]}, "'x' is a tag and a synonym of another one"),
        ({"word": ["x"], "tag": ["y"]}, "has no column 'synonym'. It has: word, tag. A row 'tyke,"),
        ({"synonym": ["x"], "means": ["y"]}, "has no column 'tag'. It has: synonym, means"),
    ],
    ids=str,
)
def test_synonyms_that_are_none_change_nothing(unchanged, same, message):
    with pytest.raises(InputError, match=message):
        vision.tag_table(unchanged, people(), synonyms=pl.DataFrame(same))
    assert len(tags(unchanged)) == len(PEOPLE)


def test_without_synonyms_tags_stay_apart(db):
    for none in (None, long(synonym=[], tag=[])):
        vision.tag_table(db, people(), synonyms=none)
        assert len(tags(db)) == len(PEOPLE)


# Captions -----------------------------------------------------------------------------------------


@pytest.fixture
def captions():
    pytest.importorskip("HanTa")
    pytest.importorskip("lemminflect")
    return long(
        image_id=["a", "a", "b", "c", "d"],
        caption=["A black cat on a sofa", "two cats", "a dog", "", None],
    )


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


# Several taggers, several times -------------------------------------------------------------------


def test_tagging_again_replaces_the_rows_of_that_tagger_only(db, captions):
    vision.tag_table(db, long(image_id=["a", "b"], tag=["cat", "dog"]), name="me")
    vision.tag_table(db, long(image_id=["a"], tag=["cat"], score=[0.5]), name="you")
    vision.tag_captions(db, captions)
    mine, theirs = tags(db, "me"), tags(db, "captions")
    vision.tag_table(db, long(image_id=["c"], tag=["ape"]), name="you")
    assert tags(db, "you") == {("c", "ape"): 1}
    assert tagged(db, "you") == {"c": 1}
    assert (tags(db, "me"), tags(db, "captions")) == (mine, theirs)
    assert tagged(db, "me") == {"a": 1, "b": 1}
    assert rows(db, "select model from model_settings order by all") == [
        ("captions",),
        ("me",),
        ("you",),
    ]


def test_a_tagger_fills_one_table(db):
    mine = long(image_id=["a"], tag=["cat"])
    vision.tag_table(db, mine)
    before = dump(db)
    with pytest.raises(OptionError, match="table fills the table tags; give it another name wi"):
        vision.tag_table(db, mine, table="others")
    assert tags(db) == {("a", "cat"): 1}
    assert {name: dump(db)[name] for name in before} == before
    vision.tag_table(db, mine, table="others", name="second")
    # A table that was dropped is nobody's.
    run(db, "drop table tags")
    vision.tag_table(db, mine, table="others")
    assert tags(db, "table", "others") == tags(db, "second", "others") == {("a", "cat"): 1}


def test_a_table_of_tags_of_the_users_own_is_left_alone(db, captions, clip_folder, tmp_path):
    vision.load_images(write_pictures(tmp_path / "photos", {"cat": 2}), db)
    run(db, "create table tags as select 1 as image_id, 'x' as tag")
    before = dump(db)
    for step in (
        lambda: vision.tag_table(db, long(image_id=["a"], tag=["cat"])),
        lambda: vision.tag_captions(db, captions),
        lambda: vision.tag_clip(db, ["cat"], str(clip_folder)),
        lambda: vision.tag_ram(db, tmp_path / "ram.pth"),
    ):
        with pytest.raises(InputError, match=r"tags of its own, without .* name another.* --table"):
            step()
        assert dump(db) == before
    vision.tag_table(db, long(image_id=["a"], tag=["cat"]), table="mine")
    assert tags(db, table="mine") == {("a", "cat"): 1}
    assert dump(db)["tags"] == before["tags"]


def test_an_ibis_connection_takes_the_tags_as_well():
    connection = ibis.duckdb.connect()
    vision.tag_table(connection, long(image_id=["a"], tag=["cat"]))
    assert connection.table("tags").to_pyarrow().to_pylist() == [
        {"image_id": "a", "tag": "cat", "score": 1.0, "tagger": "table"}
    ]


# Pictures -----------------------------------------------------------------------------------------


def write_pictures(folder, classes, first=0):
    """Write pictures of a few colours, different ones, and one file that is none."""
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([ord(name[0]), first + number])
            patches = image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
            patches.resize((70, 50), image.Resampling.BILINEAR).save(
                folder / name / f"{number}.png"
            )
    (folder / "cat" / "bad.png").write_bytes(b"no picture")
    return folder


CLASSES = {"cat": 14, "dog": 12, "ape": 4}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, clip_folder):
    """Make a database with pictures of three classes and their embeddings; do not change it."""
    folder = tmp_path_factory.mktemp("embedded")
    write_pictures(folder / "photos", CLASSES)
    vision.load_images(folder / "photos", folder / "prime.duckdb")
    done = vision.embed(folder / "prime.duckdb", str(clip_folder), device="cpu")
    assert (done.images, done.problems, done.model) == (30, 0, "tiny")
    return folder / "prime.duckdb"


@pytest.fixture
def own(embedded, db):
    """Return a copy of the database."""
    shutil.copy(embedded, db)
    return db


@pytest.fixture(scope="module")
def open_clip_alone(clip_folder):
    """Return functions that embed by open_clip alone: a picture, and texts."""
    torch = importlib.import_module("torch")
    model, preprocess, tokenizer = tiny_clip.load(clip_folder)

    def of_picture(path):
        with torch.no_grad(), image.open(path) as picture:
            vector = model.encode_image(preprocess(picture.convert("RGB"))[None])[0]
        return (vector / vector.norm()).numpy()

    def of_texts(texts):
        with torch.no_grad():
            vectors = model.encode_text(tokenizer(list(texts)))
        return (vectors / vectors.norm(dim=1, keepdim=True)).numpy()

    return of_picture, of_texts


def vectors(db, table="embeddings", model="tiny", key="image_id"):
    found = rows(db, f"select {key}, embedding from {table} where model = '{model}' order by all")
    return {key: np.array(vector, np.float32) for key, vector in found}


# Embeddings ---------------------------------------------------------------------------------------


def test_embeddings_are_those_of_open_clip_at_length_one(embedded, open_clip_alone):
    found = vectors(embedded)
    assert len(found) == 30
    for image_id, vector in found.items():
        assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)
        expected = open_clip_alone[0](embedded.parent / "photos" / image_id)
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    # And they tell the pictures apart.
    every = np.stack(list(found.values()))
    assert np.triu(every @ every.T, 1).max() < 0.9999
    types = dict(
        rows(
            embedded,
            "select column_name, data_type from duckdb_columns() where table_name = 'embeddings'",
        )
    )
    assert types == {"image_id": "VARCHAR", "model": "VARCHAR", "embedding": "FLOAT[16]"}


def test_embedding_again_does_nothing_and_replacing_does_it_all(own, clip_folder):
    before = vectors(own)
    assert vision.embed(own, clip_folder.as_posix(), batch_size=7).images == 0
    assert (
        vision.embed(
            own, f"local-dir:{clip_folder}", replace=True, batch_size=7, device="cpu"
        ).images
        == 30
    )
    after = vectors(own)
    assert after.keys() == before.keys()
    for image_id, vector in before.items():
        np.testing.assert_allclose(after[image_id], vector, atol=1e-5)


def test_texts_are_embedded_as_by_open_clip(own, clip_folder, open_clip_alone):
    words = ["black cat", "white dog", "Ünïcode ☃", "x " * 200]
    done = vision.embed_texts(own, words, str(clip_folder), template="a photo of {}", device="cpu")
    assert (done.step, done.model, done.table, done.images) == (
        "embed",
        "tiny",
        "text_embeddings",
        4,
    )
    found = vectors(own, "text_embeddings", key="text")
    assert found.keys() == {word.strip() for word in words}
    for word, vector in found.items():
        (expected,) = open_clip_alone[1]([f"a photo of {word}"])
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    # Another prompt stands beside it, the same is left alone.
    assert vision.embed_texts(own, words[:2], str(clip_folder)).images == 2
    assert vision.embed_texts(own, words, str(clip_folder), template="a photo of {}").images == 0
    assert rows(
        own, "select template, count(*) from text_embeddings group by all order by all"
    ) == [
        ("a photo of {}", 4),
        ("{}", 2),
    ]
    (kind,) = rows(own, "select any_value(typeof(embedding)) from text_embeddings")
    assert kind == ("FLOAT[16]",)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", ""])
def test_a_template_without_a_place_for_the_text(tmp_path, template):
    for step in (vision.embed_texts, vision.tag_clip):
        with pytest.raises(OptionError, match=r"template must hold \{\} once"):
            step(tmp_path / "new.duckdb", ["cat"], "ViT-B-32", "openai", template=template)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def other_clips(tmp_path_factory):
    """Return a model of 8 dimensions, and one of the same name and size with other weights."""
    folder = tmp_path_factory.mktemp("others")
    return tiny_clip.write(folder / "small", 8, seed=1), tiny_clip.write(folder / "tiny", seed=2)


def test_a_model_of_other_dimensions_wants_a_table_of_its_own(own, other_clips):
    small = str(other_clips[0])
    before = dump(own)
    complaint = r"embeddings of type FLOAT\[16\]; those of small are FLOAT\[8\].* with "
    with pytest.raises(InputError, match=f"{complaint}--table"):
        vision.embed(own, small)
    with pytest.raises(InputError, match=f"{complaint}--embeddings"):
        vision.tag_clip(own, ["cat", "dog"], small, calibrate="none")
    assert {name: content for name, content in dump(own).items() if name in before} == before
    assert vision.embed(own, small, table="embeddings_small").images == 30
    # Texts of the two likewise; and tags can be made from either.
    vision.embed_texts(own, ["cat"], small)
    assert {len(v) for v in vectors(own, "embeddings_small", "small").values()} == {8}
    done = vision.tag_clip(own, ["cat", "dog"], small, embeddings="embeddings_small", top_k=1)
    assert done.images == 30
    assert len(tags(own, "clip")) == 30


def test_other_weights_of_the_same_name_are_not_mixed_in(own, clip_folder, other_clips):
    other = str(other_clips[1])
    before = vectors(own)
    with pytest.raises(OptionError, match="embeddings holds results of tiny with other settings"):
        vision.embed(own, other)
    np.testing.assert_equal(vectors(own), before)
    assert vision.embed(own, other, name="second").images == 30
    assert vision.embed(own, other, replace=True).images == 30
    np.testing.assert_equal(vectors(own), vectors(own, model="second"))

    vision.embed_texts(own, ["cat", "dog"], str(clip_folder))
    before = vectors(own, "text_embeddings", key="text")
    with pytest.raises(OptionError, match="holds texts that other weights of the name tiny embed"):
        vision.embed_texts(own, ["cat", "ape"], other, template="a {}")
    np.testing.assert_equal(vectors(own, "text_embeddings", key="text"), before)
    assert vision.embed_texts(own, ["cat", "ape"], other, name="second").images == 2
    assert vision.embed_texts(own, ["cat", "ape"], other, replace=True).images == 2
    assert vectors(own, "text_embeddings", key="text").keys() == {"cat", "ape"}
    # In half precision they are the same weights.
    assert vision.embed_texts(own, ["cat", "fox"], other, precision="bf16").images == 1


def test_numbers_that_are_not_finite_are_not_stored(own, clip_folder, tmp_path):
    shutil.copytree(clip_folder, tmp_path / "broken")
    safetensors = importlib.import_module("safetensors.torch")
    weights = safetensors.load_file(tmp_path / "broken" / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] = math.nan
    safetensors.save_file(weights, tmp_path / "broken" / "open_clip_model.safetensors")
    with pytest.raises(PrimeSqlError, match="broken gives numbers that are not finite"):
        vision.embed(own, str(tmp_path / "broken"))
    assert not vectors(own, model="broken")


def test_embedding_wants_images(db, clip_folder):
    for step in (
        lambda: vision.embed(db, str(clip_folder)),
        lambda: vision.tag_clip(db, ["cat"], str(clip_folder)),
    ):
        with pytest.raises(InputError, match=r"there is no database .*prime-sql images FOLDER"):
            step()
        assert not db.exists()
    vision.tag_table(db, long(image_id=["a"], tag=["cat"]))
    with pytest.raises(InputError, match="the database holds no images; `prime-sql images FOLDER"):
        vision.embed(db, str(clip_folder))


# Models that cannot be had ------------------------------------------------------------------------


@pytest.fixture
def place():
    return vision.Place.choose("cpu")


@pytest.fixture
def model_copy(clip_folder, tmp_path):
    """Return a copy of the model's folder without its weights."""
    return Path(
        shutil.copytree(clip_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.safet*"))
    )


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-B-31", "openai", r"no model 'ViT-B-31', and .* folder\. Did you mean 'ViT-B-32'\?"),
        ("./nowhere", None, "no model './nowhere', and there is no such folder"),
        ("local-dir:nowhere", None, "and there is no such folder"),
        ("", None, "name a model, such as ViT-B-32, or a folder"),
        ("x" * 5000, None, "and there is no such folder"),
        ("ViT-B-32", None, "name the weights of ViT-B-32 with --pretrained: openai, laion400m_e31"),
        (
            "ViT-B-32",
            "laion2b_s34b_b79",
            r"and there is no such file\. Did you mean 'laion2b_s34b_",
        ),
        ("ViT-B-32", "nowhere.pt", "ViT-B-32 has no weights 'nowhere.pt', and there is no such"),
        ("hf-hub:somebody/something", "openai", "has its own weights; leave --pretrained out"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_names_that_open_clip_does_not_know(clip_folder, place, model, pretrained, message):
    with pytest.raises(OptionError, match=message):
        vision.Clip.load(model, pretrained, place)


@pytest.mark.parametrize("prefix", ["", "local-dir:"])
def test_a_folder_has_its_own_weights(clip_folder, place, prefix):
    with pytest.raises(OptionError, match="a folder has its own weights; leave --pretrained out"):
        vision.Clip.load(f"{prefix}{clip_folder}", "openai", place)


def test_a_folder_without_a_model(clip_folder, model_copy, place, tmp_path):
    with pytest.raises(InputError, match=r"the folder .* has no open_clip_config\.json"):
        vision.Clip.load(str(tmp_path), None, place)
    # Which open_clip takes with random weights.
    (model_copy / "weights.pt").write_bytes(b"not one of the names that it looks for")
    with pytest.raises(InputError, match=r"has no weights: put a file \*\.safetensors, \*\.bin,"):
        vision.Clip.load(str(model_copy), None, place)
    (model_copy / "open_clip_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"cannot load .*copy: .*header"):
        vision.Clip.load(str(model_copy), None, place)
    (model_copy / "open_clip_config.json").write_text("{")
    with pytest.raises(InputError, match=r"open_clip_config\.json is not JSON"):
        vision.Clip.load(str(model_copy), None, place)


def test_weights_that_do_not_fit_are_named(clip_folder, model_copy, place):
    safetensors = importlib.import_module("safetensors.torch")
    weights = safetensors.load_file(clip_folder / "open_clip_model.safetensors")
    del weights["text_projection"]
    safetensors.save_file(weights, model_copy / "open_clip_model.safetensors")
    with pytest.raises(InputError, match=r'cannot load .*Missing key.*"text_projection"'):
        vision.Clip.load(str(model_copy), None, place)


def test_a_hub_that_cannot_be_reached(clip_folder, place, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"cannot load hf-hub:no-such/model.* needs no network"):
        vision.Clip.load("hf-hub:no-such/model", None, place)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth", "given.pt", "g.npz"])
@pytest.mark.parametrize("by_torch", [True, False])
def test_a_pickle_is_not_unpickled(model_copy, place, tmp_path, name, by_torch):
    torch = importlib.import_module("torch")
    evil = {"state_dict": Evil(tmp_path / "executed")}
    if by_torch:
        torch.save(evil, model_copy / name)
    else:
        (model_copy / name).write_bytes(pickle.dumps(evil))
    model, pretrained = str(model_copy), None
    if Path(name).suffix not in (".bin", ".pth"):
        model, pretrained = "tiny-of-open-clip", str(model_copy / name)
        config = json.loads((model_copy / "open_clip_config.json").read_text())["model_cfg"]
        (model_copy / f"{model}.json").write_text(json.dumps(config))
        importlib.import_module("open_clip").add_model_config(model_copy / f"{model}.json")
    with pytest.raises(InputError, match="cannot load "):
        vision.Clip.load(model, pretrained, place)
    assert not (tmp_path / "executed").exists()


def test_weights_of_torch_are_read_without_more(clip_folder, model_copy, place):
    torch = importlib.import_module("torch")
    safetensors = importlib.import_module("safetensors.torch")
    weights = safetensors.load_file(clip_folder / "open_clip_model.safetensors")
    torch.save({"state_dict": weights}, model_copy / "open_clip_pytorch_model.bin")
    found = vision.Clip.load(str(model_copy), None, place).embed_texts(["cat"])
    expected = vision.Clip.load(str(clip_folder), None, place).embed_texts(["cat"])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_code_beside_the_weights_is_not_run_for_a_tokenizer(clip_folder, place, tmp_path):
    """As a configuration can ask of transformers: trust_remote_code."""
    pytest.importorskip("transformers")
    folder = Path(shutil.copytree(clip_folder, tmp_path / "evil"))
    config = json.loads((folder / "open_clip_config.json").read_text())
    text = config["model_cfg"]["text_cfg"]
    text["hf_tokenizer_name"] = "mine"
    text["tokenizer_kwargs"] = {"trust_remote_code": True}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    auto = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(auto))
    (folder / "mine.py").write_text(
        f"import os; os.mkdir({str(tmp_path / 'executed')!r})\n"
        "from transformers import PreTrainedTokenizer\n"
        "class Mine(PreTrainedTokenizer): pass\n"
    )
    with pytest.raises(InputError, match="cannot load "):
        vision.Clip.load(str(folder), None, place)
    assert not (tmp_path / "executed").exists()


def test_weights_have_one_name_and_the_activation_that_they_were_trained_with(
    clip_folder, place, monkeypatch
):
    open_clip = importlib.import_module("open_clip")
    asked = []

    def load(name, **options):
        asked.append(options.get("force_quick_gelu"))
        return loaded

    model, preprocess, tokenizer = tiny_clip.load(clip_folder)
    loaded = model, preprocess
    monkeypatch.setattr(open_clip, "create_model_from_pretrained", load)
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: tokenizer)
    names = [
        vision.Clip.load("ViT-B-32", pretrained, place).name
        for pretrained in ("openai", "laion2b_s34b_b79k", "laion2b-s34b-b79k")
    ]
    assert names == ["ViT-B-32/openai", *["ViT-B-32/laion2b_s34b_b79k"] * 2]
    assert asked == [True, False, False]


# Tags by a CLIP model -----------------------------------------------------------------------------

WORDS = ["black", "white", "a red one", "green", "blue", "yellow", "purple", "Straße"]


def expected_tags(db, texts, threshold, top_k, calibrate):
    """Tag by NumPy, from what is in the table of embeddings."""
    found = vectors(db)
    ids = list(found)
    scores = np.stack([found[i] for i in ids]).astype(np.float64) @ texts.T.astype(np.float64)
    labels = np.array([i.partition("/")[0] for i in ids])
    if calibrate != "none":
        over_all = (scores - scores.mean(axis=0)) / scores.std(axis=0)
        standard = over_all.copy()
        for label in {"cat", "dog"} if calibrate == "class" else ():  # there are four apes only
            own = scores[labels == label]
            standard[labels == label] = (own - own.mean(axis=0)) / own.std(axis=0)
        scores = standard
    expected = {}
    for image_id, row in zip(ids, scores, strict=True):
        order = np.argsort(-row)[:top_k]
        expected |= {
            (image_id, sorted(WORDS)[i]): pytest.approx(row[i], abs=2e-3)
            for i in order
            if threshold is None or row[i] >= threshold
        }
    return expected


@pytest.mark.parametrize(
    ("threshold", "top_k", "calibrate"),
    [
        (0.7, None, "class"),
        (None, 2, "class"),
        (0.9, 1, "all"),
        (None, None, "all"),
        (None, None, "none"),
        (0.01, 3, "none"),
    ],
)
def test_clip_tags_are_those_of_the_embeddings(
    own, clip_folder, open_clip_alone, threshold, top_k, calibrate
):
    done = vision.tag_clip(
        own,
        WORDS,
        str(clip_folder),
        threshold=threshold,
        top_k=top_k,
        calibrate=calibrate,
        device="cpu",  # to the digit as open_clip there; tests/vision/test_cuda.py is about bf16
    )
    if threshold is None and top_k is None:
        threshold, top_k = (None, 10) if calibrate == "none" else (2.5, None)
    texts = open_clip_alone[1]([f"a photo of {word}" for word in sorted(WORDS)])
    expected = expected_tags(own, texts, threshold, top_k, calibrate)
    settings = json.loads(
        rows(own, "select settings from model_settings where model = 'clip'")[0][0]
    )
    assert (settings["threshold"], settings["top_k"]) == (threshold, top_k)
    assert expected or threshold == 2.5  # few words stand out so far, among 30 pictures
    found = rows(own, "select image_id, tag, score from tags where tagger = 'clip'")
    assert {(i, t): s for i, t, s in found} == expected
    counts = tagged(own, "clip")
    assert sum(counts.values()) == len(expected)
    assert (done.model, done.images, done.problems, len(counts)) == ("clip", 30, 0, 30)


def test_clip_tags_come_from_the_embeddings_of_that_model(own, clip_folder, other_clips):
    vision.tag_clip(own, WORDS, str(clip_folder), top_k=3)
    before = tags(own, "clip")
    vision.embed(own, str(other_clips[1]), name="second")
    assert vision.tag_clip(own, WORDS, str(clip_folder), top_k=3).images == 30
    assert tags(own, "clip") == before


def test_clip_tags_embed_what_is_not_embedded_yet(own, clip_folder, tmp_path):
    write_pictures(tmp_path / "more", {"cat": 3}, first=100)
    listed = [{"image_id": f"new {i}", "uri": f"cat/{i}.png", "label": "cat"} for i in range(3)]
    vision.load_images(pl.DataFrame(listed), own, root=tmp_path / "more")
    assert vision.tag_clip(own, WORDS, str(clip_folder), top_k=1).images == 33
    assert len(vectors(own)) == 33
    # An image that is gone since it was loaded is a problem, and has no tags.
    shutil.copy(tmp_path / "more" / "cat" / "0.png", tmp_path / "gone.png")
    vision.load_images(
        pl.DataFrame({"image_id": ["gone"], "uri": [str(tmp_path / "gone.png")]}), own
    )
    (tmp_path / "gone.png").unlink()
    done = vision.tag_clip(own, WORDS, str(clip_folder), top_k=1)
    assert (done.images, done.problems) == (33, 1)
    assert "gone" not in tagged(own, "clip")
    assert rows(own, "select image_id, reason from image_problems where step = 'embed'") == [
        ("gone", "there is no such file")
    ]


def test_clip_tags_have_synonyms_names_and_tables_as_well(own, clip_folder):
    same = long(synonym=["black", "white"], tag=["grey", "grey"])
    vision.tag_clip(
        own,
        WORDS,
        str(clip_folder),
        top_k=8,
        synonyms=same,
        calibrate="none",
        name="mine",
        table="words",
    )
    vision.tag_clip(own, WORDS, str(clip_folder), top_k=8, calibrate="none")
    merged, apart = tags(own, "mine", "words"), tags(own, "clip")
    assert {tag for _, tag in merged} == {*WORDS, "grey"} - {"black", "white"}
    both = {(i, t): s for i, t, s in rows(own, "select image_id, tag, score from tags")}
    for image_id in vectors(own):
        higher = max(both[image_id, "black"], both[image_id, "white"])
        assert merged[image_id, "grey"] == higher
    assert len(apart) == 30 * 8
    assert set(tagged(own, "mine").values()) == {7}


FORMS_OF_WORDS = ["txt", "list", "tuple", "csv", "column", "table", "lists", "frame"]


@pytest.mark.parametrize("form", FORMS_OF_WORDS)
def test_a_vocabulary_in_any_form(own, clip_folder, tmp_path, form):
    column = None
    if form == "txt":
        lines = "\ufeffblack\r\n\r\n  white \r\nred car\r\nblack\r\n\t\r\nStraße"
        words = tmp_path / "words.txt"
        words.write_bytes(lines.encode())
    elif form in ("list", "tuple"):
        words = ["black", None, " white ", "", "red car", "black", "Straße"]
        words = words if form == "list" else tuple(words)
    elif form == "lists":
        words = pl.DataFrame({"tag": [["black", "white"], [], None, ["red car", "Straße"]]})
    elif form == "frame":
        words = pd.DataFrame({"name": ["black", "white", "red car", "Straße", None]})
    else:
        words = tmp_path / "words.csv"
        words.write_text("id,text,Wort\n1,x,black\n2,y,white\n3,z,red car\n4,,Straße\n5,,\n")
        if form == "csv":
            words.write_text(words.read_text().replace("text", "other").replace("Wort", "tag"))
        else:
            column = "Wort"
        if form == "table":
            run(own, f"create table vocabulary as from '{words}'")
            words = "vocabulary"
    vision.tag_clip(own, words, str(clip_folder), column=column, top_k=9, calibrate="none")
    assert {tag for _, tag in tags(own, "clip")} == {"black", "white", "red car", "Straße"}


@pytest.mark.parametrize(
    ("words", "column", "message"),
    [
        ([], None, "holds no text"),
        (["", " "], None, "holds no text"),
        ("nowhere.txt", None, "vocabulary: there is no file nowhere.txt"),
        ("nowhere.csv", None, "vocabulary: there is no file nowhere.csv"),
        ("nowhere", None, "vocabulary: there is no file or table nowhere"),
        (pl.DataFrame({"word": ["x"]}), None, "no column 'text'.* It has: word"),
        (pl.DataFrame({"word": ["x"]}), "wort", r"no column 'wort'\. Did you mean 'word'\?"),
        (b"words", None, "vocabulary is bytes; give "),
    ],
    ids=str,
)
def test_a_vocabulary_that_is_none_changes_nothing(own, clip_folder, words, column, message):
    before = dump(own)
    with pytest.raises(InputError, match=message):
        vision.tag_clip(own, words, str(clip_folder), column=column)
    assert dump(own) == before


def test_a_vocabulary_that_is_not_utf8(own, clip_folder, tmp_path):
    (tmp_path / "words.txt").write_bytes("Straße".encode("utf-16"))
    with pytest.raises(InputError, match=r"cannot read .*words\.txt as UTF-8 text"):
        vision.tag_clip(own, tmp_path / "words.txt", str(clip_folder))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"threshold": math.nan}, "threshold must be a finite number"),
        ({"calibrate": "image"}, "calibrate must be one of class, all, none, got 'image'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        ({"precision": "fp8"}, "precision must be one of auto, fp32, bf16, got 'fp8'"),
    ],
    ids=str,
)
def test_options_are_checked_before_a_model_is_loaded(own, monkeypatch, options, message):
    def never(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(vision.Clip, "load", never)
    with pytest.raises(OptionError, match=message):
        vision.tag_clip(own, ["cat"], "ViT-B-32", "openai", **options)
    if not options.keys() & {"top_k", "threshold", "calibrate"}:
        with pytest.raises(OptionError, match=message):
            vision.embed(own, "ViT-B-32", "openai", **options)


# From pictures to a run ---------------------------------------------------------------------------


@pytest.fixture
def by_brightness(tmp_path, monkeypatch):
    """A classifier of bright and dark pictures, as ``module:function``."""
    (tmp_path / "brightness_of_pictures.py").write_text(
        "def classify(pictures):\n"
        "    return [('day', 0.75) if max(p.getpixel((0, 0))) > 100 else ('night', 0.5)\n"
        "            for p in pictures]\n"
    )
    monkeypatch.chdir(tmp_path)
    yield "brightness_of_pictures:classify"
    sys.modules.pop("brightness_of_pictures", None)


def test_from_pictures_to_failure_modes(db, tmp_path, by_brightness):
    pytest.importorskip("torch")
    pytest.importorskip("HanTa")
    words, captions = [], []
    for number in range(60):
        # At day, a dark picture is one of a storm.
        label, storm = ("day", number % 4 == 0) if number < 40 else ("night", False)
        grey = 200 if label == "day" and not storm else 20
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        path = f"{label}/{number}.png"
        image.new("RGB", (40, 40), (grey, grey, number)).save(tmp_path / "photos" / path)
        words.append((path, "lightning" if storm else "calm", 0.9))
        captions.append((path, "a storm at sea" if storm else "a ship"))
    tagged_by_hand = pl.DataFrame(words, ["image_id", "tag", "score"], orient="row")
    captioned = pl.DataFrame(captions, ["image_id", "caption"], orient="row")
    assert vision.load_images(tmp_path / "photos", db).images == 60
    assert vision.predict(db, by_brightness).images == 60
    vision.tag_table(db, tagged_by_hand, name="hand")
    vision.tag_captions(db, captioned, parts=["noun"])
    options = {"min_images": 5, "min_drop": 0.3, "max_tags": 2}
    with ps.search("predictions", "tags", into=db, **options) as run:
        found = run.failure_modes.to_polars().select("class_name", "tags", "images", "errors")
        classes = run.classes.to_polars().select("class_name", "images", "errors").rows()
    assert classes == [("day", 40, 10), ("night", 20, 0)]
    modes = {mode for name, mode, *_ in found.rows()}
    assert {"lightning", "storm"} <= modes
    assert set(found.drop("tags").rows()) == {("day", 10, 10)}
    # One tagger's rows are a table of their own, for instance as a view.
    run_sql = "create view by_hand as select * from tags where tagger = 'hand'"
    connection = duckdb.connect(str(db))
    connection.execute(run_sql)
    connection.close()
    with ps.search("predictions", "by_hand", into=db, **options) as run:
        assert run.failure_modes.to_polars()["tags"].to_list() == ["lightning"]
