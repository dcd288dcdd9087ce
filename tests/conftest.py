"""What all tests share."""

import os
import signal
import subprocess

import pytest

# Where several processes share the tests there is one for each core: more threads of each would
# wait for each other, and use up the time of the others by waiting. Before torch and NumPy start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# What a script runs in the background starts with interrupts ignored, as would all that it starts;
# tests send some.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What asserts there fail with says as much as in a test.
pytest.register_assert_rewrite(
    "tests.cli.command",
    "tests.discovery.nights",
    "tests.generated",
    "tests.job.jobs",
    "tests.questions.junit",
    "tests.refusals",
    "tests.report.page",
    "tests.vision.classifiers.answers",
    "tests.vision.few_and_many",
    "tests.vision.images.listing",
    "tests.vision.pixels",
    "tests.vision.tagged",
)

import polars as pl  # noqa: E402

import prime_sql as ps  # noqa: E402
from prime_sql.demo import demo  # noqa: E402
from tests import tables as data  # noqa: E402
from tests.cells import HOSTILE  # noqa: E402
from tests.generated import frames  # noqa: E402


def pytest_collection_modifyitems(items):
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("random")


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


@pytest.fixture
def hostile():
    return pl.DataFrame({"tags": HOSTILE, "images": range(len(HOSTILE))})


@pytest.fixture(scope="module")
def example():
    """Ape fails on 'hang' and, harder, on 'hang + branch'; bee is fine."""
    predictions = [(f"i{n}", "ape", "bee" if n < 10 else "ape") for n in range(40)]
    predictions += [(f"j{n}", "bee", "bee") for n in range(20)]
    tags = [(f"i{n}", "hang") for n in range(16)]
    tags += [(f"i{n}", "branch") for n in [*range(8), *range(20, 30)]]
    tags += [(f"j{n}", "branch") for n in range(20)]
    tags += [(f"i{n}", "sky") for n in range(16, 40)]
    return frames(predictions, tags)


@pytest.fixture(scope="module")
def emoji():
    """The emoji example: its rows, and its run."""
    predictions, tags = (
        pl.read_parquet(demo.FOLDER / f"{name}.parquet") for name in ("predictions", "tags")
    )
    with ps.search(predictions, tags, min_images=10, max_tags=2) as run:
        yield predictions, tags, run


@pytest.fixture(scope="module")
def report(emoji):
    return emoji[2].report()


@pytest.fixture(scope="module")
def with_pictures(tmp_path_factory):
    """A database whose images are files, but for some that are elsewhere, gone or no pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for number, row in enumerate(data.PREDICTIONS):
        file = folder / f"{row['image_id']} #.png"
        Image.new("RGB", (300, 200), (number * 5, 90, 160)).save(file)
        uri = str(file) if number % 2 else file.as_uri()
        rows.append({"image_id": row["image_id"], "uri": uri})
    rows[0]["uri"] = "https://example.org/picture.png"
    rows[1]["uri"] = str(folder / "gone.png")
    rows[2]["uri"] = str(folder)
    rows[3]["uri"] = None
    path = folder / "runs.duckdb"
    data.search(into=path).close()
    with ps.open_run(path, read_only=False) as run:
        run.backend.create_table("images", data.frame(rows).to_arrow(), database="main")
    return path


@pytest.fixture(scope="module")
def nightly(tmp_path_factory):
    """Four nights: on the last one the apes on black are fixed, and the bears in a river new.

    Before the third one, another job ran; on the second one, no image had a label "ape".
    """
    path = tmp_path_factory.mktemp("nightly") / "runs.duckdb"
    rows = data.PREDICTIONS
    carried = {}
    for row in data.TAGS:
        carried.setdefault(row["image_id"], set()).add(row["tag"])

    def night(number):
        for row in rows:
            tags = carried.get(row["image_id"], set())
            if number == 4 and (row["label"] == "ape" or "river" in tags):
                yield row | {"prediction": "ape"}
            elif number != 2 or row["label"] != "ape":
                yield row

    for number in (1, 2, 0, 3, 4):
        job = "nightly" if number else "other"
        tags = [t for t in data.TAGS if t["image_id"] in {r["image_id"] for r in night(number)}]
        data.search(
            data.frame([*night(number)]), data.frame(tags), into=path, job=job, min_images=3
        ).close()
    return path
