"""The Dagster asset of `examples/schedules`, imported and materialised by Dagster."""

import importlib.util

import pytest

from tests.schedules.conftest import SCHEDULES

dg = pytest.importorskip("dagster", reason="Dagster comes with make test-schedules")


@pytest.fixture
def example(night, tmp_path_factory, monkeypatch):
    for name, value in night.environment.items():
        monkeypatch.setenv(name, value)
    home = tmp_path_factory.mktemp("dagster")
    home.joinpath("dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    spec = importlib.util.spec_from_file_location("dagster_asset", SCHEDULES / "dagster_asset.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def materialize(example):
    instance = dg.DagsterInstance.ephemeral()
    return dg.materialize([example.failure_modes], instance=instance, raise_on_error=False)


def test_the_asset_is_made_and_its_check_says_whether_a_gate_tripped(example, night):
    first = materialize(example)
    assert first.success
    (made,) = first.asset_materializations_for_node("failure_modes")
    numbers = {name: value.value for name, value in made.metadata.items()}
    assert numbers["images"] == 3781
    assert numbers["failure_modes"] == night.modes().height == 12
    (check,) = first.get_asset_check_evaluations()
    assert check.passed

    night.worsen()
    second = materialize(example)
    (made,) = second.asset_materializations_for_node("failure_modes")
    assert made.metadata["failure_modes"].value == night.modes().height == 13
    (check,) = second.get_asset_check_evaluations()
    assert not check.passed
    assert "time" in check.description

    night.break_()
    third = materialize(example)
    assert not third.success
    assert third.asset_materializations_for_node("failure_modes") == []


def test_it_is_scheduled_for_the_night(example):
    schedule = example.defs.resolve_schedule_def("nightly")
    assert schedule.cron_schedule == "15 2 * * *"
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance=instance)
        assert schedule.evaluate_tick(context).run_requests
