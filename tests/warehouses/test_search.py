"""A search in a warehouse: the rows there, and all that is asked of it, are those of DuckDB."""

import re

import polars as pl
import pytest
from hypothesis import Phase, given
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests import tables as data
from tests.examples import SEED, examples
from tests.generated import frames
from tests.generated import options as some_options
from tests.generated import tables as some_tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

PREDICTIONS, TAGS = pl.DataFrame(data.PREDICTIONS), pl.DataFrame(data.TAGS)
EMOJI = "examples/emoji"

# Engines whose tables take rows, and never let go of them.
APPEND_ONLY = ("spark", "datafusion")


def same(there, here):
    """Compare two answers, which are ordered."""
    there, here = (
        each if isinstance(each, pl.DataFrame) else each.to_polars() for each in (there, here)
    )
    drop = [name for name in ("run_id", "created_at") if name in here.columns]
    assert_frame_equal(there.drop(drop), here.drop(drop))
    return here


@pytest.fixture(scope="module")
def loaded(engine):
    if engine.name == "duckdb":
        pytest.skip("the engine that the others are compared with")
    engine.load("marts.predictions", PREDICTIONS)
    engine.load("marts.tags", TAGS)
    return engine


@pytest.fixture(scope="module")
def run(loaded):
    """The search in the engine."""
    names = ("marts.predictions", "marts.tags")
    with ps.search(*names, into=loaded.con, schema="found", max_absent=1, **data.OPTIONS) as found:
        yield found


@pytest.fixture(scope="module")
def here():
    """The same search in DuckDB."""
    with ps.search(PREDICTIONS, TAGS, max_absent=1, **data.OPTIONS) as found:
        yield found


def test_the_rows_are_those_of_duckdb(run, here):
    for name in ("failure_modes", "classes", "tag_sets", "failure_mode_tags"):
        assert same(getattr(run, name), getattr(here, name)).height
    assert same(run.failure_mode_images, here.failure_mode_images).height
    assert (run.warnings, run.note, run.options) == (here.warnings, here.note, here.options)
    assert run.row_counts == here.row_counts


def test_the_tables_stand_in_the_schema(run, here, loaded):
    """What an analyst finds there, with SQL of the engine's own."""
    for name in ("failure_modes", "classes", "tag_sets", "failure_mode_tags"):
        found = loaded.con.table(name, database="found").to_polars()
        rows = getattr(here, name).to_polars().select(pl.exclude("run_id"))
        found = found.filter(pl.col("run_id") == run.run_id).select(rows.columns)
        by = [column for column in rows.columns if rows[column].dtype == pl.String]
        assert_frame_equal(found.sort(by), rows.sort(by))
    joined = loaded.run(
        "select m.tags as tags, count(*) as orders from found.failure_modes as m "
        "inner join found.failure_mode_images as i "
        "on i.run_id = m.run_id and i.mode_id = m.mode_id "
        "inner join marts.predictions as p on p.image_id = i.image_id "
        f"where m.run_id = {run.run_id} group by m.tags order by m.tags"
    )
    expected = here.failure_modes.to_polars().sort("tags")
    assert joined["tags"].to_list() == expected["tags"].to_list()
    assert joined["orders"].to_list() == expected["images"].to_list()


def test_nothing_else_is_left_there(run, loaded):
    every = [
        name
        for schema in (None, "found", "marts")
        for name in loaded.con.list_tables(database=schema)
    ]
    assert not [name for name in every if re.match(r"prime_sql_[0-9a-f]{8}_", name)]


def test_it_is_opened_by_another(run, here, loaded):
    with ps.open_run(loaded.con, run.run_id, schema="found") as opened:
        same(opened.failure_modes, here.failure_modes)
        same(opened.failure_mode_images, here.failure_mode_images)
        assert opened.seconds == run.seconds
    assert run.run_id in ps.runs(loaded.con, schema="found")["run_id"]


def test_ranking_questions_and_reports(run, here):
    same(run.cover(), here.cover())
    same(run.families(), here.families())
    same(run.query("near_misses"), here.query("near_misses"))
    same(run.query("chance"), here.query("chance"))
    mode_id = here.failure_modes.to_polars()["mode_id"][0]
    for name in ("subsets", "wrong_predictions", "images"):
        same(getattr(run.explain(mode_id), name), getattr(here.explain(mode_id), name))
    there = run.report(runs=1).to_text().replace("marts.predictions", "x")
    assert here.failure_modes.to_polars()["tags"][0] in there
    assert len(run.report(runs=1).to_html()) == pytest.approx(
        len(here.report(runs=1).to_html()), abs=500
    )


def test_unseen_data_are_counted_there(run, here, loaded):
    options = {"where": "region = 'north'", "min_unseen_images": 3}
    checked = run.validate("marts.predictions", "marts.tags", **options)
    expected = here.validate(PREDICTIONS, TAGS, **options)
    assert same(checked.modes, expected.modes)["verdict"].n_unique() > 1
    same(checked.summary, expected.summary)
    with ps.open_run(loaded.con, run.run_id, schema="found") as opened:
        same(opened.validation.modes, expected.modes)


def test_a_split_is_checked_there(loaded):
    options = {**data.OPTIONS, "split": "split", "find": "train", "check": "test", "min_images": 2}
    with (
        ps.search(
            "marts.predictions", "marts.tags", into=loaded.con, schema="found", **options
        ) as there,
        ps.search(PREDICTIONS, TAGS, **options) as here,
    ):
        same(there.failure_modes, here.failure_modes)
        assert same(there.validation.modes, here.validation.modes).height


def test_what_is_asked_later_is_stored(request, run, here, loaded):
    if loaded.name in APPEND_ONLY:
        why = "its tables let go of no row, and intervals are stored already"
        request.applymarker(pytest.mark.xfail(raises=ps.WarehouseError, reason=why, strict=True))
    here.chance()
    run.null(3, seed=1)
    here.null(3, seed=1)
    same(run.chance(), here.chance())
    with ps.open_run(loaded.con, run.run_id, schema="found") as opened:
        same(opened.query("chance"), here.query("chance"))
        same(opened.query("shuffles"), here.query("shuffles"))


def test_other_thresholds_are_a_run_of_their_own(run, here, loaded):
    with run.refilter(min_drop=0.5) as there, here.refilter(min_drop=0.5) as expected:
        same(there.failure_modes, expected.failure_modes)
        same(there.tag_sets, expected.tag_sets)
        assert there.counted_run_id == run.run_id
        with ps.open_run(loaded.con, there.run_id, schema="found") as opened:
            same(opened.failure_mode_images, expected.failure_mode_images)


def test_q_values_and_conditions(loaded):
    options = {
        **data.OPTIONS,
        "max_q": 0.9,
        "error": "prediction <> label and region = 'north'",
        "where": "not (region = 'south' and split = 'train')",
        "group_by": ("region", "label"),
        "min_score": 0.1,
        "min_images": 2,
    }
    with (
        ps.search(
            "marts.predictions", "marts.tags", into=loaded.con, schema="found", **options
        ) as there,
        ps.search(PREDICTIONS, TAGS, **options) as here,
    ):
        same(there.failure_modes, here.failure_modes)
        same(there.classes, here.classes)
        same(there.query("chance"), here.query("chance"))


def test_an_odd_table_says_the_same(loaded):
    """Blank tags, nulls, copies, unknown images: the warnings and the rows are the same."""
    odd = pl.DataFrame(
        {
            "image_id": ["img-000", "img-000", "img-000", "img-001", None, "img-999", "img-002"],
            "tag": ["", " \t", None, 'it\'s \\ "odd" ä 猫', "lost", "far", "Toy"],
            "score": [1.0] * 7,
        }
    )
    tags = pl.concat([TAGS, odd, TAGS.head(3)])
    loaded.load("marts.odd_tags", tags)
    with (
        ps.search(
            "marts.predictions", "marts.odd_tags", into=loaded.con, schema="found", **data.OPTIONS
        ) as there,
        ps.search(PREDICTIONS, tags, **data.OPTIONS) as here,
    ):
        same(there.failure_modes, here.failure_modes)
        same(there.tag_sets, here.tag_sets)
        assert there.warnings == here.warnings


@pytest.mark.random
def test_any_tables(loaded):
    if loaded.name == "spark" and SEED is None:
        pytest.skip("minutes of Spark: make test-random")

    # Without shrinking: a search takes seconds there. The first example is trivial.
    @examples(4, phases=(Phase.explicit, Phase.generate))
    @given(tables=some_tables(), options=some_options())
    def check(tables, options):
        predictions, tags = (each.cast(pl.String) for each in frames(*tables))
        loaded.load("marts.any_predictions", predictions)
        loaded.load("marts.any_tags", tags)
        names = ("marts.any_predictions", "marts.any_tags")
        with (
            ps.search(*names, into=loaded.con, schema="found", **options) as there,
            ps.search(predictions, tags, **options) as here,
        ):
            for name in ("failure_modes", "tag_sets", "classes", "failure_mode_images"):
                same(getattr(there, name), getattr(here, name))
            assert there.note == here.note

    check()


def test_the_emoji(loaded):
    options = {"min_images": 20, "max_tags": 2}
    predictions, tags = (pl.read_parquet(f"{EMOJI}/{n}.parquet") for n in ("predictions", "tags"))
    loaded.load("marts.emoji_predictions", predictions)
    loaded.load("marts.emoji_tags", tags)
    names = ("marts.emoji_predictions", "marts.emoji_tags")
    with (
        ps.search(*names, into=loaded.con, schema="found", **options) as there,
        ps.search(predictions, tags, **options) as here,
    ):
        assert same(there.failure_modes, here.failure_modes).height > 20
        same(there.tag_sets, here.tag_sets)
        same(there.failure_mode_images, here.failure_mode_images)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("marts.predictons", "marts.tags"), ps.InputError, "Did you mean 'predictions'?"),
        ((PREDICTIONS, "marts.tags"), ps.InputError, "load this one into it"),
        (("marts.predictions", "marts.tags", "labl = 'x'"), ps.InputError, "Did you mean 'label'?"),
        (("marts.predictions", "marts.tags", "nope(label)"), ps.OptionError, "does not fit"),
    ],
)
def test_bad_input_leaves_nothing_behind(run, loaded, arguments, error, message):
    predictions, tags, *where = arguments
    before = ps.runs(loaded.con, schema="found")
    with pytest.raises(error, match=r"where|predictions") as caught:
        ps.search(
            predictions, tags, into=loaded.con, schema="found", where=where[0] if where else None
        )
    assert message in str(caught.value)
    assert_frame_equal(ps.runs(loaded.con, schema="found"), before)
    test_nothing_else_is_left_there(run, loaded)


def test_rows_of_no_run_are_named_and_left(loaded):
    """Another search may be about to complete them: numbers follow them, and nothing is removed."""
    names = ("marts.predictions", "marts.tags")

    def search():
        return ps.search(*names, into=loaded.con, schema="shared", **data.OPTIONS)

    with search() as first:
        assert first.run_id == 1
    columns = ps.sql(loaded.con, "describe prime.tagged", schema="shared")["column_name"].to_list()
    rest = ", ".join(name for name in columns if name != "run_id")
    loaded.run(f"insert into shared.tagged (run_id, {rest}) select 7, {rest} from shared.tagged")
    count = "select count(*) as n from shared.tagged where run_id = 7"
    before = loaded.run(count).item()
    assert before
    named = rf"no run: number 7 \({before:,} of tagged\)\. Another"
    with pytest.warns(ps.InputWarning, match=named):
        second = search()
    with second:
        assert second.run_id == 8
        assert data.found(second) == data.expected()
    assert loaded.run(count).item() == before


def test_tags_in_other_forms_are_read_there(loaded):
    """With a column for each tag, coded or not, and several tags in one text."""
    coded = pl.DataFrame(data.wide(yes=1, no=-1))
    loaded.load("marts.coded", coded)
    loaded.load("marts.wide", pl.DataFrame(data.wide(yes=1, no=0)))
    joined = pl.DataFrame(
        [{"image_id": row["image_id"], "tag": ";".join(row["tag"])} for row in data.listed()]
    )
    loaded.load("marts.joined", joined)
    for table, options in {
        "marts.wide": {"wide": True},
        "marts.coded": {"wide": True, "present": "value > 0"},
        "marts.joined": {"split_tags": ";"},
    }.items():
        with ps.search(
            "marts.predictions", table, into=loaded.con, schema="forms", **options, **data.OPTIONS
        ) as run:
            assert data.found(run) == data.expected()
    with pytest.raises(ps.InputError, match=r"values other than 0 and 1.*--present"):
        ps.search("marts.predictions", "marts.coded", into=loaded.con, wide=True)
    with pytest.raises(ps.OptionError, match="normalise_tags is for tables that DuckDB reads"):
        ps.search("marts.predictions", "marts.tags", into=loaded.con, normalise_tags=True)


def test_words_that_are_nearly_equal_are_told_there(loaded):
    moved = pl.DataFrame([{**row, "image_id": f"val/{row['image_id']}.JPG"} for row in data.TAGS])
    loaded.load("marts.moved", moved)
    with pytest.raises(
        ps.InputError, match=r"no image_id in common.* folders, and endings of file names: write"
    ):
        ps.search("marts.predictions", "marts.moved", into=loaded.con, schema="nearly")
    for name, rows, form in (("p", data.PREDICTIONS, "{:03}"), ("t", data.TAGS, "{}")):
        loaded.load(f"marts.numbered_{name}", pl.DataFrame(data.renumbered(rows, form.format)))
    with pytest.raises(ps.InputError, match="'000' in predictions and '0' in tags differ only"):
        ps.search("marts.numbered_p", "marts.numbered_t", into=loaded.con, schema="nearly")
    spaced = pl.DataFrame(
        [{**row, "prediction": row["prediction"] + " "} for row in data.PREDICTIONS]
    )
    loaded.load("marts.spaced", spaced)
    with pytest.raises(
        ps.InputError, match="'ape' and the prediction 'ape ' differ only in spaces"
    ):
        ps.search("marts.spaced", "marts.tags", into=loaded.con, schema="nearly")
