"""Jobs: what the file may say, what is published when, and what never leaves it."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import jsonschema
import polars as pl
import pytest
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli
from prime_sql import job as jobs
from prime_sql.errors import OptionError
from prime_sql.job import schema
from prime_sql.job.environment import Environment
from tests import data

ROOT = Path(__file__).parent.parent
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


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tiny tables as files, and a business table with its own name for the image."""
    folder = tmp_path_factory.mktemp("tables")
    data.write(data.PREDICTIONS, folder / "predictions.parquet")
    data.write(data.TAGS, folder / "tags.parquet")
    orders = [
        {"photo": row["image_id"], "country": "de" if n % 2 else "fr", "value": n}
        for n, row in enumerate(data.PREDICTIONS)
    ]
    data.write(orders, folder / "orders.csv")
    return folder


@pytest.fixture
def folder(tables, tmp_path):
    """A folder with the tables in it."""
    for file in tables.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


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


# What the file may say ----------------------------------------------------------------------------

WRONG = {
    "unknown key": ("[options]", "[options]\nmin_imges = 3", "options.min_imges: there is no such"),
    "suggestion": ("[options]", "[options]\nmin_imges = 3", "Did you mean 'min_image"),
    "unknown section": ("[options]", "[optoins]", "optoins: there is no such key. Did you mean"),
    "another section": ("[options]", "[options]\nlabel = 'x'", "options.label: it belongs into [c"),
    "moved": ("db =", "min_drop = 0.3\ndb =", "min_drop: it belongs into [options]"),
    "missing": ('tags = "tags.parquet"', "", "sources.tags is missing: one row per image and tag"),
    "no section": ("[sources]", "[columns]", "sources is missing: the tables that are searched"),
    "text for a number": (
        "max_tags = 2",
        "max_tags = '2'",
        "options.max_tags must be a whole numb",
    ),
    "true for a number": ("max_tags = 2", "max_tags = true", "must be a whole number, got True"),
    "number for a text": ('"prime.duckdb"', "3", "db must be a text, got 3"),
    "text for a list": ("max_tags = 2", "group_by = 'label'", "options.group_by must be a list"),
    "range": ("max_tags = 2", "max_tags = 9", "options: max_tags must be at most 6, got 9"),
    "method": ("max_tags = 2", "method = 'greed'", "options.method must be one of exhaustive, gre"),
    "empty": ('"prime.duckdb"', '" "', "db must not be empty"),
    "no file": ('"tags.parquet"', '"tag.parquet"', "no file tag.parquet. Did you mean 'tags.parq"),
    "no match": ('"tags.parquet"', '"x/*.parquet"', "sources.tags: no file matches x/*.parquet"),
    "no database": ('"tags.parquet"', '"x.duckdb:t"', "sources.tags: there is no database file x"),
    "no table": ('"tags.parquet"', '"marts.tags"', "nor a database prime.duckdb with such a tab"),
    "no folder": ('"prime.duckdb"', '"x/prime.duckdb"', "db: the folder x does not exist"),
    "not set": ('"tags.parquet"', '"${NOWHERE}"', "the environment variable NOWHERE is not set"),
    "malformed": ('"tags.parquet"', '"${a b}"', "sources.tags: '${a b}' is no environment"),
    "set to nothing": ('"tags.parquet"', '"${EMPTY}"', "sources.tags is empty: ${EMPTY}"),
    "open": ('"tags.parquet"', '"${HOME"', "sources.tags: '${HOME' is no environment variable"),
    "variable in a name": ("db =", "name = '${HOME}'\ndb =", "name is a name, and takes no envir"),
    "syntax": ("max_tags = 2", "max_tags = ", "prime.toml is no TOML: Invalid value (at line 10"),
    "twice": ("max_tags = 2", "max_tags = 2\nmax_tags = 3", "is no TOML: Cannot overwrite a value"),
}
OUTPUTS = {
    "no target": ("sql = 'from classes'", "outputs[1]: needs one of report, file and table, got n"),
    "two targets": ("report = 'a.html'\nfile = 'a.csv'", "got report and file"),
    "ending of a report": ("report = 'a.pdf'", "outputs[1].report: name a file that ends in .htm"),
    "ending of a file": ("file = 'a.xlsx'", "name a file that ends in .parquet, .csv or .json"),
    "folder": ("file = 'x/a.csv'", "outputs[1].file: cannot write x/a.csv: the folder x does not"),
    "report's folder": ("report = 'x/a.html'", "outputs[1].report: the folder x does not exist"),
    "same": (
        "file = 'a.csv'\n[[outputs]]\nfile = './a.csv'",
        "outputs[2].file: a.csv is outputs[1].file",
    ),
    "the job": ("report = 'a.txt'\n[[outputs]]\nreport = 'a.txt'", "is outputs[1].report already"),
    "same table": ("table = 'm.t'\n[[outputs]]\ntable = 'M.T'", "outputs[2].table: m.t is an outp"),
    "no schema": ("table = '.orders'", "outputs[1].table: name a table as SCHEMA.TABLE, got '.ord"),
    "three names": ("table = 'a.b.c'", "name a table as SCHEMA.TABLE, got 'a.b.c'"),
    "our schema": ("table = 'prime.x'", "outputs[1].table: the schema prime is taken"),
    "question": ("file = 'a.csv'\nquestion = 'near_miss'", "Did you mean 'near_misses'?"),
    "parameter": (
        "file = 'a.csv'\nquestion = 'near_misses'\nparams = { mots = 3 }",
        "outputs[1].question: near_misses has no parameter 'mots'. Did you mean 'most'?",
    ),
    "no parameter": (
        "file = 'a.csv'\nquestion = 'failure_modes_by'",
        "needs the parameter 'column",
    ),
    "params alone": ("file = 'a.csv'\nparams = { most = 3 }", "only a question takes parameters"),
    "two contents": ("file = 'a.csv'\nsql = 'from x'\nsql_file = 'x.sql'", "exclude each other"),
    "sql": ("file = 'a.csv'\nsql = 'selct 1'", "outputs[1].sql: Parser Error: syntax error"),
    "two queries": ("file = 'a.csv'\nsql = 'from x; from y'", "give one query, got 2"),
    "no query": ("file = 'a.csv'\nsql = 'drop table x'", "give a query that returns rows"),
    "sql file": ("file = 'a.csv'\nsql_file = 'x.sql'", "cannot read x.sql: No such file"),
    "report of sql": (
        "report = 'a.html'\nsql = 'from x'",
        "outputs[1].sql: a report shows the run",
    ),
    "cards": ("file = 'a.csv'\ncards = 3", "outputs[1].cards: this is for a report"),
    "long": (f"report = '{'a' * 300}.html'", "outputs[1].report: File name too long"),
    "null": ('report = "a\\u0000b.html"', "outputs[1].report: "),
    "top": ("report = 'a.html'\ntop = 0", "outputs[1].top: must be at least 1"),
}
SECTIONS = {
    "validation": ("[validation]", "validation: say what the unseen data are"),
    "both": ("[validation]\nwhere = 'true'\nsplit = 'a'", "where and split exclude each other"),
    "part": ("[validation]\nsplit = 'split'", "validation: split alone says too little"),
    "unseen": ("[validation]\nwhere = 'true'\nmin_unseen_images = 0", "must be at least 1, got 0"),
    "tolerance": ("[validation]\nwhere = 'true'\ntolerance = 2", "must be between 0 and 1, got 2"),
    "no tolerance": (
        "[validation]\nwhere = 'true'\ntolerance = nan\n[chance]\nshuffles = -1",
        "has 2 problems:\n  validation.tolerance: tolerance must be",
    ),
    "chance": ("[chance]\nshuffles = -1", "chance.shuffles: must be at least 0"),
    "join": ("[joins.orders]\nsource = 'x.csv'", "joins.orders: there is no file x.csv"),
    "join's name": ("[joins.classes]\nsource = 'orders.csv'", "this is a table of the results"),
    "gate": ("[gates]\nfail_on = ['accuracy_drop >']", "gates.fail_on[1]: the gate 'accuracy_"),
    "gate's column": (
        "[gates]\nfail_on = ['new', 'accuracydrop > 0.1']",
        "Did you mean 'accuracy_drop'",
    ),
    "gate unseen": ("[gates]\nfail_on = [\"verdict = 'fails'\"]", "only [validation] finds out"),
    "gate chance": ("[gates]\nfail_on = ['q_value < 0.1']", "names what only [chance] finds out"),
    "junit alone": ("[gates]\njunit = 'a.xml'", "gates.junit: it says which gates tripped; give"),
    "junit": ("[gates]\njunit = 'x/a.xml'", "gates.junit: the folder x does not exist"),
}
CASES = {
    **{name: (JOB.replace(old, new, 1), why) for name, (old, new, why) in WRONG.items()},
    **{f"outputs: {n}": (f"{JOB}\n[[outputs]]\n{t}", why) for n, (t, why) in OUTPUTS.items()},
    **{f"sections: {name}": (f"{JOB}\n{text}", why) for name, (text, why) in SECTIONS.items()},
}


READ = """
[validation]
predictions = "lake/*.csv"
tags = "other.duckdb:tags"

[joins.orders]
source = "file://{folder}/orders.csv"

[[outputs]]
file = "modes.csv"
sql_file = "modes.json"
"""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("[[outputs]]\nfile = 'tags.parquet'", "sources.tags"),
        ("[[outputs]]\nfile = 'linked.parquet'", "sources.predictions"),
        ("[[outputs]]\nfile = 'lake/0.csv'", "validation.predictions"),
        ("[[outputs]]\nfile = 'lake/tomorrow.csv'", "validation.predictions"),
        ("[[outputs]]\nfile = 'orders.csv'", "joins.orders"),
        ("[[outputs]]\nfile = 'modes.json'", "outputs[1].sql_file"),
        ("[gates]\nfail_on = ['new']\njunit = 'other.duckdb'", "validation.tags"),
        ("[gates]\nsummary = 'orders.csv'", "joins.orders"),
    ],
)
def test_what_a_job_reads_it_does_not_overwrite(line, what, folder):
    (folder / "lake").mkdir()
    (folder / "lake" / "0.csv").write_text("image_id\n")
    (folder / "linked.parquet").symlink_to("predictions.parquet")
    write(folder, "from failure_modes", "modes.json")
    data.write_tables(folder / "other.duckdb", tags=data.TAGS)
    path = write(folder, JOB + READ.format(folder=folder) + line)
    before = contents(folder)
    assert f" is {what} already; name another file" in fail("run", path)
    assert contents(folder) == before


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_refused_before_anything_is_written(case, folder):
    text, why = CASES[case]
    path = write(folder, text)
    before = contents(folder)
    message = fail("run", path, NOWHERE=None, EMPTY="")
    assert why in message
    assert "prime.toml" in message
    assert contents(folder) == before


def test_all_that_is_wrong_is_said_at_once(folder):
    text = JOB.replace("max_tags", "max_tag").replace('"tags.parquet"', "3")
    message = fail("run", write(folder, text + "[chance]\nshuffles = 'many'"))
    assert "prime.toml has 3 problems:" in message
    for key in ("options.max_tag:", "sources.tags must", "chance.shuffles must"):
        assert f"\n  {key}" in message


def test_check_does_nothing_but_check(folder):
    path = write(folder, JOB + REPORT)
    before = contents(folder)
    assert "prime.toml can run: job prime, 1 output." in succeed("run", path, "--check").stderr
    assert contents(folder) == before
    (folder / "tags.parquet").unlink()
    assert "there is no file tags.parquet" in fail("run", path, "--check")


def test_there_is_no_such_job(folder):
    write(folder, JOB, "nightly.toml")
    assert "Did you mean 'nightly.toml'?" in fail("run", folder / "nigthly.toml")


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


# What it does -------------------------------------------------------------------------------------

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


@pytest.fixture(scope="module")
def done(tables, tmp_path_factory):
    """The folder of a job that was run from elsewhere."""
    folder = tmp_path_factory.mktemp("done")
    for file in tables.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    write(folder, VALUE, "value.sql")
    result = succeed("run", write(folder, f'name = "nightly"\n{WHOLE}'))
    return folder, result


def test_a_job_finds_what_a_search_finds(done):
    folder, result = done
    test = [row for row in data.PREDICTIONS if row["split"] == "test"]
    with ps.open_run(folder / "prime.duckdb") as run:
        assert data.found(run) == data.expected(test)
        assert (run.job, run.run_id) == ("nightly", 1)
        assert run.options.min_images == 4
        assert run.sources == {"predictions": "predictions.parquet", "tags": "tags.parquet"}
        assert run.validation.min_unseen_images == 1
        assert run.sql("select count(*) from prime.shuffles").to_polars().item() == 2
        chance = run.sql("select q_value, family_wise_p from failure_mode_chance").to_polars()
        assert chance.null_count().sum_horizontal().item() == 0
        modes = run.failure_modes.to_polars()
    assert statuses(folder / "prime.duckdb") == ["complete"]
    assert pl.read_csv(folder / "modes.csv")["mode_id"].to_list() == modes["mode_id"].to_list()
    assert f"{modes.height} failure mode" in result.stdout
    assert "Run 1 of job nightly is in prime.duckdb." in result.stderr
    published = "report.html, modes.csv, marts.by_country, value.json, misses.parquet"
    assert f"Published: {published}." in result.stderr
    assert "<title>" in (folder / "report.html").read_text(encoding="utf-8")


def test_questions_and_sql_join_with_business_tables_by_name(done):
    folder, _ = done
    with ps.open_run(folder / "prime.duckdb") as run:
        images = run.failure_mode_images.to_polars()
        modes = dict(run.failure_modes.to_polars().select("mode_id", "tags").rows())
    orders = {row["photo"]: row for row in pl.read_csv(folder / "orders.csv").to_dicts()}
    wrong = {r["image_id"] for r in data.PREDICTIONS if r["label"] != r["prediction"]}
    value, by_country = {}, {}
    for mode_id, image_id in images.select("mode_id", "image_id").rows():
        order = orders[image_id]
        value[modes[mode_id]] = value.get(modes[mode_id], 0) + order["value"]
        key = modes[mode_id], order["country"]
        count, errors, cost = by_country.get(key, (0, 0, 0))
        is_wrong = image_id in wrong
        by_country[key] = (count + 1, errors + is_wrong, cost + order["value"] * is_wrong)
    found = json.loads((folder / "value.json").read_text())
    assert {row["tags"]: row["value"] for row in found} == value
    with duckdb.connect(str(folder / "prime.duckdb"), read_only=True) as database:
        rows = database.sql("from marts.by_country").pl()
        comment = database.sql(
            "select comment from duckdb_tables() where table_name = 'by_country'"
        ).fetchall()
    measure = next(name for name in rows.columns if "value" in name)
    assert {
        (row["tags"], row["country"]): (row["images"], row["errors"], row[measure])
        for row in rows.to_dicts()
        if row["errors"]
    } == {key: counts for key, counts in by_country.items() if counts[1]}
    assert comment == [("Made by the prime-sql job nightly",)]


def test_a_question_has_its_parameters(done):
    folder, _ = done
    with ps.open_run(folder / "prime.duckdb") as run:
        misses = run.query("near_misses", min_drop=0.6).to_polars()
    assert pl.read_parquet(folder / "misses.parquet").to_dicts() == misses.to_dicts()


def test_tables_are_made_anew_but_never_in_the_place_of_others(folder):
    path = write(folder, JOB + TABLE)
    succeed("run", path)
    succeed("run", path)
    with duckdb.connect(str(folder / "prime.duckdb")) as database:
        assert database.sql("select distinct run_id from marts.modes").fetchall() == [(2,)]
        database.execute("create table Precious as select 1; create view seen as select 1")
    for name in ("precious", "main.PRECIOUS", "seen", "Main.Seen"):
        message = fail("run", write(folder, JOB + TABLE.replace("marts.modes", name)))
        assert "is there and was not made by this job" in message
    # Another job is someone else, too.
    assert "was not made by this job" in fail("run", write(folder, JOB + TABLE, "other.toml"))


def test_sources_and_business_tables_may_be_in_the_database(folder):
    data.write_tables(folder / "prime.duckdb", "lake", p=data.PREDICTIONS, t=data.TAGS)
    data.write_tables(folder / "other.duckdb", orders=[{"image_id": "img-000", "value": 1}])
    text = JOB.replace('"predictions.parquet"', '"lake.p"').replace('"tags.parquet"', '"lake.t"')
    joins = "[joins.a]\nsource = 'lake.p'\n[joins.b]\nsource = 'other.duckdb:orders'\n"
    query = "from a join b using (image_id) select image_id, region, value"
    succeed("run", write(folder, f"{text}{joins}[[outputs]]\nfile = 'x.json'\nsql = '{query}'"))
    region = data.PREDICTIONS[0]["region"]
    assert json.loads((folder / "x.json").read_text()) == [
        {"image_id": "img-000", "region": region, "value": 1}
    ]
    message = fail("run", write(folder, text.replace("lake.t", "lake.tt")))
    assert "sources.tags: there is neither a file nor a table lake.tt. Did you mean" in message


def test_what_is_printed_is_that_of_search(folder):
    search = ["predictions.parquet", "tags.parquet", "--min-images", 4, "--max-tags", 2]
    places = [folder / each if "parquet" in str(each) else each for each in search]
    printed = succeed("search", *places, "--db", folder / "other.duckdb").stdout
    ran = succeed("run", write(folder, JOB), "--quiet")
    assert ran.stdout == printed.replace("other.duckdb", "prime.duckdb")
    assert ran.stderr == ""


def test_no_failure_mode_is_a_result(folder):
    path = write(folder, JOB.replace("min_images = 4", "min_images = 30") + REPORT + MODES)
    result = succeed("run", path)
    assert "No failure modes. No class has 30 images" in result.stdout
    assert pl.read_csv(folder / "modes.csv").height == 0


def test_a_validation_on_other_tables(folder):
    unseen = [{**row, "image_id": f"new-{row['image_id']}"} for row in data.PREDICTIONS]
    tags = [{**row, "image_id": f"new-{row['image_id']}"} for row in data.TAGS]
    data.write(unseen, folder / "new.csv")
    data.write(tags, folder / "new_tags.csv")
    validation = "[validation]\npredictions = 'new.csv'\ntags = 'new_tags.csv'\n"
    result = succeed("run", write(folder, f"{JOB}{validation}min_unseen_images = 4"))
    assert "On unseen data: 3 of 3 decided failure modes hold" in result.stdout
    with ps.open_run(folder / "prime.duckdb") as run:
        assert run.validation.sources == {"predictions": "new.csv", "tags": "new_tags.csv"}


def test_from_python(folder, monkeypatch):
    monkeypatch.chdir("/")
    job = jobs.read(write(folder, JOB + MODES))
    steps = []
    finished = jobs.run(job, on_sql=lambda statement: steps.append(statement.step))
    with finished.run as run:
        assert data.found(run) == data.expected()
        assert not run.backend.list_tables(database=("temp", "main"))
    assert (finished.published, finished.outcomes) == (["modes.csv"], [])
    assert "failure_modes" in steps
    assert Path.cwd() == Path("/")


# What goes wrong ----------------------------------------------------------------------------------

LATE = """
[[outputs]]
file = "late.csv"
sql = "select 1 / (image_id = '') as x, * from no_such_table"
"""


def test_a_failure_in_the_last_output_leaves_all_of_yesterday(folder):
    table = '\n[[outputs]]\ntable = "modes"\n'
    good = JOB + REPORT + MODES + table
    succeed("run", write(folder, good))
    before = {name: (folder / name).read_bytes() for name in ("report.html", "modes.csv")}
    message = fail("run", write(folder, good + LATE))
    assert "prime.toml: outputs[4] failed: " in message
    assert "no_such_table" in message
    assert "Nothing was published: all outputs are as they were. Run 2 stays in prime" in message
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not partials(folder)
    database = folder / "prime.duckdb"
    assert statuses(database) == ["complete", "unpublished"]
    assert ps.sql(database, "select distinct run_id from main.modes").item() == 1
    seen = "select distinct run_id from v_failure_modes_all_runs"
    assert ps.sql(database, seen.replace("v_", "prime.v_")).item() == 1
    divided = table.replace("modes", "divided") + 'sql = "select cast(tags as integer) as x from '
    message = fail("run", write(folder, f'{good}{divided}failure_modes"'))
    assert "prime.toml: outputs[4] failed: " in message
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert ps.sql(database, "select distinct run_id from main.modes").item() == 1
    succeed("run", write(folder, good))
    assert statuses(database) == ["complete", "unpublished", "unpublished", "complete"]
    with ps.open_run(database) as run:
        assert run.previous.run_id == 1  # nobody has seen runs 2 and 3


def test_a_file_that_cannot_be_replaced_takes_all_else_back(folder):
    good = JOB.replace("max_tags = 2", "max_tags = 1") + REPORT + TABLE
    succeed("run", write(folder, good))
    report, mounted = folder / "report.html", folder / "mounted.csv"
    before = report.read_bytes()
    mounted.write_text("yesterday")
    mount = ["mount", "--bind", str(mounted), str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("it takes the right to mount")
    try:
        message = fail("run", write(folder, f"{good}[[outputs]]\nfile = 'mounted.csv'"))
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
    assert "prime.toml: publish failed: cannot write" in message
    assert "Nothing was published: all outputs are as they were. Run 2 stays" in message
    assert (report.read_bytes(), mounted.read_text()) == (before, "yesterday")
    assert not partials(folder)
    assert statuses(folder / "prime.duckdb") == ["complete", "unpublished"]
    assert ps.sql(folder / "prime.duckdb", "select distinct run_id from marts.modes").item() == 1


def test_the_answer_of_every_question_can_be_a_table(folder):
    """Some are worked out in Python, and are no query that the engine could ask again."""
    question = f'{JOB}[[outputs]]\nfile = "families.json"\nquestion = "families"'
    succeed("run", write(folder, question + TABLE + 'question = "families"'))
    stored = ps.sql(folder / "prime.duckdb", "select * from marts.modes")
    assert stored.height
    listed = json.loads((folder / "families.json").read_text())
    assert [row["tags"] for row in listed] == stored["tags"].to_list()


def test_a_failing_search_is_no_run(folder):
    path = write(folder, JOB + REPORT)
    (folder / "tags.parquet").write_bytes(b"PAR1 but damaged PAR1")
    message = fail("run", path)
    assert "prime.toml: search failed: cannot read tags (tags.parquet)" in message
    assert not (folder / "prime.duckdb").exists()
    assert not (folder / "report.html").exists()
    assert not partials(folder)


@pytest.mark.parametrize(
    ("join", "why"),
    [
        ("image_id = 'photos'", "joins.orders has no column 'photos'. Did you mean 'photo'?"),
        ("", "joins.orders has no column 'image_id'. It has: photo, country, value."),
    ],
)
def test_a_business_table_without_its_image(join, why, folder):
    message = fail("run", write(folder, f"{JOB}[joins.orders]\nsource = 'orders.csv'\n{join}"))
    assert why in message


def start(path, **variables):
    """Start a job in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "prime_sql", "run", path],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def halfway(folder):
    """A job that stands still while it writes its last output, a pipe that nobody empties."""
    os.mkfifo(folder / "pipe.csv")
    endless = "select range as n from range(100000)"
    return f"{JOB}{REPORT}{MODES}[[outputs]]\nfile = 'pipe.csv'\nsql = '{endless}'"


def wait_until_it_writes(process, folder):
    """Open the pipe and read its beginning: then all other outputs are written beside."""
    pipe = os.open(folder / "pipe.csv", os.O_RDONLY)  # returns when the other end is opened
    assert os.read(pipe, 2) == b"n\n"
    assert process.poll() is None
    assert len(partials(folder)) == 2
    return pipe


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_job_leaves_all_of_yesterday(how, folder):
    succeed("run", write(folder, JOB + REPORT + MODES))
    before = {name: (folder / name).read_bytes() for name in ("report.html", "modes.csv")}
    process = start(write(folder, halfway(folder)))
    pipe = wait_until_it_writes(process, folder)
    process.send_signal(how)
    if how == signal.SIGINT:
        os.close(pipe)
    _, printed = process.communicate(timeout=300)
    if how == signal.SIGKILL:
        os.close(pipe)
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert "Interrupted; nothing was published" in printed
        assert not partials(folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    database = folder / "prime.duckdb"
    assert statuses(database) == ["complete", "unpublished"]
    with ps.open_run(database) as run:
        assert data.found(run) == data.expected()
    # The next job cleans up.
    (folder / "pipe.csv").unlink()
    succeed("run", write(folder, JOB + REPORT + MODES))
    assert not partials(folder)
    assert statuses(database) == ["complete", "unpublished", "complete"]


KILLED = """
import os, signal, sys
from prime_sql import job, output

path, moment, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def seen(what):
    global left
    left -= moment in what
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

sync = output._sync_folder
output._sync_folder = lambda folder: (sync(folder), seen("a file has its name"))
job.run(job.read(path), on_sql=lambda statement: seen(statement.sql))
"""


# The search and the outputs each have a transaction; the files get their names in the second one.
@pytest.mark.parametrize(
    ("moment", "count", "status", "published"),
    [
        ("insert into", 3, None, 0),
        ("commit", 1, "unpublished", 0),
        ("set status = 'complete'", 1, "unpublished", 0),
        ("a file has its name", 1, "unpublished", 1),
        ("a file has its name", 2, "unpublished", 2),
        ("commit", 2, "complete", 2),
    ],
)
def test_a_job_killed_at_any_time_leaves_files_whole(moment, count, status, published, folder):
    outputs = [folder / "modes.csv", folder / "report.json"]
    text = JOB + MODES + REPORT.replace("html", "json")
    succeed("run", write(folder, text))
    before = [path.read_bytes() for path in outputs]
    path = write(folder, text.replace("max_tags = 2", "max_tags = 1"))
    command = [sys.executable, "-c", KILLED, path, moment, str(count)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert statuses(folder / "prime.duckdb") == ["complete", *([status] if status else [])]
    after = [path.read_bytes() for path in outputs]
    assert [old != new for old, new in zip(before, after, strict=True)] == [
        published > place for place in range(2)
    ]
    # With one tag in a set there are two failure modes; with two there are three.
    assert pl.read_csv(outputs[0]).height == (2 if published else 3)
    assert len(json.loads(after[1])["modes"]) == (2 if published == 2 else 3)


def test_on_a_full_disk_outputs_stay_and_the_message_says_why(folder, small_disk):
    outputs = "".join(
        f"\n[[outputs]]\n{kind} = '{small_disk}/{name}'\n"
        for kind, name in (("file", "modes.csv"), ("report", "report.html"))
    )
    (small_disk / "report.html").write_text("yesterday")
    (small_disk / "filler").write_bytes(b"x" * (2**20 - 3 * 4096))
    message = fail("run", write(folder, JOB + outputs))
    assert "prime.toml: outputs[2] failed: cannot write" in message
    assert "report.html: No space left on device" in message
    assert contents(small_disk).keys() == {"report.html", "filler"}
    assert (small_disk / "report.html").read_text() == "yesterday"
    assert statuses(folder / "prime.duckdb") == ["unpublished"]


def test_on_a_full_disk_the_database_stays_readable(folder, small_disk):
    text = JOB.replace('"prime.duckdb"', f'"{small_disk}/prime.duckdb"') + REPORT + TABLE
    (folder / "report.html").write_text("yesterday")
    message = fail("run", write(folder, text))
    assert "prime.toml: search failed: " in message
    assert "No space left on device" in message
    assert (folder / "report.html").read_text() == "yesterday"
    assert not list(small_disk.iterdir())
    # One that is there.
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    succeed("run", write(folder, text))
    before = (folder / "report.html").read_bytes()
    filler = small_disk / "filler"
    for pages, step in ((0, "search"), (2, "publish")):  # two hold the run, but no more
        free = os.statvfs(small_disk)
        filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - pages * 4096))
        message = fail("run", write(folder, text))
        assert f"prime.toml: {step} failed: " in message
        assert "No space left on device" in message
        assert (folder / "report.html").read_bytes() == before
        assert not partials(folder)
        assert not partials(small_disk)
        filler.unlink()
    assert statuses(small_disk / "prime.duckdb") == ["complete", "unpublished"]
    with ps.open_run(small_disk / "prime.duckdb", 1) as run:
        assert data.found(run) == data.expected()
    succeed("run", write(folder, text))


# Secrets ------------------------------------------------------------------------------------------

SECRET = "s3cr3t-tok'en 9f"  # with what SQL, Python and URLs write in their own way


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


# Gates --------------------------------------------------------------------------------------------

GATES = """
[gates]
fail_on = ["accuracy_drop > 0.4 and images >= 5"]
junit = "gates.xml"
summary = "${SUMMARY}"
"""


def test_a_gate_that_trips_exits_with_1_and_publishes_all_the_same(folder):
    summary = folder / "summary.md"
    summary.write_text("what other steps wrote\n")
    result = call("run", write(folder, JOB + MODES + GATES), SUMMARY=str(summary))
    assert result.exit_code == 1, result.output
    assert "toy" in result.stderr
    assert statuses(folder / "prime.duckdb") == ["complete"]
    assert (folder / "modes.csv").exists()
    assert "toy" in (folder / "gates.xml").read_text()
    assert summary.read_text().startswith("what other steps wrote\n")
    assert "toy" in summary.read_text()


def test_a_gate_that_trips_is_said_where_the_summary_fails(folder):
    text = JOB.replace("max_tags = 2", "max_tags = 1") + MODES + GATES
    message = fail("run", write(folder, text), SUMMARY="/dev/full")
    assert "gates.summary failed: cannot write ${SUMMARY}: No space left on device" in message
    assert "The outputs are published." in message
    assert "Gate accuracy_drop > 0.4 and images >= 5: tripped by" in message
    assert re.search(r"^  \w+: .*toy.* \(\d+ images", message, re.MULTILINE)
    assert statuses(folder / "prime.duckdb") == ["complete"]


def test_what_a_failed_job_found_is_new_the_next_time(folder):
    gates = '\n[gates]\nfail_on = ["new"]\n'
    fewer = [
        {**row, "prediction": row["label"]} if row["label"] == "cat" else row
        for row in data.PREDICTIONS
    ]
    data.write(fewer, folder / "predictions.parquet")
    assert call("run", write(folder, JOB + gates)).exit_code == 0
    data.write(data.PREDICTIONS, folder / "predictions.parquet")
    fail("run", write(folder, JOB + LATE + gates))
    result = call("run", write(folder, JOB + gates))
    assert result.exit_code == 1
    assert "toy" in result.stderr


def test_a_gate_is_heard_where_nobody_reads_the_table(folder):
    text = JOB.replace("max_tags = 2", "max_tags = 1") + GATES.partition("junit")[0]
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "prime_sql", "run", write(folder, text)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr.startswith("Gate accuracy_drop > 0.4 and images >= 5: tripped by")
    assert "Traceback" not in process.stderr
    assert "Exception ignored" not in process.stderr


@pytest.mark.parametrize("moment", ["prime_sql.job.steps.append_text", "prime_sql.rank.summarize"])
def test_an_interrupt_after_publishing_does_not_say_that_nothing_was(moment, folder, monkeypatch):
    text = JOB.replace("max_tags = 2", "max_tags = 1") + MODES
    path = write(folder, text + "[gates]\nsummary = 'summary.md'")
    monkeypatch.setattr(moment, lambda *_: signal.raise_signal(signal.SIGINT))
    result = call("run", path, "--quiet")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted; the outputs are published.\n"
    assert statuses(folder / "prime.duckdb") == ["complete"]
    assert (folder / "modes.csv").exists()


# A first file -------------------------------------------------------------------------------------


def valid(path):
    """Check a file by the schema that editors use; return what it says."""
    says = tomllib.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(json.loads(schema.shipped())).validate(says)
    return says


def test_init_writes_a_file_that_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = succeed("init", "predictions.parquet", "tags.parquet")
    assert "prime-sql run prime.toml" in result.stderr
    says = valid(folder / "prime.toml")
    assert says["validation"] == {"split": "split", "find": "train", "check": "test"}
    assert says["options"]["min_images"] == 5
    text = (folder / "prime.toml").read_text()
    assert text.startswith("#:schema ./prime.schema.json\n")
    assert '# group_by = ["label", "region"]' in text
    assert (folder / "prime.schema.json").read_text() == schema.shipped()
    result = succeed("run", "prime.toml")
    assert "Published: report.html, failure_modes.parquet." in result.stderr


def test_the_comments_of_a_first_file_are_settings_that_fit(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data.write(data.TAGS, folder / "new_tags.parquet")
    data.write(
        [{k: v for k, v in row.items() if k != "split"} for row in data.PREDICTIONS],
        folder / "new_predictions.parquet",
    )
    succeed("init", "new_predictions.parquet", "new_tags.parquet")
    orders = [{"image_id": row["image_id"], "region": "north"} for row in data.PREDICTIONS]
    data.write(orders, folder / "orders.parquet")
    text = (folder / "prime.toml").read_text()
    settings = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    path = write(folder, settings.replace('where = "…"', 'where = "true"'))
    assert {"validation", "chance", "joins", "gates"} <= valid(path).keys()
    result = call("run", path)
    assert result.exit_code == 0, result.stderr
    assert "Gate new: cannot trip, because there is no earlier run" in result.stderr
    assert "marts.failure_modes_by_region" in result.stderr


def test_init_overwrites_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write(folder, "mine")
    arguments = ["init", "predictions.parquet", "tags.parquet"]
    assert "prime.toml is there already; --force overwrites it" in fail(*arguments)
    assert (folder / "prime.toml").read_text() == "mine"
    succeed(*arguments, "--force")
    assert "the folder x does not exist" in fail(*arguments, "-o", "x/prime.toml")
    assert "give PREDICTIONS and TAGS" in fail("init")


def test_init_leaves_a_schema_of_something_else(folder, monkeypatch):
    monkeypatch.chdir(folder)
    arguments = ["init", "predictions.parquet", "tags.parquet"]
    write(folder, '{"title": "something else"}', "prime.schema.json")
    before = contents(folder)
    assert "prime.schema.json is there already, and is no schema of job" in fail(*arguments)
    assert contents(folder) == before
    write(folder, '{"title": "prime_sql job", "of": "an older version"}', "prime.schema.json")
    succeed(*arguments)
    assert (folder / "prime.schema.json").read_text() == schema.shipped()


def test_init_of_tables_without_rows(folder, monkeypatch):
    monkeypatch.chdir(folder)
    write(folder, "image_id,label,prediction\n", "head.csv")
    write(folder, "image_id,tag\n", "head_tags.csv")
    assert "predictions: head.csv has no rows" in fail("init", "head.csv", "tags.parquet")
    assert "tags: head_tags.csv has no rows" in fail("init", "predictions.parquet", "head_tags.csv")
    assert not (folder / "prime.toml").exists()


def test_init_of_columns_that_look_like_variables(folder, monkeypatch):
    monkeypatch.chdir(folder)
    renamed = pl.DataFrame(data.PREDICTIONS).rename({"label": "${label}", "prediction": "$${p"})
    renamed.write_parquet("odd.parquet")
    names = ["--label", "${label}", "--prediction", "$${p"]
    succeed("init", "odd.parquet", "tags.parquet", *names)
    job = jobs.read("prime.toml")
    assert (job.says.columns.label, job.shown.columns.prediction) == ("${label}", "$${p")
    succeed("run", "prime.toml")


def test_init_from_elsewhere_and_other_columns(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "conf").mkdir()
    (folder / "lake").mkdir()
    renamed = pl.DataFrame(data.PREDICTIONS).rename({"image_id": "File Name", "label": "Truth"})
    renamed = renamed.rename({"prediction": "guess"}).drop("split")
    renamed.with_columns(model=pl.lit("a")).write_csv(folder / "lake" / "0.csv")
    renamed.with_columns(model=pl.lit("b")).write_csv(folder / "lake" / "1.csv")
    tags = [{"File Name": row["image_id"], "Keywords": row["tag"]} for row in data.TAGS]
    data.write_tables(folder / "warehouse.duckdb", "marts", image_tags=tags)
    succeed("init", "lake/*.csv", "warehouse.duckdb:marts.image_tags", "-o", "conf/nightly.toml")
    says = valid(folder / "conf" / "nightly.toml")
    assert says["sources"] == {
        "predictions": "../lake/*.csv",
        "tags": "../warehouse.duckdb:marts.image_tags",
    }
    assert says["db"] == "../prime.duckdb"
    columns = {"image_id": "File Name", "label": "Truth", "prediction": "guess", "tag": "Keywords"}
    assert says["columns"] == columns
    assert says["options"]["where"] == "model = 'a'"
    succeed("run", "conf/nightly.toml")
    assert ps.runs(folder / "prime.duckdb")["job"].to_list() == ["nightly"]


@pytest.mark.parametrize("yes", [True, 1])
def test_init_sees_a_wide_table(yes, folder, monkeypatch):
    monkeypatch.chdir(folder)
    data.write(data.wide(yes=yes, no=type(yes)(0)), folder / "wide.parquet")
    succeed("init", "predictions.parquet", "wide.parquet")
    assert valid(folder / "prime.toml")["options"]["wide"] is True
    succeed("run", "prime.toml")


def test_init_asks_where_it_cannot_tell(folder, monkeypatch):
    monkeypatch.chdir(folder)
    data.write([{"image_id": "a", "x1": 1, "x2": 2}], folder / "odd.csv")
    message = fail("init", "odd.csv", "tags.parquet")
    assert "cannot tell which column is the label; predictions has: image_id, x1, x2" in message
    succeed("init", "odd.csv", "tags.parquet", "--label", "x1", "--prediction", "x2")
    data.write([{"picture": "a", "tag": "b"}], folder / "no.csv")
    message = fail("init", "predictions.parquet", "no.csv", "-o", "new.toml")
    assert "cannot tell which column is the image_id; both tables have: no column" in message


# The schema for editors ---------------------------------------------------------------------------


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


# Nights that bring what is new, and limits --------------------------------------------------------


def night(folder, half):
    """The tables of every second image."""
    for name, rows in (("predictions", data.PREDICTIONS), ("tags", data.TAGS)):
        images = sorted({row["image_id"] for row in data.PREDICTIONS})[half::2]
        data.write([row for row in rows if row["image_id"] in images], folder / f"{name}.parquet")


def test_a_job_appends_to_its_last_published_run(folder):
    file = write(folder, "append = true\n" + JOB.replace('"tags.parquet"', '"${TAGS}"') + MODES)
    night(folder, 0)
    succeed("run", file, TAGS="tags.parquet")  # there is no run yet: it is searched alone
    night(folder, 1)
    succeed("run", file, TAGS="tags.parquet")
    with ps.open_run(folder / "prime.duckdb") as run:
        assert data.found(run) == data.expected()
        assert run.sources["appended_to"] == "run 1"
        assert run.sources["appended_tags"] == run.sources["tags"] == "${TAGS}"
    assert statuses(folder / "prime.duckdb") == ["complete", "complete"]
    # Other options: the counts of the earlier runs do not hold the answer.
    write(folder, file.read_text().replace("max_tags = 2", "max_tags = 1"))
    message = fail("run", file, TAGS="tags.parquet")
    assert "max_tags 2 there, 1 here" in message


def test_limits_of_a_job_are_those_of_the_engine(folder):
    (folder / "scratch").mkdir()
    says = 'memory_limit = "450MB"\ntemp_dir = "scratch"\n'
    with jobs.run(jobs.read(write(folder, says + JOB))).run as run:
        memory, place = run.backend.raw_sql(
            "select current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchone()
    assert memory == "238.4 MiB"
    assert Path(place).parent == (folder / "scratch").absolute()


def test_settings_of_a_job_are_checked_beforehand(folder):
    split = "\n[validation]\nsplit = 'prediction'\nfind = 'a'\ncheck = 'b'\n"
    assert "append: a search with split" in fail(
        "run", write(folder, "append = true\n" + JOB + split)
    )
    message = fail("run", write(folder, 'memory_limit = "much"\ntemp_dir = "gone"\n' + JOB))
    assert "memory_limit is no size: 'much'" in message
    assert "gone does not exist; make it first" in message
