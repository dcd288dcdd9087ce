"""Captions into tags: what stays, what goes, and nothing that a column of text holds stops it."""

import sys

import duckdb
import pyarrow as pa
import pytest

from prime_sql.engine.errors import InputError, InstallError, OptionError

pytest.importorskip("HanTa")
pytest.importorskip("lemminflect")
from prime_sql.vision.captions import LONGEST_WORD, PARTS, TAGS, CaptionTagger
from tests.vision.coco import COCO, OTHERS, TAKEN_FOR_PLURALS


@pytest.fixture(scope="module")
def tagger():
    return CaptionTagger()


def listed(text):
    return [tag.strip() for part in text.split(";") for tag in part.split(",") if tag.strip()]


def tags(tagger, *captions):
    return [
        None if found is None else [tag["tag"] for tag in found]
        for found in tagger.tag(pa.array(captions, pa.string())).to_pylist()
    ]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        pytest.param(
            caption,
            expected,
            marks=pytest.mark.xfail(
                strict=True, reason="a verb in -s after nouns counts as a plural"
            )
            if any(words in caption for words in TAKEN_FOR_PLURALS)
            else (),
        )
        for caption, expected in COCO
    ],
)
def test_captions_in_the_manner_of_coco(tagger, caption, expected):
    assert tags(tagger, caption) == [listed(expected)]


@pytest.mark.parametrize(("caption", "expected"), OTHERS.values(), ids=OTHERS.keys())
def test_captions_of_one_difficulty(tagger, caption, expected):
    assert tags(tagger, caption) == [listed(expected)]


def test_every_tag_scores_one_and_null_stays_null(tagger):
    found = tagger.tag(pa.array(["a dog", None, "", "cats"]))
    assert found.type == TAGS
    assert found.to_pylist() == [
        [{"tag": "dog", "score": 1.0}],
        None,
        [],
        [{"tag": "cat", "score": 1.0}],
    ]
    found.validate(full=True)


@pytest.mark.parametrize(
    "captions",
    [
        pa.chunked_array([["a dog"], [None, "cats"]]),
        pa.array(["a dog", None, "cats"], pa.large_string()),
        pa.array(["a dog", None, "cats"]).dictionary_encode(),
        pa.array(["x", "a dog", None, "cats"])[1:],
    ],
    ids=["chunked", "large", "dictionary", "slice"],
)
def test_text_in_every_form_of_arrow(tagger, captions):
    assert (
        tagger.tag(captions).to_pylist()
        == tagger.tag(pa.array(["a dog", None, "cats"])).to_pylist()
    )


@pytest.mark.parametrize("captions", [pa.array([], pa.string()), pa.chunked_array([], pa.string())])
def test_no_captions(tagger, captions):
    assert tagger.tag(captions).to_pylist() == []


def test_a_column_of_nulls_without_a_type(tagger):
    assert tagger.tag(pa.nulls(2)).to_pylist() == [None, None]


def test_a_very_long_caption_has_the_tags_of_its_sentences(tagger):
    together = " ".join(caption for caption, _ in COCO)
    once = set(tags(tagger, together)[0])
    many = together * (10_000 // len(together.split()) + 1)
    assert len(many.split()) > 9_900
    assert set(tags(tagger, many)[0]) == once


@pytest.mark.parametrize("word", ["dog", "very", "zyxwv", "running"])
def test_a_very_long_sentence(tagger, word):
    (found,) = tags(tagger, f"{word} " * 10_000)
    assert len(found) <= 5


def test_what_is_no_word_is_passed_over(tagger):
    assert tags(tagger, f"a dog {'x' * LONGEST_WORD}x {'ab-' * 5_000}c runs") == [["dog", "run"]]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["noun"], ["dog", "grass"]),
        (("adjective",), ["black", "wet"]),
        ({"verb"}, ["run"]),
        (["phrase"], ["black dog", "wet grass"]),
        (["verb", "noun"], ["dog", "run", "grass"]),
        (PARTS, ["black", "dog", "run", "wet", "grass", "black dog", "wet grass"]),
    ],
)
def test_parts(parts, expected):
    assert tags(CaptionTagger(parts), "a black dog runs on wet grass") == [expected]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["nouns"], "there is no part 'nouns'. Did you mean 'noun'?"),
        ("noun", "parts must be a list of some of noun, adjective, verb, phrase, got 'noun'"),
        ([], "parts must be a list of some of"),
    ],
)
def test_parts_that_do_not_exist(parts, message):
    with pytest.raises(OptionError) as caught:
        CaptionTagger(parts)
    assert message in str(caught.value)


def test_captions_that_are_no_text(tagger):
    with pytest.raises(InputError, match="captions must be text, got int64"):
        tagger.tag(pa.array([None, 5]))


@pytest.mark.parametrize("package", ["HanTa", "lemminflect"])
def test_a_missing_package_names_the_line_that_installs_it(monkeypatch, package):
    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InstallError, match=rf"{package}.*pip install 'prime-sql\[captions\]'"):
        CaptionTagger()


def test_as_a_function_of_duckdb(tagger):
    with duckdb.connect() as con:
        con.create_function(
            "caption_tags",
            tagger.tag,
            ["VARCHAR"],
            "STRUCT(tag VARCHAR, score FLOAT)[]",
            type="arrow",
            null_handling="special",
        )
        rows = con.sql(
            """
            with captions as (
                select n % 3 as kind, case n % 3 when 0 then 'dog' when 1 then '' end as caption
                from range(5000) as numbers(n)
            ),
            tagged as (select kind, caption_tags(caption) as tags from captions)
            select kind, any_value(tags), count(distinct tags) from tagged
            group by kind order by kind
            """
        ).fetchall()
    assert rows == [(0, [{"tag": "dog", "score": 1.0}], 1), (1, [], 1), (2, None, 0)]
