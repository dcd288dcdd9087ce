"""What CI servers read of gates: JUnit XML and summaries."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import prime_sql as ps
from prime_sql.questions import gate_files, gates
from tests.cli.command import call, succeed
from tests.examples import examples
from tests.questions.junit import junit
from tests.questions.nights import night, store

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")

# What a tag may be and a report must survive.
HOSTILE = "<b>&amp;|`]]>\x07\x1b[31m\"'\ud800\ufffe\nnew_line_ 猫"


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


@examples(60)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_gives_valid_xml(tmp_path_factory, tripped, name, text):
    run, outcome = tripped
    modes = outcome.modes.with_columns(
        class_name=pl.lit(name, pl.String), tags=pl.lit(name, pl.String)
    )
    path = tmp_path_factory.mktemp("xml") / "gates.xml"
    written = gate_files.junit(run, [gates.Outcome(gates.Gate(text, "true", ()), modes, 0, None)])
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
