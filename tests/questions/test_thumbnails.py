"""Pictures on the cards of a report."""

import base64
import io
import re
import sys

from PIL import Image

import prime_sql as ps
from prime_sql.demo import demo
from prime_sql.report.data import Pictures
from prime_sql.vision import pictures
from tests import tables as data
from tests.report.page import Page, check_page


def test_thumbnails_of_local_files(with_pictures):
    with ps.open_run(with_pictures) as run:
        report = run.report()
        assert run.report(thumbnails=False).pictures is None
    examples = [e for card in report.cards for e in card.examples]
    page = check_page(report.to_html())
    good = {e.image_id for e in examples if e.uri and ("#" in e.uri or "%23" in e.uri)}
    assert {e.image_id for e in examples if e.thumbnail} == good
    sources = [e.thumbnail for e in examples if e.thumbnail]
    assert [image["src"] for image in page.of("img")] == sources
    assert all(image["loading"] == "lazy" for image in page.of("img"))
    picture = Image.open(io.BytesIO(base64.b64decode(sources[0].partition(",")[2])))
    assert (picture.format, picture.size) == ("JPEG", (96, 64))
    folder = str(with_pictures.parent)
    bad = {e.image_id for e in examples if e.uri and e.uri.startswith(folder)} - good
    assert report.pictures == Pictures(len(good) + len(bad), len(bad), 0, None)
    said = f"{len(bad)} of {len(good) + len(bad)} example pictures cannot be read"
    assert (said in page.text) == bool(bad)


def test_thumbnails_of_bytes_in_the_database(with_pictures, tmp_path):
    """As ``prime-sql images`` stores them, and as those of the demo, beside its predictions."""
    path = tmp_path / "runs.duckdb"
    path.write_bytes(with_pictures.read_bytes())
    with ps.open_run(path, read_only=False) as run:
        expected = run.report()
        rows = [
            {"image_id": image_id, "bytes": pictures.read(uri)}
            for image_id, uri in run.backend.table("images").to_polars().iter_rows()
            if uri and ("#" in uri or "%23" in uri)
        ]
        run.backend.create_table("image_bytes", data.frame(rows).to_arrow(), database="main")
        run.backend.raw_sql("update main.images set uri = null")
        report = run.report()
    thumbnails = [[e.thumbnail for e in card.examples] for card in report.cards]
    assert thumbnails == [[e.thumbnail for e in card.examples] for card in expected.cards]
    assert any(map(any, thumbnails))
    with demo.make(tmp_path / "demo.duckdb") as run:
        report = run.report(cards=20)
    examples = [e for card in report.cards for e in card.examples]
    assert all(e.thumbnail for e in examples)
    assert report.pictures.found == len({e.image_id for e in examples}) < len(examples)
    shown = [image["src"] for image in check_page(report.to_html()).of("img")]
    assert shown == [e.thumbnail for e in examples]


def test_thumbnails_that_find_no_room_are_left_out_and_counted(with_pictures, monkeypatch):
    with ps.open_run(with_pictures) as run:
        report = run.report()
    all_ = report.to_html()
    images = len(Page(all_).of("img"))
    largest = len(all_.encode()) - 2000
    monkeypatch.setattr("prime_sql.report.html.LARGEST", largest)
    monkeypatch.setattr("prime_sql.report.html._SHARE_OF_ROWS", 1)
    text = report.to_html()
    page = check_page(text)
    assert 0 < len(page.of("img")) < images
    left_out = images - len(page.of("img"))
    assert re.search(rf"\b{left_out} example pictures are left out", page.text)
    assert len(text.encode()) <= largest
    monkeypatch.setattr("prime_sql.questions.thumbnails.MOST", 1)
    with ps.open_run(with_pictures) as run:
        some = run.report()
    assert len({e.thumbnail for card in some.cards for e in card.examples} - {None}) == 1
    told = some.pictures
    assert (told.found, told.found - told.unreadable - told.left_out) == (report.pictures.found, 1)


def test_without_pillow_the_page_says_so(with_pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with ps.open_run(with_pictures) as run:
        page = check_page(run.report().to_html())
    assert "they need Pillow. Install it: pip install 'prime-sql[report]'." in page.text
    assert not page.of("img")
