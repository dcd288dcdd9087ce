"""Tags of several taggers, tagged several times, and their synonyms."""

from __future__ import annotations

import ibis
import polars as pl
import pytest

from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError
from tests.vision.tagged import PEOPLE, dump, long, people, rows, run, tagged, tags, write_pictures

# Synonyms -----------------------------------------------------------------------------------------


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
        ({"synonym": ["x", "x"], "tag": ["child", "kid"]}, "'x' means more than one tag"),
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
