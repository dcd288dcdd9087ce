"""Pages that stay by themselves, and the short text."""

import dataclasses
import re
import sys
from itertools import combinations

import pytest

import prime_sql as ps
from prime_sql.report import Report, html, plots
from tests import tables as data
from tests.report.page import HOSTILE, QUOTED, Page, check_page

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


# History ------------------------------------------------------------------------------------------


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
