"""Gates: what they may be, which failure modes trip them, and the commands."""

import json

import polars as pl
import pytest

import prime_sql as ps
from prime_sql.questions import gates
from tests.cli.command import call, fail, succeed
from tests.generated import frames
from tests.questions.junit import junit
from tests.questions.nights import CHOSEN, NIGHTS, night, store

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


# What a gate may be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a gate is 'new' or an SQL condition"),
        ("nwe", "there is no column 'nwe'. Did you mean 'new'?"),
        ("not new", "in a condition write status = 'new'."),
        ("(New)", "no column 'New'. 'new' is a gate of its own; in"),
        ("new -- since the previous run", "no column 'new'. 'new' is a gate of its own; in"),
        ("acuracy_drop > 0.4", "there is no column 'acuracy_drop'. Did you mean 'accuracy_drop'?"),
        ("images > 5 and zzz = 1", "there is no column 'zzz'. There are: run_id, mode_id, class_n"),
        ('verdict = "holds"', "Text goes in single quotes"),
        ("f.images > 5", "no column 'f.images'. Did you mean 'images'?"),
        ("images >", "is not an SQL condition"),
        ("true) or (true", "is not an SQL condition"),
        ("tags = 'open", "is not an SQL condition"),
        ("-- nothing", "is 0 statements"),
        ("images > 5; accuracy < 1", "is 2 statements"),
        ("images > 5; drop table runs", "is 2 statements"),
        ("drop table runs", "holds a query"),
        ("select true", "holds a query"),
        ("exists (select 1)", "holds a query"),
        ("images > (select 5)", "holds a query"),
        ("images in (from range(5))", "holds a query"),
        ("images = any (select 5)", "holds a query"),
        ("count(*) > 1", "WHERE clause cannot contain aggregates"),
        ("arg_max(tags, images) = 'a'", "WHERE clause cannot contain aggregates"),
        ("sum(images) over () > 5", "cannot contain window functions"),
        ("unnest([1, 2]) > 1", "is not a condition on a failure mode"),
        ("images > $1", "is not a condition on a failure mode"),
        ("images > 5 as x", "is not a condition on a failure mode"),
        ("no_such_function(images)", "is not a condition on a failure mode"),
        ("random() < 0.5", "calls random, which does not give the same answer every time"),
        ("cast(UUID() as varchar) > tags", "calls UUID, which does not give the same"),
        ("now() > timestamp '2026-01-01'", "calls now, which does not give the same"),
        ("current_date > date '2026-01-01'", "calls current_date, which does not give the same"),
        (
            "current_timestamp > timestamp '2026-01-01'",
            "calls current_timestamp, which does not give the same",
        ),
        ("Current_Setting('threads') > 1", "calls Current_Setting, which does not give the same"),
        ("age(timestamp '2026-01-01') > interval 1 day", "calls age, which does not give the same"),
        ("columns(*) is not null", "names no columns; write out the name of each one"),
        ("columns('stat.*') = 'new'", "names no columns; write out the name of each one"),
        ("#24 = 'new'", "names no columns; write out the name of each one"),
        ("status is null", "can never trip: a column is null where it is not known"),
        ("(Verdict) isnull and images > 5", "can never trip"),
        ("not (status is not null)", "can never trip"),
        ("status is null or q_value is null", "can never trip"),
        ("images", "is a BIGINT; a condition is true or false"),
        ("'new'", "is a VARCHAR; a condition"),
        ("sum(images)", "is not a condition on a failure mode"),
    ],
)
def test_what_is_no_condition_is_refused(text, message):
    with pytest.raises(ps.OptionError) as caught:
        gates.parse(text)
    assert message in str(caught.value)


def test_what_an_older_parser_takes_for_a_column_is_refused_as_well():
    with pytest.raises(ps.OptionError, match=r"calls localtimestamp|no column 'localtimestamp'"):
        gates.parse("localtimestamp > timestamp '2026-01-01'")


@pytest.mark.parametrize(
    "text",
    [
        "status is not null and images > 5",
        "status is null or images > 5",
        "status is null = false",
        "class_name is null",  # of no mode, but known of each
        "class_name = 'now()' or tags = 'current_date'",
        "false",
    ],
)
def test_conditions_near_those_refused(text):
    assert gates.parse(text).text == text


@pytest.mark.parametrize("text", [5, None, ["new"]])
def test_a_gate_is_text(text):
    with pytest.raises(ps.OptionError, match="a gate is 'new' or an SQL condition"):
        gates.parse(text)


def test_columns_are_those_that_are_judged(tmp_path):
    store(NIGHTS[:1], tmp_path / "a.duckdb", job="n")
    with ps.open_run(tmp_path / "a.duckdb") as run:
        (outcome,) = gates.judge(run, [gates.parse("TRUE -- every mode")])
        assert outcome.modes.columns == list(gates.COLUMNS)
        described = dict(
            run.sql(
                "select column_name, column_type from (describe select * from prime.failure_modes)"
            )
            .to_polars()
            .iter_rows()
        )
    assert {name: gates.COLUMNS[name].upper() for name in described} == described
    kinds = {pl.Int32: "integer", pl.Int64: "bigint", pl.Float64: "double", pl.String: "varchar"}
    assert {name: kinds[type(d)] for name, d in outcome.modes.schema.items()} == gates.COLUMNS


# Which modes trip ---------------------------------------------------------------------------------

CONDITIONS = {
    "accuracy_drop > 0.4 and images >= 30": lambda r: (
        r["accuracy_drop"] > 0.4 and r["images"] >= 30
    ),
    "ACCURACY_DROP > .4 OR tags LIKE '%e%'": lambda r: r["accuracy_drop"] > 0.4 or "e" in r["tags"],
    "class_name in ('ape', 'cat')": lambda r: r["class_name"] in ("ape", "cat"),
    "errors / class_errors > 0.9": lambda r: r["errors"] / r["class_errors"] > 0.9,
    "p_value < 1e-15": lambda r: r["p_value"] < 1e-15,
    "accuracy_high < class_accuracy - 0.5": lambda r: (
        r["accuracy_high"] < r["class_accuracy"] - 0.5
    ),
    "case when tag_count = 1 then images > 30 else true end": lambda r: r["images"] > 30,
    "list_contains(string_split(tags, ' + '), 'wing')": lambda r: r["tags"] == "wing",
    "false": lambda r: False,
}


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_modes_that_meet_a_condition_trip_it(nights, number):
    wanted = [gates.parse(text) for text in CONDITIONS]
    with ps.open_run(nights, number) as run:
        rows = run.failure_modes.to_polars().to_dicts()
        chance = {
            row["mode_id"]: row
            for row in run.sql("from failure_mode_chance").to_polars().to_dicts()
        }
        outcomes = gates.judge(run, wanted)
        tripped = gates.check(run, wanted)
    assert [outcome.gate for outcome in tripped] == [o.gate for o in outcomes if o.tripped]
    for outcome, holds in zip(outcomes, CONDITIONS.values(), strict=True):
        expected = [r["mode_id"] for r in rows if holds({**chance[r["mode_id"]], **r})]
        assert outcome.modes["mode_id"].to_list() == expected, outcome.gate.text
        assert (outcome.undecided, outcome.note) == (0, None)


def names(outcome):
    return {(row["class_name"], row["tags"]) for row in outcome.modes.to_dicts()}


def test_new_is_new_and_undecided_never_fails(nights):
    new, worse, known = (
        gates.parse(text)
        for text in ("NEW", "accuracy_change < -0.05", "status is null or status = 'undecided'")
    )
    expected = {  # new ones, those that got worse, undecided ones
        1: (set(), set(), 2),
        2: (set(), set(), 1),
        3: (set(), {("ape", "hang")}, 2),
        4: (set(), {("ape", "hang")}, 1),
        5: (set(), set(), 0),
        6: ({("ape", "tree")}, {("ape", "tree")}, 1),
    }
    for number, (new_ones, worse_ones, undecided) in expected.items():
        with ps.open_run(nights, number) as run:
            outcomes = gates.judge(run, [new, worse, known])
        assert names(outcomes[0]) == new_ones, number
        assert names(outcomes[1]) == worse_ones, number
        assert [outcome.undecided for outcome in outcomes[:2]] == [undecided] * 2, number
        assert not outcomes[2].tripped
        first = "there is no earlier run to compare run 1 with" if number == 1 else None
        assert {o.note for o in outcomes if not o.tripped} == {first}


def test_a_verdict_that_is_undecided_never_fails():
    found = night(*((c, "hang", 40, 30) for c in "abc"), *((c, "sky", 160, 0) for c in "abc"))
    unseen = night(
        ("a", "hang", 40, 30),
        ("b", "hang", 40, 0),
        ("c", "hang", 9, 9),
        *((c, "sky", 160, 0) for c in "abc"),
    )
    wanted = {
        "verdict = 'holds'": ({"a"}, 1),
        "verdict <> 'fails'": ({"a"}, 1),
        "verdict = 'undecided'": (set(), 1),
        "coalesce(verdict, 'holds') = 'holds'": ({"a"}, 1),
        "verdict = 'holds' or accuracy_drop > 0.3": ({"a", "b"}, 1),
        "verdict = 'holds' and accuracy_drop > 0.9": (set(), 0),  # whatever the verdict would be
        "unseen_accuracy < 0.5": ({"a"}, 1),
        "unseen_images < 10": (set(), 1),
        "accuracy_drop > 0.3": ({"a", "b", "c"}, 0),
    }
    parsed = [gates.parse(text) for text in wanted]
    with ps.search(*frames(*found), **CHOSEN) as run:
        for outcome in gates.judge(run, parsed[:-1]):
            assert not outcome.tripped
            assert outcome.note == "run 1 was not checked on unseen data"
        run.validate(*frames(*unseen))
        outcomes = gates.judge(run, parsed)
    for outcome, (tripping, undecided) in zip(outcomes, wanted.values(), strict=True):
        assert {name for name, _ in names(outcome)} == tripping, outcome.gate.text
        assert outcome.undecided == undecided, outcome.gate.text
        assert outcome.note is None


def test_q_values_are_known_once_they_were_asked_for():
    gate = gates.parse("q_value < 0.05")
    with ps.search(*frames(*NIGHTS[0]), **CHOSEN) as run:
        (outcome,) = gates.judge(run, [gate])
        assert (outcome.tripped, outcome.undecided) == (False, 2)
        assert "q_value is not known for run 1; `prime-sql chance` adds it" in outcome.sentence()
        run.chance()
        assert names(*gates.judge(run, [gate])) == {("ape", "hang"), ("bee", "wing")}


def test_what_cannot_be_worked_out_on_the_data_is_one_error():
    gate = gates.parse("cast(tags as integer) > 5")
    with ps.search(*frames(*NIGHTS[0]), **CHOSEN) as run, pytest.raises(ps.QueryError) as caught:
        gates.judge(run, [gate])
    assert str(caught.value).startswith("the gate 'cast(tags as integer) > 5' cannot be judged: ")
    assert "\n" not in str(caught.value)


# The commands -------------------------------------------------------------------------------------


def test_search_fails_after_everything_was_printed_and_stored(line, tmp_path):
    db = tmp_path / "a.duckdb"
    gate = ["--fail-on", "accuracy_drop > 0.45 and images >= 6", "--fail-on", "new"]
    result = call(*line, "--db", db, *gate, "-o", tmp_path / "modes.csv", "--format", "json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == pl.read_csv(tmp_path / "modes.csv").height == 3
    assert ps.runs(db).height == 1
    lines = result.stderr.splitlines()
    assert lines[-4:] == [
        f"Run 1 is in {db}.",
        "Gate accuracy_drop > 0.45 and images >= 6: tripped by 1 failure mode",
        "  cat: toy (6 images, accuracy 16.7%, drop 47.6%)",
        "Gate new: cannot trip, because there is no earlier run to compare run 1 with",
    ]


def test_search_with_gates_that_hold(line, tmp_path):
    db = tmp_path / "a.duckdb"
    assert succeed(*line, "--db", db, "--fail-on", "new").stderr.endswith("to compare run 1 with\n")
    again = succeed(*line, "--db", db, "--fail-on", "new", "--fail-on", "images > 6")
    assert again.stderr.endswith("Gate new: passed\nGate images > 6: passed\n")
    quiet = succeed(*line, "--db", db, "--fail-on", "new", "--quiet")
    assert quiet.stderr == ""
    strict = ["--from-run", "latest", "--db", db, "--min-drop", 0.4]
    told = call("search", *strict, "--fail-on", "class_name = 'ape'", "--quiet")
    assert (told.exit_code, told.stderr.count("\n")) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-on", "imags > 5"], "there is no column 'imags'. Did you mean 'images'?"),
        (["--fail-on", "new"], "the gate 'new' is about the previous run: give --db"),
        (["--fail-on", "verdict = 'holds'"], "about unseen data: give --split, --find and --check"),
        (["--junit", "gates.xml"], "--junit says which gates tripped: add --fail-on"),
        (["--fail-on", "true", "--junit", "no/gates.xml"], "the folder no does not exist"),
        (["--summary", "."], "cannot write .: it is a folder"),
        (["--fail-on", "true", "--models", "a,b"], "judge those of --models with prime-sql gate"),
    ],
)
def test_a_wrong_gate_is_refused_before_the_search(line, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with_db = [] if arguments == ["--fail-on", "new"] else ["--db", "a.duckdb"]
    assert message in fail(*line, *with_db, *arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_a_stored_run_is_judged(nights, tmp_path):
    told = call("gate", nights, "--fail-on", "new")
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.splitlines() == [
        "Gate new: tripped by 1 failure mode; 1 undecided",
        "  ape: tree (40 images, accuracy 50.0%, drop 45.0%)",
    ]
    assert succeed("gate", nights, "--fail-on", "new", "--run", 5).stderr == "Gate new: passed\n"
    assert "give one or more gates" in fail("gate", nights)
    assert "holds no run 9" in fail("gate", nights, "--fail-on", "new", "--run", 9)


def test_many_modes_are_counted_and_some_are_named(tmp_path):
    many = [(f"c{n}", "hang", 20, 20 - n % 3) for n in range(30)]
    store([night(*many, *((f"c{n}", "sky", 80, 0) for n in range(30)))], tmp_path / "a.duckdb")
    told = call("gate", tmp_path / "a.duckdb", "--fail-on", "true", "--junit", tmp_path / "g.xml")
    lines = told.stderr.splitlines()
    assert lines[0] == "Gate true: tripped by 30 failure modes"
    assert (len(lines), lines[-1]) == (22, "  and 10 more")
    assert junit(tmp_path / "g.xml")[0]["failures"] == 30
