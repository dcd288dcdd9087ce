"""The SQL files: their headers, their listing, and the values that go into them."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from jinja2 import meta

import prime_sql as ps
from prime_sql.engine import queries

ROOT = Path(__file__).parents[2]

FILES = sorted((ROOT / "queries").rglob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_header_says_what_the_file_answers_reads_and_returns(path):
    query = queries._read(path)
    assert "?" in query.question or query.question.endswith(".")
    assert "parameter" not in query.question  # a line that the header's grammar did not take
    assert query.reads or query.parameters
    assert query.returns
    assert all(parameter.text for parameter in query.parameters)
    # The header declares what the template uses: nothing more, nothing less.
    used = queries._environment("duckdb").parse(query.template)
    declared = {parameter.name for parameter in query.parameters}
    assert meta.find_undeclared_variables(used) == declared


def test_every_file_is_found_and_listed():
    assert [query.path for query in queries.all_queries()] == FILES
    text = (ROOT / "queries" / "README.md").read_text(encoding="utf-8")
    listed = Counter(line.removeprefix("### ") for line in text.splitlines() if "### " in line)
    assert listed == Counter(path.name for path in FILES)


def test_readme_is_what_the_headers_say():
    printed = subprocess.run(
        [sys.executable, "-m", "prime_sql.queries"], capture_output=True, check=True, cwd=ROOT
    ).stdout.decode()
    assert (ROOT / "queries" / "README.md").read_text(encoding="utf-8") == printed, (
        "run: make queries/README.md"
    )


def test_numbers_of_a_command_line_are_read_as_numbers():
    query = queries.find("questions/ask/recurring_tags")
    for text in ("3", "3.0", "3e0"):
        assert query.render(min_classes=text) == query.render(min_classes=3)
    for wrong in ("3; drop table x", "nan", "inf", "", "three", None):
        with pytest.raises(ps.QueryError, match="takes a number"):
            query.render(min_classes=wrong)


def test_text_of_a_command_line_is_a_literal():
    sql = queries.find("questions/ask/images_of_mode").render(mode_id="x' or 'a' = 'a")
    assert "'x'' or ''a'' = ''a'" in sql
