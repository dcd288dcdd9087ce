"""What a job file may say, and what is said of one that is wrong."""

import pytest

from tests import tables as data
from tests.job.jobs import JOB, REPORT, contents, fail, succeed, write

WRONG = {
    "unknown key": ("[options]", "[options]\nmin_imges = 3", "options.min_imges: there is no such"),
    "suggestion": ("[options]", "[options]\nmin_imges = 3", "Did you mean 'min_image"),
    "unknown section": ("[options]", "[optoins]", "optoins: there is no such key. Did you mean"),
    "another section": ("[options]", "[options]\nlabel = 'x'", "options.label: it belongs in [c"),
    "moved": ("db =", "min_drop = 0.3\ndb =", "min_drop: it belongs in [options]"),
    "missing": ('tags = "tags.parquet"', "", "sources.tags is missing: one row per image and tag"),
    "no section": ("[sources]", "[columns]", "sources is missing: the tables that are searched"),
    "text for a number": (
        "max_tags = 2",
        "max_tags = '2'",
        "options.max_tags must be a whole numb",
    ),
    "true for a number": ("max_tags = 2", "max_tags = true", "must be a whole number, got True"),
    "number for a text": ('"prime.duckdb"', "3", "db must be a string, got 3"),
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
    "malformed": ('"tags.parquet"', '"${a b}"', "sources.tags: '${a b}' is not an environ"),
    "set to nothing": ('"tags.parquet"', '"${EMPTY}"', "sources.tags is empty: ${EMPTY}"),
    "open": ('"tags.parquet"', '"${HOME"', "sources.tags: '${HOME' is not an environment"),
    "variable in a name": ("db =", "name = '${HOME}'\ndb =", "name is a name, and takes no envir"),
    "syntax": (
        "max_tags = 2",
        "max_tags = ",
        "prime.toml is not valid TOML: Invalid value",
    ),
    "twice": (
        "max_tags = 2",
        "max_tags = 2\nmax_tags = 3",
        "is not valid TOML: Cannot overwrite",
    ),
}

OUTPUTS = {
    "no target": ("sql = 'from classes'", "outputs[1]: needs one of report, file and table, got n"),
    "two targets": ("report = 'a.html'\nfile = 'a.csv'", "got report and file"),
    "ending of a report": ("report = 'a.pdf'", "outputs[1].report: name a file that ends in .htm"),
    "ending of a file": ("file = 'a.xlsx'", "name a file that ends in .parquet, .csv or .json"),
    "folder": ("file = 'x/a.csv'", "outputs[1].file: cannot write x/a.csv: the folder x does not"),
    "report's folder": (
        "report = 'x/a.html'",
        "cannot write x/a.html: the folder x does not exist",
    ),
    "same": (
        "file = 'a.csv'\n[[outputs]]\nfile = './a.csv'",
        "outputs[2].file: a.csv is already outputs[1].file",
    ),
    "the job": ("report = 'a.txt'\n[[outputs]]\nreport = 'a.txt'", "is already outputs[1].report"),
    "same table": ("table = 'm.t'\n[[outputs]]\ntable = 'M.T'", "outputs[2].table: m.t is already"),
    "no schema": ("table = '.orders'", "outputs[1].table: name a table as SCHEMA.TABLE, got '.ord"),
    "three names": ("table = 'a.b.c'", "name a table as SCHEMA.TABLE, got 'a.b.c'"),
    "our schema": ("table = 'prime.x'", "outputs[1].table: the schema prime is reserved"),
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
    "two contents": (
        "file = 'a.csv'\nsql = 'from x'\nsql_file = 'x.sql'",
        "are mutually exclusive",
    ),
    "sql": ("file = 'a.csv'\nsql = 'selct 1'", "outputs[1].sql: Parser Error: syntax error"),
    "two queries": ("file = 'a.csv'\nsql = 'from x; from y'", "give one query, got 2"),
    "no query": ("file = 'a.csv'\nsql = 'drop table x'", "give a query that returns rows"),
    "sql file": ("file = 'a.csv'\nsql_file = 'x.sql'", "cannot read x.sql: No such file"),
    "report of sql": (
        "report = 'a.html'\nsql = 'from x'",
        "outputs[1].sql: a report shows the run",
    ),
    "cards": ("file = 'a.csv'\ncards = 3", "outputs[1].cards: this is only for a report"),
    "long": (f"report = '{'a' * 300}.html'", "its name is too long for the system"),
    "null": ('report = "a\\u0000b.html"', "outputs[1].report holds a null character"),
    "top": ("report = 'a.html'\ntop = 0", "outputs[1]: top must be at least 1, got 0"),
}

SECTIONS = {
    "validation": ("[validation]", "validation: say what the unseen data are"),
    "both": ("[validation]\nwhere = 'true'\nsplit = 'a'", "where and split are mutually exclusive"),
    "part": ("[validation]\nsplit = 'split'", "validation: split alone is not enough"),
    "unseen": ("[validation]\nwhere = 'true'\nmin_unseen_images = 0", "must be at least 1, got 0"),
    "tolerance": ("[validation]\nwhere = 'true'\ntolerance = 2", "must be between 0 and 1, got 2"),
    "no tolerance": (
        "[validation]\nwhere = 'true'\ntolerance = nan\n[chance]\nshuffles = -1",
        "has 2 problems:\n  validation.tolerance: tolerance must be",
    ),
    "chance": ("[chance]\nshuffles = -1", "chance: shuffles must be at least 0, got -1"),
    "join": ("[joins.orders]\nsource = 'x.csv'", "joins.orders: there is no file x.csv"),
    "join's name": ("[joins.classes]\nsource = 'orders.csv'", "this is a table of the results"),
    "gate": ("[gates]\nfail_on = ['accuracy_drop >']", "gates.fail_on[1]: the gate 'accuracy_"),
    "gate's column": (
        "[gates]\nfail_on = ['new', 'accuracydrop > 0.1']",
        "Did you mean 'accuracy_drop'",
    ),
    "gate unseen": ("[gates]\nfail_on = [\"verdict = 'fails'\"]", "only [validation] finds out"),
    "gate chance": ("[gates]\nfail_on = ['q_value < 0.1']", "names what only [chance] finds out"),
    "junit alone": ("[gates]\njunit = 'a.xml'", "gates.junit: it says which gates tripped; add"),
    "junit": (
        "[gates]\njunit = 'x/a.xml'",
        "gates.junit: cannot write x/a.xml: the folder x does not exist",
    ),
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
    assert f" is already {what}; name another file" in fail("run", path)
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
