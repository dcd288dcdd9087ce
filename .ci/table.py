"""A line for each part of a run of CI, and its slowest tests: python3 .ci/table.py FOLDER.

The folder has a file ``parts`` (name, seconds and status, by tabs) and pytest's JUnit reports, each
named after the target of the Makefile that it is of. A part of several reports has a line for each.
"""

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

SLOWEST = 25


def main(folder: Path) -> None:
    reports = {path.stem: ET.parse(path).getroot() for path in sorted(folder.glob("*.xml"))}
    print(f"\n{'part':28}{'minutes':>8}{'passed':>8}{'failed':>8}{'skipped':>8}")
    whole, everything = Counter(), 0.0
    parts = folder / "parts"
    for line in parts.read_text().splitlines() if parts.exists() else []:
        name, seconds, status = line.split("\t")
        everything += float(seconds)
        alone = reports.get(name)
        ends = "" if status == "0" else f"  exit status {status}"
        print(row(name, float(seconds), None if alone is None else counts(alone)) + ends)
        if name == "test-warehouses":  # at the same time
            for beside in [each for each in reports if each.startswith("test-on-")]:
                suite = reports[beside].find("testsuite")
                print(row(f"  {beside}", float(suite.get("time")), counts(reports[beside])))
    for report in reports.values():
        whole += counts(report)
    print(row("total", everything, whole))

    tests = [
        (float(case.get("time")), part, f"{case.get('classname')}::{case.get('name')}")
        for part, report in reports.items()
        for case in report.iter("testcase")
    ]
    if tests:
        print(f"\nThe {min(SLOWEST, len(tests))} slowest tests, in seconds")
    for seconds, part, name in sorted(tests, reverse=True)[:SLOWEST]:
        print(f"{seconds:8.1f}  {part:16}  {name[:120]}")
    print(f"\ntotal: {whole['passed']} passed, {whole['failed']} failed, {whole['skipped']} skipped")


def counts(report: ET.Element) -> Counter:
    found = Counter(passed=0, failed=0, skipped=0)
    for case in report.iter("testcase"):
        kinds = {child.tag for child in case}
        failed = kinds & {"failure", "error"}
        found["failed" if failed else "skipped" if "skipped" in kinds else "passed"] += 1
    return found


def row(name: str, seconds: float, tests: Counter | None) -> str:
    numbers = [] if tests is None else [tests[each] for each in ("passed", "failed", "skipped")]
    return f"{name:28}{seconds / 60:8.1f}" + "".join(f"{number:8}" for number in numbers)


main(Path(sys.argv[1]))
