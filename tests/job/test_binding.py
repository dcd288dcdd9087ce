"""`prime-sql run --check`: all SQL of a job is bound, so that what it says can run can run."""

import duckdb
import pytest

from tests import tables as data
from tests.job.jobs import JOB, MODES, WHOLE, call, contents, fail, succeed, write

ORDERS = """
[joins.orders]
source = "orders.csv"
image_id = "photo"
"""


def output(sql, target='file = "rows.csv"'):
    return f"\n[[outputs]]\n{target}\nsql = '''{sql}'''\n"


def test_a_whole_job_can_run_and_nothing_is_written(folder):
    write(folder, "select tags, value from failure_modes, orders", "value.sql")
    job = write(folder, WHOLE)
    before = contents(folder)
    assert "prime.toml can run" in succeed("run", job, "--check").stderr
    assert contents(folder) == before
    succeed("run", job)
    assert "prime.toml can run" in succeed("run", job, "--check").stderr  # and again after a run


# What the check of the file alone does not find, and the words of the message.
PROBLEMS = {
    "where": ("\nwhere = \"splt = 'x'\"\n", ["search: where: ", "'splt'", "'split'"]),
    "type of where": ('\nwhere = "image_id"\n', ["search: where", "true or false"]),
    "error": ('\nerror = "label = predicted"\n', ["search: error: ", "'predicted'"]),
    "function": ('\nwhere = "no_such(label)"\n', ["search: where", "no_such"]),
    "extension": (
        '\nwhere = "label::inet is not null"\n',
        ["search: where", "extension inet", "install inet"],
    ),
    "group": ('\ngroup_by = ["labl"]\n', ["search: ", "'labl'"]),
    "sql": (output("select no_such from failure_modes"), ["outputs[1].sql: ", "no_such"]),
    "table": (output("from no_such"), ["outputs[1].sql: ", "no_such"]),
    "join": (ORDERS + output("select contry from orders"), ["outputs[1].sql: ", "contry"]),
    "question": (
        ORDERS
        + "\n[[outputs]]\nfile = 'by.csv'\nquestion = 'failure_modes_by'\n"
        + "params = { table = 'orders', column = 'contry' }\n",
        ["outputs[1].question: ", "'contry'", "'country'"],
    ),
    "key": (ORDERS.replace("photo", "foto"), ["joins.orders has no column 'foto'", "'photo'"]),
    "validation": (
        "\n[validation]\nwhere = \"splt = 'test'\"\n",
        ["validation: where: ", "'splt'"],
    ),
    "part": (
        "\n[validation]\nsplit = 'region'\nfind = 'north'\ncheck = 'nowhere'\n",
        ["search: ", "nowhere"],
    ),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_cannot_be_bound_is_named(folder, kind):
    more, words = PROBLEMS[kind]
    job = write(folder, JOB + more)
    before = contents(folder)
    message = " ".join(fail("run", job, "--check").split())
    place = 0
    for word in words:
        assert word in message[place:], message
        place = message.index(word, place)
    assert len(message) < 600
    assert contents(folder) == before
    # It is right: the job fails, too.
    assert call("run", job).exit_code == 2


def test_all_problems_are_listed(folder):
    sql = output("select a from failure_modes") + output("from b", "table = 'marts.t'")
    job = write(folder, JOB + "\nwhere = \"c = 'x'\"\n" + sql)
    message = fail("run", job, "--check")
    assert "has 3 problems" in message
    for place in ("search: where", "outputs[1].sql", "outputs[2].sql"):
        assert place in message


def test_values_of_variables_stay_out(folder):
    where = "\nwhere = \"'${TOKEN}' = no_such\"\n"
    job = write(folder, JOB + where + output("select '${TOKEN}' as x from no_such"))
    message = fail("run", job, "--check", TOKEN="s3cr3t-value")
    assert "s3cr3t" not in message
    assert "no_such" in message


@pytest.fixture(params=["prime", "memory", "other"])
def stored(request, folder):
    """A database with tables, a view and a macro of the user's, and sources in it."""
    with duckdb.connect(str(folder / f"{request.param}.duckdb")) as con:
        con.execute("create schema marts")
        for name in ("predictions", "tags"):
            con.execute(f"create table marts.{name} as from '{folder}/{name}.parquet'")
        con.execute(f"create table marts.orders as from '{folder}/orders.csv'")
        con.execute("create view marts.german as from marts.orders where country = 'de'")
        con.execute("create macro marts.twice(x) as 2 * x")
        con.execute("create type size as enum ('small', 'large')")
        con.execute("create table sizes (photo varchar primary key, size size)")
    job = JOB.replace("prime.duckdb", f"{request.param}.duckdb")
    job = job.replace("predictions.parquet", "marts.predictions")
    return folder, job.replace("tags.parquet", "marts.tags")


@pytest.mark.parametrize(
    "sql",
    [
        "select marts.twice(value) as v from marts.german",
        "select size from sizes",
        "select * from prime.failure_modes",
        "select * from prime.v_runs",
        "select o.value from failure_mode_images i join marts.orders o on o.photo = i.image_id",
        "pivot marts.orders on country using sum(value)",
    ],
)
def test_tables_of_the_database_are_bound(stored, sql):
    folder, text = stored
    if "prime." in sql and text.startswith('\ndb = "memory'):
        pytest.skip("the same for each name")
    job = write(folder, text + output(sql))
    succeed("run", job, "--check")
    succeed("run", job)
    succeed("run", job, "--check")


def test_tables_that_the_database_lacks_are_named(stored):
    folder, text = stored
    job = write(folder, text + output("select nothing from marts.german") + MODES)
    assert "outputs[1].sql: " in fail("run", job, "--check")
    job = write(folder, text.replace("marts.tags", "marts.tag"))
    assert "marts.tags" in fail("run", job, "--check")


def test_a_join_keeps_the_name_of_its_key(folder):
    data.write(
        [{"file": row["image_id"], "price": 1.5} for row in data.PREDICTIONS],
        folder / "prices.parquet",
    )
    join = '\n[joins.prices]\nsource = "prices.parquet"\nimage_id = "file"\n'
    sql = "select distinct p.file, p.image_id, price from failure_mode_images as i "
    both = output(sql + "join prices as p on p.file = i.image_id order by all")
    job = write(folder, JOB + join + both)
    succeed("run", job, "--check")
    succeed("run", job)
    rows = (folder / "rows.csv").read_text().splitlines()
    assert rows[0] == "file,image_id,price"
    assert len(rows) > 1
    assert all(row.split(",")[0] == row.split(",")[1] for row in rows[1:])


def test_a_key_that_is_a_number_keeps_its_type(folder):
    """The key itself is as it was; image_id is text, as in all tables of a run."""
    rows = [{"number": n, "price": 1.5} for n in range(3)]
    data.write(rows, folder / "prices.parquet")
    join = '\n[joins.prices]\nsource = "prices.parquet"\nimage_id = "number"\n'
    sql = output("select typeof(number) as a, typeof(image_id) as b from prices limit 1")
    succeed("run", write(folder, JOB + join + sql))
    assert (folder / "rows.csv").read_text().splitlines()[1] == "BIGINT,VARCHAR"


def test_a_job_that_appends(folder):
    job = write(folder, "append = true\n" + JOB + MODES)
    succeed("run", job, "--check")
    succeed("run", job)
    succeed("run", job, "--check")
    job = write(folder, "append = true\n" + JOB + "\nwhere = \"splt = 'x'\"\n")
    assert "'splt'" in fail("run", job, "--check")
