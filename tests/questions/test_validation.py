"""Failure modes on unseen data: what is stored, and what columns may be called."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests import tables as data
from tests.questions.unseen import OPTIONS, SEEN, VALIDATED, modes, tables


@pytest.fixture
def run():
    with ps.search(*tables(SEEN), **OPTIONS) as run:
        yield run


# What is stored -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
def test_stored_and_opened_again(tmp_path):
    file = tmp_path / "prime.duckdb"
    for _ in range(2):
        ps.search(*tables(SEEN), into=file, **OPTIONS).close()
    with ps.open_run(file, 1, read_only=False) as run:
        assert run.validation is None
        given = run.validate(*tables(SEEN), where="label = 'ape'", tolerance=0.1)
        before = given.modes.to_polars()
    with ps.open_run(file, 1) as run:
        stored = run.validation
        assert stored.where == "label = 'ape'"
        assert (stored.min_unseen_images, stored.tolerance, stored.images) == (10, 0.1, 40)
        assert stored.sources == {"predictions": "polars DataFrame", "tags": "polars DataFrame"}
        assert len(stored.warnings) == 1
        assert "10 tag rows were left out" in stored.warnings[0]
        assert stored.modes.columns == tuple(VALIDATED)
        assert_frame_equal(stored.modes.to_polars(), before)
        sql = "select m.tags, v.verdict from failure_modes m join validations v using (mode_id)"
        assert run.sql(sql).to_polars().rows() == [("hang", "holds")]
    with ps.open_run(file, 2) as run:
        assert run.validation is None
        assert run.sql("from validations").to_polars().is_empty()


def test_a_second_validation_replaces_the_first(run):
    run.validate(*tables([("ape", "hang", 3, 3)]))
    second = run.validate(*tables(SEEN), min_unseen_images=3)
    assert modes(second)[0]["verdict"] == modes(run.validation)[0]["verdict"] == "holds"
    assert run.validation.min_unseen_images == 3
    for name in ("validations", "validation_runs"):
        assert run.sql(f"select count(*) as n from prime.{name}").to_polars().item() == 1


def test_bad_data_leaves_the_earlier_verdicts(run):
    run.validate(*tables(SEEN))
    before = run.validation.modes.to_polars()
    predictions, tags = tables(SEEN)
    with pytest.raises(ps.InputError, match="image_id is not unique"):
        run.validate(pl.concat([predictions, predictions.head(1)]), tags)
    with pytest.raises(ps.InputError, match="no image_id in common"):
        run.validate(predictions, tags.with_columns(image_id=pl.lit("nobody")))
    with pytest.raises(ps.InputError, match="has no rows where label = 'cat'"):
        run.validate(predictions, tags, where="label = 'cat'")
    assert_frame_equal(run.validation.modes.to_polars(), before)
    assert run.validation.where is None


def test_a_database_opened_for_reading(tmp_path):
    file = tmp_path / "prime.duckdb"
    ps.search(*tables(SEEN), into=file, **OPTIONS).close()
    with ps.open_run(file) as run, pytest.raises(ps.WarehouseError, match="read_only=False"):
        run.validate(*tables(SEEN))
    with ps.open_run(file) as run:
        assert run.validation is None


def test_statements_are_shown(run):
    shown = []
    run.validate(*tables(SEEN), on_sql=shown.append)
    steps = [statement.step for statement in shown]
    wanted = ["wanted_tags", "unseen_classes", "unseen_tagged", "unseen_counts", "verdicts"]
    assert [step for step in dict.fromkeys(steps) if step in wanted] == wanted
    assert {statement.step for statement in shown if "insert into" in statement.sql} == {"publish"}


def filenames(caught):
    return [each.filename for each in caught if each.category is ps.InputWarning]


def test_warnings_point_to_the_users_line(run):
    predictions, tags = tables(SEEN)
    bare = tags.filter(pl.col("image_id") > "i0002")
    with pytest.warns(ps.InputWarning, match="3 of 50 images have no tag") as caught:
        run.validate(predictions, bare)
    assert filenames(caught) == [__file__]
    split = predictions.with_columns(part=pl.lit("a"))
    both = pl.concat(
        [split, split.with_columns(pl.lit("b").alias("part"), image_id="z" + pl.col("image_id"))]
    )
    all_tags = pl.concat([tags, bare.with_columns(image_id="z" + pl.col("image_id"))])
    with pytest.warns(ps.InputWarning) as caught:
        found = ps.search(both, all_tags, split="part", find="a", check="b", **OPTIONS)
    # The tags of the other part's images are not a surprise.
    (warning,) = data.warned(caught)
    assert warning.startswith("where part = 'b': 3 of 50 images have no tag")
    assert filenames(caught) == [__file__]
    assert found.warnings == []
    assert found.validation.warnings == [warning]


# Columns ------------------------------------------------------------------------------------------


def test_columns_may_be_called_otherwise():
    predictions, tags = tables(SEEN)
    renamed = predictions.rename({"image_id": "file", "label": "truth", "prediction": "guess"})
    with ps.search(
        renamed,
        tags.rename({"image_id": "file", "tag": "word"}),
        image_id="file",
        label="truth",
        prediction="guess",
        tag="word",
        group_by="truth",
        **OPTIONS,
    ) as run:
        wide = tags.with_columns(on=1).pivot("tag", index="image_id", values="on").fill_null(0)
        names = {"image_id": "image_id", "label": "label", "prediction": "prediction"}
        assert modes(run.validate(predictions, tags, tag="tag", **names)) == modes(
            run.validate(predictions, wide, wide=True, **names)
        )
        with pytest.raises(ps.InputError, match="no column 'file'"):
            run.validate(predictions, tags)
        same = run.validate(renamed, tags.rename({"image_id": "file", "tag": "word"}))
        assert modes(same)[0]["unseen_errors"] == 9


def test_the_error_and_the_class_are_those_of_the_run():
    predictions, tags = tables(SEEN)
    predictions = predictions.with_columns(site=pl.lit("north"))
    wrong = "prediction = 'other'"
    with ps.search(predictions, tags, group_by="label,site", error=wrong, **OPTIONS) as run:
        south = predictions.with_columns(site=pl.lit("south"))
        assert modes(run.validate(predictions, tags))[0]["unseen_errors"] == 9
        assert modes(run.validate(south, tags))[0]["unseen_class_images"] == 0
