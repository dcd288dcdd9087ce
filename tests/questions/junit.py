"""A JUnit file, read and checked against what CI servers take."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime


def junit(path):
    """Read JUnit XML by the rules of the schema that Jenkins publishes (junit-10.xsd)."""
    root = ElementTree.fromstring(path.read_bytes())
    numbers = {"tests", "failures", "errors", "skipped"}
    known = {
        "testsuites": {"name", "time", "tests", "failures", "errors"},
        "testsuite": {
            *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
            *("hostname", "id", "package", "file", "log", "url"),
        },
        "testcase": {"name", "time", "classname", "group"},
        "failure": {"type", "message"},
        "skipped": {"type", "message"},
    }
    needed = {
        "testsuite": {"name", "tests", "failures", "errors"},
        "testcase": {"name", "classname"},  # servers ask for a class, too
        "failure": {"message"},
    }
    children = {
        "testsuites": {"testsuite"},
        "testsuite": {"testcase"},
        "testcase": {"failure", "skipped"},
        "failure": set(),
        "skipped": set(),
    }
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= known[element.tag]
        assert needed.get(element.tag, set()) <= set(element.attrib)
        assert {child.tag for child in element} <= children[element.tag]
        for name in numbers & set(element.attrib):
            assert int(element.get(name)) >= 0
        if "time" in element.attrib:
            assert re.fullmatch(r"\d*(\.\d*)?", element.get("time"))
        if "timestamp" in element.attrib:
            datetime.strptime(element.get("timestamp"), "%Y-%m-%dT%H:%M:%S")
    suites = []
    for suite in root:
        cases = suite.findall("testcase")
        counts = {
            "tests": len(cases),
            "failures": len(suite.findall("testcase/failure")),
            "skipped": len(suite.findall("testcase/skipped")),
            "errors": 0,
        }
        assert {name: int(suite.get(name)) for name in counts} == counts
        assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
        suites.append({"name": suite.get("name"), **counts, "cases": cases})
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name)) == sum(suite[name] for suite in suites)
    return suites
