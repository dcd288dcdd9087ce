"""CLIP models by name and by folder, and those that cannot be had."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from prime_sql import vision
from prime_sql.engine.errors import InputError, OptionError
from tests.vision import tiny_clip


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
