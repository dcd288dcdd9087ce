"""Bad job files: the good one with one fault in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, get_args

from prime_sql.job import sections
from tests.fuzz.faults import LONG, Fault, word
from tests.fuzz.world import JOB

HEAD = {
    "": sections.JobFile,
    "sources": sections.Sources,
    "columns": sections.Columns,
    "options": sections.Options,
    "validation": sections.Validation,
    "chance": sections.Chance,
    "gates": sections.Gates,
    "outputs": sections.Output,
    "joins.orders": sections.Join,
}
SECTIONS = ("sources", "columns", "options", "validation", "chance", "joins", "gates", "outputs")

# What is replaced in the good file, by what, and what a message names.
REPLACED = [
    ('db = "new.duckdb"', 'db = "a folder"', "a folder"),
    ('db = "new.duckdb"', 'db = "circle.duckdb"', "circle.duckdb"),
    ('db = "new.duckdb"', 'db = "pipe.duckdb"', "pipe.duckdb"),
    ('db = "new.duckdb"', 'db = "text.duckdb"', "text.duckdb"),
    ('db = "new.duckdb"', 'db = "cut.duckdb"', "cut.duckdb"),
    ('db = "new.duckdb"', 'db = "nowhere/a.duckdb"', "nowhere"),
    ('db = "new.duckdb"', f'db = "{"x" * LONG}"', "xxx"),
    ('db = "new.duckdb"', "", "db is missing"),
    ('db = "new.duckdb"', 'db = "new.duckdb"\ndb = "b.duckdb"', "overwrite"),
    ('db = "new.duckdb"', 'db = "tags.parquet"', "tags.parquet"),
    ('db = "new.duckdb"', 'db = "${ZQ_NOT_SET}"', "ZQ_NOT_SET"),
    ('db = "new.duckdb"', 'db = "${not a name}"', "not a name"),
    ('db = "new.duckdb"', 'db = "${ZQ"', "ZQ"),
    ('"predictions.parquet"', '"nowhere.csv"', "nowhere.csv"),
    ('"predictions.parquet"', '"circle.csv"', "circle.csv"),
    ('"predictions.parquet"', '"pipe.csv"', "pipe.csv"),
    ('"predictions.parquet"', '"empty.csv"', "empty.csv"),
    ('"predictions.parquet"', '"no_table"', "no_table"),
    ('"predictions.parquet"', '"http://h/p?token=hunter2"', "http://h/p"),
    ('"tags.parquet"', f'"{"x" * 9000}.csv"', "xxx"),
    ('"tags.parquet"', '"cut.parquet"', "cut.parquet"),
    ('"tags.parquet"', '"cut.duckdb:tags"', "cut.duckdb"),
    ('"orders.csv"', '"nowhere.csv"', "nowhere.csv"),
    ("[joins.orders]", "[joins.classes]", "joins.classes"),
    ("[joins.orders]", '[joins."a b"]', "a b"),
    ('split = "split"', "", "split"),
    ('find = "test"', 'find = "train"', "find and check"),
    ('find = "test"', 'where = "true"', "mutually exclusive"),
    ('report = "report.html"', 'report = "report.docx"', "report"),
    ('report = "report.html"', 'report = "nowhere/report.html"', "nowhere"),
    ('report = "report.html"', 'report = "prime.toml.html/x.html"', "prime.toml.html"),
    ('report = "report.html"', 'report = "circle.duckdb.html"\nfile = "a.csv"', "outputs[1]"),
    ('report = "report.html"', f'report = "{"x" * LONG}.html"', "xxx"),
    ('file = "modes.csv"', 'file = "predictions.csv.gz"', "outputs[2]"),
    ('file = "modes.csv"', 'file = "tags.csv/a.csv"', "tags.csv"),
    ('file = "modes.csv"', 'file = "/proc/modes.csv"', "/proc/modes.csv"),
    ('file = "modes.csv"', 'table = "prime.runs"', "prime"),
    ('file = "modes.csv"', 'table = "a.b.c"', "a.b.c"),
    ('file = "modes.csv"', 'file = "a.csv"\nsql = "selct 1"', "selct"),
    ('file = "modes.csv"', 'file = "a.csv"\nsql = "select 1; select 2"', "outputs[2].sql"),
    ('file = "modes.csv"', 'file = "a.csv"\nsql = "drop table x"', "outputs[2].sql"),
    ('file = "modes.csv"', 'file = "a.csv"\nsql_file = "pipe.sql"', "pipe.sql"),
    ('file = "modes.csv"', 'file = "a.csv"\nsql_file = "null.sql"', "null.sql"),
    ('file = "modes.csv"', 'file = "a.csv"\nsql_file = "folder.sql"', "folder.sql"),
    ('file = "modes.csv"', 'file = "a.csv"\nquestion = "nobody_asks"', "nobody_asks"),
    ('file = "modes.csv"', 'file = "a.csv"\nquestion = "images_of_mode"', "mode_id"),
    ('file = "modes.csv"', 'file = "a.csv"\nparams = {a = 1}', "outputs[2].params"),
    ('"images > 1000"', '"imags > 1"', "imags"),
    ('"images > 1000"', '"images >"', "gates.fail_on[1]"),
    ('"images > 1000"', '""', "gates.fail_on"),
    ('"images > 1000"', '"q_value < 0.1 and zq > 2"', "zq"),
    ('"images > 1000"]', '"new"]\njunit = "report.html"', "gates.junit"),
    ('"images > 1000"]', '"new"]\nsummary = "nowhere/a.md"', "nowhere"),
    ("fail_on = [", 'junit = "a.xml"\n# [', "gates.junit"),
    ("shuffles = 1", "shuffles = 10001", "shuffles"),
    ("shuffles = 1", "shuffles = 1e400", "shuffles"),
    ("shuffles = 1", f"shuffles = {'9' * 5000}", "TOML"),
    ("max_tags = 2", "max_tags = 7", "max_tags"),
    ("max_tags = 2", "max_tags = 2\nmethod = 'quick'", "method"),
    ("max_tags = 2", "max_tags = 2\nwhere = 'zq ='", "where"),
    ("[options]", "[options", "TOML"),
    ("[chance]", "[chance]\n[chance]", "TOML"),
    ("min_images = 4", "min_images = ", "TOML"),
    ("min_images = 4", "min_images = nan", "min_images"),
    ("min_images = 4", f"min_images = {'[' * 3000}", "TOML"),
]


def jobs(rng: random.Random) -> Iterator[Fault]:
    """Yield them; half of them are only checked, which must find the same."""
    found = [*_replaced(), *_keys(rng), *_sections(rng)]
    for number, (kind, text, culprits, secret) in enumerate(found):
        name = f"bad{number}.toml"
        check = ["--check"] if rng.random() < 0.5 and kind != "job: source" else []
        content = text.encode("utf-8", "surrogatepass")
        yield Fault("run", kind, ["run", name, *check], culprits, {name: content}, unsaid=secret)
    for name in ("circle.toml", "pipe.toml", "folder.toml", "null.toml", "text.toml", "no.toml"):
        yield Fault("run", "job: file", ["run", name], (name,))
    for value in ("s3cret-value", "pw9", "a\nb", "it''s", "nowhere/it's"):
        text = JOB.replace('"predictions.parquet"', '"${ZQ}.csv"')
        bad = {"bad.toml": text.encode()}
        unsaid = (value,) if value.strip() == value else ()
        culprits = ("${ZQ}", "sources.predictions")
        line = ["run", "bad.toml"]
        yield Fault("run", "job: secret", line, culprits, bad, {"ZQ": value}, unsaid)
    yield Fault("run", "job: file", ["run", "x" * LONG + ".toml"], ("xxx",))


def _replaced() -> Iterator[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    for old, new, named in REPLACED:
        assert old in JOB, old
        kind = "job: source" if old.endswith('.parquet"') else "job: value"
        yield kind, JOB.replace(old, new, 1), (named,), ("hunter2",)


def _keys(rng: random.Random) -> Iterator[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """Yield a value of another type for each key that there is, so for a new one, too."""
    for path, section in HEAD.items():
        for name, key in sections.keys(section).items():
            if path == "" and name in SECTIONS:
                continue
            for value in _wrong(key.hint, rng):
                text = _with(path, name, value)
                yield "job: type", text, (name,), ()
            if name in ("params", "thumbnails"):
                continue
            if str in (key.hint, *get_args(key.hint)):
                for value in ('""', '" "', '"a\\u0000b"', '"${ZQ_NOT_SET}"'):
                    yield "job: text", _with(path, name, value), (name, "ZQ_NOT_SET"), ()


def _wrong(hint: Any, rng: random.Random) -> list[str]:
    kinds = {hint, *get_args(hint)}
    bad = ["1979-05-27T07:32:00Z", "{ a = 1 }"]
    if str not in kinds:
        bad += [f'"{word(rng)}"', '"1"']
    if not any("tuple" in str(kind) for kind in kinds):
        bad += ["[1, 2]", "[]"]
    if bool not in kinds:
        bad.append("true")
    if not {int, float} & kinds and not any("tuple" in str(kind) for kind in kinds):
        bad += ["1", "1.5"]
    elif int in kinds and float not in kinds:
        bad += ["1.5", "-1", str(10**25)]
    elif float in kinds:
        bad += ["nan", "inf"]
    return [each for each in bad if not ("dict" in str(hint) and each.startswith("{"))]


def _with(path: str, name: str, value: str) -> str:
    """Return the good file with another value of a key."""
    head = {"": "\n[sources]", "outputs": "[[outputs]]"}.get(path, f"[{path}]")
    lines = JOB.split("\n")
    if path == "":
        lines = [line for line in lines if not (name == "db" and line.startswith("db ="))]
        return "\n".join([f"{name} = {value}", *lines])
    if head not in lines:
        return "\n".join([*lines, head, f"{name} = {value}"])
    at = lines.index(head) + 1
    end = next((i for i in range(at, len(lines)) if lines[i].startswith("[")), len(lines))
    kept = [line for line in lines[at:end] if not line.startswith(f"{name} =")]
    return "\n".join([*lines[:at], f"{name} = {value}", *kept, *lines[end:]])


def _sections(rng: random.Random) -> Iterator[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    for path in HEAD:
        for key in (word(rng), word(rng, 9000), '"a b"', '"\\u001b[31m"', "min_imags"):
            shown = key.strip('"')[:20].replace("\\u001b", "")
            yield "job: key", _with(path, key, "1"), (shown,), ()
    for name in SECTIONS:
        for value in ("1", '"text"', "true", "[1]"):
            yield "job: section", _only(name, value), (name,), ()


def _only(name: str, value: str) -> str:
    """Return the good file with a value instead of a section."""
    kept, inside = [], False
    for line in JOB.split("\n"):
        if line.startswith("["):
            inside = line.strip("[]").partition(".")[0] == name
        if not inside:
            kept.append(line)
    return "\n".join([f"{name} = {value}", *kept])
