"""The search as one SELECT: executed on DuckDB, parsed and looked at for the other engines."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
import sqlglot
import sqlglot.expressions as sge
from hypothesis import given
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.engine import queries
from prime_sql.engine.defaults import DIALECTS
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.discovery.statements import CASES, OPTIONS
from tests.examples import examples
from tests.generated import options as some_options
from tests.generated import tables as some_tables
from tests.nasty import NAMES

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

TABLES = {
    "predictions": pl.DataFrame(data.PREDICTIONS),
    "tags": pl.DataFrame(data.TAGS),
}


def ask(statement, **tables):
    """Run the statement where no prime_sql is: on a DuckDB that holds the tables."""
    with duckdb.connect() as con:
        con.execute("create schema marts")
        for name, frame in tables.items():
            con.register("frame", frame)
            con.execute(f"create table {name.replace('__', '.')} as from frame")
        return con.sql(statement).pl()


def check(statement, run, **tables):
    answer = ask(statement, **tables)
    modes = run.failure_modes.to_polars()
    assert_frame_equal(answer, modes.select(answer.columns), check_row_order=False)
    assert answer["excess_errors"].is_sorted(descending=True)
    return answer


@pytest.mark.parametrize("options", CASES)
def test_the_rows_are_those_of_a_search(options):
    options = {**data.OPTIONS, **options}
    with ps.search(*TABLES.values(), **options) as run:
        answer = check(ps.compile("predictions", "tags", **options), run, **TABLES)
        # con.sql runs all statements of a script and returns the rows of the last one.
        script = ps.compile("predictions", "tags", script=True, **options)
        assert_frame_equal(ask(script, **TABLES), answer)
    assert answer.height
    if options == data.OPTIONS:
        assert set(answer["tags"]) == {"black + hang", "snow", "toy"}
        assert answer.columns[:4] == ["mode_id", "class_name", "tags", "tag_count"]


@examples(8)
@given(tables=some_tables(), options=some_options())
def test_the_rows_are_those_of_a_search_on_any_tables(tables, options):
    predictions = pl.DataFrame(tables[0], schema=["image_id", "label", "prediction"], orient="row")
    tags = pl.DataFrame(tables[1], schema=["image_id", "tag"], orient="row")
    with ps.search(predictions, tags, **options) as run:
        statement = ps.compile("predictions", "tags", **options)
        check(statement, run, predictions=predictions, tags=tags)


def test_tables_and_columns_of_other_names():
    names = {"image_id": "File Name", "label": "truth", "prediction": "guess", "region": 'a"b'}
    predictions = TABLES["predictions"].rename(names)
    tags = TABLES["tags"].rename({"image_id": "File Name", "tag": "KEYWORD"})
    options = {
        **data.OPTIONS,
        "image_id": "File Name",
        "label": "truth",
        "prediction": "guess",
        "tag": "KEYWORD",
        "where": """ "a""b" = 'north' and guess is not null""",
    }
    # Tables that are called like steps of the search.
    statement = ps.compile("marts.classes", "marts.candidates_1", **options)
    with ps.search(predictions, tags, **options) as run:
        check(statement, run, marts__classes=predictions, marts__candidates_1=tags)


def test_blank_tags_and_odd_scores_count_as_in_a_search():
    more = [
        {"image_id": "img-000", "tag": blank, "score": 1.0} for blank in ("", "  ", "\t\n\r ", None)
    ]
    more += [{"image_id": f"img-{n:03}", "tag": "odd", "score": float("nan")} for n in range(30)]
    tags = pl.concat([TABLES["tags"], pl.DataFrame(more, schema=TABLES["tags"].schema)])
    options = {**data.OPTIONS, "min_score": 0.1}
    with ps.search(TABLES["predictions"], tags, **options) as run:
        statement = ps.compile("predictions", "tags", **options)
        check(statement, run, predictions=TABLES["predictions"], tags=tags)


def test_files_are_read_where_they_lie(tmp_path):
    for name, frame in TABLES.items():
        frame.write_parquet(tmp_path / f"it's {name}.parquet")
    files = [str(tmp_path / f"it's {name}.parquet") for name in TABLES]
    with ps.search(*files, **data.OPTIONS) as run:
        check(ps.compile(*files, **data.OPTIONS), run)


def test_text_in_braces_is_dbts():
    statement = ps.compile("{{ ref('predictions') }}", "{{ source('marts', 'tags') }}")
    assert "from {{ ref('predictions') }} as p\n" in statement
    assert "from {{ source('marts', 'tags') }} as g\n" in statement
    assert statement.count("{{") == 2  # none in the comments, which dbt would render
    # dbt puts a table of this name there, which no step may then have.
    filled = statement.replace("{{ ref('predictions') }}", "predictions")
    ask(filled.replace("{{ source('marts', 'tags') }}", "tags"), **TABLES)


def test_the_command_prints_the_statement():
    options = [f"--{name.replace('_', '-')}={value}" for name, value in data.OPTIONS.items()]
    text = succeed("compile", "predictions", "tags", *options).stdout
    assert text == ps.compile("predictions", "tags", **data.OPTIONS)
    assert ask(text, **TABLES).height == len(data.MODES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_script_keeps_every_step_before_it_is_read(dialect):
    text = ps.compile("marts.predictions", "marts.tags", dialect=dialect, script=True, **OPTIONS)
    statements = sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    made, answers = [], 0
    for statement in filter(None, statements):
        if isinstance(statement, sge.Create):
            names = {cte.alias for cte in statement.find_all(sge.CTE)}
            read = {
                table.sql(dialect).split()[0] for table in statement.expression.find_all(sge.Table)
            }
            assert read - names <= {*made, "marts.predictions", "marts.tags"}
            made.append(statement.this.sql(dialect))
        answers += isinstance(statement, sge.Select)
    assert made[-1] == "prime_sql_failure_modes"
    assert answers == 1
    # Nothing of the user's is hidden, replaced or dropped.
    changed = re.findall(r"(?:^|\n)(?:create|drop|analyze|cache|uncache) .*", text)
    assert len(changed) >= len(made)
    for line in changed:
        assert re.search(r" (pg_temp\.)?prime_sql_\w+( using parquet)?(;| as|$)", line), line
    cleared = text.count("\ndrop table prime_sql_")
    assert cleared == (len(made) if dialect in ("spark", "databricks", "trino", "redshift") else 0)


NATIVE = {
    "duckdb": "list_contains(['test'], split) and d > current_date - 7",
    "postgres": "split ~* 'TEST' and d > now() - interval '7 days'",
    "spark": "split rlike 'te.*' and d > date_sub(current_date(), 7)",
    "databricks": "meta:region::string = 'x'",
    "snowflake": "try_to_number(a) > 1 and dateadd(day, -7, current_date) < d",
    "bigquery": "split in unnest(['test']) and d > date_sub(current_date(), interval 7 day)",
    "trino": "regexp_like(split, 'te.*') and d > date_add('day', -7, current_date)",
    "redshift": "dateadd(day, -7, getdate()) < d",
    "clickhouse": "toYYYYMM(d) = 202401 and match(split, 'te.*')",
    "datafusion": "split ~* 'TEST' and d > now() - interval '7 days'",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_conditions_are_the_engines_own(dialect):
    """Translated there and back, a condition may mean something else; it stays as it is."""
    condition = NATIVE[dialect]
    text = ps.compile("p", "t", dialect=dialect, where=condition, error=condition)
    assert text.count(f"(\n{condition}\n)") == 3  # where; error, and not error
    (select,) = sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    source = next(cte for cte in select.find_all(sge.CTE) if cte.alias == "source_predictions")
    names = {
        column.name.lower()
        for column in sqlglot.parse_one(condition, read=dialect).find_all(sge.Column)
    }
    assert names <= {column.lower() for column in source.this.named_selects}


def test_a_comment_ends_with_its_condition():
    options = {**data.OPTIONS, "where": "split = 'test' -- only these", "min_images": 2}
    with ps.search(*TABLES.values(), **options) as run:
        check(ps.compile("predictions", "tags", **options), run, **TABLES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_statement_is_one_select_of_the_dialect(dialect):
    text = ps.compile("marts.predictions", "marts.tags", dialect=dialect, **OPTIONS)
    (select,) = sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    assert isinstance(select, sge.Select)
    assert dialect in text.splitlines()[0]
    tables = {table.sql() for table in select.find_all(sge.Table)}
    names = {cte.alias for cte in select.find_all(sge.CTE)}
    read = {table.partition(" ")[0] for table in tables} - names
    assert {table.lower() for table in read} == {"marts.predictions", "marts.tags"}


DBT = Path(__file__).parents[2] / "examples" / "dbt"


def test_what_sqlglot_leaves_is_mended():
    postgres = ps.compile("p", "t", dialect="postgres")
    assert 'ORDER BY tag COLLATE "C"' in postgres  # whatever the language of the database
    trino = ps.compile("p", "t", dialect="trino")
    assert trino.count("TO_HEX(MD5(TO_UTF8(") + trino.count("MD5(\n") == 9
    assert "MD5(class_name)" not in trino
    for dialect in ("bigquery", "trino"):
        assert "TO_HEX(" in ps.compile("p", "t", dialect=dialect)  # hashes are bytes there
    assert "NULLS" not in ps.compile("p", "t", dialect="bigquery")  # its windows have none
    assert ps.compile("p", "t", dialect="redshift").lower().count("with ") == 1  # none inside
    snowflake = ps.compile("p", "t", dialect="snowflake")
    assert "CAST(label AS " in snowflake  # quoted, it would not find LABEL


def test_the_dbt_model_is_what_the_command_of_its_readme_writes():
    """`examples/dbt`: its tests run where dbt is; this needs none."""
    block = (DBT / "README.md").read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0]
    arguments = shlex.split(block.replace("\\\n", " ").split(" > ")[0])
    written = succeed(*arguments[1:]).stdout
    model = (DBT / "models" / "failure_modes.sql").read_text(encoding="utf-8")
    # Its first lines name the version of prime_sql.
    assert _version_left_out(model) == _version_left_out(written)


def _version_left_out(text):
    return re.sub(r"prime-sql \S+ compile", "prime-sql compile", text).strip()


def test_names_keep_what_the_user_means():
    text = ps.compile('"Marts".Predictions', "t", dialect="snowflake", label="Truth", tag="TAG")
    assert '"Marts".Predictions AS p' in text
    assert 'p."Truth" AS label' in text
    assert "CAST(g.TAG AS " in text
    assert "FROM marts..p AS p" in ps.compile("marts..p", "t", dialect="snowflake")


@pytest.mark.parametrize("name", NAMES)
def test_columns_and_tables_of_any_name(name):
    predictions = TABLES["predictions"].rename({"image_id": name, "region": f"{name} too"})
    predictions = predictions.with_columns(pl.lit("x").alias(f"{name} as well"))
    tags = TABLES["tags"].rename({"image_id": name})
    where = f"{queries.identifier(f'{name} as well')} = 'x'"
    options = {**data.OPTIONS, "image_id": name, "group_by": ("label", f"{name} too")}
    options |= {"where": where, "min_images": 2}
    with ps.search(predictions, tags, **options) as run, duckdb.connect() as con:
        con.execute("create schema marts")
        for frame, table in ((predictions, name), (tags, f"{name} 2")):
            con.register("frame", frame)
            con.execute(f"create table marts.{queries.identifier(table)} as from frame")
        names = [queries.identifier(("marts", table)) for table in (name, f"{name} 2")]
        modes = run.failure_modes.to_polars()
        assert modes.height
        for script in (False, True):
            answer = con.sql(ps.compile(*names, script=script, **options)).pl()
            assert_frame_equal(answer, modes.select(answer.columns), check_row_order=False)


def test_dbt_renders_no_name_of_a_column_or_of_another_table():
    model = "{{ ref('predictions') }}"
    assert '"{{ x }}"' in ps.compile("p", "t", label="{{ x }}")  # without dbt, nothing renders it
    for options in ({"label": "{{ x }}"}, {"tag": "{% x %}"}, {"group_by": ("label", "{# x")}):
        (option,) = options
        with pytest.raises(ps.OptionError, match=f"^{option}: dbt would render"):
            ps.compile(model, "t", **options)
    with pytest.raises(ps.OptionError, match="dbt would render"):
        ps.compile(model, '"{{ x }}"')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p", "t", "--dialect", "postgers"], "Did you mean 'postgres'?"),
        (["select 1", "t"], "'select 1' is not the name of a table"),
        (["p; drop table x", "t"], "is not the name of a table"),
        (["p", "read_csv('t.csv')"], "is not the name of a table"),
        (["p as q", "t"], "is not the name of a table"),
        (["marts..p", "t"], "is not the name of a table"),
        (["p.parquet", "t", "--dialect", "snowflake"], "snowflake cannot read the file"),
        (["p", "t", "--where", "split ="], "where is not an SQL condition"),
        (["p", "t", "--where", "image_id in (select x from y)"], "a subquery reads"),
        (["p", "t", "--min-drop", "2"], "min_drop must be between 0.001 and 1"),
    ],
)
def test_bad_usage(arguments, message):
    assert message in fail("compile", *arguments)


@pytest.mark.parametrize("options", [{"wide": True}, {"max_q": 0.05}, {"method": "greedy"}])
def test_what_one_select_cannot(options):
    with pytest.raises(ps.OptionError, match=r"compile"):
        ps.compile("p", "t", **options)


def test_no_torch_is_needed():
    code = "import sys, prime_sql as ps; ps.compile('p', 't'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=500)


@pytest.mark.filterwarnings("ignore:there are classes that are alike:prime_sql.InputWarning")
def test_names_in_a_file_stay_as_they_are_written(tmp_path):
    names = {"ape": "1.1", "bear": "1.10", "cat": "007"}
    rows = [
        {**row, "label": names[row["label"]], "prediction": names[row["prediction"]]}
        for row in data.PREDICTIONS
    ]
    tags = [
        {**row, "tag": {"snow": "2.0", "toy": "2"}.get(row["tag"], row["tag"])} for row in data.TAGS
    ]
    files = data.write(rows, tmp_path / "p.csv"), data.write(tags, tmp_path / "t.csv")
    sql = ps.compile(*map(str, files), **data.OPTIONS)
    found = {
        (class_name, tuple(names.split(" + "))): (images, errors)
        for class_name, names, images, errors in duckdb.sql(sql)
        .project("class_name, tags, images, errors")
        .fetchall()
    }
    assert found == data.expected(rows, tags)
