"""``prime-sql demo --images``."""

import re
import runpy
import subprocess
import sys

import polars as pl
import pytest
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli, vision
from tests.demo.emoji.example import EXAMPLE, example

# The first test waits until all is fetched and built, and another until 11,000 pictures went
# through a network.
pytestmark = pytest.mark.timeout(1800)


def test_from_the_pictures_to_the_same_failure_modes(of_pictures, tmp_path):
    """What comes out of the pictures is what the tables hold."""
    of_tables = tmp_path / "tables.duckdb"
    assert CliRunner().invoke(cli.app, ["demo", "--db", str(of_tables)]).exit_code == 0
    modes = "select mode_id, tags, images, errors from failure_modes order by mode_id"
    expected, found = (set(ps.sql(db, modes).rows()) for db in (of_tables, of_pictures))
    assert len(expected) == 72
    # Another processor may turn over a prediction that was a tie.
    assert len(expected ^ found) <= 6, expected ^ found
    counts = ps.sql(
        of_pictures,
        "select (select count(*) from emoji_images.images), "
        "(select count(*) from emoji_images.embeddings), "
        "(select count(*) from emoji_images.image_problems), "
        "(select count(distinct image_id) from emoji_images.tags where tagger = 'clip')",
    ).row(0)
    assert counts[:3] == (3781, 3781, 0)
    assert counts[3] > 3000


def test_nothing_is_done_twice(of_pictures, monkeypatch):
    # Tags are made again, from the embeddings: half a minute of reading words.
    monkeypatch.setattr(
        vision, "tag_clip", lambda *_, **__: vision.Done("tag", "", "tags", 0, 0, 0.0)
    )
    again = CliRunner().invoke(cli.app, ["demo", "--images", "--db", str(of_pictures)])
    assert "predict: 0 images" in again.output
    assert "embed: 0 images" in again.output


def test_the_tables_of_the_example_are_those_that_its_script_makes(of_pictures):
    """What ``make example`` does, without making the demo's predictions once more."""
    command = [sys.executable, EXAMPLE / "build.py", "--check", "--database", of_pictures]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert re.search(r"step='predict', .*\bimages=0,", done.stdout)
    assert "are those that this script makes" in done.stdout


def test_the_script_notices_other_tables(tmp_path):
    """Its comparison is one that can fail."""
    build = runpy.run_path(str(EXAMPLE / "build.py"))
    same = {name: example(name) for name in ("predictions", "tags", "images", "metadata")}
    build["compare"](same, EXAMPLE)
    fewer = same | {"tags": same["tags"].head(-1)}
    with pytest.raises(SystemExit, match=r"tags\.parquet is not what this script makes"):
        build["compare"](fewer, EXAMPLE)
    flipped = pl.when(pl.int_range(pl.len()) < 8).then(pl.lit("Flags")).otherwise("prediction")
    other = same | {"predictions": same["predictions"].with_columns(prediction=flipped)}
    with pytest.raises(SystemExit, match="the classifier is another one"):
        build["compare"](other, EXAMPLE)
    surer = same["predictions"].with_columns(pl.col("confidence") + 0.01)
    with pytest.raises(SystemExit, match="the classifier is another one"):
        build["compare"](same | {"predictions": surer}, EXAMPLE)
