"""What a browser would make of a page."""

import re
from html.parser import HTMLParser

from prime_sql.report.html import LARGEST

HOSTILE = "<script>alert(1)</script>"

QUOTED = "\"'><img src=x onerror=alert(2)>"


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
