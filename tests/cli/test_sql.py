"""``prime-sql sql``, ``runs`` and ``query``: what is asked of stored runs."""

import json
import re

import duckdb
import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, succeed


def test_sql_means_the_latest_run_or_the_one_named(folder):
    query = ["sql", "runs.duckdb", "select count(*) as n from failure_modes", "--format", "csv"]
    assert succeed(*query).stdout == "n\n2\n"
    assert succeed(*query, "--run", 1).stdout == "n\n3\n"
    both = "select run_id, count(*) as n from prime.failure_modes group by all order by all"
    assert succeed("sql", "runs.duckdb", both, "--format", "csv").stdout == "run_id,n\n1,3\n2,2\n"


def test_sql_reads_the_query_from_a_file(folder):
    path = folder / "how many.sql"
    path.write_text("-- how many?\nselect count(*) as n\nfrom failure_modes;\n", encoding="utf-8")
    for name in ("how many.sql", path):
        assert succeed("sql", "runs.duckdb", name, "--format", "csv").stdout == "n\n2\n"
    path.unlink()


def test_sql_in_every_form(folder):
    query = "select tags, images from failure_modes order by tags; "
    assert json.loads(succeed("sql", "runs.duckdb", query, "--format", "json").stdout) == [
        {"tags": "black + hang", "images": 4},
        {"tags": "toy", "images": 6},
    ]
    assert succeed("sql", "runs.duckdb", query, "--format", "markdown").stdout == (
        "| tags | images |\n| --- | ---: |\n| black + hang | 4 |\n| toy | 6 |\n"
    )
    lines = [line.strip() for line in succeed("sql", "runs.duckdb", query).stdout.splitlines()]
    assert "black + hang       4" in lines
    succeed("sql", "runs.duckdb", query, "-o", "answer.parquet")
    assert pl.read_parquet("answer.parquet").rows() == [("black + hang", 4), ("toy", 6)]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        # Columns without a name of their own; Ibis would rename some on the way.
        ("select len(tags) from failure_modes order by 1", "len(tags)\n3\n12\n"),
        (
            "select string_agg(tags, ', ' order by tags) from failure_modes",
            '"string_agg(tags, \', \' ORDER BY tags)"\n"black + hang, toy"\n',
        ),
        ("select sum(images) as n from failure_modes", "n\n10\n"),
        ("from failure_modes select tags order by all", "tags\nblack + hang\ntoy\n"),
        ("with n as (select 1 as one) select * from n -- a comment", "one\n1\n"),
        ("select column_name from (describe failure_modes) limit 1", "column_name\nrun_id\n"),
        (
            "pivot (select class_name from failure_modes) on class_name using count(*)",
            "ape,cat\n1,1\n",
        ),
        ("select 'a\"b' as x, null as y", 'x,y\n"a""b",\n'),
        ("select x from range(3) t(x) where x > 5", "x\n"),
    ],
)
def test_queries_that_analysts_type(folder, query, answer):
    assert succeed("sql", "runs.duckdb", query, "--format", "csv").stdout == answer


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("selct 1", 'syntax error at or near "selct"'),
        ("select nope from failure_modes", "nope"),
        ("select * from failure_mods", "failure_modes"),
        ("select 1 where", "syntax error"),
        ("", "'QUERY': it is empty"),
        (";", "give one query, got 0"),
        ("select 1; select 2", "give one query, got 2"),
        ("select 1) union all (select 2", "syntax error"),
        ("drop table prime.runs", "only a query that returns rows"),
        ("delete from prime.runs", "only a query that returns rows"),
        # These fail while rows are read, not before.
        ("select cast(tags as int) from failure_modes", "Could not convert string '"),
        ("select cast(tags || ' LINE 7: x' as int) from failure_modes", "LINE 7: x' to INT32"),
        ("select error('stop')", "stop"),
        ("select interval 3 days", "cast columns of unusual types"),
    ],
)
def test_sql_errors_are_one_message_with_the_complaint_of_the_engine(folder, query, complaint):
    message = fail("sql", "runs.duckdb", query)
    assert complaint in message
    assert "prime.failure_mode_images" not in message  # what the query is wrapped in


def test_runs_lists_what_tells_runs_apart(folder):
    text = succeed("runs", "runs.duckdb").stdout
    first, second = (line.split() for line in text.splitlines() if re.match(" +[12] +2", line))
    assert first[3:-1] == ["45", "3", "4", "4", "0.3"]
    assert second[3:-1] == ["45", "2", "4", "4", "0.47"]
    assert succeed("runs", "runs.duckdb", "--format", "table").stdout == text
    # Programs get all there is, in every form.
    found = json.loads(succeed("runs", "runs.duckdb", "--format", "json").stdout)
    assert json.loads(found[1]["options"])["min_drop"] == 0.47
    assert found[0]["status"] == "complete"
    succeed("runs", "runs.duckdb", "-o", "runs.csv")
    assert pl.read_csv("runs.csv").columns == list(found[0])


def test_runs_of_a_database_without_any(folder):
    data.write_tables(folder / "mine.duckdb", tags=data.TAGS)
    assert succeed("runs", "mine.duckdb").stdout == "mine.duckdb has no runs.\n"
    assert succeed("runs", "mine.duckdb", "--format", "json").stdout == "[]\n"
    # Its other tables can be asked; the relations of a run are missed.
    assert "1,234" not in succeed("sql", "mine.duckdb", "select count(*) as n from tags").stdout
    assert "mine.duckdb holds no run" in fail("sql", "mine.duckdb", "from failure_modes")
    assert "holds no run 3" in fail("sql", "mine.duckdb", "select 1", "--run", "3")


def test_an_unpublished_run_is_opened_by_its_number_only(folder):
    def unpublish(which):
        with duckdb.connect("runs.duckdb") as con:
            con.execute(f"update prime.runs set status = 'unpublished' where run_id {which}")

    asked = "select distinct run_id from failure_modes"
    csv_ = ("--format", "csv")
    assert "status" not in succeed("runs", "runs.duckdb").stdout
    unpublish("= 2")
    assert succeed("sql", "runs.duckdb", asked, *csv_).stdout == "run_id\n1\n"
    assert succeed("sql", "runs.duckdb", asked, "--run", 2, *csv_).stdout == "run_id\n2\n"
    with ps.open_run("runs.duckdb") as run:
        assert run.run_id == 1
    lines = succeed("runs", "runs.duckdb").stdout.splitlines()
    assert [line.split()[3] for line in lines if re.match(" +[12] +2", line)] == [
        "complete",
        "unpublished",
    ]
    unpublish("= 1")
    for command in (["sql", "runs.duckdb", asked], ["gate", "runs.duckdb", "--fail-on", "new"]):
        assert "left unpublished, the last one as run 2; give its number" in fail(*command)
    # Other tables can be asked as in a database without a run.
    assert succeed("sql", "runs.duckdb", "select 7 as n", *csv_).stdout == "n\n7\n"


def test_query_lists_the_questions(folder):
    text = succeed("query").stdout
    for name in ("failure_modes_by", "images_of_mode", "near_misses", "recurring_tags"):
        assert name in text
    assert succeed("query", "runs.duckdb").stdout == text
    questions = json.loads(succeed("query", "--format", "json").stdout)
    assert {
        "name": "failure_modes_by",
        "question": "How do the failure modes spread over a business column, and what do they "
        "cost?",
        "parameters": "column, [table], [image_id], [measure]",
    } in questions


def test_query_answers_with_parameters(folder):
    ask = ["query", "runs.duckdb", "failure_modes_by", "--param", "column=region", "--param"]
    found = json.loads(succeed(*ask, "table=predictions.parquet", "--format", "json").stdout)
    assert sum(row["errors"] for row in found) == 4 + 5
    assert {row["region"] for row in found} == {"north", "south"}
    first = json.loads(
        succeed(
            *ask, "table=predictions.parquet", "--run", 1, "--format", "json", "-o", "by.csv"
        ).stdout
    )
    assert sum(row["errors"] for row in first) == 4 + 4 + 5
    assert pl.read_csv("by.csv").height == len(first)
    # The value may hold an equals sign.
    assert fail(*ask, "table=a=b").startswith("Error: there is no table or file 'a=b'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["near_mises"], "Did you mean 'near_misses'"),
        (["failure_modes_by"], "needs the parameter 'column'"),
        (["failure_modes_by", "--param", "column"], "--param takes NAME=VALUE, got 'column'"),
        (["failure_modes_by", "--param", "colum=x"], "Did you mean 'column'"),
        (["near_misses", "--param", "most=many"], "takes a number, got 'many'"),
        (["near_misses", "--param", "most=1", "--param", "most=2"], "gives 'most' twice"),
        (["recurring_tags", "--param", "name=x"], "no parameter 'name'. It has: min_classes"),
    ],
    ids=str,
)
def test_query_errors_say_what_to_type(folder, arguments, message):
    assert message in fail("query", "runs.duckdb", *arguments)


def test_query_wants_a_question_for_its_parameters(folder):
    assert "--param needs a question" in fail("query", "runs.duckdb", "--param", "column=region")
