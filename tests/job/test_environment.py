"""Values of variables: where they are named, and in nothing that leaves a job."""

import html
import json
import os
import re
import subprocess
import sys

import pytest

import prime_sql as ps
from prime_sql.job.environment import Environment
from tests import tables as data
from tests.job.jobs import HIDDEN, JOB, ROOT, SECRET, VARIABLES, call, fail, succeed, write

# What the file may say ----------------------------------------------------------------------------


def test_variables_are_expanded_as_in_a_shell():
    environment = Environment({"A": "a", "EMPTY": "", "NESTED": "${A}"})
    expanded = {
        "${A}/x": "a/x",
        "${A}${A}": "aa",
        "${B:-b}": "b",
        "${EMPTY:-b}": "b",
        "${EMPTY}": "",
        "${B:-}": "",
        "${NESTED}": "${A}",
        "$${A}": "${A}",
        "$A 5$": "$A 5$",
    }
    assert {text: environment.expand(text) for text in expanded} == expanded
    assert environment.written("${A}/${B:-b}/$${A}") == "${A}/b/${A}"


# Secrets ------------------------------------------------------------------------------------------


def nothing_leaks(folder, *texts):
    """No form of the secret is in what was printed, nor in any file but in names of folders."""
    for text in texts:
        assert "s3cr3t" not in text, text
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name != "prime.toml" and b"s3cr3t" in path.read_bytes()
    ]
    assert not found


@pytest.fixture
def secret(tables, tmp_path):
    """A folder whose tables lie below one with a secret name."""
    (tmp_path / SECRET).mkdir()
    for file in tables.iterdir():
        (tmp_path / SECRET / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--verbose"]])
def test_values_of_variables_are_neither_printed_nor_stored(more, secret):
    result = succeed("run", write(secret, HIDDEN), *more, **VARIABLES)
    assert "${PLACE}/report.html" in result.stderr
    if more:
        assert "${PLACE}/tags.parquet" in result.stderr
        assert "image_id <> '${TOKEN}'" in result.stderr
    nothing_leaks(secret, result.output)
    record = ps.runs(secret / "prime.duckdb").to_dicts()[0]
    assert json.loads(record["sources"])["tags"] == "${PLACE}/tags.parquet"
    assert json.loads(record["options"])["where"] == "image_id <> '${TOKEN}'"
    with ps.open_run(secret / "prime.duckdb") as run:
        assert run.validation.where == "image_id <> '${TOKEN}'"
        assert run.validation.sources["predictions"] == "${PLACE}/predictions.parquet"
        assert data.found(run) == data.expected()


BROKEN = {
    "damaged Parquet": lambda s: (s / "tags.parquet").write_bytes(b"PAR1 damaged PAR1"),
    "damaged predictions": lambda s: (s / "predictions.parquet").write_bytes(b"PAR1 xx PAR1"),
    "empty": lambda s: (s / "tags.parquet").write_bytes(b""),
    "missing": lambda s: (s / "tags.parquet").unlink(),
    "no columns": lambda s: data.write([{"a": 1}], s / "predictions.parquet"),
    "no image in common": lambda s: data.write([{"image_id": 1, "tag": "a"}], s / "tags.parquet"),
    "damaged orders": lambda s: (s / "orders.csv").write_bytes(b'photo,"x\n1,2,3\n"\xff'),
    "report's folder": lambda s: (s / "report.html").mkdir(),
}


@pytest.mark.parametrize("how", BROKEN)
def test_values_of_variables_are_in_no_message(how, secret):
    BROKEN[how](secret / SECRET)
    message = fail("run", write(secret, HIDDEN), "--verbose", **VARIABLES)
    nothing_leaks(secret, message)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("image_id <> '${TOKEN}'", "no_column <> '${TOKEN}'"),
        ("image_id <> '${TOKEN}'", "image_id <> ${TOKEN}"),
        ("image_id <> '${TOKEN}'", "cast('${TOKEN}' as integer) = 1"),
        ("from orders", "from '${PLACE}/no.parquet'"),
        ("from orders", "from orders where '${TOKEN}'::integer = 1"),
        ("from orders", "from orders where '${TOKEN}"),
        ('source = "${PLACE}/orders.csv"', 'source = "${PLACE}.duckdb:orders"'),
        ('source = "${PLACE}/orders.csv"', 'source = "${PLACE}"'),
        ('"${PLACE}/predictions.parquet"', '"https://me:${TOKEN}@127.0.0.1:1/${TOKEN}.parquet"'),
        ('"${PLACE}/predictions.parquet"', '"https://127.0.0.1:1/p.parquet?sig=${TOKEN}"'),
        ('db = "prime.duckdb"', 'db = "${PLACE}/predictions.parquet"'),
        ('db = "prime.duckdb"', 'db = "${PLACE}/none/prime.duckdb"'),
        ('db = "prime.duckdb"', 'db = "${LONG}.duckdb"'),
        ('"${PLACE}/tags.parquet"', '"${LONG}.parquet"'),
        ('"${PLACE}/tags.parquet"', '"${LONG}.duckdb:t"'),
        ('"${PLACE}/orders.csv"', '"${LONG}"'),
        ('report = "report.json"', 'report = "${LONG}.json"'),
        ('report = "report.json"', 'report = "${LONG}\\u0000.json"'),
        ('sql = "select orders', 'sql_file = "${LONG}" # "'),
        ('report = "report.json"', 'report = "${PLACE}/none/report.json"'),
        ('report = "report.json"', 'report = "${PLACE}/report.pdf"'),
        ("[validation]", "[validation]\nsplit = '${TOKEN}'"),
    ],
)
def test_values_of_variables_are_in_no_message_about_the_job(old, new, secret):
    assert old in HIDDEN
    message = fail("run", write(secret, HIDDEN.replace(old, new)), "--verbose", **VARIABLES)
    nothing_leaks(secret, message)


def test_a_traceback_has_no_values_either(secret):
    (secret / SECRET / "tags.parquet").write_bytes(b"PAR1 damaged PAR1")
    write(secret, HIDDEN)
    script = "from prime_sql import job; job.run(job.read('prime.toml'))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=secret,
        env={**os.environ, "PYTHONPATH": str(ROOT), **VARIABLES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "InputError: prime.toml: search failed: cannot read tags" in done.stderr
    nothing_leaks(secret, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "text",
    [
        "cannot read /data/{}/p.parquet",
        "{}",
        "twice {} and {}",
    ],
)
def test_values_are_hidden_however_they_are_written(text):
    value = "a b'c\"d\\e/ü?&=%"
    environment = Environment({"V": value, "URL": "postgres://me:pass%20word@host/db?key=k-e-y"})
    environment.expand("${V}${URL}")
    from urllib.parse import quote, quote_plus

    forms = [value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1]]
    forms += [json.dumps(value)[1:-1], value.replace("'", "''"), "pass%20word", "pass word"]
    for form in [*forms, "k-e-y"]:
        hidden = environment.hide(text.format(*[form] * 2))
        assert form not in hidden
        assert "${V}" in hidden or "${URL}" in hidden
    cut = environment.hide(f"got '{value[:9]}…, and more")
    assert cut == "got '${V}…, and more"
    assert environment.hide("nothing here") == "nothing here"


GATES = """
[gates]
fail_on = [
    "class_name = '${SHORT}' or images > 1",
    "class_name <> '${QUOTED}' or images > 1",
]
junit = "gates.xml"
summary = "summary.md"
"""


@pytest.mark.parametrize("short", ["pw9", "p9"])
@pytest.mark.parametrize("quoted", ["it''s s3cr3t", 'a""b', "x''y"])
def test_values_of_variables_are_in_no_outcome_of_a_gate(short, quoted, tables, tmp_path):
    for file in tables.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    job = write(tmp_path, JOB + GATES)
    result = call("run", job, SHORT=short, QUOTED=quoted)
    assert result.exit_code == 1
    for text in (
        result.output,
        (tmp_path / "gates.xml").read_text(),
        html.unescape((tmp_path / "summary.md").read_text().replace("\\", "")),
    ):
        text = html.unescape(text)
        assert "${SHORT}" in text
        assert "${QUOTED}" in text
        assert quoted not in text
        assert not re.search(rf"\b{short}\b", text)


def test_a_value_is_hidden_that_is_cut_or_short_or_written_in_another_way():
    environment = Environment({"S": "abc", "L": "long-secret-value", "Q": "it''s \"\"so"})
    for text in ("${S}", "${L}", "${Q}"):
        environment.expand(text)
    said = environment.hide(
        "key abc=abc abcd; long-secr…; …cret-value now; it's \"\"so; it''s \"so; it''''s \"\"so"
    )
    assert said == "key ${S}=${S} abcd; ${L}…; …${L} now; ${Q}; ${Q}; ${Q}"


def test_a_null_character_is_found_when_the_file_is_read(tables, tmp_path):
    message = fail("run", write(tmp_path, f'name = "a\\u0000b"\n{JOB}'))
    assert "name holds a null character" in message
    assert not (tmp_path / "prime.duckdb").exists()
