"""The GitHub Actions workflow of `examples/schedules`: its schema, and its steps run in order."""

import subprocess
import xml.etree.ElementTree as ET

import pytest

from tests.schedules.conftest import COMMANDS, SCHEDULES

pytest.importorskip("check_jsonschema", reason="check-jsonschema comes with make test-schedules")
yaml = pytest.importorskip("yaml", reason="PyYAML comes with make test-schedules")

WORKFLOW = SCHEDULES / "github-actions.yml"


@pytest.fixture
def steps():
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    return job["steps"]


def test_it_is_a_workflow(tmp_path):
    def check(path):
        return subprocess.run(
            [COMMANDS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = check(WORKFLOW)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "workflow.yml"
    broken.write_text(WORKFLOW.read_text(encoding="utf-8").replace("runs-on", "run-on"))
    assert check(broken).returncode != 0


def run(night, steps):
    """Run the steps that run something, until one fails; return those that ran and the last one."""
    summary = night.folder / "step_summary.md"
    environment = {
        **night.environment,
        "GITHUB_STEP_SUMMARY": str(summary),
        "PRIME_SQL": "prime-sql",  # instead of the clone that the workflow names
        "PIP_NO_INDEX": "1",  # what is to be installed is: nothing is fetched
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    ran = []
    for step in steps:
        if "run" in step:
            # GitHub's default shell.
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]], cwd=night.folder, env=environment,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            ran.append(step["name"])
            if done.returncode != 0:
                break
    return ran, done


def test_its_steps_run_and_write_the_summary(night, steps):
    ran, done = run(night, steps)
    assert done.returncode == 0, done.stderr
    assert ran == ["Install", "Check the job file", "Search"]
    summary = night.folder / "step_summary.md"
    assert "date + kiss" in summary.read_text(encoding="utf-8")
    # What the last steps keep is there.
    (upload,) = (step for step in steps if "upload-artifact" in step.get("uses", ""))
    assert all((night.folder / name).is_file() for name in upload["with"]["path"].split())
    (save,) = (step for step in steps if "cache/save" in step.get("uses", ""))
    assert (night.folder / save["with"]["path"]).is_file()

    search = [step for step in steps if step.get("name") == "Search"]
    night.worsen()
    _, done = run(night, search)
    assert done.returncode == 1
    assert "time" in summary.read_text(encoding="utf-8")
    gates = ET.parse(night.folder / "gates.xml").getroot()
    assert gates.findall(".//failure")

    night.break_()
    _, done = run(night, search)
    assert done.returncode == 2
    assert "tags.parquet" in done.stderr
