"""`examples/business/`: the SQL files and the notebook, against plain Python."""

import hashlib
import runpy
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner

from prime_sql.cli.app import app

ROOT = Path(__file__).parent.parent
BUSINESS = ROOT / "examples" / "business"
EMOJI = ROOT / "examples" / "emoji"
QUESTIONS = ("cost_of_failure_modes", "worst_regions", "trend_by_week")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands of the README were typed: a database, and the orders."""
    folder = tmp_path_factory.mktemp("business")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "examples").symlink_to(ROOT / "examples")
        for line in commands():
            if "search" in line or "orders.sql" in line:
                command(line)
    return folder


def commands():
    text = (BUSINESS / "README.md").read_text(encoding="utf-8")
    lines = text.split("```sh\n")[1].split("```")[0].splitlines()
    return [line.removeprefix("prime-sql ") for line in lines]


def command(line, *more):
    result = CliRunner().invoke(app, [*line.split(), *more])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def expected(folder):
    """The three answers, image by image."""
    orders = pl.read_parquet(folder / "orders.parquet").rows_by_key(
        "image_id", named=True, unique=True
    )
    tags = defaultdict(set)
    for image_id, tag in pl.read_parquet(EMOJI / "tags.parquet").rows():
        tags[image_id].add(tag)
    classes = defaultdict(dict)
    for image_id, label, prediction, _ in pl.read_parquet(EMOJI / "predictions.parquet").rows():
        classes[label][image_id] = label != prediction
    with duckdb.connect(folder / "emoji.duckdb", read_only=True) as con:
        modes = con.sql("select class_name, tags from prime.failure_modes").fetchall()
    assert len(modes) > 20

    costs, lost = [], set()
    for class_name, text in modes:
        members = [i for i in classes[class_name] if tags[i] >= set(text.split(" + "))]
        wrong = [i for i in members if classes[class_name][i]]
        lost.update(wrong)
        value = sum(orders[i]["order_value"] for i in members)
        lost_value = sum((orders[i]["order_value"] for i in wrong), Decimal())
        error_rate = sum(classes[class_name].values()) / len(classes[class_name])
        costs.append(
            (class_name, text, len(members), len(wrong), value, lost_value,
             float(lost_value) - float(value) * error_rate)
        )  # fmt: skip
    costs.sort(key=lambda row: (-row[5], row[0], row[1]))

    def totals(key):
        groups = defaultdict(list)
        for image_id, order in orders.items():
            groups[key(order)].append((order["order_value"], image_id in lost))
        for name, rows in groups.items():
            value = sum(value for value, _ in rows)
            lost_value = sum((value for value, is_lost in rows if is_lost), Decimal())
            share = float(lost_value / value)
            yield (*name, len(rows), sum(is_lost for _, is_lost in rows), value, lost_value, share)

    regions = sorted(
        totals(lambda order: (order["region"], order["camera"])),
        key=lambda row: (-row[6], row[0], row[1]),
    )
    day = "ordered_on"
    weeks = sorted(totals(lambda order: (order[day] - timedelta(days=order[day].weekday()),)))
    before = [None, *(row[4] for row in weeks)]
    weeks = [
        (*row, None if b is None else row[4] - b) for row, b in zip(weeks, before, strict=False)
    ]
    return dict(zip(QUESTIONS, (costs, regions, weeks), strict=True))


def same(found, expected):
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        for value, other in zip(row, wanted, strict=True):
            if isinstance(other, float):
                assert float(value) == pytest.approx(other, abs=1e-6)
            else:
                assert value == other


@pytest.mark.parametrize("question", QUESTIONS)
def test_sql_files_answer_their_questions(folder, expected, question, monkeypatch):
    monkeypatch.chdir(folder)
    (line,) = (line for line in commands() if question in line)
    output = folder / f"{question}.parquet"
    command(line, "-o", str(output))
    same(pl.read_parquet(output).rows(), expected[question])


def test_sql_files_run_in_another_client_under_another_name(folder, expected, monkeypatch):
    monkeypatch.chdir(folder)
    with duckdb.connect() as con:
        con.execute("attach 'emoji.duckdb' as warehouse (read_only); use warehouse")
        for question in QUESTIONS:
            text = (BUSINESS / f"{question}.sql").read_text(encoding="utf-8")
            same(con.sql(text).fetchall(), expected[question])


def test_the_notebook_gives_the_same_answers(expected, monkeypatch):
    monkeypatch.chdir(ROOT)  # it changes the folder itself; this one is put back
    cells = runpy.run_path(str(BUSINESS / "analysis.py"))
    for question in QUESTIONS:
        same(cells[question].rows(), expected[question])
    assert cells["trend_by_week"].columns == [
        "week",
        "orders",
        "lost_orders",
        "order_value",
        "lost_value",
        "lost_share",
        "change",
    ]


def test_what_the_readme_says_of_the_orders(folder, expected):
    orders = pl.read_parquet(folder / "orders.parquet")
    assert orders.height == orders["image_id"].n_unique() == 3781
    # The same on every machine: what they are drawn by, worked out in Python.
    for row in orders.sample(50, seed=1).iter_rows(named=True):

        def draw(name, sides, image_id=row["image_id"]):
            digest = hashlib.md5(f"{image_id} {name}".encode()).digest()
            return int.from_bytes(digest[8:], "little") % sides

        assert row["camera"] == ("belt" if draw("camera", 100) < 60 else "desk")
        assert row["order_value"] == Decimal(500 + draw("value", 9000)) / 100
    weeks = [row[5] for row in expected["trend_by_week"] if row[1] > 50]
    assert min(weeks[4:]) > max(weeks[:4])  # the loss grows
