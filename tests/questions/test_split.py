"""A search on one part of the tables and a validation on the other."""

import json
import zlib
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import prime_sql as ps
from prime_sql.engine.options import Options
from tests import tables as data
from tests.questions.unseen import SPLIT, halves, modes

IMAGENET_X = Path(__file__).parents[3] / "shared" / "data" / "imagenet_x"


# A split ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
@pytest.mark.parametrize("where", [None, "image_id <> 'img-000'", "region = 'north' -- only"])
def test_a_split_is_a_search_and_a_validation(where):
    also = "" if where is None else f"({where}\n) and "
    with data.search(*halves(), where=where, **SPLIT) as run:
        apart = data.search(*halves(), where=f"{also}half = 'a'")
        other = apart.validate(*halves(), where=f"{also}half = 'b'")
        assert data.found(run) == data.found(apart)
        assert_frame_equal(run.validation.modes.to_polars(), other.modes.to_polars())
        assert run.validation.images == other.images
        assert run.validation.where == (f"half = 'b' and ({where})" if where else "half = 'b'")
        if where is None:
            assert run.row_counts["images"] == run.validation.images == len(data.PREDICTIONS)


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
def test_verdicts_of_a_split_are_stored_with_the_run(tmp_path):
    file = tmp_path / "prime.duckdb"
    data.search(*halves(), into=file, min_images=4, **SPLIT).close()
    with ps.open_run(file, read_only=False) as run:
        assert (run.options.split, run.options.find, run.options.check) == ("half", "a", "b")
        found = {row["tags"]: row["unseen_errors"] for row in modes(run.validation)}
        assert found == {"toy": 5, "black + hang": 4, "snow": 0}
        stricter = run.refilter(min_drop=0.47)
        assert stricter.options.check == "b"
        assert stricter.validation is None
        again = stricter.validate(*halves(), where="half = 'b'", min_unseen_images=4)
        assert {row["tags"]: row["verdict"] for row in modes(again)} == {
            "black + hang": "holds",
            "toy": "holds",
        }
        assert len(modes(run.validation)) == 3


@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_split_keeps_all_or_nothing(tmp_path, place):
    predictions, tags = halves()
    twice = pl.concat([predictions, predictions.filter(half="b").head(1)])
    file = tmp_path / "prime.duckdb"
    if place == "file":
        data.search(into=file).close()
    with pytest.raises(ps.InputError, match=r"^where half = 'b': predictions.image_id is not uni"):
        data.search(twice, tags, into=file, **SPLIT)
    if place == "file":
        assert ps.runs(file).height == 1
    else:
        assert list(tmp_path.iterdir()) == []


def test_streams_are_read_once_for_both_parts():
    predictions, tags = (table.to_arrow().to_reader() for table in halves())
    with data.search(predictions, tags, **SPLIT) as run:
        assert run.validation.images == len(data.PREDICTIONS)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_split_of_files_with_numbered_folds(tmp_path, form):
    predictions, tags = halves(fold=pl.when(half="a").then(0).otherwise(1))
    paths = [tmp_path / f"predictions.{form}", tmp_path / f"tags.{form}"]
    for table, path in zip((predictions, tags), paths, strict=True):
        getattr(table, f"write_{form}")(path)
    with data.search(*paths, split="fold", find=0, check=1) as run:
        assert run.validation.where == "fold = '1'"
        assert len(modes(run.validation)) == 3


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"split": "half"}, ps.OptionError, "split alone is not enough; give split"),
        ({"find": "a", "check": "b"}, ps.OptionError, "find and check alone are not enough"),
        ({**SPLIT, "check": "a"}, ps.OptionError, "find and check are both 'a'"),
        ({**SPLIT, "find": " "}, ps.OptionError, "find must be non-empty text"),
        ({**SPLIT, "split": "haf"}, ps.InputError, "no column 'haf'. Did you mean 'half'"),
        (
            {**SPLIT, "check": "c"},
            ps.InputError,
            r"half = 'c' \(check\).* The column holds: 'a' \(4. rows\), 'b' \(4. rows\)",
        ),
        (
            {**SPLIT, "where": "half = 'b'"},
            ps.InputError,
            "where half = 'a': predictions .* has no rows",
        ),
    ],
)
def test_bad_splits(given, error, message):
    with pytest.raises(error, match=message):
        data.search(*halves(), **given)


def test_options_of_a_split_round_trip():
    options = Options(**SPLIT)
    assert Options.from_json(options.to_json()) == options
    older = {k: v for k, v in json.loads(Options().to_json()).items() if k not in SPLIT}
    assert Options.of(**older) == Options()


# Real data ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not IMAGENET_X.is_dir(), reason="ImageNet-X is not beside the checkout")
@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
def test_failure_modes_of_one_half_of_imagenet_x_hold_on_the_other():
    predictions = pl.read_parquet(IMAGENET_X / "predictions.parquet")
    images = predictions["image_id"].unique().sort().to_list()
    halves = {image_id: "ab"[zlib.crc32(image_id.encode()) % 2] for image_id in images}
    predictions = predictions.with_columns(half=pl.col("image_id").replace_strict(halves))
    for model in ("ResNet50", "ViT"):
        with ps.search(
            predictions.filter(model=model),
            IMAGENET_X / "tags.parquet",
            group_by="metaclass",
            min_images=20,
            min_drop=0.15,
            **SPLIT,
        ) as run:
            (summary,) = run.validation.summary.to_polars().to_dicts()
            print(f"\n{model}: {run.validation.sentence()}")
            print(run.validation.by_size.to_polars())
        assert summary["decided"] > 10
        assert summary["correlation"] > 0.2
        assert summary["mean_unseen_drop"] > 0.05
