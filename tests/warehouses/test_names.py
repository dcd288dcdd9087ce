"""Names that have to be quoted, on each engine: what is compiled, and a search."""

import polars as pl
import pytest

import prime_sql as ps
from prime_sql.engine import queries
from tests import tables as data
from tests.nasty import NAMES
from tests.warehouses.test_compile import search

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

OPTIONS = {"max_tags": 1, "min_images": 3, "min_drop": 0.1}
COLUMNS = dict(zip(("image_id", "label", "prediction", "tag"), NAMES, strict=False))
GROUPS = NAMES[4:14]
ASKED = NAMES[14:]  # in a condition
TABLES = ('d\\"`; drop table x; --', "two\nlines \\")


def tables():
    """The small tables with such columns; those for groups and conditions tell no rows apart."""
    predictions, tags = pl.DataFrame(data.PREDICTIONS), pl.DataFrame(data.TAGS)
    more = [pl.lit(f"group {n}").alias(name) for n, name in enumerate(GROUPS)]
    more += [pl.lit(n).alias(name) for n, name in enumerate(ASKED)]
    columns = {name: COLUMNS[name] for name in ("image_id", "label", "prediction")}
    predictions = predictions.select(*columns).rename(columns).with_columns(more)
    columns = {name: COLUMNS[name] for name in ("image_id", "tag")}
    return predictions, tags.select(*columns).rename(columns)


@pytest.fixture(scope="module")
def loaded(engine):
    """The tables in the engine, made by SQL of its own."""
    for name, frame in zip(names_for(engine), tables(), strict=True):
        plain = {column: f"c{n}" for n, column in enumerate(frame.columns)}
        plain_name = engine.load(f"marts.plain_{len(plain)}", frame.rename(plain))
        columns = ", ".join(
            f"{short} as {queries.identifier(column, engine.dialect)}"
            for column, short in plain.items()
        )
        quoted = queries.identifier(("marts", name), engine.dialect)
        engine.run(f"create view {quoted} as select {columns} from {plain_name}")
        assert engine.con.table(name, database="marts").columns == tuple(frame.columns)
    return engine


def names_for(engine):
    return ("named", "named_tags") if engine.name == "spark" else TABLES  # Spark takes words only


def quoted_names(engine):
    return [queries.identifier(("marts", name), engine.dialect) for name in names_for(engine)]


def options(dialect):
    asked = [f"{queries.identifier(name, dialect)} = {n}" for n, name in enumerate(ASKED)]
    groups = (COLUMNS["label"], *GROUPS)
    return {**OPTIONS, **COLUMNS, "group_by": groups, "where": " and ".join(asked)}


def test_what_is_compiled(loaded):
    wanted = search(*tables(), **options("duckdb"))
    assert wanted.height
    for script in (False, True):
        own = options(loaded.dialect)
        text = ps.compile(*quoted_names(loaded), dialect=loaded.dialect, script=script, **own)
        answer = loaded.run(text)
        assert answer["mode_id"].to_list() == wanted["mode_id"].to_list()
        assert answer["class_name"].to_list() == wanted["class_name"].to_list()
        assert answer["errors"].to_list() == wanted["errors"].to_list()


def test_a_search(loaded):
    if loaded.name == "duckdb":
        pytest.skip("the engine that the others are compared with")
    wanted = search(*tables(), **options("duckdb"))
    own = options(loaded.dialect)
    with ps.search(*quoted_names(loaded), into=loaded.con, schema="named_found", **own) as run:
        found = run.failure_modes.to_polars()
    assert sorted(found["mode_id"]) == sorted(wanted["mode_id"])
    assert sorted(found["errors"]) == sorted(wanted["errors"])
