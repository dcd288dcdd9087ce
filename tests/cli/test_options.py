"""Every option arrives, as it is said in Python and in the help."""

import inspect
import re

import pytest
import typer

import prime_sql as ps
from prime_sql import cli
from prime_sql.cli import definition
from prime_sql.cli.app import RESULTS
from prime_sql.engine.options import Options
from tests.cli.command import fail, parameters, succeed


def test_search_has_a_flag_for_every_option_with_its_default():
    flags = parameters("search")
    defaults = {name: field.default for name, field in Options.__dataclass_fields__.items()}
    assert flags.keys() - defaults.keys() == {
        "predictions",
        "tags",
        "db",
        "warehouse",
        "schema",
        "job",
        "append",
        "remove",
        "from_run",
        "format_",
        "output_",
        "quiet",
        "verbose",
        "top",
        "models",
        "missed",
        "model",
        "memory_limit",
        "temp_dir",
        "wait",
        "fail_on",
        "junit",
        "summary",
    }
    for name, default in defaults.items():
        flag = flags[name]
        assert flag.opts == [f"--{name.replace('_', '-')}"]
        if isinstance(default, tuple):
            shown = flag.default.split(",")
            assert [type(default[0])(part) for part in shown] == list(default)
        else:
            assert flag.default == default
        assert flag.help


def test_search_in_python_has_the_same_options_with_the_same_defaults():
    signature = inspect.signature(ps.search).parameters
    # --db and --warehouse, --verbose and the terminal
    python = {"into", "on_sql", "on_progress"}
    flags = parameters("search")
    assert signature.keys() - python == flags.keys() - {
        "db",
        "warehouse",
        "from_run",
        "format_",
        "output_",
        "quiet",
        "verbose",
        "top",
        "models",
        "missed",
        "model",
        "fail_on",
        "junit",
        "summary",
    }
    for name, field in Options.__dataclass_fields__.items():
        assert signature[name].default == field.default
        assert signature[name].kind is inspect.Parameter.KEYWORD_ONLY


OTHER = {  # another value for every option
    "max_tags": 3,
    "min_images": 7,
    "min_drop": 0.25,
    "necessity": (0.2, 0.1),
    "min_tag_images": 5,
    "max_absent": 1,
    "max_q": 0.05,
    "method": "greedy",
    "width": 5,
    "group_by": ("model", "truth"),
    "error": "label > 3",
    "where": "split = 'test'",
    "split": "fold",
    "find": "1",
    "check": "2",
    "image_id": "file",
    "label": "truth",
    "prediction": "guess",
    "tag": "keyword",
    "score": "weight",
    "min_score": 0.5,
    "wide": True,
    "present": "value > 0",
    "split_tags": ";",
    "normalise_tags": True,
}

TOGETHER = ("split", "find", "check")  # all or none


@pytest.mark.parametrize("name", Options.__dataclass_fields__)
def test_every_flag_reaches_the_search(monkeypatch, name):
    given = {}

    def record(predictions, tags, **options):
        given.update(options, predictions=predictions, tags=tags)
        raise ps.QueryError("recorded")

    monkeypatch.setattr(ps, "search", record)
    together = {"present": ("wide", "present"), **dict.fromkeys(TOGETHER, TOGETHER)}
    values = {key: OTHER[key] for key in together.get(name, (name,))}
    flags = []
    for key, value in values.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        flags += [f"--{key.replace('_', '-')}", *([] if value is True else [text])]
    assert "recorded" in fail("search", "p.csv", "t.csv", *flags)
    assert (given.pop("predictions"), given.pop("tags"), given.pop("into")) == (
        "p.csv",
        "t.csv",
        None,
    )
    assert given.pop("on_sql") is None
    assert given.pop("on_progress") is None
    assert given.pop("job") is None
    others = ("append", "remove", "schema", "memory_limit", "temp_dir", "wait")
    assert not any(given.pop(other, None) for other in others)
    assert Options(**given) == Options(**values)
    assert Options(**given) != Options()


@pytest.mark.parametrize("command", [None, "search", "sql", "runs", "query", "demo"])
def test_help_is_readable(command):
    for flag in ("--help", "-h"):
        text = succeed(*([command] if command else []), flag).stdout
        assert max(map(len, text.splitlines())) <= 100
        assert "Usage: " in text
    if command:
        for name, parameter in parameters(command).items():
            assert parameter.help or name == "help", name
            assert parameter.metavar is None or parameter.metavar in text
    if command == "search":
        assert "image_id, tag[, score]" in text  # brackets survive
        headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
        assert headings == [
            "Arguments",
            definition.MODE,
            definition.CLASS,
            cli.search.UNSEEN,
            definition.COLUMNS,
            RESULTS,
            cli.search.MODELS,
            cli.search.RESOURCES,
            cli.gate.GATES,
            "Options",
            "Examples",
        ]


def test_examples_of_the_help_are_commands():
    commands = typer.main.get_command(cli.app).commands
    for name, command in commands.items():
        lines = inspect.cleandoc(command.epilog or "").replace("\\\n", " ").splitlines()
        assert not lines or lines[0].split()[:2] == ["prime-sql", name]
        for line in lines:  # every flag in them exists; some go on with another command
            program, shown = line.split()[:2]
            assert program == "prime-sql"
            known = {flag for parameter in commands[shown].params for flag in parameter.opts}
            assert {word for word in line.split() if word.startswith("-")} <= known


def test_version():
    assert succeed("--version").stdout == f"prime-sql {ps.__version__}\n"
