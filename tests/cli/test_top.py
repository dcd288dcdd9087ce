"""``prime-sql top``, and the questions about what it shows."""

import inspect

import pytest
from typer.testing import CliRunner

import prime_sql as ps
from prime_sql import cli
from prime_sql.cli.top import By
from prime_sql.demo import demo
from prime_sql.engine import queries
from prime_sql.questions import rank
from tests import tables as data

pytestmark = pytest.mark.filterwarnings("ignore::prime_sql.InputWarning")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("rank") / "d.duckdb"
    demo.make(path).close()
    return path


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_top_says_what_it_shows_and_hides(database):
    result = call("top", database)
    assert result.exit_code == 0, result.output
    with ps.open_run(database) as run:
        summary = rank.summarize(run)
        assert result.stdout.startswith(f"{summary.modes} failure modes ")
        assert (
            f"10 of {summary.modes} failure modes shown; {summary.hidden} near-duplicates hidden.\n"
            f"Those shown explain {summary.explained / summary.errors:.0%} of "
            f"{summary.errors} errors.\n"
            f'All {summary.modes}: prime-sql sql {database} "from failure_modes"\n'
        ) in result.stdout
        assert max(len(line.rstrip()) for line in result.stdout.splitlines()[:-1]) <= 80
        rows = run.cover(top=3, by="drop", overlap=0.5).to_polars()
        printed = call(
            "top", database, "-n", 3, "--by", "drop", "--overlap", 0.5, "--format", "csv"
        )
        assert printed.stdout == rows.write_csv()
        rows = run.cover(top=3, overlap=None).to_polars()
        printed = call("top", database, "--top", 3, "--all", "--format", "csv")
        assert printed.stdout == rows.write_csv()
    everything = call("top", database, "-n", 1000).stdout
    assert "explain no further error.\n" in everything
    assert "near-duplicates hidden" not in call("top", database, "--all").stdout


def test_top_refuses(database):
    for arguments, message in (
        (("--all", "--overlap", 0.5), "--all and --overlap are mutually exclusive"),
        (("--overlap", 2), "overlap must be a share"),
        (("--top", 0), "--top"),
        (("--by", "accuracy"), "--by"),
    ):
        result = call("top", database, *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stdout == ""


def test_top_without_failure_modes(tmp_path):
    data.search(into=tmp_path / "none.duckdb", min_images=30).close()
    assert call("top", tmp_path / "none.duckdb").stdout.startswith("No failure modes. No class has")
    assert call("top", tmp_path / "none.duckdb", "--format", "json").stdout == "[]\n"


def test_its_flags_mirror_the_method():
    method = inspect.signature(ps.Run.cover).parameters
    assert {name: method[name].default for name in ("top", "by", "overlap")} == {
        "top": rank.TOP,
        "by": By.excess_errors,
        "overlap": rank.OVERLAP,
    }
    assert [each.value for each in By] == list(rank.ORDERS)


def test_questions_about_ranking(database):
    names = [question.name for question in queries.questions()]
    assert names[-2:] == ["families", "overlaps"]
    assert not {"picks", "mode_images", "cover"} & {*names}
    text = call("query", database, "families", "--param", "overlap=0.5", "--format", "csv").stdout
    with ps.open_run(database) as run:
        assert text == run.families(overlap=0.5).to_polars().write_csv()
        asked = run.query("overlaps", min_jaccard="0.8").to_polars()
        assert asked.equals(run.overlaps(min_jaccard=0.8).to_polars())
    result = call("query", database, "families", "--param", "by=drops")
    assert "Did you mean 'drop'?" in result.stderr
    assert (
        "families has no parameter 'most'"
        in call("query", database, "families", "--param", "most=3").stderr
    )


def test_every_statement_is_shown(database):
    seen = []
    with ps.open_run(database) as run:
        run.cover(top=2, on_sql=seen.append)
    assert {"mode_images", "families", "errors_0", "picks", "errors_1"} <= {s.step for s in seen}
