"""RamTagger over a stand-in for the package ram: same interface, a tiny network, random weights."""

import functools
import importlib
import os
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from prime_sql.engine.errors import InputError, InstallError, OptionError
from prime_sql.vision.network import Place, need

torch = pytest.importorskip("torch")
data = pytest.importorskip("skimage.data")
image = pytest.importorskip("PIL.Image")

from prime_sql.vision.ram import TAGS, RamTagger  # noqa: E402

STAND_IN = Path(__file__).parent / "stand_in_ram"
KINDS = {"ram": "ram", "ram++": "ram_plus"}
PICTURES = [image.fromarray(photo()) for photo in (data.cat, data.coffee, data.astronaut)]
CPU = Place(torch.device("cpu"), torch.float32)

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    """Put the stand-in where the package ram is looked for, and nowhere else."""
    monkeypatch.syspath_prepend(STAND_IN)
    _forget(monkeypatch)
    yield
    for name in _modules():
        del sys.modules[name]


def _modules():
    return [name for name in sys.modules if name.partition(".")[0] == "ram"]


def _forget(monkeypatch):
    for name in _modules():
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def checkpoint(tmp_path):
    """Return a function that makes a checkpoint of random weights, whose scores spread wide."""

    def make(kind, image_size=384, **more):
        need("torchvision")
        torch.manual_seed(len(kind) + image_size)
        with warnings.catch_warnings():
            models = importlib.import_module("ram.models")
        model = getattr(models, KINDS[kind])(image_size=image_size, vit="swin_l")
        weights = model.state_dict()
        weights["label_embed"].normal_()
        weights["tagging_head.value.weight"] *= 8  # that pictures differ
        transform = importlib.import_module("ram.transform").get_transform(image_size)
        logits = []
        model.fc.register_forward_hook(lambda _layer, _in, out: logits.append(out))
        with torch.inference_mode():
            model.generate_tag(torch.stack([transform(picture) for picture in PICTURES]))
            scale = 2 / logits[0].std()
            weights["fc.weight"] *= scale
            weights["fc.bias"] -= logits[0].mean()
            weights["fc.bias"] *= scale
        torch.save({"model": weights, "epoch": 3, **more}, path := tmp_path / f"{kind}.pth")
        return path

    return make


def load(kind, path, **options):
    return RamTagger.load(kind, path, place=CPU, **options)


def tag(tagger, pictures=PICTURES):
    return tagger.run([tagger.prepare(picture) for picture in pictures])


def as_dicts(rows):
    return [{item["tag"]: item["score"] for item in row} for row in rows.to_pylist()]


def names(rows):
    return [[item["tag"] for item in row] for row in rows.to_pylist()]


def softmax(values):
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


def scores_of(path, picture, size=384, extra=()):
    """Work out every tag's score in NumPy, tag by tag, from the checkpoint alone.

    Each of `extra` is a tag of one description.
    """
    weights = torch.load(path, weights_only=True)["model"]
    weights = {name: value.double().numpy() for name, value in weights.items()}

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    models = sys.modules["ram.models"]
    patch = models.PATCH[size]
    pixels = np.asarray(picture.convert("RGB").resize((size, size), image.Resampling.BILINEAR))
    pixels = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    patches = pixels.reshape(size // patch, patch, size // patch, patch, 3)
    patches = patches.transpose(0, 2, 4, 1, 3).reshape(-1, 3 * patch * patch)
    kernel = weights["visual_encoder.proj.weight"]
    tokens = patches @ kernel.reshape(len(kernel), -1).T + weights["visual_encoder.proj.bias"]
    tokens = linear("image_proj", np.vstack([tokens.mean(axis=0), tokens]))
    known = weights["label_embed"].reshape(len(models.TAGS), -1, 512)
    scores = {}
    for name, label in [*zip(models.TAGS, known, strict=True), *extra]:
        if "reweight_scale" in weights:
            close = label @ tokens[0] / np.linalg.norm(tokens[0])
            label = softmax(np.exp(weights["reweight_scale"]) * close) @ label
        query = np.maximum(linear("wordvec_proj", label.reshape(512)), 0)
        attention = softmax(linear("tagging_head.key", tokens) @ query / 8)
        seen = query + attention @ linear("tagging_head.value", tokens)
        scores[name] = 1 / (1 + np.exp(-linear("fc", seen).item()))
    return scores


@kinds
@pytest.mark.parametrize("size", [224, 384])
def test_scores(kind, size, checkpoint):
    path = checkpoint(kind, size)
    tagger = load(kind, path, image_size=size, threshold=0)
    assert (tagger.name, tagger.pixels, tagger.returns) == (kind, size, TAGS)
    rows = tag(tagger)
    assert rows.type == pa.list_(pa.struct([("tag", pa.string()), ("score", pa.float32())]))
    rows.validate(full=True)
    scores = [score for row in as_dicts(rows) for score in row.values()]
    assert min(scores) < 0.3 < 0.7 < max(scores)  # a test worth the name
    for row, picture in zip(as_dicts(rows), PICTURES, strict=True):
        expected = scores_of(path, picture, size)
        assert row == pytest.approx(expected, abs=1e-5)
        assert list(row) == sorted(row, key=lambda name: (-row[name], name))


@kinds
def test_thresholds_are_those_of_each_tag(kind, checkpoint):
    tagger = load(kind, path := checkpoint(kind))
    rows = tag(tagger)
    model = getattr(sys.modules["ram.models"], KINDS[kind])(path, image_size=384, vit="swin_l")
    transform = sys.modules["ram.transform"].get_transform(384)
    with torch.inference_mode():
        english, _ = model.generate_tag(torch.stack([transform(p) for p in PICTURES]))
    assert [sorted(row) for row in names(rows)] == [sorted(line.split(" | ")) for line in english]
    limits = dict(zip(model.tag_list.tolist(), model.class_threshold.tolist(), strict=True))
    kept = [score for row in as_dicts(rows) for score in row.values()]
    dropped = [
        score
        for row, picture in zip(as_dicts(rows), PICTURES, strict=True)
        for name, score in scores_of(path, picture).items()
        if name not in row and score <= limits[name]
    ]
    assert min(kept) < max(dropped)  # one threshold for all would not do
    assert len(kept) + len(dropped) == 3 * len(limits)


@kinds
def test_one_threshold_for_all(kind, checkpoint):
    path = checkpoint(kind)
    rows = as_dicts(tag(load(kind, path, threshold=0.6)))
    assert any(rows)
    for row, picture in zip(rows, PICTURES, strict=True):
        assert set(row) == {name for name, s in scores_of(path, picture).items() if s > 0.6}


@kinds
def test_a_picture_without_tags(kind, checkpoint):
    rows = tag(load(kind, checkpoint(kind), threshold=0.9999))
    assert names(rows) == [[], [], []]
    assert rows.type == TAGS


@kinds
@pytest.mark.parametrize("threshold", [None, 0])
def test_deleted_tags_are_absent(kind, threshold, checkpoint, monkeypatch):
    path = checkpoint(kind)
    before = names(tag(load(kind, path, threshold=threshold)))
    deleted = {before[0][0], before[1][0]}
    models = sys.modules["ram.models"]
    indices = [models.TAGS.index(name) for name in deleted]
    build = functools.partial(getattr(models, KINDS[kind]), delete_tag_index=indices)
    monkeypatch.setattr(models, KINDS[kind], build)
    after = names(tag(load(kind, path, threshold=threshold)))
    assert after == [[name for name in row if name not in deleted] for row in before]


def test_equal_scores_go_by_name(checkpoint):
    weights = torch.load(path := checkpoint("ram"), weights_only=True)
    weights["model"]["fc.weight"].zero_()
    torch.save(weights, path)
    tagger = load("ram", path, threshold=0, extra_tags=["b", "a", "é", "Z"])
    for row in names(tag(tagger)):
        assert row == sorted(row)
        assert len(row) == 20


@kinds
@pytest.mark.parametrize("extra_tags", [(), ["teapot"]])
def test_a_batch_is_its_pictures_one_by_one(kind, extra_tags, checkpoint):
    tagger = load(kind, checkpoint(kind), extra_tags=extra_tags)
    pictures = [*PICTURES, PICTURES[0].convert("L"), PICTURES[1].crop((0, 0, 30, 300))]
    together = tag(tagger, pictures)
    alone = [tag(tagger, [picture]) for picture in pictures]
    assert names(together) == [names(row)[0] for row in alone]
    for row, single in zip(as_dicts(together), alone, strict=True):
        assert row == pytest.approx(as_dicts(single)[0], abs=1e-5)
    assert tag(tagger).equals(tag(tagger))


@kinds
def test_extra_tags(kind, checkpoint):
    path = checkpoint(kind)
    extra = ["siamese cat", "saucer", "saucer", "cat", "Apollo 11"]
    added = ["siamese cat", "saucer", "Apollo 11"]
    rows = as_dicts(tag(load(kind, path, threshold=0, extra_tags=extra)))
    embedding, _ = sys.modules["ram.utils"].build_openset_label_embedding(added)
    labels = list(zip(added, embedding.double().numpy()[:, np.newaxis], strict=True))
    scores = [scores_of(path, picture, extra=labels) for picture in PICTURES]
    for row, expected in zip(rows, scores, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    by_default = tag(load(kind, path, extra_tags=extra))
    own = as_dicts(tag(load(kind, path)))
    for row, expected, kept in zip(as_dicts(by_default), scores, own, strict=True):
        assert row.keys() - added == kept.keys()
        assert row.keys() & added == {name for name in added if expected[name] > 0.5}


@kinds
def test_half_precision(kind, checkpoint):
    path = checkpoint(kind)
    half = RamTagger.load(kind, path, threshold=0, place=Place(torch.device("cpu"), torch.bfloat16))
    for row, whole in zip(
        as_dicts(tag(half)), as_dicts(tag(load(kind, path, threshold=0))), strict=True
    ):
        assert row == pytest.approx(whole, abs=0.05)
        assert row != whole


@kinds
def test_loading_leaves_the_process_as_it_was(kind, checkpoint, capfd, monkeypatch):
    path = checkpoint(kind)
    _forget(monkeypatch)
    filters, environment = list(warnings.filters), dict(os.environ)
    capfd.readouterr()
    tag(load(kind, path, extra_tags=["teapot"]))
    assert (list(warnings.filters), dict(os.environ)) == (filters, environment)
    assert capfd.readouterr() == ("", "")


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@kinds
@pytest.mark.parametrize("before", [None, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
def test_only_weights_are_unpickled(kind, before, checkpoint, tmp_path, monkeypatch):
    """The switch has torch.load unpickle anything, which was its default before torch 2.6."""
    if before:
        monkeypatch.setenv(before, "1")
    environment = dict(os.environ)
    path = checkpoint(kind, config=Trap(tmp_path / "trapped"))
    with pytest.raises(InputError, match=r"is not weights alone \(trust reads such a file too"):
        load(kind, path)
    assert not (tmp_path / "trapped").exists()
    assert dict(os.environ) == environment
    assert any(names(tag(load(kind, path, trust=True))))
    assert (tmp_path / "trapped").exists()
    assert dict(os.environ) == environment


def test_a_checkpoint_that_does_not_fit(checkpoint, tmp_path):
    plus, ram = checkpoint("ram++"), checkpoint("ram")
    with pytest.raises(InputError, match=r"not one of ram with the large Swin: .*label_embed"):
        load("ram", plus)
    with pytest.raises(InputError, match=r"not one of ram\+\+ with the large Swin: .*label_embed"):
        load("ram++", ram)
    weights = torch.load(ram, weights_only=True)["model"]
    torch.save(weights, path := tmp_path / "bare.pth")
    with pytest.raises(InputError, match="not one of ram with the large Swin: 'model'"):
        load("ram", path)
    torch.save({"model": {f"module.{name}": value for name, value in weights.items()}}, path)
    with pytest.raises(InputError, match="with the large Swin, it has no label_embed"):
        load("ram", path)
    torch.save([weights], path)
    with pytest.raises(InputError, match="not one of ram with the large Swin"):
        load("ram", path)


@pytest.mark.parametrize("trust", [False, True])
def test_a_broken_file(trust, checkpoint, tmp_path):
    whole = checkpoint("ram").read_bytes()
    path = tmp_path / "broken.pth"
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"broken\.pth is not"):
            load("ram", path, trust=trust)
    path.write_bytes(pickle.dumps({"model": 1}))
    with pytest.raises(InputError, match=r"broken\.pth is not"):
        load("ram", path, trust=trust)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("kind", "ram+", r"kind must be ram or ram\+\+, got 'ram\+'"),
        ("image_size", 512, "image_size of ram must be 224 or 384, got 512"),
        ("threshold", 1, "threshold must be from 0 to below 1, got 1"),
        ("threshold", -0.1, "threshold must be from 0 to below 1, got -0.1"),
        ("threshold", float("nan"), "threshold must be from 0 to below 1, got nan"),
        ("extra_tags", "cat", "extra_tags must be a list of names, got 'cat'"),
        ("extra_tags", ["cat", " "], r"extra_tags must be a list of names, got \['cat', ' '\]"),
        ("extra_tags", ["a" * 99], "extra_tags cannot be embedded: Input aaa.* is too long"),
    ],
)
def test_options(option, value, message, checkpoint):
    options = {"kind": "ram", "path": checkpoint("ram"), option: value}
    with pytest.raises(OptionError, match=message):
        load(**options)


@kinds
def test_no_checkpoint(kind, tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint .*nowhere; get ram\S*_14m.pth from https"):
        load(kind, tmp_path / "nowhere")


def test_the_package_is_absent(checkpoint, monkeypatch):
    path = checkpoint("ram")
    _forget(monkeypatch)
    monkeypatch.setitem(sys.modules, "ram", None)
    with pytest.raises(InstallError, match=r"pip install git\+https://github.com/xinyu1205/"):
        load("ram", path)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (None, r"installed package ram is a different one; install it: pip install git\+https"),
        ("import fairscale_", "the package ram needs fairscale_; install it: pip install fairsc"),
        ("from json import chunk", "does not work here: cannot import name 'chunk'.*transformers"),
        ("def ram(**_): raise OSError('no tokenizer')", "does not work here: no tokenizer"),
        ("", r"has no ram; install it: pip install git\+https"),
    ],
)
def test_the_package_is_broken(models, message, checkpoint, tmp_path, monkeypatch):
    path = checkpoint("ram")
    _forget(monkeypatch)
    (tmp_path / "ram").mkdir()
    (tmp_path / "ram/__init__.py").touch()
    (tmp_path / "ram/transform.py").write_text("get_transform = None")
    if models is not None:
        (tmp_path / "ram/models.py").write_text(models)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InstallError, match=message):
        load("ram", path)


def test_clip_is_absent(checkpoint, tmp_path, monkeypatch):
    path = checkpoint("ram")
    ram = importlib.import_module("ram")
    (tmp_path / "utils.py").write_text("import clip")
    monkeypatch.setattr(ram, "__path__", [str(tmp_path), *ram.__path__])
    monkeypatch.setitem(sys.modules, "clip", None)
    assert any(names(tag(load("ram", path))))
    with pytest.raises(InstallError, match=r"needs clip; install it: pip install git\+https.*CLIP"):
        load("ram", path, extra_tags=["teapot"])
