"""Sets with absent tags, by hand; `tests/discovery/test_search.py` has them against the oracle."""

import polars as pl
import pytest

import prime_sql as ps

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


@pytest.fixture
def ships():
    """Forty ships, half of them on water; those without are wrong when they are red, too."""
    predictions = pl.DataFrame({"image_id": range(40), "label": ["ship"] * 40}).with_columns(
        prediction=pl.when((pl.col("image_id") >= 20) & (pl.col("image_id") % 2 == 0))
        .then(pl.lit("truck"))
        .otherwise(pl.lit("ship"))
    )
    tags = [(i, "water") for i in range(20)] + [(i, "red") for i in range(0, 40, 2)]
    tags += [(0, "rare")]
    return predictions, pl.DataFrame(tags, schema=["image_id", "tag"], orient="row")


def modes(run):
    return [
        (mode["tags"], mode["images"], mode["errors"])
        for mode in run.failure_modes.to_polars().sort("tags").to_dicts()
    ]


def test_what_is_missing_is_named(ships):
    plain = ps.search(*ships, min_images=10, min_drop=0.2)
    assert modes(plain) == [("red", 20, 10)]
    run = ps.search(*ships, min_images=10, min_drop=0.2, max_absent=1)
    assert modes(run) == [("not water", 20, 10), ("red", 20, 10), ("red + not water", 10, 10)]
    both = run.sql(
        "select t.tag, t.present, accuracy_without from failure_mode_tags t "
        "join failure_modes using (mode_id) where tags = 'red + not water' order by present"
    )
    assert both.to_polars().rows() == [("water", False, 0.5), ("red", True, 0.5)]
    images = run.sql(
        "select tags, list(cast(image_id as integer) order by cast(image_id as integer)) "
        "from failure_mode_images join failure_modes using (mode_id) group by tags order by tags"
    ).to_polars()
    assert images.rows() == [
        ("not water", list(range(20, 40))),
        ("red", list(range(0, 40, 2))),
        ("red + not water", list(range(20, 40, 2))),
    ]


def test_a_mode_keeps_its_id_with_and_without_absent_tags(ships):
    plain, run = (ps.search(*ships, min_images=10, min_drop=0.2, max_absent=n) for n in (0, 2))
    (old,) = plain.failure_modes.to_polars()["mode_id"]
    new = run.failure_modes.to_polars()
    assert new.filter(pl.col("tags") == "red")["mode_id"].to_list() == [old]
    assert new["mode_id"].n_unique() == new.height


def test_a_tag_without_enough_images_is_not_absent_either(ships):
    run = ps.search(*ships, min_images=2, min_drop=0.2, max_absent=2)
    assert not any("rare" in tags for tags in run.tag_sets.to_polars()["tags"])


def test_a_tag_named_like_an_absence_is_refused(ships, tmp_path):
    predictions, tags = ships
    mixed = pl.concat([tags, pl.DataFrame({"image_id": range(10, 30), "tag": ["not water"] * 20})])
    with pytest.raises(ps.InputError, match="both 'water' and 'not water'; rename them"):
        ps.search(predictions, mixed, into=tmp_path / "x.duckdb", min_images=10, max_absent=1)
    assert list(tmp_path.iterdir()) == []
    assert ps.search(predictions, mixed, min_images=10, min_drop=0.2).row_counts["tags"] == 4


def test_recurring_tags_tell_them_apart(ships):
    run = ps.search(*ships, min_images=10, min_drop=0.2, max_absent=1)
    found = run.query("recurring_tags", min_classes=1).to_polars()
    assert dict(found.select("tag", "failure_modes").iter_rows()) == {"not water": 2, "red": 2}


@pytest.mark.parametrize("value", [-1, 7, 1.5, True])
def test_max_absent_is_a_small_number(ships, value):
    with pytest.raises(ps.OptionError, match="max_absent must be"):
        ps.search(*ships, max_absent=value)


def test_a_tag_that_other_data_do_not_know_decides_nothing(ships):
    """Its absence from every image may mean that nobody looked for it."""
    predictions, tags = ships
    without = tags.filter(pl.col("tag") != "water")
    with ps.search(*ships, min_images=10, min_drop=0.2, max_absent=1) as run:
        with pytest.warns(ps.InputWarning, match="2 failure modes need the absence .* 'water'"):
            validation = run.validate(predictions, without)
        verdicts = dict(validation.modes.to_polars().select("tags", "verdict").iter_rows())
        assert verdicts == {
            "not water": "undecided",
            "red + not water": "undecided",
            "red": "holds",
        }
        with pytest.warns(ps.InputWarning, match="need the absence"):
            weights = run.weights(predictions, without).to_polars()
        assert weights["failure_modes"].sum() == 20  # those of red alone
        known = run.validate(predictions, tags).modes.to_polars()
        assert set(known["verdict"]) == {"holds"}


def test_images_without_a_tag_lack_all(ships):
    with pytest.warns(ps.InputWarning, match="count as lacking all"):
        ps.search(*ships, min_images=10, min_drop=0.2, max_absent=1)
