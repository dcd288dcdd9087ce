"""What compile writes, executed as it is on each engine, against the rows of a search in DuckDB."""

import itertools
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given
from polars.testing import assert_frame_equal

import prime_sql as ps
from tests import tables as data
from tests.discovery.statements import CASES
from tests.examples import SEED, examples, seed
from tests.generated import frames
from tests.generated import options as some_options
from tests.generated import tables as some_tables

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

EMOJI = Path(__file__).parent.parent.parent / "examples" / "emoji"


def forms_of(engine, **options):
    """Which forms to run: some engines evaluate a common table expression wherever it is read.

    One SELECT that reads many takes minutes there, as the README says.
    """
    steps = options["max_tags"] + 2 * options.get("max_absent", 0)
    few = steps <= (1 if engine.name == "spark" else 2)
    return FORMS if few or engine.name in ("duckdb", "postgres") else ["script"]


TABLES = ("marts.predictions", "marts.tags")
FORMS = {"select": False, "script": True}


def check(engine, wanted, names=TABLES, **options):
    """Run what is compiled for the engine, as it is; compare its rows, and their order."""
    for form in forms_of(engine, **options):
        text = ps.compile(*names, dialect=engine.dialect, script=FORMS[form], **options)
        if engine.name == "postgres" and form == "select":
            # As the statement asks for; else four tags of the emoji take minutes.
            text = f"set enable_nestloop = off; {text}; reset enable_nestloop"
        answer = engine.run(text)
        assert answer.columns == wanted.columns
        for name, dtype in wanted.schema.items():
            found = answer.schema[name]  # as wide as an engine likes, but of the same kind
            assert found.is_integer() == dtype.is_integer(), (name, found)
            assert found.is_float() == dtype.is_float(), (name, found)
        assert_frame_equal(answer, wanted, check_dtypes=False, rel_tol=1e-12, abs_tol=1e-12)


def search(predictions, tags, **options):
    """The failure modes of a search in DuckDB, as compile is to return them."""
    with ps.search(predictions, tags, **options) as run:
        return run.sql(
            """
            select mode_id, class_name, tags, tag_count, images, errors, accuracy, class_images,
                class_errors, class_accuracy, accuracy_drop, excess_errors, error_coverage
            from failure_modes
            order by excess_errors desc, class_name, tags
            """
        ).to_polars()


@pytest.fixture(scope="module")
def small(engine):
    """The tables of tests/tables.py in the engine."""
    tables = pl.DataFrame(data.PREDICTIONS), pl.DataFrame(data.TAGS)
    for name, frame in zip(("predictions", "tags"), tables, strict=True):
        engine.load(f"marts.{name}", frame)
    return tables


@pytest.mark.parametrize("options", CASES, ids=lambda options: "-".join(options) or "plain")
def test_small_tables(engine, small, options):
    options = {**data.OPTIONS, **options}
    wanted = search(*small, **options)
    assert wanted.height
    check(engine, wanted, **options)


# The same condition in DuckDB's words and in those of each engine.
CONDITIONS = {
    "duckdb": ("list_contains(['north', 'x'], region)", "regexp_matches(split, '^TE', 'i')"),
    "postgres": ("region = any (array['north', 'x'])", "split ~* '^TE'"),
    "spark": ("array_contains(array('north', 'x'), region)", "split rlike '(?i)^TE'"),
    "clickhouse": ("has(['north', 'x'], region)", "match(split, '(?i)^TE')"),
    "datafusion": ("array_has(['north', 'x'], region)", "split ~* '^TE'"),
}


def test_conditions_of_its_own(engine, small):
    options = {**data.OPTIONS, "min_images": 2}
    wanted, own = (
        {"where": where, "error": f"{error} and label <> prediction"}
        for where, error in (CONDITIONS["duckdb"], CONDITIONS[engine.name])
    )
    wanted = search(*small, **options, **wanted)
    assert wanted.height
    check(engine, wanted, **options, **own)


# Every letter that some engine may read, fold or sort in a way of its own.
TAGS = (
    *(
        "tree",
        "Tree",
        "TREE",
        "tree ",
        " tree",
        "_tree",
        "-tree",
        "tree-a",
        "treeb",
        "zebra",
        "Zebra",
    ),
    *("Ärger", "ärger", "\u00e9t\u00e9", "e\u0301te\u0301", "日本", "\uffee", "😀", "ß", "ss", "ı"),
    *("it's", 'quo"te', "back\\slash", "\\n", "new\nline", "tab\tin", "100%", "a_b", "{{ x }}"),
    *("; drop", "$1", ":name", "?", "%s", "-- x", "a + b", "not", "|", "`tick`", "null", "01"),
)
LABELS = ("it's \\ odd", 'a | "b"', "Ape", "ape", "ä")


def odd_tables():
    """Images of odd classes with odd tags, few of which occur together by chance."""
    chance = random.Random(seed(6))
    predictions, tags = [], []
    for number in range(120):
        label = LABELS[number % len(LABELS)]
        carried = chance.sample(TAGS[: 24 + number % 40], 9)
        wrong = chance.random() < (0.8 if set(carried) & {*TAGS[::7]} else 0.2)
        image = f"img/{number:03} {'é' * (number % 2)}'"
        predictions.append((image, label, LABELS[number % 3 - 1] if wrong else label, number % 3))
        tags += [(image, tag) for tag in (*carried, carried[0], "", "  ", "\t\n\r ", None)]
    tags.append(("no such image", "tree"))
    return (
        pl.DataFrame(predictions, schema=["File Name", "Label", "GUESS", 'k"`\\ü'], orient="row"),
        pl.DataFrame(tags, schema=["File Name", "select"], orient="row"),
    )


@pytest.mark.random
def test_odd_names_and_tags(engine):
    predictions, tags = odd_tables()
    # Tables and columns that have to be quoted; the engine's own quotes, for the tables.
    quote = "`" if engine.dialect == "spark" else '"'
    names = [f"marts.{quote}{name}{quote}" for name in ("Classes", "Candidates_1")]
    engine.load("marts.Classes", predictions)
    engine.load("marts.Candidates_1", tags)
    columns = {"image_id": "File Name", "label": "Label", "prediction": "GUESS", "tag": "select"}
    quoted = {name: f'"{column}"' for name, column in columns.items()}
    options = {"min_images": 3, "min_drop": 0.1, "max_tags": 2}
    grouped = {"group_by": ("Label", 'k"`\\ü'), "max_absent": 1}
    for more in ({}, grouped):
        wanted = search(predictions, tags, **{**columns, **options, **more})
        assert wanted.height > 50
        check(engine, wanted, names, **{**quoted, **options, **more})


def test_scores(engine, small):
    scores = [None, float("nan"), float("inf"), -float("inf"), 0.3, 0.30000000000000004, 0.7, 1e308]
    repeated = itertools.islice(itertools.cycle(scores), len(data.TAGS))
    tags = small[1].with_columns(score=pl.Series(list(repeated)))
    engine.load("marts.scored", tags)
    options = {"min_images": 2, "min_drop": 0.1, "max_tags": 2, "min_score": 0.3}
    # A search takes infinity for the highest score, compile leaves it out, and says so.
    wanted = search(small[0], tags.filter(pl.col("score") < float("inf")), **options)
    assert wanted.height
    check(engine, wanted, ("marts.predictions", "marts.scored"), **options)


def test_numbers_as_image_ids(engine):
    numbers = {row["image_id"]: number for number, row in enumerate(data.PREDICTIONS, start=7)}
    predictions, tags = (
        pl.DataFrame(rows).with_columns(pl.col("image_id").replace_strict(numbers))
        for rows in (data.PREDICTIONS, data.TAGS)
    )
    engine.load("marts.numbered", predictions)
    engine.load("marts.numbered_tags", tags)
    wanted = search(predictions, tags, **data.OPTIONS)
    check(engine, wanted, ("marts.numbered", "marts.numbered_tags"), **data.OPTIONS)


def test_no_failure_mode(engine, small):
    options = {**data.OPTIONS, "min_images": 1000}
    wanted = search(*small, **options)
    assert not wanted.height
    check(engine, wanted, **options)


# As in the README and in the dbt model, and as they are by default.
EMOJI_OPTIONS = {
    "readme": ({"max_tags": 2, "min_images": 20, "min_drop": 0.5}, 12),
    "default": ({"max_tags": 4}, 31),
}


@pytest.mark.parametrize("kind", EMOJI_OPTIONS)
def test_emoji(engine, kind):
    options, modes = EMOJI_OPTIONS[kind]
    if engine.name == "spark" and kind == "default":
        pytest.skip("minutes of Spark; DuckDB's rows are compared on it with two tags")
    tables = [pl.read_parquet(EMOJI / f"{name}.parquet") for name in ("predictions", "tags")]
    names = [engine.load(f"marts.emoji_{i}", table) for i, table in enumerate(tables)]
    wanted = search(*tables, **options)
    assert wanted.height == modes
    check(engine, wanted, names, **options)


@pytest.mark.random
def test_any_tables(engine):
    if engine.name == "spark" and SEED is None:
        pytest.skip("minutes of Spark: make test-random")

    @examples(4, phases=(Phase.explicit, Phase.generate))
    @given(tables=some_tables(), options=some_options())
    def check_one(tables, options):
        predictions, tags = frames(*tables)
        engine.load("marts.some_predictions", predictions)
        engine.load("marts.some_tags", tags)
        wanted = search(predictions, tags, **options)
        check(engine, wanted, ("marts.some_predictions", "marts.some_tags"), **options)

    check_one()
