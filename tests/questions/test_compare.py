"""Two runs compared: verdicts by hand, statistics against SciPy, counts against brute force."""

import json

import polars as pl
import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.questions.comparisons import FIXED, MIRROR, PERSISTING, UNDECIDED, ape, search, statuses

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


# In A, 16 of 40 images with the tag are wrong, of 200 in the class: a drop of 0.4 - 0.08 = 0.32.
@pytest.mark.parametrize(
    ("images", "errors", "status"),
    [
        (40, 16, PERSISTING),  # a failure mode still
        (40, 15, PERSISTING),  # a drop of 0.30: by a hair
        (40, 8, PERSISTING),  # exactly half of min_drop, and not significant
        (40, 7, FIXED),  # below half of it
        (40, 0, FIXED),
        (20, 7, PERSISTING),  # a drop of 0.315
        (20, 1, FIXED),
        (19, 1, UNDECIDED),  # the tag is not frequent any more
        (0, 0, UNDECIDED),
    ],
)
def test_a_mode_of_the_first_run(images, errors, status):
    with ape(40, 16) as a, ape(images, errors) as b:
        assert statuses(a, b) == {("ape", "hang"): status}
        assert statuses(b, a) == {("ape", "hang"): MIRROR.get(status, status)}


def test_a_significant_change_decides_between_half_the_drop_and_the_drop():
    # Drops of 0.32 and 0.2, of 40 images in 200 and of 400 in 2,000.
    with ape(40, 16) as a, ape(40, 10) as b:
        few = ps.compare(a, b).to_polars().row(0, named=True)
    with ape(400, 160, 1600) as a, ape(400, 100, 1600) as b:
        many = ps.compare(a, b).to_polars().row(0, named=True)
        back = ps.compare(b, a).to_polars().row(0, named=True)
    assert few["accuracy_drop_b"] == many["accuracy_drop_b"] == pytest.approx(0.2)
    assert (few["status"], many["status"], back["status"]) == (PERSISTING, FIXED, "new")
    assert few["q_value"] > 0.05 > many["q_value"] == back["q_value"]


def test_a_change_is_judged_by_its_q_value_not_by_its_p_value():
    groups = [(f"c{n:02}", "hang", 120, 48) for n in range(12)]
    rest = [(f"c{n:02}", "sky", 480, 0) for n in range(12)]
    # c00 falls to a drop of 0.2: p is about 0.02. All others stay as they are.
    with search(*groups, *rest) as a, search(("c00", "hang", 120, 30), *groups[1:], *rest) as b:
        row = ps.compare(a, b).to_polars().filter(pl.col("class_name") == "c00")
        row = row.row(0, named=True)
    assert row["p_value"] < 0.05 < row["q_value"]
    assert row["status"] == PERSISTING


def test_a_significant_change_above_the_threshold_is_not_fixed():
    # In B the mode is not minimal any more, and far better, but its drop is still that of a mode.
    a = search(("ape", "hang sun", 200, 190), ("ape", "hang", 200, 0), ("ape", "sun", 600, 0))
    b = search(("ape", "hang sun", 200, 110), ("ape", "hang", 200, 105), ("ape", "sun", 600, 0))
    with a, b:
        found = ps.compare(a, b).to_polars()
        rows = {row["tags"]: row for row in found.to_dicts()}
        assert rows["hang + sun"]["q_value"] < 1e-10
        assert rows["hang + sun"]["accuracy_drop_b"] > 0.32
        assert rows["hang + sun"]["status"] == PERSISTING
        assert not rows["hang + sun"]["is_mode_b"]


def test_a_class_that_became_as_bad_as_the_mode_has_no_failure_mode():
    # Accuracy on the set did not change; that on the class fell to it.
    with (
        search(("ape", "hang", 100, 50), ("ape", "sky", 400, 0)) as a,
        search(("ape", "hang", 100, 50), ("ape", "sky", 400, 180)) as b,
    ):
        row = ps.compare(a, b).to_polars().row(0, named=True)
        assert (row["status"], row["accuracy_change"], row["p_value"]) == (FIXED, 0.0, 1.0)


def test_a_class_or_a_tag_that_the_other_run_lacks_is_undecided():
    bee = ("bee", "wing", 40, 30), ("bee", "sky", 200, 0)
    with search(*bee, ("ape", "sky", 200, 0)) as a, search(("ape", "sky", 200, 0)) as b:
        row = ps.compare(a, b).to_polars().row(0, named=True)
        assert row["status"] == UNDECIDED
        assert row["images_a"] == 40
        assert {row[name] for name in ("images_b", "class_accuracy_b", "p_value", "q_value")} == {
            None
        }
        assert statuses(b, a) == {("bee", "wing"): UNDECIDED}


def test_too_few_images_are_undecided_though_they_were_counted():
    with ape(40, 16, min_tag_images=5) as a, ape(10, 0, min_tag_images=5) as b:
        row = ps.compare(a, b).to_polars().row(0, named=True)
        assert row["status"] == UNDECIDED
        assert (row["images_b"], row["accuracy_b"], row["q_value"]) == (10, 1.0, None)
        assert row["change_low"] < 0.4 < row["change_high"]


def test_the_thresholds_are_those_of_the_run_that_found_the_mode():
    for errors in (15, 5):  # drops of 0.3 and of 0.1, in both runs
        with (
            ape(40, errors) as a,
            ape(40, errors, min_drop=0.1) as b,
            pytest.warns(ps.InputWarning, match=r"min_drop 0\.32 and 0\.1\).*did not look"),
        ):
            assert statuses(a, b) == {("ape", "hang"): PERSISTING}


def test_runs_that_mean_something_else_are_refused():
    predictions, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
    with data.search() as a:
        with (
            data.search(group_by="prediction") as b,
            pytest.raises(ps.QueryError, match="their classes are not the same"),
        ):
            ps.compare(a, b)
        with (
            data.search(error="label <> prediction and region = 'north'") as b,
            pytest.raises(ps.QueryError, match="their errors are not the same"),
        ):
            ps.compare(a, b)
        # The name of a column is not a difference.
        renamed = predictions.rename({"label": "truth"})
        with ps.search(renamed, tags, label="truth", group_by="truth", **data.OPTIONS) as b:
            assert set(statuses(a, b).values()) == {PERSISTING}


def test_runs_of_one_file_of_two_files_and_of_memory(tmp_path):
    one, other = tmp_path / "one.duckdb", tmp_path / "prime.duckdb"
    right = [{**row, "prediction": row["label"]} for row in data.PREDICTIONS]
    for path in (one, other):
        data.search(into=path).close()
    data.search(data.frame(right), into=one).close()
    expected = dict.fromkeys([("cat", "toy"), ("bear", "snow"), ("ape", "black + hang")], FIXED)
    with ps.open_run(one, 1) as a, ps.open_run(one, 2) as b, ps.open_run(other) as c:
        assert statuses(a, b) == expected
        assert statuses(c, b) == expected
        with data.search() as memory:
            assert set(statuses(memory, c).values()) == {PERSISTING}
            assert set(statuses(b, memory).values()) == {"new"}


def test_two_runs_without_modes_have_nothing_to_compare():
    with ape(40, 0) as a, ape(40, 1) as b:
        found = ps.compare(a, b)
        assert found.to_polars().height == 0
        assert found.columns[:5] == ("status", "mode_id", "class_name", "tags", "tag_count")


def test_the_command_compares_runs_of_one_file_and_of_two(tmp_path):
    one, other = tmp_path / "one.duckdb", tmp_path / "other.duckdb"
    right = [{**row, "prediction": row["label"]} for row in data.PREDICTIONS]
    data.search(into=one).close()
    data.search(data.frame(right), into=one).close()
    data.search(into=other, min_drop=0.2).close()
    shown = succeed("compare", one, 1, 2)
    assert shown.stdout.startswith("0 new, 0 persisting, 3 fixed, 0 undecided")
    rows = json.loads(succeed("compare", one, 2, 1, "--format", "json").stdout)
    assert [row["status"] for row in rows] == ["new"] * 3
    assert succeed("compare", one, 2, 2).stdout.startswith("Neither run 2 nor run 2 has failure")
    told = succeed("compare", one, 1, 1, "--other", other)
    assert "Warning: the runs have different thresholds (min_drop 0.3 and 0.2)" in told.stderr
    assert told.stdout.startswith("0 new, 3 persisting")
    assert "holds no run 7" in fail("compare", one, 1, 7)


def test_search_of_several_models_stores_a_run_each_and_compares_two(tmp_path):
    rows = [{**row, "net": "old's"} for row in data.PREDICTIONS]
    rows += [{**row, "prediction": row["label"], "net": 2} for row in data.PREDICTIONS]
    rows += [{**row, "net": "3"} for row in data.PREDICTIONS]
    rows = [{**row, "net": str(row["net"])} for row in rows]
    predictions = data.write(rows, tmp_path / "predictions.parquet")
    tags = data.write(data.TAGS, tmp_path / "tags.parquet")
    db = tmp_path / "prime.duckdb"
    line = ["search", predictions, tags, "--min-images", 4, "--max-tags", 2, "--model", "net"]
    told = succeed(*line, "--models", "old's, 2", "--db", db)
    assert told.stdout.startswith("0 new, 0 persisting, 3 fixed, 0 undecided")
    assert f"Run 2, of 2, is in {db}." in told.stderr
    assert ps.runs(db).height == 2
    three = ["--models", "old's,2,3", "--where", "region = 'north'", "--min-drop", 0.2]
    listed = json.loads(succeed(*line, *three, "--format", "json").stdout)
    assert [row["model"] for row in listed] == ["old's", "2", "3"]
    assert [row["accuracy"] for row in listed][1] == 1
    north = sum(row["region"] == "north" for row in data.PREDICTIONS)
    assert {row["images"] for row in listed} == {north}
    assert "two or more names" in fail(*line, "--models", "2")
    assert "no --from-run" in fail("search", "--db", db, "--from-run", 1, "--models", "2,3")


def test_a_misspelt_model_leaves_nothing_behind(tmp_path):
    pl.DataFrame(
        {"image_id": ["a", "a"], "label": "x", "prediction": "y", "model": ["r50", "vit"]}
    ).write_csv(tmp_path / "p.csv")
    pl.DataFrame({"image_id": ["a"], "tag": ["t"]}).write_csv(tmp_path / "t.csv")
    tables = [f"{tmp_path}/p.csv", f"{tmp_path}/t.csv"]
    said = fail("search", *tables, "--models", "r50,vti", "--db", f"{tmp_path}/m.duckdb")
    assert "no row of predictions has model = 'vti'. Did you mean 'vit'?" in said
    assert not (tmp_path / "m.duckdb").exists()
