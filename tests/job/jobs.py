"""A small job, commands that do it, and what they leave."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli
from prime_sql.job import schema

ROOT = Path(__file__).parents[2]

JOB = """
db = "prime.duckdb"

[sources]
predictions = "predictions.parquet"
tags = "tags.parquet"

[options]
min_images = 4
max_tags = 2
"""

REPORT = """
[[outputs]]
report = "report.html"
"""

MODES = """
[[outputs]]
file = "modes.csv"
"""

TABLE = """
[[outputs]]
table = "marts.modes"
"""


def write(folder, text, name="prime.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def call(*arguments, **variables):
    result = CliRunner().invoke(cli.app, [str(each) for each in arguments], env=variables)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments, **variables):
    result = call(*arguments, **variables)
    assert result.exit_code == 0, result.stderr
    return result


def fail(*arguments, **variables):
    """Return the one message of a command that fails."""
    result = call(*arguments, **variables)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(re.findall("^Error: ", result.stderr, re.MULTILINE)) == 1
    return result.stderr


def statuses(path):
    return ps.runs(path)["status"].to_list()


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def partials(folder):
    return [path.name for path in folder.iterdir() if ".partial" in path.name]


WHOLE = (
    JOB
    + REPORT
    + MODES
    + """
[joins.orders]
source = "orders.csv"
image_id = "photo"

[[outputs]]
table = "marts.by_country"
question = "failure_modes_by"
params = { table = "orders", column = "country", measure = "value" }

[[outputs]]
file = "value.json"
sql_file = "value.sql"

[[outputs]]
file = "misses.parquet"
question = "near_misses"
params = { min_drop = 0.6 }

[validation]
split = "split"
find = "test"
check = "train"
min_unseen_images = 1

[chance]
shuffles = 2
"""
)

VALUE = """
select m.tags, sum(o.value) as value -- ${not a variable}
from failure_modes as m
join failure_mode_images as i using (mode_id)
join orders as o using (image_id)
group by m.tags
order by m.tags
"""


LATE = """
[[outputs]]
file = "late.csv"
sql = "select 1 / (image_id = '') as x, * from no_such_table"
"""


SECRET = "s3cr3t-tok'en 9f"  # with what SQL, Python and URLs write in their own way

HIDDEN = (
    JOB.replace('"predictions.parquet"', '"${PLACE}/predictions.parquet"')
    .replace('"tags.parquet"', '"${PLACE}/tags.parquet"')
    .replace("max_tags = 2", "max_tags = 2\nwhere = \"image_id <> '${TOKEN}'\"")
    + """
[validation]
where = "image_id <> '${TOKEN}'"

[joins.orders]
source = "${PLACE}/orders.csv"
image_id = "photo"

[[outputs]]
report = "${PLACE}/report.html"

[[outputs]]
report = "report.json"

[[outputs]]
report = "report.txt"

[[outputs]]
file = "orders.parquet"
sql = "select orders.*, image_id = '${TOKEN}' as is_token from orders"
"""
)

VARIABLES = {"PLACE": SECRET, "TOKEN": "s3cr3t-value", "LONG": "s3cr3t" * 50}


def valid(path):
    """Check a file by the schema that editors use; return what it says."""
    says = tomllib.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(json.loads(schema.shipped())).validate(says)
    return says
