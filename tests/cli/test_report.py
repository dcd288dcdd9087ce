"""``prime-sql report``."""

import json
from pathlib import Path

import pytest

import prime_sql as ps
from tests import tables as data
from tests.cli.command import call, fail, succeed


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "prime.duckdb"
    for drop in (0.3, 0.9):
        data.search(into=path, min_drop=drop).close()
    return path


def test_every_form_by_the_ending_or_by_name(stored, tmp_path):
    with ps.open_run(stored, 1) as run:
        report = run.report()
    expected = {
        "html": report.to_html(),
        "json": report.to_json() + "\n",
        "text": report.to_text(),
    }
    for form, ending in (("html", "html"), ("json", "json"), ("text", "txt")):
        file = tmp_path / f"report.{ending}"
        result = succeed("report", stored, "--run", "1", "-o", file)
        assert result.stdout == ""
        assert "3 failure modes of run 1" in result.stderr
        assert file.read_text(encoding="utf-8") == expected[form]
        printed = succeed("report", stored, "--run", "1", "--format", form).stdout
        assert printed == expected[form]
        other = tmp_path / "report.xyz"
        succeed("report", stored, "--run", "1", "-o", other, "--format", form, "--quiet")
        assert other.read_text(encoding="utf-8") == expected[form]
    assert succeed("report", stored, "--run", "1").stdout == expected["text"]
    assert "No failure modes" in succeed("report", stored).stdout  # the latest run
    few = json.loads(
        succeed(
            "report", stored, "--run", "1", "--format", "json", "-n", "1", "--cards", "2"
        ).stdout
    )
    assert (len(few["headline"]["cover"]), len(few["cards"]), len(few["modes"])) == (1, 2, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("report.html", "report.json", "report.txt", "report.xyz"),
    ]


def test_the_sql_of_a_card_runs_in_a_file_called_prime(stored):
    with ps.open_run(stored, 1) as run:
        card = run.report().cards[0]
        modes = dict(run.failure_modes.table.select("mode_id", "images").to_polars().iter_rows())
        answer = run.backend.raw_sql(card.sql).fetchall()
        assert len(answer) == modes[card.mode_id]
    text = succeed("sql", stored, card.sql, "--format", "json").stdout
    assert len(json.loads(text)) == len(answer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "report.pdf"], "cannot write report.pdf: name a file that ends in .html, .json"),
        (["-o", "no/report.html"], "the folder no does not exist"),
        (["-o", "folder.html"], "it is a folder"),
        (["-o", "prime.duckdb", "--format", "html"], "DB and --output are the same file"),
        (["--run", "9"], "holds no run 9"),
    ],
)
def test_bad_usage_is_one_message(stored, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("prime.duckdb").write_bytes(stored.read_bytes())
    Path("folder.html").mkdir()
    assert message in fail("report", "prime.duckdb", *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "prime.duckdb"]


def test_what_fails_leaves_the_last_report(stored, tmp_path, monkeypatch):
    file = tmp_path / "report.html"
    file.write_text("yesterday's")
    assert call("report", stored, "--run", "9", "-o", file).exit_code == 2

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space left" in fail("report", stored, "-o", file)
    assert file.read_text() == "yesterday's"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
