"""The JSON schema of job files."""

import json
import re
import tomllib

import jsonschema
import polars as pl

from prime_sql import job as jobs
from prime_sql.engine.errors import OptionError
from prime_sql.job import schema
from tests.job.jobs import JOB, REPORT, ROOT, succeed, valid, write


def test_the_schema_is_current():
    """``python -m prime_sql.job.schema > prime_sql/job/schema.json`` makes it so."""
    assert schema.shipped() == schema.made()
    jsonschema.Draft7Validator.check_schema(json.loads(schema.shipped()))
    assert succeed("init", "--schema").stdout == schema.shipped()


def test_every_key_has_a_description():
    def missing(part, path):
        for name, key in part.get("properties", {}).items():
            if not key.get("description"):
                yield f"{path}.{name}"
            for inner in (key, key.get("items", {}), key.get("additionalProperties", {})):
                if isinstance(inner, dict):
                    yield from missing(inner, f"{path}.{name}")

    assert not list(missing(json.loads(schema.shipped()), ""))


def test_the_schema_and_the_reader_agree(folder):
    """Every key with values of every type: both take it, or neither."""
    right = f"{JOB}{REPORT}[chance]\n[joins.orders]\nsource = 'orders.csv'\nimage_id = 'photo'\n"
    jobs.read(write(folder, right))
    validator = jsonschema.Draft7Validator(json.loads(schema.shipped()))
    validator.validate(tomllib.loads(right))
    values = ["3", "0.5", "'text'", "true", "['text']", "[0.5]", "{}", "[[]]", "2024-01-01"]
    headings = {"chance": "[chance]", "options": "[options]", "sources": "[sources]"}
    headings |= {"outputs": "[[outputs]]", "joins": "[joins.orders]", "": ""}
    # What a value means is for the reader to judge, not for the schema.
    of_type = re.compile(r"must be (a|one|true)\b.*got|no such key|missing|needs one of")
    agreed = {True: 0, False: 0}
    for section, heading in headings.items():
        part = validator.schema if not section else validator.schema["properties"][section]
        part = part.get("items", part)
        part = part["additionalProperties"] if section == "joins" else part
        for key in [*part["properties"], "unknown"]:
            others = re.sub(rf"^{key} = .*\n", "", right, flags=re.MULTILINE)
            for value in values:
                line = f"{key} = {value}\n"
                text = (
                    others.replace(heading, f"{heading}\n{line}", 1) if heading else line + others
                )
                try:
                    says = tomllib.loads(text)
                except tomllib.TOMLDecodeError:
                    continue  # there is a section of that name
                try:
                    jobs.read(write(folder, text))
                    takes = True
                except OptionError as error:
                    takes = not of_type.search(str(error))
                assert validator.is_valid(says) == takes, text
                agreed[takes] += 1
    assert agreed[True] > 30
    assert agreed[False] > 200


def test_the_example_runs_and_fits_the_schema(tmp_path):
    path = ROOT / "examples" / "prime.toml"
    says = valid(path)
    first = path.read_text().partition("\n")[0].removeprefix("#:schema ")
    assert (path.parent / first).resolve() == ROOT / "prime_sql" / "job" / "schema.json"
    result = succeed("run", path, OUT=str(tmp_path))
    assert "2 of 3 decided failure modes hold" in result.stdout
    made = {"job.duckdb", "report.html", "failure_modes.parquet", "by_year.csv"}
    assert {file.name for file in tmp_path.iterdir()} == made
    years = pl.read_csv(tmp_path / "by_year.csv")
    assert years["year"].max() == 2015
    modes = pl.read_parquet(tmp_path / "failure_modes.parquet")
    assert modes.height == 10
    assert str(tmp_path) not in result.output
    assert len(says["outputs"]) == 4
