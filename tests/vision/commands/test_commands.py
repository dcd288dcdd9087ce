"""The commands images, embed, tag and predict: what they print where, and their exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.command import fail, succeed
from tests.vision import samples
from tests.vision.commands.lines import NEW, rows

BAD = (
    "1 image could not be used: "
    "prime-sql sql new.duckdb \"from image_problems where step = 'images'\"\n"
)


def test_images_says_what_it_loaded_and_what_it_could_not(here):
    result = succeed("images", "photos", *NEW)
    assert result.stdout == ""
    # Nothing of the progress, where it is piped.
    assert re.fullmatch(
        r"Loaded 20 images into images of new\.duckdb \([\d,]+ a second\)\.\n" + re.escape(BAD),
        result.stderr,
    )
    assert rows("select label, count(*) from images group by all order by all") == [
        ("cat", 12),
        ("dog", 8),
    ]
    # The command of the second line works as it is.
    query = "from image_problems where step = 'images'"
    (problem,) = json.loads(succeed("sql", "new.duckdb", query, "--format", "json").stdout)
    assert problem["image_id"] == "dog/bad.png"
    again = succeed("images", "photos", *NEW).stderr
    assert again == "Loaded 0 images into images of new.duckdb.\n" + BAD


def test_images_says_what_is_gone_and_drops_it(here):
    succeed("images", "photos", *NEW, "--quiet")
    (here / "photos/cat/00000.png").unlink()
    warned = succeed("images", "photos", *NEW).stderr
    assert warned.startswith(
        "Warning: photos: the files of 1 of 20 images are gone, such as 'cat/00000.png'; --prune "
        "drops these images and what was computed from them\n"
    )
    dry = succeed("images", "photos", *NEW, "--prune", "--dry-run").stderr
    assert dry == (
        "Would load 1 image into images of new.duckdb.\n"
        "Nothing was written. It would drop 1 image whose files are gone.\n"
    )
    done = succeed("images", "photos", *NEW, "--prune").stderr
    assert done == (
        f"Loaded 0 images into images of new.duckdb.\nDropped 1 image whose files are gone.\n{BAD}"
    )
    for path in (here / "photos/cat").iterdir():
        path.unlink()
    message = fail("images", "photos", *NEW, "--prune")
    assert "the files of 11 of 19 images are gone" in message
    assert rows("select count(*) from images") == [(19,)]
    succeed("images", "photos", *NEW, "--prune-all", "--quiet")
    assert rows("select count(*) from images") == [(8,)]


def test_images_from_a_table_with_columns_of_other_names(here):
    (here / "manifest.csv").write_text(
        "key,file,class,part\na,cat/00000.png,Katze,test\nb,dog/00012.png,Hund,train\n"
    )
    columns = ["--image-id", "key", "--uri", "file", "--label", "class", "--split", "part"]
    result = succeed("images", "manifest.csv", *NEW, *columns, "--root", "photos", "--quiet")
    assert result.output == ""
    assert rows("select image_id, label, split from images order by all") == [
        ("a", "Katze", "test"),
        ("b", "Hund", "train"),
    ]


def test_predict_loads_images_into_a_new_database_first(here):
    pytest.importorskip("torch")
    command = ["predict", "photos", *NEW, "--model", "slow_classifier:classify"]
    result = succeed(*command, "--batch-size", 7)
    assert result.stdout == ""
    assert re.fullmatch(
        r"Loaded 20 images into images of new\.duckdb \([\d,]+ a second\)\.\n"
        + re.escape(BAD)
        + r"Classified 20 images with slow_classifier:classify into predictions of new\.duckdb "
        r"\([\d,]+ a second\)\.\n(Names of the classes: .*\n)?",
        result.stderr,
    )
    assert rows("select prediction, count(*) from predictions group by all order by all") == [
        ("cat", 10),
        ("dog", 10),
    ]
    # The same again has nothing to do; --replace does; another name is kept beside it.
    assert succeed(*command).stderr.splitlines()[2].startswith("Classified 0 images with slow_cl")
    assert "Classified 20 images" in succeed(*command, "--replace").stderr
    assert succeed(*command, "--name", "second", "--quiet").output == ""
    assert rows("select model, count(*) from predictions group by all order by all") == [
        ("second", 20),
        ("slow_classifier:classify", 20),
    ]


def test_embed_and_tag_with_a_clip_model(here, clip_folder):
    model = ["--model", clip_folder]
    result = succeed("embed", "photos", *NEW, *model, "--device", "cpu", "--precision", "fp32")
    assert re.search(
        r"^Embedded 20 images with tiny into embeddings of new\.duckdb", result.stderr, re.MULTILINE
    )
    result = succeed("embed", *NEW, *model, "--texts", "words.txt", "--template", "a {} thing")
    assert re.fullmatch(
        r"Embedded 3 texts with tiny into text_embeddings of new\.duckdb \([\d,]+ a second\)\.\n",
        result.stderr,
    )
    result = succeed("tag", *NEW, *model, "--vocabulary", "words.txt", "--top-k", 2)
    assert re.fullmatch(
        r"Tagged 20 images with clip into tags of new\.duckdb \([\d,]+ a second\)\.\n",
        result.stderr,
    )
    assert rows("select count(*), min(tags), max(tags) from tagged_images") == [(20, 2, 2)]
    assert rows("select distinct template from text_embeddings") == [("a {} thing",)]
    # An image more is embedded before it is tagged, with another threshold.
    samples.write_numbered(here / "photos" / "cat", 1, first=500)
    options = ["--calibrate", "none", "--threshold", "-1", "--name", "all"]
    result = succeed("tag", "photos", *NEW, *model, "--vocabulary", "words.txt", *options)
    assert "Loaded 1 image into images of new.duckdb.\n" in result.stderr
    assert "Tagged 21 images with all into tags" in result.stderr
    assert rows("select count(*) from tags where tagger = 'all'") == [(63,)]


def test_tags_of_a_table_and_of_captions(here):
    pytest.importorskip("HanTa")
    result = succeed("tag", *NEW, "--tagger", "table", "--source", "tags.csv", "--name", "me")
    assert re.fullmatch(
        r"Tagged 2 images with me into tags of new\.duckdb \([\d,]+ a second\)\.\n", result.stderr
    )
    (here / "same.csv").write_text("synonym,tag\ndog,animal\n")
    captions = ["--tagger", "captions", "--source", "captions.csv", "--synonyms", "same.csv"]
    succeed("tag", *NEW, *captions, "--parts", "noun, adjective", "--table", "words")
    assert rows("select tag, tagger from words order by all") == [
        ("animal", "captions"),
        ("red", "captions"),
    ]
    message = fail("tag", *NEW, *captions, "--parts", "nouns")
    assert "there is no part 'nouns'. Did you mean 'noun'?" in message


def test_verbose_shows_every_statement(here):
    result = succeed(
        "tag", *NEW, "--tagger", "table", "--source", "tags.csv", "--verbose", "--table", "mine"
    )
    assert result.stdout == ""
    assert re.search(r"^tag: \d+\.\d{3} s, 2 rows$", result.stderr, re.MULTILINE)
    assert 'insert into "mine" (image_id, tag, score, tagger)\n' in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Tagged 2 images with table into mine")
    message = fail("images", "photos", "--db", "other.duckdb", "--quiet", "--verbose")
    assert "--quiet and --verbose are mutually exclusive" in message
    assert not Path("other.duckdb").exists()
