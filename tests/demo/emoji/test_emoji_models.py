"""The models of the example: that they load anywhere, and how good they are."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prime_sql.demo import emoji, emoji_packages
from prime_sql.vision import clip_folders
from prime_sql.vision.network import Network, Place, need
from prime_sql.vision.pictures import decode
from tests.demo.emoji.example import Clip

# The first test waits until all is fetched and built, and another until 11,000 pictures went
# through a network.
pytestmark = pytest.mark.timeout(1800)

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
