"""The named questions on hand-made tables.

The expected numbers are worked out on paper from `tests.tables`:

- ape: 16 images, 5 errors; black + hang 4 of 4 wrong (a mode), black 4 of 8, hang 4 of 8
- bear: 15 images, 5 errors; snow 4 of 5 wrong (a mode), snow + tree the same five, tree 4 of 10
- cat: 14 images, 5 errors; toy 5 of 6 wrong (a mode)
"""

import re

import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data


def tags_of(image_id):
    return {row["tag"] for row in data.TAGS if row["image_id"] == image_id}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with a run, and three tables that could be joined with it."""
    folder = tmp_path_factory.mktemp("queries")
    path = folder / "shop.duckdb"
    business = [
        {"image_id": row["image_id"], "region": row["region"], "cost": number, "name": f"#{number}"}
        for number, row in enumerate(data.PREDICTIONS)
    ]
    data.write_tables(path, predictions=data.PREDICTIONS, tags=data.TAGS)
    data.write_tables(path, "marts", business=business)
    hostile = [
        {'the "id"': row["image_id"], 'a";--\n🐻': row["region"]} for row in data.PREDICTIONS
    ]
    data.write_tables(path, hostile=hostile)
    data.write(business, folder / "business.csv")
    ps.search("predictions", "tags", into=path, **data.OPTIONS).close()
    return path


@pytest.fixture
def run(database):
    with ps.open_run(database) as run:
        yield run


def rows(relation, *columns):
    return relation.to_polars().select(columns).rows()


def test_images_of_a_mode_errors_first(run):
    (mode_id,) = (
        row["mode_id"]
        for row in run.failure_modes.to_polars().to_dicts()
        if row["class_name"] == "bear"
    )
    snow = [row for row in data.PREDICTIONS if "snow" in tags_of(row["image_id"])]
    expected = [
        (row["image_id"], "bear", row["prediction"], int(row["prediction"] != "bear"), "snow")
        for row in sorted(snow, key=lambda row: (row["prediction"] == "bear", row["image_id"]))
    ]
    assert [row[3] for row in expected] == [1, 1, 1, 1, 0]
    columns = ("image_id", "label", "prediction", "error", "tags")
    assert rows(run.query("images_of_mode", mode_id=mode_id), *columns) == expected
    assert rows(run.query("images_of_mode", mode_id=mode_id[:8]), *columns) == expected
    assert rows(run.query("images_of_mode", mode_id="no such mode"), *columns) == []


NEAR = ("class_name", "tags", "missed", "missed_by")


def test_near_misses_nearest_first(run):
    answer = run.query("near_misses")
    assert rows(answer, *NEAR) == [
        ("ape", "black", "accuracy_drop", pytest.approx(0.3 - (0.5 - 5 / 16))),
        ("ape", "hang", "accuracy_drop", pytest.approx(0.3 - (0.5 - 5 / 16))),
        ("bear", "tree", "accuracy_drop", pytest.approx(0.3 - (0.4 - 1 / 3))),
        ("bear", "snow + tree", "necessity", pytest.approx(0.1)),  # the five images of snow
    ]
    first = answer.to_polars().row(0, named=True)
    assert (first["images"], first["errors"], first["tag_count"]) == (8, 4, 1)
    assert first["accuracy"] == 0.5
    assert first["class_accuracy"] == 11 / 16
    assert first["accuracy_drop"] == first["necessity_margin"] == pytest.approx(3 / 16)
    assert run.query("near_misses", most="2").to_polars().height == 2


def test_near_misses_of_other_thresholds(run):
    # Text, as a command line hands it over, and numbers.
    for six in ("6", 6):
        found = rows(run.query("near_misses", min_images=six), *NEAR)
        assert ("ape", "black + hang", "images", 2.0) in found
        assert ("bear", "snow", "images", 1.0) in found
        # Two conditions fail: not a near miss.
        assert ("bear", "snow + tree") not in {row[:2] for row in found}
    for much in ("0.6,0.1", (0.6, 0.1)):
        found = rows(run.query("near_misses", necessity=much), *NEAR)
        assert found[0] == ("ape", "black + hang", "necessity", pytest.approx(0.1))
        assert ("bear", "snow + tree", "necessity", pytest.approx(0.6)) in found
    found = rows(run.query("near_misses", min_drop="0.47"), *NEAR)
    assert found[0] == ("bear", "snow", "accuracy_drop", pytest.approx(0.47 - (0.8 - 1 / 3)))
    with pytest.raises(ps.OptionError, match="min_drop must be between"):
        run.query("near_misses", min_drop="30")
    with pytest.raises(ps.QueryError, match="min_drop takes a number, got 'much'"):
        run.query("near_misses", min_drop="much")


def test_a_set_on_the_threshold_is_a_mode_and_no_near_miss(run):
    drop = 0.8 - 1 / 3  # of snow
    found = rows(run.query("near_misses", min_drop=drop), *NEAR)
    assert ("bear", "snow") not in {row[:2] for row in found}


def test_tags_that_recur_over_classes():
    """Night: all 4 wrong in a (7 of 20 are), 4 of 5 wrong in b (4 of 10 are); fog: 3 of 4 in a."""
    predictions = [(f"a{n:02}", "a", "b" if n < 7 else "a") for n in range(20)]
    predictions += [(f"b{n}", "b", "a" if n < 4 else "b") for n in range(10)]
    tags = [(f"a{n:02}", "night" if n < 4 else "fog") for n in range(8)]
    tags += [(f"a{n:02}", "day") for n in range(8, 20)]
    tags += [(f"b{n}", "night" if n < 5 else "day") for n in range(10)]
    with ps.search(
        pl.DataFrame(predictions, schema=["image_id", "label", "prediction"], orient="row"),
        pl.DataFrame(tags, schema=["image_id", "tag"], orient="row"),
        min_images=4,
    ) as run:
        night = ("night", 2, 2, pytest.approx((0.65 + 0.4) / 2))
        example = ("a", "night")  # 4 - 4 × 0.35 excess errors, against 4 - 5 × 0.4
        assert run.query("recurring_tags").to_polars().rows() == [(*night, night[-1], *example)]
        fog = ("fog", 1, 1, pytest.approx(0.4), pytest.approx(0.4), "a", "fog")
        assert run.query("recurring_tags", min_classes=1).to_polars().rows() == [
            (*night, night[-1], *example),
            fog,
        ]


def modes_by(column):
    """Rows of failure_modes_by in plain Python: value, class, tags, images, errors, cost."""
    spread = {}
    for number, row in enumerate(data.PREDICTIONS):
        for class_name, tags in data.MODES:
            if row["label"] == class_name and set(tags) <= tags_of(row["image_id"]):
                cell = spread.setdefault((row[column], class_name, " + ".join(tags)), [0, 0, 0])
                error = row["prediction"] != row["label"]
                cell[0] += 1
                cell[1] += error
                cell[2] += number if error else 0
    return {(*key, *cell) for key, cell in spread.items()}


def test_failure_modes_by_a_business_column_and_what_they_cost(run, database):
    columns = ("region", "class_name", "tags", "images", "errors", "error_cost")
    expected = modes_by("region")
    assert len(expected) == 6  # three modes in two regions
    file = str(database.with_name("business.csv"))
    for table in (None, "marts.business", file):
        answer = run.query("failure_modes_by", column="region", measure="cost", table=table)
        found = rows(answer, *columns)
        # A mode without an error in a region has no cost there, rather than 0.
        assert {(*row[:-1], row[-1] or 0) for row in found} == expected
        costs = [row[-1] or -1 for row in found]
        assert costs == sorted(costs, reverse=True)
    # Without a measure: most errors first.
    answer = run.query("failure_modes_by", column="region", table="marts.business")
    assert {row[:-1] for row in expected} == {*rows(answer, *columns[:-1])}
    errors = [row[-1] for row in rows(answer, *columns[:-1])]
    assert errors == sorted(errors, reverse=True)
    first = answer.to_polars().row(0, named=True)
    assert first["accuracy"] == pytest.approx(1 - first["errors"] / first["images"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "needs the parameter 'column': the column"),
        (
            {"column": "region"},
            "several tables have 'image_id' and 'region': predictions, marts.business. Name one",
        ),
        (
            {"column": "regoin"},
            "no table of the database has 'image_id' and 'regoin'. Did you mean 'region'? Name one",
        ),
        ({"column": "image_id"}, "several tables have 'image_id': predictions, tags"),
        ({"column": "regoin", "table": "marts.business"}, "Did you mean 'region'"),
        ({"column": "region", "table": "busines"}, "no table or file 'busines'"),
        ({"column": "region", "table": "marts.busines"}, "Did you mean 'business'"),
        ({"column": "region", "table": "nowhere.business"}, "no table or file"),
        ({"column": "region", "table": "x" * 300}, "no table or file"),
        ({"column": "region", "table": "marts.business", "measure": "csot"}, "Did you mean 'cost'"),
        ({"column": "region", "table": "marts.business", "image_id": "id"}, "no column 'id'"),
        ({"column": "region", "table": "marts.business", "measure": "name"}, "sum(VARCHAR)"),
        ({"colum": "region"}, "no parameter 'colum'. Did you mean 'column'"),
        # Names that the functions in between have arguments of.
        ({"name": "region"}, "no parameter 'name'"),
        ({"dialect": "x", "column": "region"}, "no parameter 'dialect'"),
        ({"self": "x"}, "no parameter 'self'"),
    ],
    ids=str,
)
def test_a_wrong_parameter_gets_an_answer_that_helps(run, parameters, message):
    with pytest.raises(ps.QueryError, match=re.escape(message)):
        run.query("failure_modes_by", **parameters)


def test_a_file_that_cannot_be_read(run, tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet")
    with pytest.raises(ps.QueryError, match=r"cannot read .*broken.parquet"):
        run.query("failure_modes_by", column="region", table=str(broken))


def test_an_unknown_question_names_those_there_are(run):
    with pytest.raises(ps.QueryError, match=r"Did you mean 'near_misses'.*recurring_tags"):
        run.query("near_mises")
    with pytest.raises(ps.QueryError, match=r"no question '[.][.]/check/predictions'"):
        run.query("../check/predictions")


def test_a_hostile_column_name(run):
    answer = run.query("failure_modes_by", column='a";--\n🐻', image_id='the "id"', table="hostile")
    assert answer.columns[0] == 'a";--\n🐻'
    expected = {row[:-1] for row in modes_by("region")}
    assert {row[:5] for row in answer.to_polars().rows()} == expected


@pytest.mark.parametrize(
    "column", ["class_name", "tags", "images", "errors", "accuracy", "mode_id", "error"]
)
def test_a_column_with_the_name_of_another(run, tmp_path, column):
    """A metadata column may be called what an answer's column is called."""
    file = tmp_path / "meta.parquet"
    data.write([{"image_id": r["image_id"], column: r["region"]} for r in data.PREDICTIONS], file)
    answer = run.query("failure_modes_by", column=column, table=str(file)).to_polars()
    assert {row[:5] for row in answer.rows()} == {row[:-1] for row in modes_by("region")}
    assert list(answer[:, 4]) == sorted(answer[:, 4], reverse=True)


@pytest.mark.parametrize("name", ["prime", "marts", "main"])
def test_a_file_that_is_called_like_a_schema(tmp_path, name):
    """There DuckDB cannot tell the catalog from the schema."""
    path = tmp_path / f"{name}.duckdb"
    data.write_tables(
        tmp_path / "other.duckdb", "marts", predictions=data.PREDICTIONS, tags=data.TAGS
    ).rename(path)
    with ps.search("marts.predictions", "marts.tags", into=path, **data.OPTIONS) as run:
        for table in (None, "marts.predictions"):
            answer = run.query("failure_modes_by", column="region", table=table)
            assert {row[:5] for row in answer.to_polars().rows()} == {
                row[:-1] for row in modes_by("region")
            }
        assert run.sql("select count(*) as n from prime.failure_modes").to_polars().item() == 3
