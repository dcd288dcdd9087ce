"""The commands images, embed, tag and predict: what they print where, and their exit status."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from prime_sql import vision
from prime_sql.cli.vision import Tagger
from prime_sql.errors import QueryError
from tests.test_cli import ANSI, PRIME_SQL, fail, on_a_terminal, parameters, succeed
from tests.vision import samples

COMMANDS = ["images", "embed", "tag", "predict"]

CLASSIFIER = """
import time

def classify(pictures):
    time.sleep(0.01 * len(pictures))
    return [("cat" if picture.getpixel((0, 0))[0] % 2 else "dog", 0.5) for picture in pictures]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Make a working directory with pictures, one file that is none, and a classifier."""
    samples.write_numbered(tmp_path / "photos" / "cat", 12)
    samples.write_numbered(tmp_path / "photos" / "dog", 8, first=12)
    (tmp_path / "photos" / "dog" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "slow_classifier.py").write_text(CLASSIFIER)
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "tags.csv").write_text("image_id,tag\ncat/00000.png,red\ncat/00001.png,blue\n")
    (tmp_path / "captions.csv").write_text("image_id,caption\ncat/00000.png,a red dog\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("slow_classifier", None)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Return a database with two images; do not change it."""
    folder = tmp_path_factory.mktemp("loaded")
    samples.write_numbered(folder / "photos", 2)
    vision.load_images(folder / "photos", folder / "loaded.duckdb")
    return folder / "loaded.duckdb"


def rows(query, db="new.duckdb"):
    connection = duckdb.connect(db)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


BAD = (
    "1 image could not be used: "
    "prime-sql sql new.duckdb \"from image_problems where step = 'images'\"\n"
)
NEW = ["--db", "new.duckdb"]


# What they do, and what they say ------------------------------------------------------------------


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
    # The command of the second line works as it stands.
    query = "from image_problems where step = 'images'"
    (problem,) = json.loads(succeed("sql", "new.duckdb", query, "--format", "json").stdout)
    assert problem["image_id"] == "dog/bad.png"
    again = succeed("images", "photos", *NEW).stderr
    assert again == "Loaded 0 images into images of new.duckdb.\n" + BAD


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
    # The same again has nothing to do; --replace does; another name stands beside it.
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
    assert "--quiet and --verbose exclude each other" in message
    assert not Path("other.duckdb").exists()


# What they refuse ---------------------------------------------------------------------------------

NEEDED = {
    Tagger.clip: ["--model", "tiny", "--vocabulary", "words.txt"],
    Tagger.ram: ["--checkpoint", "ram.pth"],
    Tagger.ram_plus: ["--checkpoint", "ram.pth"],
    Tagger.captions: ["--source", "captions.csv"],
    Tagger.table: ["--source", "tags.csv"],
}
OTHER = {  # another value for every option
    "model": "ViT-B-16",
    "pretrained": "openai",
    "vocabulary": "others.txt",
    "column": "words",
    "template": "a {} thing",
    "threshold": 0.5,
    "top_k": 3,
    "calibrate": "all",
    "embeddings": "others",
    "checkpoint": Path("other.pth"),
    "image_size": 224,
    "extra_tag": "zebra",
    "trust": True,
    "source": "others.csv",
    "image_id": "file",
    "tag_": "word",
    "score": "weight",
    "parts": "noun,verb",
    "synonyms": "same.csv",
    "name": "mine",
    "table": "others",
    "replace": True,
    "device": "cpu",
    "precision": "bf16",
    "batch_size": "7",
    "threads": 3,
    "texts": "words.txt",
    "labels": Path("labels.txt"),
    "mean": "0.1,0.2,0.3",
    "std": "0.4,0.5,0.6",
    "resize": "squash",
    "uri": "place",
    "bytes_": "content",
    "label": "class",
    "split": "part",
    "root": Path("photos"),
}
FUNCTIONS = {
    "images": [vision.load_images],
    "embed": [vision.embed, vision.embed_texts],
    "tag": [vision.tag_clip, vision.tag_ram, vision.tag_captions, vision.tag_table],
    "predict": [vision.predict],
}
PYTHON = {"into", "on_sql", "on_images", "kind"}  # --db, --verbose, the terminal, --tagger


OF_THE_COMMAND = {
    "images": {"db", "quiet", "verbose"},
    "embed": {"db", "quiet", "verbose", "images"},
    "tag": {"db", "quiet", "verbose", "images", "tagger"},
    "predict": {"db", "quiet", "verbose", "images"},
}


def options_of(function):
    """Return the options of a function, under the names that they have in its command."""
    names = inspect.signature(function).parameters.keys() - PYTHON
    renamed = {"extra_tags": "extra_tag"}
    if function.__name__ in ("tag_captions", "tag_table"):
        renamed |= {"captions": "source", "tags": "source", "tag": "tag_"}
    return {renamed.get(name, name): name for name in names}


def function_of(tagger):
    """Return what the command calls for a tagger."""
    name = "ram" if tagger in (Tagger.ram, Tagger.ram_plus) else tagger.value
    return getattr(vision, f"tag_{name}")


def flag(name):
    return f"--{name.strip('_').replace('_', '-')}"


def typed(name):
    value = OTHER[name]
    return [flag(name)] if value is True else [flag(name), str(value)]


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
        (["--texts", "words.txt", "photos"], "IMAGES has no use: --texts embeds no images"),
        (["--texts", "words.txt", "--batch-size", "3"], "--batch-size has no use"),
        (["--texts", "words.txt", "--threads", "3"], "--threads has no use"),
        (["--column", "x"], "--column is for --texts"),
        (["--template", "a {}"], "--template is for --texts"),
    ],
    ids=str,
)
def test_embed_refuses_options_without_use(here, arguments, message):
    assert message in fail("embed", *NEW, "--model", "tiny", *arguments)
    assert not Path("new.duckdb").exists()


TABLE = ["tag", *NEW, "--tagger", "table", "--source", "tags.csv"]
CLIP = ["tag", *NEW, "--model", "tiny", "--vocabulary", "words.txt"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["images", "photos", *NEW, "--threads", "0"], "Invalid value for '--threads'"),
        (["images", "photos", *NEW, "--threads", "-2"], "Invalid value for '--threads'"),
        (["images", *NEW], "Missing argument 'IMAGES'"),
        (["images", "photos"], "Missing option '--db'"),
        (["embed", "photos", *NEW], "name a model with --model, such as ViT-B-32"),
        (["predict", "photos", *NEW], "Missing option '--model'"),
        (["embed", "photos", *NEW, "--model", "tiny", "--batch-size", "many"], "1 on, or auto; go"),
        (["embed", "photos", *NEW, "--model", "tiny", "--batch-size", "0"], "1 on, or auto; got '"),
        (["embed", "photos", *NEW, "--model", "tiny", "--batch-size", "-1"], "1 on, or auto; got "),
        (["predict", "photos", *NEW, "--model", "m:f", "--batch-size", "2.5"], "1 on, or auto; go"),
        (["predict", "photos", *NEW, "--model", "m:f", "--mean", "0.5;0.5"], "--mean takes number"),
        (["predict", "photos", *NEW, "--model", "m:f", "--std", ""], "--std takes numbers such as"),
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


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_one_of_the_python_functions(command):
    flags = parameters(command)
    in_python = {name for function in FUNCTIONS[command] for name in options_of(function)}
    assert flags.keys() - OF_THE_COMMAND[command] - {"help"} == in_python
    for name, parameter in flags.items():
        if parameter.param_type_name == "option" and name != "help":
            assert parameter.opts == [flag(name)]


CALLS = [
    ("images", vision.load_images, ["photos"], None),
    ("embed", vision.embed, ["--model", "tiny"], None),
    ("embed", vision.embed_texts, ["--model", "tiny", "--texts", "words.txt"], None),
    ("predict", vision.predict, ["--model", "m:f"], None),
    *[("tag", function_of(tagger), NEEDED[tagger], tagger) for tagger in Tagger],
]


@pytest.mark.parametrize(
    ("command", "function", "needed", "tagger"),
    CALLS,
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_option_arrives_and_so_do_the_defaults(
    here, monkeypatch, command, function, needed, tagger
):
    signature = inspect.signature(function)
    calls = []

    def record(*args, **kwargs):
        calls.append(signature.bind(*args, **kwargs))
        raise QueryError("recorded")

    monkeypatch.setattr(vision, function.__name__, record)

    def called(*arguments):
        """Return what the function is called with, defaults included."""
        who = [] if tagger is None else ["--tagger", tagger.value]
        assert "recorded" in fail(command, *NEW, *who, *needed, *arguments)
        calls[-1].apply_defaults()
        return calls[-1].arguments

    plain = called()
    assert plain["into"] == Path("new.duckdb")
    assert plain.get("kind", tagger) == tagger
    for name, parameter in signature.parameters.items():
        if parameter.default is not inspect.Parameter.empty and name != "kind":
            found = plain[name]
            assert (tuple(found) if isinstance(found, list) else found) == parameter.default
    read = {  # out of what is typed
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "batch_size": 7,
        "extra_tag": ["zebra"],
        "parts": ["noun", "verb"],
    }
    given = {option for option in needed if option.startswith("--")}
    for name, python in options_of(function).items():
        if name != "source" or command == "tag":
            found = called(*typed(name))[python]
            assert found == read.get(name, OTHER[name]), name
    assert given <= {flag(name) for name in options_of(function)}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for option in ("--help", "-h"):
        text = succeed(command, option).stdout
        assert max(map(len, text.splitlines())) <= 80
        assert text.startswith("Usage: ")
    for name, parameter in parameters(command).items():
        assert name == "help" or parameter.help, name
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in text


# On a terminal ------------------------------------------------------------------------------------


def on_lines(text):
    """Return what a terminal showed, line after line, without what stayed the same."""
    lines = [line.rstrip() for line in ANSI.sub("", text).replace("\r", "\n").splitlines()]
    return [
        line for line, before in zip(lines, ["", *lines], strict=False) if line not in ("", before)
    ]


PREDICT = ["predict", "photos", *NEW, "--model", "slow_classifier:classify"]


@pytest.mark.parametrize("columns", [80, 44])
def test_a_terminal_shows_images_a_second_and_the_time_left(here, columns):
    pytest.importorskip("torch")
    samples.write_numbered(here / "photos" / "ape", 60, first=100)
    status, text = on_a_terminal([*PRIME_SQL, *PREDICT, "--batch-size", "8"], here, columns)
    assert status == 0
    shown = on_lines(text)
    progress = [line for line in shown if re.match("images|predict ", line)]
    assert max(map(len, progress)) <= columns
    for step, total in (("images", 81), ("predict", 80)):
        done = [line for line in progress if line.startswith(step)]
        assert any(re.search(rf" {total}/{total} [\d,]+ images/s \d:\d\d:\d\d$", d) for d in done)
    under_way = [line for line in progress if re.search(r" (8|16|24|32|40|48|56|64|72)/80 ", line)]
    assert any(re.search(r" [\d,]+ images/s \d:\d\d:\d\d$", line) for line in under_way)
    # It is wiped: what stays is what a pipe would get.
    kept = on_lines(text[text.rindex("\x1b[2K") :])
    assert kept[0].startswith("Classified 80 images with slow_classifier:classify into")
    assert not [line for line in kept if "images/s" in line]


def test_a_quiet_command_shows_nothing_on_a_terminal(here):
    status, text = on_a_terminal([*PRIME_SQL, "images", "photos", *NEW, "--quiet"], here)
    assert (status, text) == (0, "")


def test_a_pipe_gets_no_progress_and_no_colours(here):
    done = subprocess.run(
        [*PRIME_SQL, "images", "photos", *NEW], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["Loaded", "1"]
    assert "\x1b" not in done.stderr


# Interrupted --------------------------------------------------------------------------------------

SLOW_IMPORT = """
import pathlib, time

pathlib.Path("loading").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("progress", [True, False])
def test_an_interrupt_while_a_model_loads(here, loaded, progress):
    """As it is read from a disk: torch stands in for it here, and takes a minute."""
    shutil.copy(loaded, "new.duckdb")
    before = rows("from images order by all")
    (here / "stand_in").mkdir()
    (here / "stand_in" / "torch.py").write_text(SLOW_IMPORT)
    command = [*PRIME_SQL, "embed", *NEW, "--model", "ViT-B-32", "--pretrained", "openai"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "stand_in", **({"FORCE_COLOR": "1"} if progress else {})},
    )
    while not Path("loading").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    kept = ANSI.sub("", err).splitlines()[-1]
    assert kept == "Interrupted; what is done is kept; the same command goes on from there."
    assert rows("from images order by all") == before
