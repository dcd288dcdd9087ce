"""The crontab line and the systemd units of `examples/schedules`, parsed and run."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from datetime import datetime

import pytest

from tests.schedules.conftest import SCHEDULES

croniter = pytest.importorskip("croniter", reason="croniter comes with make test-schedules")


class Units(configparser.ConfigParser):
    optionxform = staticmethod(str)  # names of settings keep their capitals


# cron ---------------------------------------------------------------------------------------------


def crontab(text):
    """The variables and the one entry of a crontab: its five fields, and its command."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines if re.match(r"^\w+=", line))
    (entry,) = (line for line in lines if not re.match(r"^\w+=", line))
    *fields, command = entry.split(None, 5)
    return variables, " ".join(fields), command


def run_cron(night):
    """Run the entry as cron does: sh, and nothing in the environment but a few variables."""
    variables, _, command = crontab(night.here((SCHEDULES / "crontab").read_text()))
    assert "%" not in command  # cron would make a line break of it
    environment = {"HOME": "/", "LOGNAME": "root", "SHELL": "/bin/sh", **variables}
    return subprocess.run(
        ["/bin/sh", "-c", command], env=environment, cwd="/", capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_cron_runs_it_every_night():
    _, fields, _ = crontab((SCHEDULES / "crontab").read_text())
    assert croniter.croniter.is_valid(fields, strict=True)
    times = croniter.croniter(fields, datetime(2026, 1, 31, 12))
    assert [times.get_next(datetime) for _ in range(2)] == [
        datetime(2026, 2, 1, 2, 15),
        datetime(2026, 2, 2, 2, 15),
    ]


def test_cron_is_silent_until_there_is_something_to_say(night):
    first = run_cron(night)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert night.modes().height == 12
    report = (night.folder / "report.html").read_text(encoding="utf-8")

    night.worsen()
    second = run_cron(night)
    assert "time" in second.stdout  # the new failure mode is named
    assert night.modes().height == 13
    assert (night.folder / "report.html").read_text(encoding="utf-8") != report

    report = (night.folder / "report.html").read_text(encoding="utf-8")
    night.break_()
    third = run_cron(night)
    assert "tags.parquet" in third.stdout
    assert (night.folder / "report.html").read_text(encoding="utf-8") == report


# systemd ------------------------------------------------------------------------------------------


@pytest.fixture
def units(night):
    folder = night.folder / "units"
    folder.mkdir()
    service = night.here((SCHEDULES / "prime-sql.service").read_text())
    folder.joinpath("prime-sql.service").write_text(service)
    shutil.copy(SCHEDULES / "prime-sql.timer", folder)
    return folder


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_accepts_the_units_and_the_time(units):
    for unit in ("prime-sql.service", "prime-sql.timer"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", units / unit],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        ours = [line for line in done.stderr.splitlines() if "prime-sql" in line]
        assert (done.returncode, ours) == (0, [])
    broken = units / "prime-sql.service"
    broken.write_text(broken.read_text().replace("prime-sql run", "prime-sqI run"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", broken], capture_output=True, check=False
    )
    assert done.returncode != 0  # it looks

    timer = Units()
    timer.read(units / "prime-sql.timer")
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-01-31 12:00:00",
         timer["Timer"]["OnCalendar"]],
        env={**os.environ, "TZ": "UTC"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "2026-02-01 02:15:00" in done.stdout


def test_the_service_runs_and_its_status_says_how_it_went(night, units):
    service = Units()
    service.read(units / "prime-sql.service")
    assert service["Service"]["Type"] == "oneshot"

    def start():
        """Run what the service starts, where it starts it, without a shell."""
        return subprocess.run(
            shlex.split(service["Service"]["ExecStart"]),
            cwd=service["Service"]["WorkingDirectory"],
            env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert start().returncode == 0
    assert night.modes().height == 12
    night.worsen()
    assert start().returncode == 1
    night.break_()
    assert start().returncode == 2
