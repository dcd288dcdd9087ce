"""What people type badly is refused in one short message; ``make fuzz`` does ten times as much."""

import random

import pytest

from tests import fuzz
from tests.examples import seed
from tests.fuzz import faults, world
from tests.fuzz.commands import GOOD, MODEL, parameters
from tests.fuzz.faults import Fault
from tests.fuzz.worker import invoke

TIMES = 150


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    world.make(folder)
    return folder


@pytest.mark.random
def test_a_tenth_of_make_fuzz():
    done = fuzz.fuzz(seed(0), TIMES, processes=1, every=50)
    assert done.processes == 3
    assert done.tried.total() == TIMES + 3
    assert not done.failed, done.report()


# That each of them has one fault: without it, the command line is good.


@pytest.mark.parametrize("command", GOOD)
def test_a_good_command_line_is_done(command, template, tmp_path, monkeypatch):
    world.copy(template, tmp_path)
    monkeypatch.chdir(tmp_path)
    mode = world.mode_id(template)[:8]
    answer = invoke([command, *[each.replace("{mode}", mode) for each in GOOD[command]]], {})
    assert not answer["trace"]
    if command not in MODEL:
        assert answer["status"] == 0, answer["err"]


def test_every_command_and_every_parameter_has_faults():
    known = faults.all_faults(random.Random(0), "mode")
    assert len(known) > 1500
    assert {each.command for each in known} == {*GOOD, "(none)"}
    empty = [fault.command for fault in known if fault.kind == "empty"]
    taken = [each.command for each in parameters()]
    assert {each: empty.count(each) for each in GOOD} == {
        each: 4 * taken.count(each) for each in GOOD
    }


def test_another_seed_has_other_words_and_the_same_seed_the_same():
    first, again, other = (fuzz.choose(number, 300, "mode") for number in (0, 0, 1))
    assert first == again
    assert first != other
    kinds = {(each.command, each.kind) for each in faults.all_faults(random.Random(0), "mode")}
    assert {(each.command, each.kind) for each in first} == kinds


# That it can fail: what is not refused as it should be is told.

FAULT = Fault("top", "kind", ["top", "zq.duckdb"], ("zq.duckdb",), unsaid=("hunter2",))
RIGHT = {"status": 2, "out": "", "err": "Error: no zq.duckdb\n", "trace": "", "changes": []}
WRONG = {
    "hangs": {"hung": True},
    "traceback": {"trace": "Traceback (most recent call last):"},
    "exit status 0": {"status": 0},
    "exit status 1": {"status": 1},
    "left something: a, b": {"changes": ["a", "b"]},
    "printed a result": {"out": "3 rows"},
    "not one message": {"err": "Error: no zq.duckdb\nError: no zq.duckdb\n"},
    "600 characters": {"err": "Error: no zq.duckdb".ljust(599, "x") + "x\n"},
    "control characters": {"err": "Error: no zq.duckdb\x1b[0m\n"},
    "tells a secret": {"err": "Error: no zq.duckdb?token=hunter2\n"},
    "names no culprit": {"err": "Error: no such file\n"},
}


def test_what_is_refused_rightly_is_not_told():
    assert fuzz.wrong(FAULT, RIGHT) is None


@pytest.mark.parametrize("why", WRONG)
def test_what_is_refused_wrongly_is_told(why):
    assert fuzz.wrong(FAULT, {**RIGHT, **WRONG[why]}) == why


def test_a_good_command_line_is_told_and_counted(template):
    done = fuzz.Fuzz(template)
    good = Fault("runs", "pair", ["runs", "runs.duckdb"], ("runs",))
    made = Fault("search", "pair", ["search", *GOOD["search"], "--db", "new.duckdb"], ("new",))
    bad = Fault("runs", "pair", ["runs", "zq.duckdb"], ("zq.duckdb",))
    done.run([good, made, bad], 1, 1)
    assert done.processes == 3
    assert [why for _, why, _ in done.failed] == ["exit status 0"] * 4
    assert all(fault in (good, made) for fault, _, _ in done.failed)
    runs = next(line for line in done.table().splitlines() if line.startswith("runs"))
    assert runs.split() == ["runs", "4", "4", "2"]


def test_a_command_line_that_hangs_is_ended(template):
    worker = fuzz.Worker(template)
    endless = "select count(*) from range(1000000) a, range(1000000) b where hash(a, b) = 0"
    hangs = Fault("sql", "hang", ["sql", "runs.duckdb", endless], ("sql",))
    fine = Fault("runs", "pair", ["runs", "zq.duckdb"], ("zq.duckdb",))
    try:
        assert worker.ask(fine)["status"] == 2
        assert fuzz.wrong(hangs, worker.ask(hangs, 2)) == "hangs"
        assert worker.ask(fine)["status"] == 2
    finally:
        worker.close()
