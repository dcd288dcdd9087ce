"""Every form of input gives the same failure modes; what a form cannot give, nothing else loses."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

import prime_sql as ps
from prime_sql.engine.sources import describe
from tests.engine.forms import pandas, relabelled
from tests.tables import (
    MODES,
    PREDICTIONS,
    TAGS,
    Rows,
    column,
    expected,
    found,
    frame,
    listed,
    renumbered,
    search,
    with_column,
    write,
    write_sqlite,
    write_tables,
)


def test_data_set_has_the_failure_modes_it_is_made_for() -> None:
    assert expected().keys() == MODES


# Files --------------------------------------------------------------------------------------------

ENDINGS = ["parquet", "pq", "csv", "csv.gz", "tsv", "json", "jsonl", "ndjson", "jsonl.gz"]


@pytest.mark.parametrize("ending", [*ENDINGS, "PARQUET", "Csv"])
def test_files(ending: str, tmp_path: Path) -> None:
    predictions = write(PREDICTIONS, tmp_path / f"predictions.{ending}")
    tags = write(TAGS, tmp_path / f"tags.{ending}")
    run = search(predictions, str(tags))
    assert found(run) == expected()
    assert run.sources == {"predictions": str(predictions), "tags": str(tags)}


NAMES = [
    "a b",
    "it's",
    'q"q',
    "[x]",
    "*",
    "{x}",
    "{{ x }}",
    "ü 日 🙂",
    "a;b--",
    "a\nb",
    "a\\b",
    "%s",
]


@pytest.mark.parametrize(
    ("name", "ending"),
    [(name, "parquet") for name in NAMES]
    + [(name, ending) for name in ("[x]'", '*"{{ x }}') for ending in ("csv", "jsonl")],
)
def test_file_names(name: str, ending: str, tmp_path: Path) -> None:
    # As a pattern, the name of the first file could match the other one, whose rows must not count.
    write(PREDICTIONS, tmp_path / f"x.{ending}")
    path = write(PREDICTIONS, tmp_path / f"{name}.{ending}")
    assert found(search(path, write(TAGS, tmp_path / f"{name} tags.{ending}"))) == expected()


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_globs_read_columns_by_name(ending: str, tmp_path: Path) -> None:
    backwards = [{"late": 1, **dict(reversed(list(row.items())))} for row in PREDICTIONS]
    write([{"early": 1, **row} for row in PREDICTIONS[::2]], tmp_path / f"p/1.{ending}")
    write(backwards[1::2], tmp_path / f"p/deep/er/2.{ending}")
    write(TAGS[::2], tmp_path / f"t-1.{ending}")
    write(TAGS[1::2], tmp_path / f"t-2.{ending}")
    run = search(
        f"{tmp_path}/p/**/*.{ending}",
        tmp_path / f"t-?.{ending}",
        where="coalesce(early, late) = 1",
    )
    assert found(run) == expected()
    assert run.row_counts["predictions"] == len(PREDICTIONS)


def test_folders_named_after_a_column_give_the_column(tmp_path: Path) -> None:
    for split in ("test", "train"):
        rows = [row for row in PREDICTIONS if row["split"] == split]
        folder = tmp_path / f"split={split}"
        folder.mkdir()
        frame(rows).drop("split").write_parquet(folder / "p.parquet")
    run = search(f"{tmp_path}/*/*.parquet", where="split in ('test', 'train')")
    assert found(run) == expected()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip(),
        lambda text: "".join(f'"{line}"\n'.replace(",", '","') for line in text.splitlines()),
    ],
    ids=["semicolons", "crlf", "byte order mark", "no last newline", "all quoted"],
)
def test_csv_as_other_programs_write_it(change: Callable[[str], str], tmp_path: Path) -> None:
    path = write(PREDICTIONS, tmp_path / "p.csv")
    path.write_bytes(change(path.read_text()).encode())
    assert found(search(path)) == expected()


def test_tabs_divide_a_tsv_whatever_else_could(tmp_path: Path) -> None:
    tags = with_column(TAGS, "tag", (f"a, {tag}" for tag in column(TAGS, "tag")))
    with pytest.warns(ps.InputWarning, match="several with ',' between them"):
        run = search(tags=write(tags, tmp_path / "t.tsv"))
    assert found(run) == expected(tags=tags)


# Databases ----------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A DuckDB file with the data as tables, as views, and under names that the search uses."""
    path = write_tables(tmp_path / "data.duckdb", predictions=PREDICTIONS, tags=TAGS)
    write_tables(path, classes=PREDICTIONS, outcomes=TAGS)
    write_tables(path, "s", **{"my table": PREDICTIONS, "dotted.tags": TAGS})
    with duckdb.connect(path) as con:
        con.execute("create view p as from predictions; create view t as from tags")
        # Views on tables whose names a step of the search takes.
        con.execute("create view tagged as from classes; create view images as from outcomes")
    return path


TABLES = [
    ("predictions", "tags"),
    ("main.predictions", "main.tags"),
    ("s.my table", "s.dotted.tags"),
    ("p", "t"),
    ("tagged", "images"),
    ("classes", "outcomes"),
]


@pytest.mark.parametrize(("predictions", "tags"), TABLES)
def test_tables_of_a_duckdb_file(predictions: str, tags: str, database: Path) -> None:
    before = database.read_bytes()
    assert found(search(f"{database}:{predictions}", f"{database}:{tags}")) == expected()
    assert database.read_bytes() == before


@pytest.mark.parametrize(("predictions", "tags"), TABLES)
def test_tables_of_the_target_database(predictions: str, tags: str, database: Path) -> None:
    with search(predictions, tags, into=database) as run:
        assert found(run) == expected()
    # Named with the file, under another spelling of its path, they are the same tables.
    other = f"{database.parent}/../{database.parent.name}/{database.name}"
    with search(f"{other}:{predictions}", tags, into=str(database)) as run:
        assert (run.run_id, found(run)) == (2, expected())


def test_tables_of_two_files_into_a_third(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(database.read_bytes())
    with search(f"{database}:p", f"{copy}:t", into=tmp_path / "new.duckdb") as run:
        assert found(run) == expected()


@pytest.mark.parametrize("into_same", [True, False])
def test_ibis_tables_of_a_duckdb_file(into_same: bool, database: Path) -> None:
    con = ibis.duckdb.connect(database)
    run = search(con.table("p"), con.table("t"), into=con if into_same else None)
    assert found(run) == expected()
    assert run.sources == {"predictions": "ibis table p", "tags": "ibis table t"}
    con.disconnect()


def test_ibis_connection_in_memory_is_source_and_target() -> None:
    con = ibis.duckdb.connect()
    con.create_table("predictions", frame(PREDICTIONS))
    con.create_table("tags", frame(TAGS))
    assert found(search("predictions", "tags", into=con)) == expected()
    assert found(search(con.table("predictions"), con.table("tags"), into=con)) == expected()
    assert found(search(con.table("predictions"), con.table("tags"))) == expected()
    assert con.table("runs", database="prime").count().execute() == 2
    assert sorted(con.list_tables()) == ["predictions", "tags"]


def test_ibis_tables_of_sqlite(tmp_path: Path) -> None:
    con = write_sqlite(tmp_path / "data.sqlite", predictions=PREDICTIONS, tags=TAGS)
    assert found(search(con.table("predictions"), con.table("tags"))) == expected()


def test_ibis_tables_of_polars() -> None:
    con = ibis.polars.connect({"predictions": frame(PREDICTIONS), "tags": frame(TAGS).lazy()})
    assert found(search(con.table("predictions"), con.table("tags"))) == expected()


def test_ibis_expressions() -> None:
    con = ibis.duckdb.connect()
    table = con.create_table("anything", frame(PREDICTIONS))
    tags = ibis.memtable(TAGS)
    north = table.filter(table.region == "north").mutate(
        label=table.label.upper(), prediction=table.prediction.upper()
    )
    rows = [
        {**row, "label": row["label"].upper(), "prediction": row["prediction"].upper()}
        for row in PREDICTIONS
        if row["region"] == "north"
    ]
    with pytest.warns(ps.InputWarning, match="have no prediction"):
        run = search(north, tags)
    assert found(run) == expected(rows) != {}
    assert run.sources["predictions"] == "ibis expression"
    assert found(search(ibis.memtable(PREDICTIONS), tags)) == expected()


# Frames -------------------------------------------------------------------------------------------

FRAMES: dict[str, Callable[[Rows], Any]] = {
    "polars": frame,
    "polars lazy": lambda rows: frame(rows).lazy(),
    "polars categorical": lambda rows: frame(rows).cast({pl.String: pl.Categorical}),
    "pandas": pandas,
    "pandas object": lambda rows: pd.DataFrame(rows, dtype=object),
    "pandas categorical": lambda rows: pandas(rows).astype("category"),
    "pandas arrow": lambda rows: pandas(rows).convert_dtypes(dtype_backend="pyarrow"),
    "pandas nullable": lambda rows: pandas(rows).convert_dtypes(),
    "pandas indexed by the image": lambda rows: pandas(rows).set_index("image_id"),
    "arrow table": lambda rows: frame(rows).to_arrow(),
    "arrow batch": lambda rows: frame(rows).to_arrow().combine_chunks().to_batches()[0],
    "arrow reader": lambda rows: frame(rows).to_arrow().to_reader(),
    "arrow dataset": lambda rows: pyarrow.dataset.dataset(frame(rows).to_arrow()),
    "duckdb relation": lambda rows: duckdb.from_arrow(frame(rows).to_arrow()),
}


@pytest.mark.parametrize("form", FRAMES)
def test_frames(form: str) -> None:
    assert found(search(FRAMES[form](PREDICTIONS), FRAMES[form](TAGS))) == expected()


@pytest.mark.parametrize("dtype", ["int64", "Int64", "int64[pyarrow]", "str"])
def test_image_ids_meet_as_text(dtype: str) -> None:
    predictions = pandas(renumbered(PREDICTIONS, int)).astype({"image_id": dtype})
    assert found(search(predictions, frame(renumbered(TAGS, int)))) == expected()


@pytest.mark.parametrize(
    "labels",
    [
        (1, 2, 3),
        (True, False, True),
        (0.5, 1.5, 2.5),
        (Decimal("0.1"), Decimal("0.2"), Decimal("0.3")),
        (date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 3)),
    ],
    ids=lambda labels: type(labels[0]).__name__,
)
def test_types_of_labels(labels: tuple[Any, ...]) -> None:
    rows = relabelled(labels)
    name = {label: str(label).lower() for label in labels}  # DuckDB writes true
    assert found(search(frame(rows))) == expected(rows, class_of=lambda row: name[row["label"]])


@pytest.mark.parametrize("form", ["polars", "pandas", "arrow table"])
def test_columns_that_the_search_does_not_need_cannot_hurt(form: str) -> None:
    rows = [
        {**row, "nothing": None, "note": 1, "NOTE": 1, "lists": [{"a": 1}], "": 2}
        for row in PREDICTIONS
    ]
    predictions = FRAMES[form](rows)
    if form == "pandas":
        predictions[0] = 1
        predictions["mixed"] = [1, "a", None] * 15
    if form == "polars":
        predictions = predictions.with_columns(objects=pl.Series([object()] * 45, dtype=pl.Object))
    assert found(search(predictions)) == expected()


def test_only_needed_columns_are_copied() -> None:
    con = ibis.duckdb.connect()
    table = con.create_table("p", frame(PREDICTIONS))
    # Reading this column would fail.
    broken = table.mutate(unused=table.label.cast("int64"))
    assert found(search(broken, frame(TAGS), where="Region is not null")) == expected()
    with pytest.raises(ps.InputError, match="Could not convert string 'ape'"):
        search(broken, frame(TAGS), where="unused is not null")


@pytest.mark.filterwarnings("ignore:2 tag rows were left out:prime_sql.InputWarning")
@pytest.mark.parametrize("empty", [[], [None, None]])
def test_column_without_any_value_has_a_place(empty: list[None]) -> None:
    tags = pl.DataFrame({"image_id": empty, "tag": empty})
    with pytest.warns(ps.InputWarning, match="45 of 45 images have no tag"):
        run = search(tags=tags)
    assert found(run) == {}


def test_list_columns_come_in_every_form(tmp_path: Path) -> None:
    rows = listed()
    for tags in (frame(rows), pandas(rows), pa.Table.from_pylist(rows), ibis.memtable(frame(rows))):
        assert found(search(tags=tags)) == expected()
    for ending in ("parquet", "jsonl", "json"):
        assert found(search(tags=write(rows, tmp_path / f"t.{ending}"))) == expected()


# Names for messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("postgres://me:secret@host/db", "postgres://host/db"),
        ("https://host/p.parquet?token=secret", "https://host/p.parquet"),
        ("a@b?c.parquet", "a@b?c.parquet"),
        (Path("x") / "y.csv", os.path.join("x", "y.csv")),  # noqa: PTH118  # what Path writes
        (pl.DataFrame(), "polars DataFrame"),
        (pa.table({}), "pyarrow Table"),
        ([1], "list"),
    ],
)
def test_sources_are_named_without_credentials(source: Any, name: str) -> None:
    assert describe(source) == name
