"""Every option of images, embed, tag and predict arrives, and is in the help."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from prime_sql import vision
from prime_sql.cli.tag_options import Tagger
from prime_sql.engine.errors import QueryError
from tests.cli.command import fail, parameters, succeed
from tests.vision.commands.lines import (
    COMMANDS,
    FUNCTIONS,
    NEEDED,
    NEW,
    OF_THE_COMMAND,
    OTHER,
    flag,
    function_of,
    options_of,
    typed,
)


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
