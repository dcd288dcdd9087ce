"""What the commands images, embed, tag and predict refuse, and what they say then."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prime_sql.cli.tag_options import Tagger
from tests.cli.command import fail, parameters, succeed
from tests.vision.commands.lines import (
    CLIP,
    NEEDED,
    NEW,
    OF_THE_COMMAND,
    TABLE,
    flag,
    function_of,
    options_of,
    rows,
    typed,
)

# What they refuse ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tagger", Tagger)
def test_tag_refuses_options_that_the_tagger_does_not_use(here, tagger):
    unused = parameters("tag").keys() - options_of(function_of(tagger)).keys()
    for name in sorted(unused - OF_THE_COMMAND["tag"] - {"help"}):
        message = fail("tag", *NEW, "--tagger", tagger.value, *NEEDED[tagger], *typed(name))
        assert message.startswith(f"Error: {flag(name)} is for --tagger ")
        assert message.endswith(f", not {tagger}\n")
    assert not Path("new.duckdb").exists()


@pytest.mark.parametrize("tagger", Tagger)
def test_tag_wants_what_the_tagger_needs_before_it_loads_images(here, tagger):
    for option, value in zip(NEEDED[tagger][::2], NEEDED[tagger][1::2], strict=True):
        others = [word for word in NEEDED[tagger] if word not in (option, value)]
        message = fail("tag", "photos", *NEW, "--tagger", tagger.value, *others)
        assert f"this tagger needs {option}; see prime-sql tag --help" in message
    assert not Path("new.duckdb").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--texts", "words.txt", "photos"],
            "IMAGES does not go with --texts, which",
        ),
        (["--texts", "words.txt", "--batch-size", "3"], "--batch-size does not go with --texts"),
        (["--texts", "words.txt", "--threads", "3"], "--threads does not go with --texts"),
        (["--column", "x"], "--column is for --texts"),
        (["--template", "a {}"], "--template is for --texts"),
    ],
    ids=str,
)
def test_embed_refuses_options_without_use(here, arguments, message):
    assert message in fail("embed", *NEW, "--model", "tiny", *arguments)
    assert not Path("new.duckdb").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["images", "photos", *NEW, "--threads", "0"], "Invalid value for '--threads'"),
        (["images", "photos", *NEW, "--threads", "-2"], "Invalid value for '--threads'"),
        (["images", *NEW], "Missing argument 'IMAGES'"),
        (["images", "photos"], "Missing option '--db'"),
        (["embed", "photos", *NEW], "name a model with --model, such as ViT-B-32"),
        (["predict", "photos", *NEW], "Missing option '--model'"),
        (["embed", "photos", *NEW, "--model", "tiny", "--batch-size", "many"], "or auto; got"),
        (["embed", "photos", *NEW, "--model", "tiny", "--batch-size", "0"], "or auto; got '"),
        (["embed", "photos", *NEW, "--model", "tiny", "--batch-size", "-1"], "or auto; got "),
        (["predict", "photos", *NEW, "--model", "m:f", "--batch-size", "2.5"], "or auto; got"),
        (["predict", "photos", *NEW, "--model", "m:f", "--mean", "0.5;0.5"], "--mean takes three"),
        (["predict", "photos", *NEW, "--model", "m:f", "--std", ""], "'--std': it is empty"),
        (["predict", "photos", *NEW, "--model", "m:f", "--image-size", "big"], "'--image-size'"),
        ([*CLIP, "photos", "--top-k", "two"], "Invalid value for '--top-k'"),
        ([*CLIP, "photos", "--threshold", "high"], "Invalid value for '--threshold'"),
        ([*CLIP, "photos", "--calibrate", "some"], "Invalid value for '--calibrate'"),
        ([*CLIP, "photos", "--tagger", "blip"], "Invalid value for '--tagger'"),
        ([*TABLE, "--threads", "2"], "--threads is for --tagger clip or ram or ram++, not table"),
        ([*TABLE, "--replace"], "--replace is for --tagger ram or ram++, not table"),
        (["tag", *NEW, "--modle", "x"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_bad_usage_is_one_message_and_status_2_before_anything_is_done(here, command, message):
    assert message in fail(*command)
    assert not Path("new.duckdb").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top-k", "0"], "top_k must be at least 1, got 0"),
        (["--threshold", "nan"], "threshold must be a finite number, got nan"),
        (["--threshold", "inf"], "threshold must be a finite number, got inf"),
        (["--template", "a photo"], "template must hold {} once"),
        (["--device", "tpu"], "device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        (["--device", "cuda:99"], "cuda"),
        (["--precision", "fp8"], "precision must be one of auto, fp32, bf16, got 'fp8'"),
        (["--vocabulary", "nowhere.txt"], "vocabulary: there is no file nowhere.txt"),
        (["--synonyms", "tags.csv"], "synonyms (tags.csv) has no column 'synonym'"),
        (["--model", "ViT-B-31"], "Did you mean 'ViT-B-32'?"),
    ],
    ids=str,
)
def test_options_that_the_library_refuses(here, loaded, clip_folder, arguments, message):
    shutil.copy(loaded, "new.duckdb")
    before = rows("select table_name from duckdb_tables() order by all")
    command = ["tag", *NEW, "--model", clip_folder, "--vocabulary", "words.txt", *arguments]
    assert message in fail(*command)
    found = rows("select table_name from duckdb_tables() order by all")
    assert {*found} - {*before} <= {("tags",), ("tagged_images",)}


@pytest.mark.parametrize(
    "command",
    [
        ["embed", *NEW, "--model", "tiny"],
        CLIP,
        ["tag", *NEW, "--tagger", "ram", "--checkpoint", "ram.pth"],
        ["predict", *NEW, "--model", "slow_classifier:classify"],
    ],
    ids=lambda command: " ".join(command[:1] + command[3:5]),
)
def test_without_images_they_say_how_to_load_some(here, command):
    message = fail(*command)
    assert "there is no database new.duckdb; `prime-sql images FOLDER --db FILE` loads " in message
    assert not Path("new.duckdb").exists()
    succeed(*TABLE, "--quiet")  # which needs none
    assert "the database holds no images; `prime-sql images FOLDER" in fail(*command)
    shutil.copy("words.txt", "new.duckdb")
    assert "is not a DuckDB database" in fail(*command)


# Packages that are missing ------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["torch", "open_clip"])
def test_a_missing_package_is_named_with_what_installs_it(here, loaded, monkeypatch, package):
    pytest.importorskip("torch")
    shutil.copy(loaded, "new.duckdb")
    monkeypatch.setitem(sys.modules, package, None)
    for command in (["embed", *NEW, "--model", "tiny"], CLIP):
        assert fail(*command) == (
            f"Error: this needs the package {package}; "
            "install it: pip install 'prime-sql[vision]'\n"
        )


@pytest.mark.parametrize("package", ["HanTa", "lemminflect"])
def test_a_missing_package_of_captions(here, monkeypatch, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    message = fail("tag", *NEW, "--tagger", "captions", "--source", "captions.csv")
    assert "install it: pip install 'prime-sql[captions]'" in message
    assert not Path("new.duckdb").exists()


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from prime_sql.cli import main
main()
"""

EXTRAS = [
    *["torch", "torchvision", "open_clip", "timm", "transformers", "PIL", "fsspec", "onnxruntime"],
    *["safetensors", "HanTa", "lemminflect", "sklearn", "scipy", "huggingface_hub"],
]


def without_extras(*arguments):
    program = WITHOUT.format(packages=EXTRAS)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=500
    )


def test_the_core_alone_says_what_to_install_and_takes_tags(here):
    done = without_extras("embed", "photos", *NEW, "--model", "ViT-B-32", "--pretrained", "openai")
    assert done.returncode == 2
    assert re.fullmatch(
        r"Error: this needs the package \S+; install it: pip install 'prime-sql\[vision\]'\n",
        done.stderr,
    )
    done = without_extras(*TABLE)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Tagged 2 images with table into tags of new.duckdb" in done.stderr
