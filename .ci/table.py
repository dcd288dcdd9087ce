"""A line for each part of a run of CI, and its slowest tests: python3 .ci/table.py FOLDER.

The folder has a file ``parts`` (targets of the Makefile, seconds and status, by tabs) and pytest's
JUnit reports, each named after its target. Tests that ran at the same time have a line each.
"""

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

SLOWEST = 25
KINDS = ("passed", "failed", "skipped")


def main(folder: Path) -> None:
    reports = {path.stem: ET.parse(path).getroot() for path in sorted(folder.glob("*.xml"))}
    print(f"\n{'part':28}{'minutes':>8}{'passed':>8}{'failed':>8}{'skipped':>8}")
    whole, everything = Counter(), 0.0
    parts = folder / "parts"
    for line in parts.read_text().splitlines() if parts.exists() else []:
        names, seconds, status = line.split("\t")
        everything += float(seconds)
        targets = names.split()
        ends = "" if status == "0" else f"  exit status {status}"
        if len(targets) == 1 or not reports.keys() & targets:
            print(row(names, float(seconds), reports.get(names)) + ends)
            continue
        print(row("at the same time:", float(seconds), None) + ends)
        for target in targets:
            report = reports.get(target)
            took = None if report is None else float(report.find("testsuite").get("time"))
            print(row(f"  {target}", took, report))
    for report in reports.values():
        whole += counts(report)
    print(f"{'total':28}{everything / 60:8.1f}" + cells(whole))

    tests = [
        (float(case.get("time")), part, f"{case.get('classname')}::{case.get('name')}")
        for part, report in reports.items()
        for case in report.iter("testcase")
    ]
    if tests:
        print(f"\nThe {min(SLOWEST, len(tests))} slowest tests, in seconds")
    for seconds, part, name in sorted(tests, reverse=True)[:SLOWEST]:
        print(f"{seconds:8.1f}  {part:16}  {name[:120]}")
    print(
        f"\ntotal: {whole['passed']} passed, {whole['failed']} failed, {whole['skipped']} skipped"
    )


def counts(report: ET.Element) -> Counter:
    found = Counter(passed=0, failed=0, skipped=0)
    for case in report.iter("testcase"):
        kinds = {child.tag for child in case}
        failed = kinds & {"failure", "error"}
        found["failed" if failed else "skipped" if "skipped" in kinds else "passed"] += 1
    return found


def cells(tests: Counter) -> str:
    return "".join(f"{tests[each]:8}" for each in KINDS)


def row(name: str, seconds: float | None, report: ET.Element | None) -> str:
    minutes = "" if seconds is None else f"{seconds / 60:.1f}"
    return f"{name:28}{minutes:>8}" + ("" if report is None else cells(counts(report)))


main(Path(sys.argv[1]))
