"""Reports: every number counted again from the input rows, and pages that stay by themselves."""

import base64
import dataclasses
import io
import json
import re
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

import prime_sql as ps
from prime_sql import demo
from prime_sql.report import Report, html, plots
from prime_sql.report.data import Pictures
from prime_sql.report.html import LARGEST
from prime_sql.vision import pictures
from tests import data
from tests.test_cli import call, fail, succeed

HOSTILE = "<script>alert(1)</script>"
QUOTED = "\"'><img src=x onerror=alert(2)>"


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


class Page(HTMLParser):
    """What a browser would make of a page: its tags, their attributes, its text."""

    VOID = ("meta", "link", "br", "img", "input", "hr")
    IMPLIED = ("td", "th", "tr", "option")  # may be closed by what follows

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not [name for name in self.open if name not in self.IMPLIED]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.open[-1] != tag:
            assert self.open.pop() in self.IMPLIED, f"</{tag}> closes nothing"
        self.open.pop()

    def handle_data(self, text):
        self.texts.append(text)

    def of(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def check_page(text):
    """Read a page, and check what holds for all of them."""
    page = Page(text)
    assert len(text.encode()) < LARGEST
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
            if value and value.startswith("#"):
                assert value[1:] in ids
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("aria-labelledby", "aria-describedby"):
            assert {*attributes.get(name, "").split()} <= {*ids}
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    assert not [a for _, a in page.elements if re.search(r"url\(", a.get("style", ""))]
    assert len(page.of("script")) == 1
    assert all("scope" in attributes for attributes in page.of("th"))
    for svg in page.of("svg"):
        assert svg["role"] == "img"
        assert svg.get("aria-labelledby") or svg["aria-label"]
    assert all(image["alt"] for image in page.of("img"))
    return page


# Data ---------------------------------------------------------------------------------------------


def test_headline_and_classes_are_those_of_the_rows(emoji, report):
    predictions, tags, run = emoji
    wrong = predictions.filter(pl.col("label") != pl.col("prediction"))
    headline = report.headline
    assert (headline.images, headline.errors) == (predictions.height, wrong.height)
    assert headline.accuracy == pytest.approx(1 - wrong.height / predictions.height)
    assert headline.classes == predictions["label"].n_unique() == len(report.classes)
    carried = dict(tags.group_by("image_id").agg("tag").iter_rows())

    def errors_in(modes):
        return {
            image
            for image, label in wrong.select("image_id", "label").iter_rows()
            for mode in modes
            if mode.class_name == label and {*mode.tag_names} <= {*carried.get(image, ())}
        }

    modes = run.failure_modes.to_polars()
    assert headline.failure_modes == modes.height == len(report.modes)
    assert headline.mode_errors == len(errors_in(report.modes))
    picked = [mode for mode in report.modes if mode.mode_id in {p.mode_id for p in headline.cover}]
    assert headline.cover[-1].cumulative_errors == len(errors_in(picked))
    assert headline.near_duplicates == sum(mode.hidden for mode in report.modes) > 0
    counted = predictions.group_by("label").agg(
        pl.len(), (pl.col("label") != pl.col("prediction")).sum().alias("errors")
    )
    expected = {label: (images, errors) for label, images, errors in counted.iter_rows()}
    assert {c.class_name: (c.images, c.errors) for c in report.classes} == expected
    by_class = dict(modes.group_by("class_name").len().iter_rows())
    for row in report.classes:
        own = [mode for mode in report.modes if mode.class_name == row.class_name]
        assert row.failure_modes == len(own) == by_class.get(row.class_name, 0)
        assert row.mode_errors == len(errors_in(own))
    shares = [row.mode_errors for row in report.classes]
    assert shares == sorted(shares, reverse=True)


def test_modes_are_all_with_what_is_known_of_them(emoji, report):
    _, _, run = emoji
    stored = run.failure_modes.to_polars()
    assert [mode.mode_id for mode in report.modes] == stored["mode_id"].to_list()
    assert [mode.place for mode in report.modes] == list(range(1, stored.height + 1))
    names = [field.name for field in dataclasses.fields(ps.report.data.Mode)]
    for mode, row in zip(report.modes, stored.to_dicts(), strict=True):
        assert {name: getattr(mode, name) for name in names if name in row} == {
            name: value for name, value in row.items() if name in names
        }
        assert " + ".join(mode.tag_names) == mode.tags
        assert mode.accuracy_low <= mode.accuracy <= mode.accuracy_high
        assert mode.verdict is mode.unseen_accuracy_drop is None
    chance = {row["mode_id"]: row for row in run.query("chance").to_polars().to_dicts()}
    families = {row["mode_id"]: row for row in run.families().to_polars().to_dicts()}
    for mode in report.modes:
        for name in ("accuracy_low", "accuracy_high", "p_value"):
            assert getattr(mode, name) == pytest.approx(chance[mode.mode_id][name])
        for name in ("hidden", "representative_id", "representative_tags"):
            assert getattr(mode, name) == families[mode.mode_id][name]


def test_cards_are_counted_again_from_the_rows(emoji, report):
    predictions, tags, run = emoji
    order = [pick.mode_id for pick in report.headline.cover]
    rest = [mode.mode_id for mode in report.modes if mode.mode_id not in order]
    assert [card.mode_id for card in report.cards] == [*order, *rest][:50]
    modes = {mode.mode_id: mode for mode in report.modes}
    carriers = {tag: {*ids} for tag, ids in tags.group_by("tag").agg("image_id").iter_rows()}
    for card in report.cards[:8]:
        mode = modes[card.mode_id]
        group = predictions.filter(pl.col("label") == mode.class_name)
        expected = {}
        for size in range(mode.tag_count + 1):
            for some in combinations(mode.tag_names, size):
                wanted = set.intersection({*group["image_id"]}, *(carriers[tag] for tag in some))
                inside = group.filter(pl.col("image_id").is_in(list(wanted)))
                wrong = inside.filter(pl.col("prediction") != mode.class_name)
                expected[" + ".join(some)] = (inside.height, wrong.height)
        assert {s.tags: (s.images, s.errors) for s in card.subsets} == expected
        assert (card.subsets[0].tags, card.subsets[-1].tags) == ("", mode.tags)
        guesses = dict(wrong["prediction"].value_counts().iter_rows())  # of the whole set
        assert card.names == len(guesses)
        assert {w.name: w.images for w in card.wrong_predictions}.items() <= guesses.items()
        assert sum(w.error_share for w in card.wrong_predictions) <= 1 + 1e-9
        explained = run.explain(mode.mode_id).wrong_predictions.to_polars().to_dicts()
        assert [tuple(dataclasses.asdict(w).values()) for w in card.wrong_predictions] == [
            pytest.approx(tuple(row.values())) for row in explained[:5]
        ]
        hard = [e.image_id for e in card.examples if e.error]
        assert {*hard} <= {*wrong["image_id"]}
        assert len(hard) == min(6, mode.errors)
        easy = {e.image_id for e in card.examples if not e.error}
        assert easy <= {*inside["image_id"]} - {*wrong["image_id"]}
        assert len(easy) == min(3, mode.images - mode.errors)
        copied = run.sql(card.sql.rstrip(";")).to_polars()
        assert {*copied["image_id"]} == {*inside["image_id"]}
        assert copied["error"].to_list() == sorted(copied["error"], reverse=True)


@pytest.mark.parametrize("options", [{"max_tags": 3}, {"max_tags": 3, "max_absent": 2}])
def test_subsets_are_those_that_explain_gives(options):
    with data.search(min_drop=0.05, necessity=(0,), min_images=3, **options) as run:
        report = run.report(cards=12)
        assert any(mode.tag_count > 1 for mode in report.modes)
        for card in report.cards:
            explained = run.explain(card.mode_id).subsets.to_polars().drop("accuracy_drop")
            assert [dataclasses.asdict(subset) for subset in card.subsets] == explained.to_dicts()


def test_where_the_class_is_the_prediction_labels_tell_the_errors_apart():
    with data.search(group_by="prediction", min_drop=0.05, min_images=3) as run:
        report = run.report()
        assert report.told_by == "label"
        assert len(report.cards) > 1
        for card in report.cards:
            explained = run.explain(card.mode_id).wrong_predictions.to_polars()
            assert [w.name for w in card.wrong_predictions] == explained["label"].to_list()
            assert [w.images for w in card.wrong_predictions] == explained["images"].to_list()
            assert all(e.label in explained["label"] for e in card.examples if e.error)
    text = check_page(report.to_html()).text
    assert "What its errors really are" in text
    assert "taken for" not in text


def test_a_refiltered_run_has_its_images_from_the_run_that_counted():
    with (
        data.search(min_drop=0.1) as run,
        run.refilter(min_drop=0.3) as again,
        data.search() as new,
    ):
        told, expected = again.report(), new.report()
    assert (told.search.run_id, told.search.counted_run_id) == (2, 1)
    assert told.modes == expected.modes
    assert told.headline == expected.headline
    assert [card.examples for card in told.cards] == [card.examples for card in expected.cards]
    assert "from the counts of run 1" in check_page(told.to_html()).text


def test_one_query_for_all_cards_however_many():
    with data.search(min_drop=0.05, necessity=(0,), min_images=3) as run:
        counts = []
        for cards in (1, 10):
            seen = []
            run.report(top=1, cards=cards, on_sql=seen.append)
            counts.append(len(seen))
        assert counts[0] == counts[1]


def test_json_holds_all_of_it_and_comes_back(report):
    text = report.to_json()
    assert Report.from_json(text) == report
    value = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert value["format"] == "prime_sql report 1"
    assert len(value["modes"]) == len(report.modes)
    assert value["search"]["options"]["min_images"] == 10


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', "null", "nonsense"])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ps.OptionError, match="not "):
        Report.from_json(text)


def test_the_same_run_gives_the_same_report(emoji, report):
    again = emoji[2].report()
    assert again.to_json() == report.to_json()
    assert again.to_html() == report.to_html()


@pytest.mark.parametrize("wrong", [{"cards": -1}, {"cards": "3"}, {"top": 0}, {"runs": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with data.search() as run, pytest.raises(ps.OptionError, match=next(iter(wrong))):
        run.report(**wrong)


# Text and pages -----------------------------------------------------------------------------------


def test_text_is_short_and_says_what_matters(report):
    text = report.to_text()
    assert len(text) < 3000
    assert "72 failure modes, 40 of them near-duplicates of a better one; 33% of 960 errors" in text
    assert "  1. People & Body: date + kiss\n     accuracy 11.5% on 78 images, 69 points" in text


def test_the_page_of_the_emoji_example(report):
    page = check_page(report.to_html())
    assert "72 failure modes, 40 of them near-duplicates" in page.text
    rows = [a for a in page.of("th") if a["scope"] == "row"]
    assert len(rows) >= len(report.modes)
    details = [a["id"] for a in page.of("details") if a.get("class") == "card"]
    assert details == [f"m-{card.mode_id}" for card in report.cards]
    assert len(page.of("svg")) == len(report.cards) + 1  # and the cover
    for card in report.cards:
        assert " ".join(card.sql.split()) in page.text
    policy = next(a["content"] for a in page.of("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_a_page_of_no_failure_mode_says_why():
    with data.search(min_drop=0.9) as run:
        report = run.report()
    assert not report.modes
    page = check_page(report.to_html())
    assert f"No failure modes. {report.search.note}" in page.text
    assert not page.of("form")
    assert f"No failure modes.\n{report.search.note}" in report.to_text()
    assert Report.from_json(report.to_json()) == report


def swollen(report, length, modes=5000, tag="{number} {letter}"):
    """The report with many modes, 6 long tags each, all 63 subsets and large pictures on cards."""

    def name(number, letter):
        return tag.format(number=number, letter=letter).ljust(length, "x")

    many = []
    for number in range(modes):
        mode = report.modes[number % len(report.modes)]
        names = tuple(name(number, letter) for letter in "abcdef")
        mode_id = mode.mode_id if number < len(report.modes) else f"{number:016x}"
        many.append(
            dataclasses.replace(
                mode, place=number + 1, mode_id=mode_id, tags=" + ".join(names), tag_names=names
            )
        )
    names_of = {mode.mode_id: mode.tag_names for mode in many}
    headline = dataclasses.replace(report.headline, failure_modes=modes)
    cards = []
    for card in report.cards:
        subsets = [
            dataclasses.replace(card.subsets[0], tags=" + ".join(some), tag_count=size)
            for size in range(7)
            for some in combinations(names_of[card.mode_id], size)
        ]
        picture = f"data:image/jpeg;base64,{card.mode_id * 400}"
        examples = [dataclasses.replace(e, thumbnail=picture) for e in card.examples]
        cards.append(dataclasses.replace(card, subsets=tuple(subsets), examples=tuple(examples)))
    return dataclasses.replace(report, modes=tuple(many), headline=headline, cards=tuple(cards))


def test_the_scatter_of_many_modes_has_few_points(report):
    modes = [
        dataclasses.replace(
            report.modes[0],
            accuracy_drop=0.3 + number % 70 / 100,
            unseen_accuracy_drop=number // 70 / 100,
            verdict="holds",
        )
        for number in range(7000)
    ]
    counted, step = plots._rounded(modes)
    assert (step, counted.total()) == (5, 7000)
    assert all(abs(found * 20 - round(found * 20)) < 1e-9 for found, _, _ in counted)
    few, step = plots._rounded(modes[:700])
    assert (step, set(few.values())) == (1, {1})
    assert sorted(m.unseen_accuracy_drop for m in modes[:700]) == sorted(u for _, u, _ in few)


@pytest.mark.parametrize("length", [10, 500])
def test_a_page_of_5000_failure_modes_stays_small(report, length):
    """With 50 cards of 63 subsets, 450 pictures, and names as long as any."""
    large = swollen(report, length)
    text = large.to_html()
    page = check_page(text)
    places = [int(place) for place in re.findall(r"^<tr(?: class=\"dup\")?><td>(\d+)", text, re.M)]
    assert places == list(range(1, len(places) + 1))
    said = f"The {len(places):,} with most excess errors, of 5,000"
    assert said in page.text
    assert len(places) >= (1000 if length == 10 else 100)
    details = [a["id"] for a in page.of("details") if a.get("class") == "card"]
    assert details == [f"m-{card.mode_id}" for card in large.cards]
    examples = sum(len(card.examples) for card in large.cards)
    left_out = examples - len(page.of("img"))
    assert left_out > 0
    assert f"{left_out} example pictures are left out" in page.text


def test_a_page_of_5000_ordinary_failure_modes_has_them_all(report):
    modes = swollen(report, 1, tag="{letter}{number}").modes
    modes = tuple(
        dataclasses.replace(mode, tags=" + ".join(mode.tag_names[:3]), tag_names=mode.tag_names[:3])
        for mode in modes
    )
    text = dataclasses.replace(report, modes=modes).to_html()
    assert "with most excess errors, of" not in check_page(text).text
    assert text.count("\n<tr") > 5000


def test_the_longest_names_cost_cards_in_the_end(report):
    large = swollen(report, 500, modes=100, tag="<\U0001f600&{number}{letter}" + "<" * 500)
    page = check_page(large.to_html())
    cards = [a for a in page.of("details") if a.get("class") == "card"]
    assert 0 < len(cards) <= len(large.cards)


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


def test_hostile_tags_stay_text(hostile):
    assert len(hostile.modes) == 3
    assert {e.thumbnail for card in hostile.cards for e in card.examples} == {None}
    assert 0 < hostile.pictures.unreadable == hostile.pictures.found
    text = hostile.to_html()
    page = check_page(text)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert f"hang{HOSTILE}{QUOTED}\\x1b\\u202e" in page.text
    assert {a.get("class", "") for a in page.of("svg")} <= {"bars", "marks"}
    assert "\x1b" not in hostile.to_text()
    assert Report.from_json(hostile.to_json()) == hostile


# Unseen data, pictures ----------------------------------------------------------------------------


def test_a_validated_run_has_verdicts_and_the_scatter():
    predictions, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
    with data.search() as run:
        run.validate(predictions, tags, min_unseen_images=5)
        report = run.report()
        verdicts = {row["mode_id"]: row for row in run.validation.modes.to_polars().to_dicts()}
        sentence = run.validation.sentence()
    assert report.unseen.sentence == sentence
    assert (report.unseen.holds, report.unseen.fails, report.unseen.undecided) == (2, 0, 1)
    for mode in report.modes:
        row = verdicts[mode.mode_id]
        assert mode.verdict == row["verdict"]
        assert mode.unseen_images == row["unseen_images"]
        assert mode.unseen_accuracy_drop == pytest.approx(row["unseen_accuracy_drop"])
    page = check_page(report.to_html())
    assert "On unseen data" in page.text
    assert "On the diagonal both are the same" in page.text
    assert Report.from_json(report.to_json()) == report
    assert sentence in report.to_text()


def test_without_altair_the_page_says_so(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    page = check_page(report.to_html())
    assert plots._LACKING in page.text
    assert len(page.of("svg")) == len(report.cards)


@pytest.fixture(scope="module")
def with_pictures(tmp_path_factory):
    """A database whose images are files, but for some that are elsewhere, gone or no pictures."""
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
    monkeypatch.setattr("prime_sql.report.thumbnails.MOST", 1)
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


# History ------------------------------------------------------------------------------------------


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


def test_history_is_that_of_the_run(nightly):
    with ps.open_run(nightly) as run:
        report = run.report()
        changes = run.changes.to_polars()
        followed = run.history().to_polars()
        short = run.report(runs=2)
    history = report.history
    assert (history.previous.run_id, [r.run_id for r in history.runs]) == (4, [1, 2, 4, 5])
    assert [change.mode_id for change in history.changes] == changes["mode_id"].to_list()
    renamed = {"images_before": "images_a", "accuracy_before": "accuracy_a"}
    renamed |= {"images": "images_b", "accuracy": "accuracy_b"}
    for change, row in zip(history.changes, changes.to_dicts(), strict=True):
        for name, value in dataclasses.asdict(change).items():
            told = row[renamed.get(name, name)]
            # DuckDB adds numbers in any order: the last digit of a p-value may be another one.
            assert value == (pytest.approx(told) if isinstance(told, float) else told)
    statuses = changes["status"].to_list()
    for status in ("new", "persisting", "fixed", "undecided"):
        assert getattr(history, status) == statuses.count(status)
    assert history.fixed > 0
    assert history.new > 0
    assert [t.mode_id for t in history.trends] == [
        c.mode_id for c in history.changes if c.mode_id in {m.mode_id for m in report.modes}
    ]
    for trend in history.trends:
        rows = followed.filter(pl.col("mode_id") == trend.mode_id).sort("run_id")
        assert list(trend.accuracies) == rows["accuracy"].to_list()
        assert list(trend.images) == rows["images"].to_list()
    assert [t.accuracies for t in short.history.trends] == [
        t.accuracies[2:] for t in history.trends
    ]
    assert Report.from_json(report.to_json()) == report


def test_history_on_the_page_and_in_text(nightly):
    with ps.open_run(nightly) as run, ps.open_run(nightly, 4) as before:
        report, older = run.report(), before.report()
    page, history = check_page(report.to_html()), report.history
    counts = f"{history.new} new, {history.persisting} persisting, {history.fixed} fixed"
    since = f"Failure modes since run 4, {report.history.previous.created_at[:10]}"
    for text in (page.text, report.to_text()):
        assert since in text
        assert counts in text
    new = next(c for c in history.changes if c.status == "new")
    told = f"new: {new.class_name}: {new.tags}, accuracy {new.accuracy_before:.1%} → "
    assert f"  {told}{new.accuracy:.1%}\n" in report.to_text()
    sparks = [a["aria-label"] for a in page.of("svg") if a.get("class") == "spark"]
    assert len(sparks) == len(report.modes) + len(report.cards)
    expected = {
        "Accuracy " + ", ".join("unknown" if a is None else f"{a:.1%}" for a in t.accuracies)
        for t in history.trends
    }
    assert {*sparks} == expected
    # Of the apes, the second night knew nothing.
    ape = [t for t in older.history.trends if None in t.accuracies]
    assert ape
    assert "unknown" in older.to_html()


def test_without_an_earlier_run_a_sentence_says_so(report):
    said = "There is no earlier run of this kind to compare with."
    assert report.history is None
    page = check_page(report.to_html())
    assert said in page.text
    assert said in report.to_text()
    assert "Since the previous run" not in page.text
    assert "Trend" not in page.text


@pytest.mark.parametrize(
    ("accuracies", "lines"),
    [
        ((0.5,), ["M3 11h0", "M3 11h0"]),
        ((0.0, 1.0), ["M3 19h0L69 3", "M69 3h0"]),
        ((None, 0.5, None, 0.25, 0.5, None), ["M16.2 11h0M42.6 15h0L55.8 11"]),
        ((None,), [""]),
    ],
)
def test_a_sparkline_has_gaps_where_nothing_is_known(accuracies, lines):
    page = Page(html._sparkline(accuracies))
    assert [path["d"] for path in page.of("path")] == lines


# The command --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "prime.duckdb"
    for drop in (0.3, 0.9):
        data.search(into=path, min_drop=drop).close()
    return path


def test_every_form_by_the_ending_or_by_name(stored, tmp_path):
    with ps.open_run(stored, 1) as run:
        report = run.report()
    expected = {
        "html": report.to_html(),
        "json": report.to_json() + "\n",
        "text": report.to_text(),
    }
    for form, ending in (("html", "html"), ("json", "json"), ("text", "txt")):
        file = tmp_path / f"report.{ending}"
        result = succeed("report", stored, "--run", "1", "-o", file)
        assert result.stdout == ""
        assert "3 failure modes of run 1" in result.stderr
        assert file.read_text(encoding="utf-8") == expected[form]
        printed = succeed("report", stored, "--run", "1", "--format", form).stdout
        assert printed == expected[form]
        other = tmp_path / "report.xyz"
        succeed("report", stored, "--run", "1", "-o", other, "--format", form, "--quiet")
        assert other.read_text(encoding="utf-8") == expected[form]
    assert succeed("report", stored, "--run", "1").stdout == expected["text"]
    assert "No failure modes" in succeed("report", stored).stdout  # the latest run
    few = json.loads(
        succeed(
            "report", stored, "--run", "1", "--format", "json", "-n", "1", "--cards", "2"
        ).stdout
    )
    assert (len(few["headline"]["cover"]), len(few["cards"]), len(few["modes"])) == (1, 2, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("report.html", "report.json", "report.txt", "report.xyz"),
    ]


def test_the_sql_of_a_card_runs_in_a_file_called_prime(stored):
    with ps.open_run(stored, 1) as run:
        card = run.report().cards[0]
        modes = dict(run.failure_modes.table.select("mode_id", "images").to_polars().iter_rows())
        answer = run.backend.raw_sql(card.sql).fetchall()
        assert len(answer) == modes[card.mode_id]
    text = succeed("sql", stored, card.sql, "--format", "json").stdout
    assert len(json.loads(text)) == len(answer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "report.pdf"], "cannot write report.pdf: name a file that ends in .html, .json"),
        (["-o", "no/report.html"], "the folder no does not exist"),
        (["-o", "folder.html"], "it is a folder"),
        (["-o", "prime.duckdb", "--format", "html"], "it is the database"),
        (["--run", "9"], "holds no run 9"),
    ],
)
def test_bad_usage_is_one_message(stored, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("prime.duckdb").write_bytes(stored.read_bytes())
    Path("folder.html").mkdir()
    assert message in fail("report", "prime.duckdb", *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "prime.duckdb"]


def test_what_fails_leaves_the_last_report(stored, tmp_path, monkeypatch):
    file = tmp_path / "report.html"
    file.write_text("yesterday's")
    assert call("report", stored, "--run", "9", "-o", file).exit_code == 2

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space left" in fail("report", stored, "-o", file)
    assert file.read_text() == "yesterday's"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
