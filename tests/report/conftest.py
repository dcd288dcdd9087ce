"""Reports: every number counted again from the input rows, and pages that stay by themselves."""

import pytest

from tests import tables as data
from tests.report.page import HOSTILE, QUOTED


@pytest.fixture(scope="module")
def hostile():
    """Tags, classes, predictions and files that try to leave their place."""
    wrong = f"ape{QUOTED}"
    predictions = [
        {
            "image_id": f"{row['image_id']}{HOSTILE}",
            "label": f"{row['label']}{QUOTED}",
            "prediction": f"{row['prediction']}{QUOTED}",
        }
        for row in data.PREDICTIONS
    ]
    tags = [
        {
            "image_id": f"{row['image_id']}{HOSTILE}",
            "tag": f"{row['tag']}{HOSTILE}{QUOTED}\x1b\u202e",
        }
        for row in data.TAGS
    ]
    assert any(row["label"] == wrong for row in predictions)
    uris = [
        "http://example.org/a.png",
        "HTTPS://example.org/a.png",
        "//example.org/a.png",
        "javascript:alert(3)",
        "data:text/html,<script>alert(4)</script>",
        f"s3://{QUOTED}",
        HOSTILE,
    ]
    rows = [
        {"image_id": row["image_id"], "uri": uris[number % len(uris)]}
        for number, row in enumerate(predictions)
    ]
    with data.search(data.frame(predictions), data.frame(tags)) as run:
        run.backend.create_table("images", data.frame(rows).to_arrow(), database="main")
        yield run.report()
