"""The page of a report in a real browser: Debian's chromium, driven by Playwright."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

import prime_sql as ps
from tests import tables as data

# Milliseconds; what waits for something goes on as soon as it is there, however busy a machine is.
WAIT = 60_000
playwright.expect.set_options(timeout=WAIT)
NAMES = ("chromium", "chromium-browser", "google-chrome")  # as in tests/chromium.sh


@pytest.fixture(scope="module")
def browser():
    # It asks its makers for updates and the like: those are not requests of the page.
    arguments = ["--disable-background-networking", "--disable-component-update"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # the sandbox wants an ordinary user
    with playwright.sync_playwright() as driver:
        found = next(filter(None, map(shutil.which, NAMES)), driver.chromium.executable_path)
        if not Path(found).exists():
            lacking = "no Chromium here: `make chromium` as root, or `playwright install chromium`"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(lacking)
        browser = driver.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a report; at the end, nothing may have been complained of or asked of a network."""
    said, asked, pages = [], [], []

    def opened(report: ps.Report, **settings):
        file = tmp_path / "report.html"
        file.write_text(report.to_html(), encoding="utf-8")
        page = browser.new_page(**settings)
        page.set_default_timeout(WAIT)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}


def column(page, number):
    return page.locator(f"#table tbody tr > :nth-child({number})").all_text_contents()


def test_sort_by_a_click_and_by_the_keyboard(visit, report):
    page = visit(report)
    assert column(page, 1) == [str(number) for number in range(1, 26)]
    images = page.get_by_role("button", name="Images", exact=True)
    images.click()
    head = page.locator("#table").get_by_role("columnheader", name="Images", exact=True)
    assert head.get_attribute("aria-sort") == "descending"
    largest = sorted((mode.images for mode in report.modes), reverse=True)
    assert column(page, 4) == [str(number) for number in largest[:25]]
    images.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 4) == [str(number) for number in sorted(largest)[:25]]
    assert page.locator("#table [aria-sort]").count() == 1
    page.get_by_role("button", name="p", exact=True).click()
    page.get_by_role("button", name="p", exact=True).click()
    likeliest = sorted(report.modes, key=lambda mode: mode.p_value)[0]
    assert likeliest.tags in column(page, 2)[0]


def test_filters_and_pages(visit, report):
    page = visit(report)
    status = page.get_by_role("status")
    assert status.text_content() == f"1 to 25 of {len(report.modes)}"
    page.get_by_role("button", name="Next").click()
    assert column(page, 1)[0] == "26"
    tag = "kiss"
    having = [mode for mode in report.modes if tag in mode.tag_names]
    page.get_by_label("Tag", exact=True).select_option(tag)
    assert (
        status.text_content() == f"1 to {len(having)} of {len(having)} ({len(report.modes)} in all)"
    )
    assert column(page, 1) == [str(mode.place) for mode in having]
    page.get_by_label("hide near-duplicates").check()
    assert column(page, 1) == [str(mode.place) for mode in having if not mode.hidden]
    page.get_by_role("button", name="Clear").click()
    playwright.expect(status).to_have_text(f"1 to 25 of {len(report.modes)}")
    group = next(c.class_name for c in report.classes[1:] if c.failure_modes)
    page.get_by_label("Class", exact=True).select_option(group)
    assert {*column(page, 3)} == {group}
    page.get_by_label("Class", exact=True).select_option("")
    page.get_by_label("Text", exact=True).fill("DATE kiss")
    assert 0 < len(column(page, 1)) < 25
    page.get_by_label("Text", exact=True).fill("no such text")
    assert status.text_content() == f"0 ({len(report.modes)} in all)"


def test_a_link_opens_its_card_and_sql_is_copied(visit, report):
    page = visit(report)
    page.clock.install()
    page.reload()
    card = report.cards[1]
    details = page.locator(f"#m-{card.mode_id}")
    assert details.get_attribute("open") is None
    page.locator(f"#table a[href='#m-{card.mode_id}']").click()
    # The page learns of the new address by an event: it comes after the click.
    playwright.expect(details).to_have_attribute("open", "")
    assert details.locator("svg").is_visible()
    playwright.expect(details.locator("summary")).to_be_focused()
    details.locator("summary").press("Enter")  # closed again
    playwright.expect(details).not_to_have_attribute("open", "")
    page.locator(f"#table a[href='#m-{card.mode_id}']").click()
    playwright.expect(details).to_have_attribute("open", "")
    page.clock.pause_at("2100-01-01")  # the button says so for two seconds
    details.get_by_role("button", name="Copy the SQL").click()
    done = details.get_by_role("button", name="Copied").or_(
        details.get_by_role("button", name="Selected: press Ctrl+C")
    )
    done.wait_for()


def test_hostile_tags_run_nothing(visit, hostile):
    page = visit(hostile)
    assert "<script>alert(1)</script>" in column(page, 2)[0]
    name = hostile.modes[0].tag_names[0].replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    page.get_by_label("Tag", exact=True).select_option(name)
    assert len(column(page, 1)) >= 1
    assert page.locator("img").count() == 0


def test_5000_failure_modes_answer_quickly_enough_to_type_in(visit, report):
    modes = tuple(
        dataclasses.replace(
            report.modes[number % len(report.modes)],
            place=number + 1,
            mode_id=f"{number:016x}"
            if number >= len(report.modes)
            else report.modes[number].mode_id,
        )
        for number in range(5000)
    )
    page = visit(dataclasses.replace(report, modes=modes))
    assert page.get_by_role("status").text_content() == "1 to 25 of 5,000"
    page.get_by_label("Text", exact=True).fill("date kiss")
    assert " (5,000 in all)" in page.get_by_role("status").text_content()
    assert page.locator("#table tbody tr").count() == 25


@pytest.mark.parametrize("settings", [{"java_script_enabled": False}, {"color_scheme": "dark"}])
def test_without_script_and_in_the_dark(visit, report, settings):
    page = visit(report, **settings)
    rows = page.locator("#table tbody tr").count()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    if "color_scheme" in settings:
        assert (rows, background) == (25, "rgb(21, 24, 28)")
    else:
        assert (rows, background) == (len(report.modes), "rgb(255, 255, 255)")
        assert not page.get_by_label("Text", exact=True).is_visible()
        assert page.locator("#table button").count() == 0


@pytest.fixture(scope="module")
def full(nightly, with_pictures):
    """A report that has every section: history, unseen data, q-values, pictures."""
    with ps.open_run(nightly, read_only=False) as run:
        run.chance()
        predictions, tags = data.frame(data.PREDICTIONS), data.frame(data.TAGS)
        run.validate(predictions, tags, min_unseen_images=5)
        with ps.open_run(with_pictures) as other:
            images = other.backend.table("images").to_pyarrow()
        run.backend.create_table("images", images, database="main")
        report = run.report()
    assert None not in (report.history, report.unseen, report.modes[0].q_value)
    assert report.pictures.found > 0
    return report


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["full", "hostile", "none"])
def test_it_breaks_no_rule_of_wcag_2_aa(visit, full, hostile, scheme, which):
    if which == "none":
        with data.search(min_drop=0.9) as run:
            shown = run.report()
    else:
        shown = full if which == "full" else hostile
    page = visit(shown, color_scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": rules}})
    assert len(found.response["passes"]) > 10
    assert found.violations_count == 0, found.generate_report()


def test_with_the_keyboard_alone(visit, report):
    """From the top of the page: sort, filter, open a card, leave it."""
    page = visit(report)
    focus = "document.activeElement.textContent.trim() || document.activeElement.id"

    def tab_to(text, most=400):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate(focus) == text:
                return
        pytest.fail(f"Tab does not reach {text}")

    page.keyboard.press("Tab")
    assert page.evaluate(focus) == "Skip to the failure modes"
    page.keyboard.press("Enter")
    tab_to("f-text", 10)
    page.keyboard.type("kiss")
    playwright.expect(page.get_by_role("status")).to_contain_text(f"({len(report.modes)} in all)")
    tab_to("Images", 10)
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    shown = [int(text) for text in column(page, 4)]
    assert shown == sorted(shown)
    assert 0 < len(shown) < 25
    first = page.locator("#table tbody a").first.text_content()
    tab_to(first, 20)
    page.keyboard.press("Enter")
    # The page learns of the new address by an event: it comes after the key.
    focused = page.locator("summary:focus")
    playwright.expect(focused).to_contain_text(first)
    playwright.expect(page.locator("details[open] > summary:focus")).to_have_count(1)
    page.keyboard.press("Space")
    playwright.expect(page.locator("details:not([open]) > summary:focus")).to_have_count(1)
    playwright.expect(focused).to_contain_text(first)


def test_every_section_asks_no_network_and_fits(visit, full):
    """The fixture sees each request; the table of the fullest report fits 1,100 pixels."""
    page = visit(full, viewport={"width": 1100, "height": 800})
    width = "document.getElementById('table').scrollWidth <= {}"
    assert page.evaluate(width.format("document.querySelector('#table').parentElement.clientWidth"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1100
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.locator("img").count() > 0
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()  # they are loaded lazily
    page.wait_for_function("Array.from(document.images).every((each) => each.naturalWidth > 0)")


def test_modes_without_a_trend_come_last(visit, full):
    first, trend, change = full.modes[0], full.history.trends[0], full.history.changes[0]
    modes, trends, changes = [], [], []
    for number, points in enumerate([0.1, None, -0.4, None, 0.0, 0.4]):
        mode_id = f"{number:016x}"
        modes.append(dataclasses.replace(first, mode_id=mode_id, place=number + 2))
        trends.append(dataclasses.replace(trend, mode_id=mode_id))
        changes.append(dataclasses.replace(change, mode_id=mode_id, accuracy_change=points))
    history = dataclasses.replace(
        full.history,
        trends=(*full.history.trends, *trends),
        changes=(*full.history.changes, *changes),
    )
    page = visit(dataclasses.replace(full, modes=(*full.modes, *modes), history=history))
    for descending in (True, False):
        page.locator("#table").get_by_role("button", name="Trend").click()
        cells = [text.strip() for text in column(page, 11)]
        numbers = [float(text.split()[-1]) for text in cells if "." in text]
        assert numbers == sorted(numbers, reverse=descending)
        assert len(cells) - len(numbers) == 2
        assert not any("." in text for text in cells[len(numbers) :])


def test_nothing_is_wider_than_a_telephone(visit, full):
    page = visit(full, viewport={"width": 360, "height": 700})
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_it_prints_with_all_cards_open(visit, report, tmp_path):
    page = visit(report)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.card[open]").count() == 1
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
