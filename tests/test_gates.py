"""Gates: which conditions are refused, which modes trip, and what CI servers get to read."""

import json
import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import prime_sql as ps
from prime_sql import gates
from tests import data
from tests.examples import examples
from tests.test_cli import call, fail, succeed
from tests.test_history import NIGHTS, night, store
from tests.test_search import frames

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

CHOSEN = {"min_images": 20, "min_drop": 0.32, "max_tags": 2}
# What a tag may be and a report must survive.
HOSTILE = "<b>&amp;|`]]>\x07\x1b[31m\"'\ud800\ufffe\nnew_line_ 猫"


# What a gate may be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a gate is 'new' or an SQL condition"),
        ("nwe", "there is no column 'nwe'. Did you mean 'new'?"),
        ("not new", "no column 'new'. 'new' stands alone; in a condition write status = 'new'."),
        ("(New)", "no column 'New'. 'new' stands alone; in"),
        ("new -- since the previous run", "no column 'new'. 'new' stands alone; in"),
        ("acuracy_drop > 0.4", "there is no column 'acuracy_drop'. Did you mean 'accuracy_drop'?"),
        ("images > 5 and zzz = 1", "there is no column 'zzz'. There are: run_id, mode_id, class_n"),
        ('verdict = "holds"', "Text stands in single quotes"),
        ("f.images > 5", "no column 'f.images'. Did you mean 'images'?"),
        ("images >", "is no SQL condition"),
        ("true) or (true", "is no SQL condition"),
        ("tags = 'open", "is no SQL condition"),
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
        ("unnest([1, 2]) > 1", "is no condition on a failure mode"),
        ("images > $1", "is no condition on a failure mode"),
        ("images > 5 as x", "is no condition on a failure mode"),
        ("no_such_function(images)", "is no condition on a failure mode"),
        ("random() < 0.5", "calls random, which does not answer the same every time"),
        ("cast(UUID() as varchar) > tags", "calls UUID, which does not answer"),
        ("now() > timestamp '2026-01-01'", "calls now, which does not answer"),
        ("current_date > date '2026-01-01'", "calls current_date, which does not answer"),
        (
            "current_timestamp > timestamp '2026-01-01'",
            "calls current_timestamp, which does not answer",
        ),
        ("Current_Setting('threads') > 1", "calls Current_Setting, which does not answer"),
        ("age(timestamp '2026-01-01') > interval 1 day", "calls age, which does not answer"),
        ("columns(*) is not null", "names no columns; write out the name of each one"),
        ("columns('stat.*') = 'new'", "names no columns; write out the name of each one"),
        ("#24 = 'new'", "names no columns; write out the name of each one"),
        ("status is null", "can never trip: a column is null where it is not known"),
        ("(Verdict) isnull and images > 5", "can never trip"),
        ("not (status is not null)", "can never trip"),
        ("status is null or q_value is null", "can never trip"),
        ("images", "is a BIGINT; a condition is true or false"),
        ("'new'", "is a VARCHAR; a condition"),
        ("sum(images)", "is no condition on a failure mode"),
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


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    db = tmp_path_factory.mktemp("gates") / "prime.duckdb"
    store(NIGHTS, db, job="nightly")
    # Night 5: "tree" fails since the previous night, where it was counted; "hang" recovers.
    sky = ("ape", "sky", 320, 0)
    more = (
        night(("ape", "hang", 40, 24), ("ape", "tree", 40, 2), sky),
        night(
            ("ape", "hang", 40, 0),
            ("ape", "tree", 40, 20),
            ("dog", "wing", 40, 30),
            ("dog", "sky", 99, 0),
            sky,
        ),
    )
    store(more, db, job="nightly")
    return db


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
        first = "there is no earlier run that run 1 is compared with" if number == 1 else None
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
        assert "q_value is not known of run 1; `prime-sql chance` adds it" in outcome.sentence()
        run.chance()
        assert names(*gates.judge(run, [gate])) == {("ape", "hang"), ("bee", "wing")}


def test_what_cannot_be_worked_out_on_the_data_is_one_error():
    gate = gates.parse("cast(tags as integer) > 5")
    with ps.search(*frames(*NIGHTS[0]), **CHOSEN) as run, pytest.raises(ps.QueryError) as caught:
        gates.judge(run, [gate])
    assert str(caught.value).startswith("the gate 'cast(tags as integer) > 5' cannot be judged: ")
    assert "\n" not in str(caught.value)


# The commands -------------------------------------------------------------------------------------


@pytest.fixture
def line(tmp_path):
    predictions = data.write(data.PREDICTIONS, tmp_path / "p.csv")
    tags = data.write(data.TAGS, tmp_path / "t.csv")
    return ["search", predictions, tags, "--min-images", 4, "--max-tags", 2]


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
        "Gate new: cannot trip, because there is no earlier run that run 1 is compared with",
    ]


def test_search_with_gates_that_hold(line, tmp_path):
    db = tmp_path / "a.duckdb"
    assert succeed(*line, "--db", db, "--fail-on", "new").stderr.endswith("is compared with\n")
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
        (["--junit", "gates.xml"], "--junit says which gates tripped: give --fail-on, too"),
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


# What CI servers read -----------------------------------------------------------------------------


def junit(path):
    """Read JUnit XML by the rules of the schema that Jenkins publishes (junit-10.xsd)."""
    root = ElementTree.fromstring(path.read_bytes())
    numbers = {"tests", "failures", "errors", "skipped"}
    known = {
        "testsuites": {"name", "time", "tests", "failures", "errors"},
        "testsuite": {
            *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
            *("hostname", "id", "package", "file", "log", "url"),
        },
        "testcase": {"name", "time", "classname", "group"},
        "failure": {"type", "message"},
        "skipped": {"type", "message"},
    }
    needed = {
        "testsuite": {"name", "tests", "failures", "errors"},
        "testcase": {"name", "classname"},  # servers ask for a class, too
        "failure": {"message"},
    }
    children = {
        "testsuites": {"testsuite"},
        "testsuite": {"testcase"},
        "testcase": {"failure", "skipped"},
        "failure": set(),
        "skipped": set(),
    }
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= known[element.tag]
        assert needed.get(element.tag, set()) <= set(element.attrib)
        assert {child.tag for child in element} <= children[element.tag]
        for name in numbers & set(element.attrib):
            assert int(element.get(name)) >= 0
        if "time" in element.attrib:
            assert re.fullmatch(r"\d*(\.\d*)?", element.get("time"))
        if "timestamp" in element.attrib:
            datetime.strptime(element.get("timestamp"), "%Y-%m-%dT%H:%M:%S")
    suites = []
    for suite in root:
        cases = suite.findall("testcase")
        counts = {
            "tests": len(cases),
            "failures": len(suite.findall("testcase/failure")),
            "skipped": len(suite.findall("testcase/skipped")),
            "errors": 0,
        }
        assert {name: int(suite.get(name)) for name in counts} == counts
        assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
        suites.append({"name": suite.get("name"), **counts, "cases": cases})
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name)) == sum(suite[name] for suite in suites)
    return suites


def test_junit_has_a_suite_for_each_gate_and_a_case_for_each_mode(nights, tmp_path):
    texts = ["true", "new", "verdict = 'holds'", "images > 1000"]
    line = [argument for text in texts for argument in ("--fail-on", text)]
    path = tmp_path / "gates.xml"
    path.write_text("yesterday's")
    assert call("gate", nights, *line, "--junit", path).exit_code == 1
    every, new, holds, large = junit(path)
    assert [suite["name"] for suite in (every, new, holds, large)] == texts
    with ps.open_run(nights) as run:
        rows = run.failure_modes.to_polars().to_dicts()
    assert [case.get("name") for case in every["cases"]] == [
        f"true: {row['class_name']}: {row['tags']}" for row in rows
    ]
    for case, row in zip(every["cases"], rows, strict=True):
        text = case.find("failure").text
        assert f"mode_id: {row['mode_id']}\n" in text
        assert f"accuracy_drop: {row['accuracy_drop']}\n" in text
    assert (new["tests"], new["failures"], new["skipped"]) == (1, 1, 0)
    assert (holds["tests"], holds["failures"], holds["skipped"]) == (1, 0, 1)
    assert "not checked" in holds["cases"][0].find("skipped").get("message")
    assert (large["tests"], large["failures"], large["skipped"]) == (1, 0, 0)
    assert sorted(path.parent.iterdir()) == [path]


@pytest.fixture(scope="module")
def tripped():
    with ps.search(
        *frames(*night(("ape", "hang", 40, 30), ("ape", "sky", 160, 0))), **CHOSEN
    ) as run:
        (outcome,) = gates.judge(run, [gates.parse("true")])
        yield run, outcome


@examples(60)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_gives_valid_xml(tmp_path_factory, tripped, name, text):
    run, outcome = tripped
    modes = outcome.modes.with_columns(
        class_name=pl.lit(name, pl.String), tags=pl.lit(name, pl.String)
    )
    path = tmp_path_factory.mktemp("xml") / "gates.xml"
    written = gates.junit(run, [gates.Outcome(gates.Gate(text, "true", ()), modes, 0, None)])
    path.write_text(written, encoding="utf-8", newline="\n")
    (suite,) = junit(path)
    if name.isprintable():
        assert suite["cases"][0].get("name").endswith(f": {name}: {name}")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose class and tag are hostile, in a database."""
    db = tmp_path_factory.mktemp("hostile") / "a.duckdb"
    name = HOSTILE.replace("\ud800", "")  # no table can hold half a character
    (predictions, tags) = night((name, "tag", 40, 30), (name, "sky", 160, 0))
    tags = [(image, name if tag == "tag" else tag) for image, tag in tags]
    store([(predictions, tags)], db, job=name)
    return db


def test_hostile_names_reach_servers_as_text(hostile, tmp_path):
    path, page = tmp_path / "gates.xml", tmp_path / "summary.md"
    gate = "tags like '%<b>%' and images > 0"
    told = call("gate", hostile, "--fail-on", gate, "--junit", path, "--summary", page)
    assert told.exit_code == 1
    assert "\x1b" not in told.stderr + page.read_text() + path.read_text()
    (suite,) = junit(path)
    assert "<b>&amp;|`]]>\\x07\\x1b[31m" in suite["cases"][0].get("name")
    rows = tables(page.read_text())[1]
    assert len(rows) == 2
    shown = rows[1][rows[0].index("tags")]
    assert shown.startswith("<b>&amp;|`]]>\\x07\\x1b[31m\"'\\ufffe\nnew_line_ 猫")
    assert tables(page.read_text())[0][1][0] == gate


def tables(text):
    """The tables of GitHub-flavoured Markdown, read by an independent parser, as plain text."""
    found, cell = [], None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("td_open", "th_open"):
            cell = []
        elif token.type == "inline" and cell is not None:
            for part in token.children:
                assert part.type in ("text", "text_special", "html_inline"), part
                assert part.type != "html_inline" or part.content == "<br>"
                cell.append("\n" if part.type == "html_inline" else part.content)
            found[-1][-1].append("".join(cell))
            cell = None
        assert token.type != "html_block"
    return found


def test_summaries_are_appended(nights, tmp_path):
    page = tmp_path / "summary.md"
    page.write_text("# Before\n")
    call("gate", nights, "--fail-on", "new", "--fail-on", "images > 1000", "--summary", page)
    call("gate", nights, "--fail-on", "new", "--run", 5, "--summary", page)
    text = page.read_text()
    assert text.startswith("# Before\n\n### 2 failure modes in run 6: 1 of 2 gates tripped\n\n")
    assert "\n\n### 1 failure mode in run 5: passed\n\n" in text
    first, modes, second, others = tables(text)
    assert first == [
        ["gate", "outcome", "failure modes", "undecided"],
        ["new", "tripped", "1", "1"],
        ["images > 1000", "passed", "0", "0"],
    ]
    assert modes[0] == [
        *("trips", "class", "tags", "images", "errors", "accuracy", "class accuracy"),
        "accuracy drop",
    ]
    # Those that trip a gate come first.
    assert [row[:3] for row in modes[1:]] == [["new", "ape", "tree"], ["", "dog", "wing"]]
    assert modes[1][3:] == ["40", "20", "50.0 %", "95.0 %", "45.0 %"]
    assert second[1] == ["new", "passed", "0", "0"]
    assert others[0][0] == "class"


def test_a_summary_of_no_failure_modes_says_why(line, tmp_path):
    page = tmp_path / "summary.md"
    succeed(*line, "--min-images", 50, "--summary", page)
    assert page.read_text().startswith("### 0 failure modes in run 1\n")
    assert tables(page.read_text())[0][1][0].startswith("No class has 50 images; the largest has")
