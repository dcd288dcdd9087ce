"""What all tests share."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

# Elsewhere every run of the tests tries other examples, and may find something new; where a change
# is judged, it is judged by the same examples each time.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Files that take longest, which start first where several processes share the tests: at the end of
# all, one alone would be at work. Those after them come in the order of their names.
LONGEST = (
    "vision/test_emoji.py",
    "test_readme.py",
    "test_imagenet_x.py",
    "test_wheel.py",
    "test_job.py",
    "test_history.py",
    "test_cli.py",
    "test_search.py",
    "test_report.py",
    "vision/test_classifiers.py",
    "vision/test_tag.py",
)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(LONGEST)}
    assert all(path.exists() for path in rank)
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of one megabyte."""
    folder = tmp_path.with_name(f"{tmp_path.name}-small")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
