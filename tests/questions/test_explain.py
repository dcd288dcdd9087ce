"""One failure mode, explained: every number counted again from the input rows."""

import json
from collections import Counter
from itertools import combinations

import ibis
import polars as pl
import pytest
from hypothesis import given

import prime_sql as ps
from tests import tables as data
from tests.cli.command import fail, succeed
from tests.examples import examples
from tests.generated import frames, options, tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


def tags_of(run, mode_id):
    table = run.failure_mode_tags.to_polars().filter(pl.col("mode_id") == mode_id)
    return [
        (tag, present) for tag, present in table.sort("tag").select("tag", "present").iter_rows()
    ]


def check(run, predictions, tags):
    """Compare the explanation of every mode with the input rows."""
    carried = {}
    for image, tag in tags:
        carried.setdefault(image, set()).add(tag)
    # The last ones are those with the fewest excess errors; a handful suffices.
    for mode in run.failure_modes.to_polars().to_dicts()[-2:]:
        told = run.explain(mode["mode_id"], examples=3)
        assert told.mode.to_polars().to_dicts() == [mode]
        images = [row for row in predictions if row[1] == mode["class_name"]]
        wanted = tags_of(run, mode["mode_id"])

        def having(some, rows):
            return [
                row
                for row in rows
                if all((tag in carried.get(row[0], ())) == present for tag, present in some)
            ]

        expected = Counter()
        for size in range(len(wanted) + 1):
            for some in combinations(wanted, size):
                rows = having(some, images)
                wrong = sum(label != guess for _, label, guess in rows)
                drop = wrong / len(rows) - mode["class_errors"] / mode["class_images"]
                expected[size, len(rows), wrong, round(drop, 9)] += 1
        found = told.subsets.to_polars()
        assert (
            Counter(
                (row["tag_count"], row["images"], row["errors"], round(row["accuracy_drop"], 9))
                for row in found.to_dicts()
            )
            == expected
        )
        assert found["tags"][0] == ""
        assert found["tags"][-1] == mode["tags"]

        members = having(wanted, images)
        inside = Counter(guess for _, label, guess in members if label != guess)
        outside = Counter(guess for _, label, guess in images if label != guess) - inside
        others = sum(outside.values())
        assert told.wrong_predictions.to_polars().rows() == [
            (
                guess,
                n,
                pytest.approx(n / mode["errors"]),
                pytest.approx(outside[guess] / others) if others else None,
            )
            for guess, n in sorted(inside.items(), key=lambda item: (-item[1], item[0]))
        ]

        shown = told.images.to_polars()
        assert shown["error"].to_list() == sorted(shown["error"], reverse=True)
        assert shown["image_id"].n_unique() == shown.height
        assert (shown["error"] == 1).sum() == min(3, mode["errors"])
        assert (shown["error"] == 0).sum() == min(3, mode["images"] - mode["errors"])
        rows = {(*row, int(row[1] != row[2]), None) for row in members}
        assert set(shown.rows()) <= rows
        assert shown.equals(run.explain(mode["mode_id"], examples=3).images.to_polars())


@examples(4)
@given(tables(), options())
def test_explanations_equal_what_the_rows_say(example, chosen):
    predictions, tags = example
    with ps.search(*frames(predictions, tags), **chosen) as run:
        check(run, predictions, tags)


def test_explanations_of_absent_tags_equal_what_the_rows_say():
    predictions = [(row["image_id"], row["label"], row["prediction"]) for row in data.PREDICTIONS]
    tags = [(row["image_id"], row["tag"]) for row in data.TAGS]
    with data.search(max_absent=2, min_drop=0.1, max_tags=3) as run:
        assert not run.failure_mode_tags.to_polars()["present"].all()
        check(run, predictions, tags)


def test_a_refiltered_run_explains_its_modes():
    predictions = [(row["image_id"], row["label"], row["prediction"]) for row in data.PREDICTIONS]
    tags = [(row["image_id"], row["tag"]) for row in data.TAGS]
    with data.search() as run:
        check(run.refilter(min_drop=0.47), predictions, tags)


def test_a_mode_of_the_example():
    with data.search() as run:
        mode_id = run.sql("select mode_id from failure_modes where class_name = 'ape'")
        told = run.explain(mode_id.to_polars().item()[:6])
        assert told.mode_id == mode_id.to_polars().item()
        assert told.subsets.to_polars().select("tags", "images", "errors").rows() == [
            ("", 16, 5),
            ("black", 8, 4),
            ("hang", 8, 4),
            ("black + hang", 4, 4),
        ]
        # All four are taken for a bear; the only other error is not.
        assert told.wrong_predictions.to_polars().rows() == [("bear", 4, 1.0, 0.0)]
        assert told.images.to_polars().height == 4
        assert told.images.to_polars()["uri"].is_null().all()


def test_images_come_with_their_uri_where_the_database_has_them():
    backend = ibis.duckdb.connect()
    # Numbers and text name the same image; one has two rows, one has none.
    backend.raw_sql(
        "create table images as select 'img-' || lpad(i::varchar, 3, '0') as image_id, "
        "'pictures/' || i || '.png' as uri from range(1, 4) r(i) "
        "union all select 'img-001', 'pictures/z.png'"
    )
    with data.search(into=backend) as run:
        mode_id = run.sql("select mode_id from failure_modes where class_name = 'ape'")
        shown = run.explain(mode_id.to_polars().item()).images.to_polars()
        assert dict(shown.select("image_id", "uri").iter_rows()) == {
            "img-000": None,
            **{f"img-00{i}": f"pictures/{i}.png" for i in (1, 2, 3)},
        }
        backend.raw_sql("alter table images rename column uri to path")
        shown = run.explain(mode_id.to_polars().item()).images.to_polars()
        assert shown["uri"].is_null().all()


def test_a_run_without_predictions_has_no_names_for_them():
    rows = [
        {
            "image_id": row["image_id"],
            "label": row["label"],
            "bad": row["label"] != row["prediction"],
        }
        for row in data.PREDICTIONS
    ]
    with data.search(data.frame(rows), error="bad") as run:
        mode_id = run.failure_modes.to_polars()["mode_id"][0]
        told = run.explain(mode_id).wrong_predictions.to_polars()
        assert told["prediction"].to_list() == [None]
        assert told["error_share"].to_list() == [1.0]


def test_unknown_and_ambiguous_modes_name_candidates():
    with data.search() as run:
        modes = run.failure_modes.to_polars().select("mode_id", "class_name", "tags").rows()
        with pytest.raises(ps.QueryError, match="run 1 has no failure mode 'nothing'") as told:
            run.explain("nothing")
        for mode_id, class_name, tags in modes:
            assert f"{mode_id} ({class_name}: {tags})" in str(told.value)
        with pytest.raises(ps.QueryError, match="mode_id takes a mode_id or its first characters"):
            run.explain("")
        with pytest.raises(ps.OptionError, match="examples must be at least 0, got -1"):
            run.explain(modes[0][0], examples=-1)
        none = run.refilter(min_images=30)
        with pytest.raises(ps.QueryError, match=r"it has none at all\. No class has 30 images"):
            none.explain(modes[0][0])


def test_an_ambiguous_beginning_names_those_that_begin_so():
    with data.search(min_images=2, min_drop=0.1, max_tags=3, necessity=(0.0,)) as run:
        ids = run.failure_modes.to_polars()["mode_id"].to_list()
        first = Counter(each[0] for each in ids)
        letter, count = first.most_common(1)[0]
        assert count > 1
        with pytest.raises(ps.QueryError, match=f"{count} failure modes begin with {letter!r}"):
            run.explain(letter)


def test_the_command_prints_the_parts_one_below_the_other(tmp_path):
    db = tmp_path / "prime.duckdb"
    with data.search(into=db) as run:
        mode_id = run.sql("select mode_id from failure_modes where class_name = 'ape'")
        mode_id = mode_id.to_polars().item()
    shown = succeed("explain", db, mode_id[:8], "--examples", 2).stdout
    heads = ["ape: black + hang", "(the class)", "What its errors are taken for", "Examples"]
    assert [shown.index(head) for head in heads] == sorted(shown.index(head) for head in heads)
    assert "4 of 4 images are errors, accuracy 0.0%; in the class 68.8%." in shown
    assert max(map(len, shown.splitlines())) <= 80
    told = json.loads(succeed("explain", db, mode_id, "--format", "json").stdout)
    assert list(told) == ["mode", "subsets", "wrong_predictions", "images"]
    assert told["mode"]["mode_id"] == mode_id
    assert [row["tags"] for row in told["subsets"]] == ["", "black", "hang", "black + hang"]
    assert "## Accuracy with" in succeed("explain", db, mode_id, "--format", "markdown").stdout
    assert "use --format json" in fail("explain", db, mode_id, "--format", "csv")
    assert "has no failure mode 'zz'" in fail("explain", db, "zz")


@pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")
def test_within_one_prediction_the_labels_tell_the_errors_apart():
    predictions = [(f"i{n}", "cow" if n < 6 else "bee", "bee") for n in range(20)]
    predictions += [(f"j{n}", "bee", "bee") for n in range(20)]
    tags = [(f"i{n}", "grass") for n in range(8)] + [(f"j{n}", "sky") for n in range(20)]
    frames = (
        pl.DataFrame(predictions, schema=["image_id", "label", "prediction"], orient="row"),
        pl.DataFrame(tags, schema=["image_id", "tag"], orient="row"),
    )
    with ps.search(*frames, min_images=8, group_by="prediction") as run:
        (mode,) = run.failure_modes.to_polars()["mode_id"]
        wrong = run.explain(mode).wrong_predictions.to_polars()
    assert wrong.select("label", "images", "error_share").rows() == [("cow", 6, 1.0)]
