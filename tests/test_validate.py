"""Failure modes on unseen data: counts against brute force, statistics against SciPy."""

import inspect
import json
import math
import warnings
import zlib
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import stats

import prime_sql as ps
from prime_sql.options import Options
from tests import data
from tests.examples import examples
from tests.test_cli import fail, parameters, succeed

IMAGENET_X = Path(__file__).parent.parent.parent / "shared" / "data" / "imagenet_x"

VALIDATED = [
    "mode_id",
    "class_name",
    "tags",
    "tag_count",
    "images",
    "accuracy",
    "accuracy_drop",
    "unseen_images",
    "unseen_errors",
    "unseen_accuracy",
    "unseen_accuracy_low",
    "unseen_accuracy_high",
    "unseen_class_images",
    "unseen_class_errors",
    "unseen_class_accuracy",
    "unseen_accuracy_drop",
    "verdict",
]


def tables(groups, prefix="i"):
    """Predictions and tags of (label, tags, images, errors) groups."""
    predictions, tags = [], []
    for label, names, images, errors in groups:
        for number in range(images):
            image_id = f"{prefix}{len(predictions):04}"
            guess = "other" if number < errors else label
            predictions.append({"image_id": image_id, "label": label, "prediction": guess})
            tags.extend({"image_id": image_id, "tag": tag} for tag in names.split())
    schema = {"image_id": pl.String, "tag": pl.String}
    return pl.DataFrame(predictions), pl.DataFrame(tags, schema=schema)


# ape fails on "hang": 1 of 10 right against 70 %. bee is fine.
SEEN = [("ape", "hang", 10, 9), ("ape", "sit", 30, 3), ("bee", "hang", 10, 0)]
OPTIONS = {"min_images": 10, "min_drop": 0.3}


@pytest.fixture
def run():
    with ps.search(*tables(SEEN), **OPTIONS) as run:
        yield run


@pytest.fixture(scope="module")
def shared():
    """A run for the tests that look at what `validate` returns, and at nothing it leaves."""
    with ps.search(*tables(SEEN), **OPTIONS) as run:
        assert run.failure_modes.to_polars()["tags"].to_list() == ["hang"]
        yield run


def modes(validation):
    return validation.modes.to_polars().to_dicts()


# The counts and the verdict of one mode -----------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "verdict"),
    [
        # 20 images, 15 right: 75 %; on 10 of them 5: exactly 0.30 - 0.05 below
        ([("ape", "hang", 10, 5), ("ape", "sit", 10, 0)], "holds"),
        ([("ape", "hang", 10, 9), ("ape", "sit", 10, 0)], "holds"),
        # 15 of 22 right, 6 of 11: 0.136 below
        ([("ape", "hang", 11, 5), ("ape", "sit", 11, 2)], "fails"),
        # 0.25 - 1 / 2,100: one error less in 1,000 images
        ([("ape", "hang", 1000, 499), ("ape", "sit", 1000, 0)], "fails"),
        ([("ape", "hang", 1000, 500), ("ape", "sit", 1000, 0)], "holds"),
        # Nine are too few, whatever they say.
        ([("ape", "hang", 9, 9), ("ape", "sit", 20, 0)], "undecided"),
        ([("ape", "hang", 9, 0), ("ape", "sit", 20, 9)], "undecided"),
        ([("ape", "sit", 20, 2)], "undecided"),
        ([("bee", "hang", 20, 20)], "undecided"),  # the class does not occur
    ],
)
def test_verdicts(shared, groups, verdict):
    (mode,) = modes(shared.validate(*tables(groups)))
    ape = [group for group in groups if group[0] == "ape"]
    hang = [group for group in ape if group[1] == "hang"]
    assert mode["verdict"] == verdict
    assert mode["unseen_images"] == sum(group[2] for group in hang)
    assert mode["unseen_errors"] == sum(group[3] for group in hang)
    assert mode["unseen_class_images"] == sum(group[2] for group in ape)
    assert mode["unseen_class_errors"] == sum(group[3] for group in ape)


def test_nothing_is_known_without_an_image(shared):
    (mode,) = modes(shared.validate(*tables([("bee", "hang", 20, 20)])))
    unknown = {name for name, value in mode.items() if value is None}
    assert unknown == {
        "unseen_accuracy",
        "unseen_accuracy_low",
        "unseen_accuracy_high",
        "unseen_class_accuracy",
        "unseen_accuracy_drop",
    }
    (mode,) = modes(shared.validate(*tables([("ape", "sit", 20, 5)])))
    assert mode["unseen_class_accuracy"] == 0.75
    assert mode["unseen_accuracy"] is mode["unseen_accuracy_drop"] is None


def test_the_user_says_how_many_images_and_how_close(shared):
    unseen = tables([("ape", "hang", 4, 2), ("ape", "sit", 4, 0)])  # 0.25 below

    def verdict(**options):
        return modes(shared.validate(*unseen, **options))[0]["verdict"]

    assert verdict() == "undecided"
    assert verdict(min_unseen_images=5) == "undecided"
    assert verdict(min_unseen_images=4) == "holds"
    assert verdict(min_unseen_images=4, tolerance=0.04) == "fails"
    assert verdict(min_unseen_images=4, tolerance=0) == "fails"
    assert verdict(min_unseen_images=1, tolerance=1) == "holds"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"min_unseen_images": 0}, "min_unseen_images must be at least 1, got 0"),
        ({"min_unseen_images": 2.5}, "min_unseen_images must be a whole number"),
        ({"tolerance": -0.1}, "tolerance must be between 0 and 1, got -0.1"),
        ({"tolerance": math.nan}, "tolerance must be a finite number"),
        ({"where": "label ="}, "where is not an SQL condition"),
        ({"label": ""}, "label must be non-empty text"),
    ],
)
def test_bad_options(shared, option, message):
    with pytest.raises(ps.OptionError, match=message):
        shared.validate(*tables(SEEN), **option)


# Against brute force ------------------------------------------------------------------------------

IMAGES = st.lists(
    st.tuples(st.sampled_from("pq"), st.sets(st.sampled_from("abcd")), st.booleans()),
    min_size=1,
    max_size=40,
)


def generated(images, prefix):
    predictions = pl.DataFrame(
        {
            "image_id": [f"{prefix}{n}" for n in range(len(images))],
            "label": [label for label, _, _ in images],
            "prediction": ["x" if error else label for label, _, error in images],
        }
    )
    pairs = [(f"{prefix}{n}", tag) for n, image in enumerate(images) for tag in sorted(image[1])]
    return predictions, pl.DataFrame(
        pairs, schema={"image_id": pl.String, "tag": pl.String}, orient="row"
    )


def expected(run, unseen, min_drop, least, tolerance):
    """Each mode's unseen counts and verdict, by looking at every image."""
    wanted, lacking = {}, {}
    for mode_id, tag, present in (
        run.sql("select mode_id, tag, present from failure_mode_tags").to_polars().rows()
    ):
        (wanted if present else lacking).setdefault(mode_id, set()).add(tag)
    # Nobody may have looked for a tag that no image carries: its absence says nothing.
    known = set().union(*(image[1] for image in unseen))
    found = {}
    for mode in run.failure_modes.to_polars().to_dicts():
        own = [image for image in unseen if image[0] == mode["class_name"]]
        key = mode["mode_id"]
        fitting = [
            image
            for image in own
            if wanted.get(key, set()) <= image[1]
            and not lacking.get(key, set()) & image[1]
            and lacking.get(key, set()) <= known
        ]
        errors, class_errors = (sum(image[2] for image in part) for part in (fitting, own))
        drop = None
        if fitting:
            drop = Fraction(errors, len(fitting)) - Fraction(class_errors, len(own))
        if len(fitting) < least:
            verdict = "undecided"
        else:
            enough = drop >= Fraction(str(min_drop)) - Fraction(str(tolerance))
            verdict = "holds" if enough else "fails"
        found[key] = (len(fitting), errors, len(own), class_errors, drop, verdict)
    return found


@examples(8)
@given(
    seen=IMAGES,
    unseen=IMAGES,
    min_drop=st.sampled_from([0.05, 0.2]),
    least=st.integers(1, 4),
    tolerance=st.sampled_from([0, 0.05, 0.1]),
    max_absent=st.integers(0, 2),
)
def test_validation_equals_brute_force(seen, unseen, min_drop, least, tolerance, max_absent):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ps.InputWarning)  # images without tags
        run = ps.search(
            *generated(seen, "s"),
            min_images=2,
            min_drop=min_drop,
            necessity=(0.0,),
            max_tags=3,
            max_absent=max_absent,
        )
        validation = run.validate(
            *generated(unseen, "u"), min_unseen_images=least, tolerance=tolerance
        )
    with run:
        rows = modes(validation)
        found = expected(run, unseen, min_drop, least, tolerance)
        assert [row["mode_id"] for row in rows] == run.failure_modes.to_polars()[
            "mode_id"
        ].to_list()
        for row in rows:
            images, errors, class_images, class_errors, drop, verdict = found[row["mode_id"]]
            assert (row["unseen_images"], row["unseen_errors"]) == (images, errors)
            assert (row["unseen_class_images"], row["unseen_class_errors"]) == (
                class_images,
                class_errors,
            )
            assert row["verdict"] == verdict
            if images:
                assert row["unseen_accuracy_drop"] == pytest.approx(float(drop))
                interval = stats.binomtest(images - errors, images).proportion_ci(method="wilson")
                assert row["unseen_accuracy_low"] == pytest.approx(interval.low, abs=1e-12)
                assert row["unseen_accuracy_high"] == pytest.approx(interval.high, abs=1e-12)
        check_summary(validation, rows, min_drop)


def check_summary(validation, rows, min_drop):
    """Compare the summary and the sizes with SciPy and with means worked out here."""
    (summary,) = validation.summary.to_polars().to_dicts()
    decided = [row for row in rows if row["verdict"] != "undecided"]
    assert summary["modes"] == len(rows)
    assert summary["decided"] == len(decided)
    for verdict in ("holds", "fails", "undecided"):
        assert summary[verdict] == sum(row["verdict"] == verdict for row in rows)
    drops = [row["accuracy_drop"] for row in decided]
    unseen_drops = [row["unseen_accuracy_drop"] for row in decided]
    if not decided:
        names = ("correlation", "share_reached", "mean_drop", "mean_unseen_drop")
        assert [summary[name] for name in names] == [None] * 4
    else:
        assert summary["mean_drop"] == pytest.approx(sum(drops) / len(drops))
        assert summary["mean_unseen_drop"] == pytest.approx(sum(unseen_drops) / len(drops))
        reached = sum(drop >= min_drop - 0.05 - 1e-9 for drop in unseen_drops)
        assert summary["share_reached"] == pytest.approx(reached / len(drops))
        if min(max(each) - min(each) for each in (drops, unseen_drops)) < 1e-9:
            assert summary["correlation"] is None
        else:
            correlation = stats.pearsonr(drops, unseen_drops).statistic
            assert summary["correlation"] == pytest.approx(correlation, abs=1e-9)
    sizes = validation.by_size.to_polars().to_dicts()
    assert [size["tag_count"] for size in sizes] == sorted(
        {row["tag_count"] for row in rows}, reverse=True
    )
    for size in sizes:
        own = [row for row in rows if row["tag_count"] == size["tag_count"]]
        settled = [row for row in own if row["verdict"] != "undecided"]
        assert (size["modes"], size["decided"]) == (len(own), len(settled))
        assert size["holds"] == sum(row["verdict"] == "holds" for row in own)
        for mean, drop in (
            ("mean_drop", "accuracy_drop"),
            ("mean_unseen_drop", "unseen_accuracy_drop"),
        ):
            if settled:
                assert size[mean] == pytest.approx(sum(row[drop] for row in settled) / len(settled))
            else:
                assert size[mean] is None


def test_a_mode_of_absent_tags_only():
    seen = [("ape", "sit", 30, 3), ("ape", "", 10, 9)]
    unseen = [("ape", "sit", 12, 0), ("ape", "hang", 7, 7), ("ape", "", 5, 4), ("bee", "", 9, 9)]
    with pytest.warns(ps.InputWarning, match="no tag"):
        run = ps.search(*tables(seen), max_absent=1, **OPTIONS)
    assert run.failure_modes.to_polars()["tags"].to_list() == ["not sit"]
    with pytest.warns(ps.InputWarning, match="14 of 33 images have no tag"):
        (mode,) = modes(run.validate(*tables(unseen)))
    assert (mode["unseen_images"], mode["unseen_errors"], mode["verdict"]) == (12, 11, "holds")


def test_a_run_without_failure_modes():
    with ps.search(*tables([("ape", "sit", 20, 2)]), **OPTIONS) as run:
        validation = run.validate(*tables(SEEN))
        assert validation.modes.columns == tuple(VALIDATED)
        assert validation.modes.to_polars().is_empty()
        assert validation.by_size.to_polars().is_empty()
        (summary,) = validation.summary.to_polars().to_dicts()
        assert (summary["modes"], summary["decided"], summary["correlation"]) == (0, 0, None)
        assert validation.sentence() == "On unseen data: there is no failure mode to check."


@pytest.mark.parametrize("max_absent", [0, 1])
def test_on_its_own_data_every_mode_is_as_found(max_absent):
    with data.search(max_absent=max_absent) as run:
        validation = run.validate(*map(data.frame, (data.PREDICTIONS, data.TAGS)))
        rows = modes(validation)
        assert len(rows) >= 3
        for row in rows:
            assert row["unseen_images"] == row["images"]
            assert row["unseen_accuracy_drop"] == row["accuracy_drop"]
            assert row["unseen_class_images"] == sum(
                each["label"] == row["class_name"] for each in data.PREDICTIONS
            )


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
    # The tags of the other part's images are no surprise.
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


# A split ------------------------------------------------------------------------------------------


def halves(**columns):
    """The tiny tables of `data` twice, with a column that tells the copies apart."""
    first = data.frame(data.PREDICTIONS).with_columns(half=pl.lit("a"))
    second = first.with_columns(pl.lit("b").alias("half"), image_id="again-" + pl.col("image_id"))
    tags = data.frame(data.TAGS)
    again = tags.with_columns(image_id="again-" + pl.col("image_id"))
    # Of the copy some errors are gone.
    second = second.with_columns(
        prediction=pl.when(pl.col("label") == "bear")
        .then(pl.col("label"))
        .otherwise(pl.col("prediction"))
    )
    return pl.concat([first, second]).with_columns(**columns), pl.concat([tags, again])


SPLIT = {"split": "half", "find": "a", "check": "b"}


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
        ({"split": "half"}, ps.OptionError, "split alone says too little; give split"),
        ({"find": "a", "check": "b"}, ps.OptionError, "find and check alone say too little"),
        ({**SPLIT, "check": "a"}, ps.OptionError, "find and check are both 'a'"),
        ({**SPLIT, "find": " "}, ps.OptionError, "find must be non-empty text"),
        ({**SPLIT, "split": "haf"}, ps.InputError, "no column 'haf'. Did you mean 'half'"),
        (
            {**SPLIT, "check": "c"},
            ps.InputError,
            r"half is nowhere 'c' \(check\).* It holds: 'a' \(4. rows\), 'b' \(4. rows\)",
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


# The command line ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictions, tags = halves()
    predictions.write_parquet("predictions.parquet")
    tags.write_parquet("tags.parquet")
    return tmp_path


TABLES = ["predictions.parquet", "tags.parquet"]
SEARCH = ["search", *TABLES, "--min-images", "4", "--min-drop", "0.3"]
PARTS = ["--split", "half", "--find", "a", "--check", "b"]
VALIDATE = ["validate", "runs.duckdb", *TABLES, "--where", "half = 'b'"]


def test_search_with_a_split_prints_one_line_more(folder):
    plain = succeed(*SEARCH, "--where", "half = 'a'", "--quiet").stdout
    result = succeed(*SEARCH, *PARTS, "--db", "runs.duckdb")
    line = "On unseen data (half = 'b'): 3 failure modes are all undecided, on fewer than 10 unseen"
    assert result.stdout == f"{plain}{line} images.\n"
    assert result.stderr == "Run 1 is in runs.duckdb.\n"
    assert "unseen" not in succeed(*SEARCH, *PARTS, "--format", "csv").stdout
    assert "give split (a column)" in fail(*SEARCH, "--split", "half")
    assert "--split changes what is counted" in fail(
        "search", "--db", "runs.duckdb", "--from-run", "latest", *PARTS
    )


def test_validate_prints_modes_and_a_summary(folder):
    succeed(*SEARCH, "--where", "half = 'a'", "--db", "runs.duckdb")
    result = succeed(*VALIDATE, "--min-unseen-images", "5", "--quiet")
    rows = [line.split()[-1] for line in result.stdout.splitlines() if "%" in line]
    assert sorted(rows) == ["fails", "holds", "undecided"]
    assert result.stdout.splitlines()[-1] == (
        "On unseen data (half = 'b'): 1 of 2 decided failure modes holds, 1 undecided."
    )
    # As many as the tables of Python
    printed = json.loads(succeed(*VALIDATE, "--format", "json", "--tolerance", "0").stdout)
    with ps.open_run("runs.duckdb") as run:
        assert printed == modes(run.validation)
        assert run.validation.tolerance == 0
    succeed(*VALIDATE, "-o", "verdicts.csv")
    assert pl.read_csv("verdicts.csv").columns == VALIDATED
    assert "runs.duckdb holds no run 9" in fail(*VALIDATE, "--run", "9")
    assert "tolerance must be between 0 and 1" in fail(*VALIDATE, "--tolerance", "2")
    assert "cannot write verdicts.txt" in fail(*VALIDATE, "-o", "verdicts.txt")
    shown = succeed(*VALIDATE, "--verbose", "--format", "csv").stderr
    assert "\nverdicts: " in shown


def test_validate_without_failure_modes(folder):
    succeed("search", *TABLES, "--db", "runs.duckdb", "--quiet")
    result = succeed(*VALIDATE, "--quiet")
    assert result.stdout.startswith("Run 1 has no failure modes. No tag is frequent")


def test_the_command_has_a_flag_for_every_argument_with_its_default():
    flags = parameters("validate")
    arguments = inspect.signature(ps.Run.validate).parameters
    others = {"db", "run", "wait", "format_", "output_", "quiet", "verbose"}
    assert flags.keys() - others == arguments.keys() - {"self", "on_sql"}
    for name in flags.keys() - others - {"predictions", "tags"}:
        assert flags[name].default == arguments[name].default
        assert flags[name].help


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
