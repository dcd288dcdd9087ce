"""Weights are read, and nothing is unpickled but on trust."""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from prime_sql.engine.errors import InputError
from prime_sql.vision.network import need

torch = pytest.importorskip("torch")
timm = need("timm")
from tests.vision.classifiers.answers import Evil, load  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:torch"
)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("how", ["bare", "torch", "legacy", "nested", "protocol 4"])
@pytest.mark.parametrize("use", ["model .pth", "model .bin", "model .pt2", "checkpoint"])
def test_a_pickle_is_only_run_on_trust(use: str, how: str, trust: bool, tmp_path: Path) -> None:
    pwned, file = (
        tmp_path / "pwned",
        tmp_path / f"evil{use[5:].strip() if 'model' in use else '.pth'}",
    )
    if how == "bare":
        file.write_bytes(pickle.dumps(Evil(pwned), protocol=2))
    elif how == "protocol 4":
        file.write_bytes(pickle.dumps({"state_dict": Evil(pwned)}, protocol=4))
    elif how == "nested":
        torch.save({"state_dict": {"weight": torch.zeros(2), "more": Evil(pwned)}}, file)
    else:
        torch.save(Evil(pwned), file, _use_new_zipfile_serialization=how == "torch")
    given: Any = (
        {"model": "timm:resnet10t", "checkpoint": file} if use == "checkpoint" else {"model": file}
    )
    with pytest.raises(InputError) as caught:
        load(**given, trust=trust)
    assert pwned.exists() == trust  # trusted, it runs, and is not a network
    if not trust:
        assert "which can run code" in str(caught.value)
        assert "--trust" in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_a_pickle_in_a_folder(
    kind: str, zipped: bool, small: Any, hugging_face: dict[str, Path], tmp_path: Path
) -> None:
    folder, pwned = tmp_path / "folder", tmp_path / "pwned"
    if kind == "timm":
        timm.models.save_for_hf(small, folder, safe_serialization=True)
    else:
        folder.mkdir()
        for file in ("config.json", "preprocessor_config.json"):
            (folder / file).write_bytes((hugging_face["vit"] / file).read_bytes())
    (folder / "model.safetensors").unlink(missing_ok=True)
    torch.save(
        {"weight": torch.zeros(2), "more": Evil(pwned)},
        folder / "pytorch_model.bin",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(InputError, match="pickled Python objects, which can run code"):
        load(folder)
    assert not pwned.exists()
    with pytest.raises(InputError):
        load(folder, trust=True)
    assert pwned.exists() == (kind == "timm")  # transformers has no way to


def test_weights_in_a_folder(small: Any, tmp_path: Path) -> None:
    timm.models.save_for_hf(small, tmp_path, safe_serialization=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "best.safetensors")
    assert load(tmp_path).classes == ["0", "1", "2", "3", "4"]
    (tmp_path / "last.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds best.safetensors and last.safetensors; say which"):
        load(tmp_path)
    assert load(tmp_path, checkpoint=tmp_path / "best.safetensors").name.endswith(":best")
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match=r"holds no weights"):
        load(tmp_path)


def test_a_pickle_in_an_archive_of_torchscript_or_export_is_not_run(
    folder: Path, tmp_path: Path
) -> None:
    for source in ("traced.pt", "two.pt2"):
        with zipfile.ZipFile(folder / source) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        for victim in [name for name in members if name.endswith((".pkl", ".pt"))]:
            with zipfile.ZipFile(tmp_path / source, "w") as archive:
                for name, content in members.items():
                    poisoned = pickle.dumps(Evil(tmp_path / "pwned"), protocol=2)
                    archive.writestr(name, poisoned if name == victim else content)
            with contextlib.suppress(InputError):
                load(tmp_path / source)
    assert not (tmp_path / "pwned").exists()


def test_code_in_a_hugging_face_folder_is_only_run_on_trust(
    hugging_face: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in hugging_face["vit"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {
            "AutoConfig": "mine.Config",
            "AutoModelForImageClassification": "mine.Network",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(
        textwrap.dedent(f"""
            from transformers import ViTConfig, ViTForImageClassification
            open({str(tmp_path / "pwned")!r}, "w")
            class Config(ViTConfig):
                model_type = "mine"
            class Network(ViTForImageClassification):
                config_class = Config
        """)
    )
    with pytest.raises(InputError, match="let it run its own code with --trust"):
        load(folder)
    assert not (tmp_path / "pwned").exists()
    assert load(folder, trust=True).classes == ["cat", "coffee", "dog"]
    assert (tmp_path / "pwned").exists()


def test_weights_without_a_network(folder: Path) -> None:
    for name in ("weights.pth", "weights.safetensors", "best.pth.tar"):
        for trust in (False, True):
            with pytest.raises(InputError, match=rf"--model timm:NAME --checkpoint .*{name}"):
                load(folder / name, trust=trust)
