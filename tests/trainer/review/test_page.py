import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from segrt.runtime.spec import ModelSpec
from segrt.trainer.review.changes import Region
from segrt.trainer.review.colours import coloured
from segrt.trainer.review.page import Entry, page, worst_first

SPEC = coloured(ModelSpec((32, 32), ("ground", "disc", 'a "b" <c>'), (0.0,) * 3, (1.0,) * 3), -1)
ENTRY = Entry("one", 0.6, 0.4, 0.2, 0.05, -1.0, -1.0, {(0, 1): 0.15}, [Region(0, 1, 0.12, (0.5, 0.25))], (320, 240))
VOID = {"meta", "img", "input", "br"}


class Tags(HTMLParser):
    """Collects elements and text, and holds that every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def test_what_is_kept_least_comes_first_then_what_is_trusted_least():
    worse, less_trusted = replace(ENTRY, name="two", kept=0.1), replace(ENTRY, name="three", weight=0.3)
    assert [entry.name for entry in worst_first([ENTRY, worse, less_trusted])] == ["two", "three", "one"]


def test_everything_is_told_in_the_given_order():
    tags = Tags(page([replace(ENTRY, name=name) for name in ("b", "c", "a")], SPEC, "Labels & more", ["from <here>"]))
    assert [article["data-name"] for article in tags.all("article")] == ["b", "c", "a"]
    text = re.sub(r"\s+", " ", tags.text)
    for words in ("Labels & more", "from <here>", "kept 0.60", "trust 0.40", "changed 20 %", "unsure 5.0 %",
                  "12 % ground→disc", "8.0 % in smaller regions", "in 3 labels"):  # fmt: skip
        assert words in text
    assert "IoU with the truth" not in text
    assert [article["data-pairs"] for article in tags.all("article")] == ["0-1"] * 3


def test_iou_with_the_truth_is_told_where_it_is_known():
    known = replace(ENTRY, name="two", iou_given=0.5, iou_revised=0.75)
    text = Tags(page([ENTRY, known], SPEC, "x", [])).text.replace("\u2009", " ")
    assert "IoU 0.50 → 0.75" in text
    assert "0.500 → 0.750" in text


@pytest.mark.parametrize("name", ["a b#1?&.x", "<b>'\"", "späte Zähne", "50%"])
def test_no_name_breaks_the_page_or_its_links(name):
    tags = Tags(page([replace(ENTRY, name=name)], SPEC, "x", []))
    assert tags.all("article")[0]["data-name"] == name
    sources = [image["src"] for image in tags.all("img")]
    assert len(sources) == 7  # four pictures, and the bare image over three of them
    assert all(re.fullmatch(r"pictures/[\w.%~-]+\.jpg", source, re.ASCII) for source in sources)


def test_the_page_needs_no_network_and_loads_pictures_when_they_are_seen():
    text = page([ENTRY], SPEC, "x", [])
    assert "//" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert "http" not in text
    tags = Tags(text)
    assert not [tag for tag in ("link", "iframe", "object") if tags.all(tag)]
    assert all(image["loading"] == "lazy" and image["width"] == "320" for image in tags.all("img"))


def test_script_and_page_name_the_same_elements():
    text = page([ENTRY], SPEC, "x", [])
    ids = {attrs["id"] for _, attrs in Tags(text).found if "id" in attrs}
    used = set(re.findall(r'by\("([\w-]+)"\)', text)) | set(re.findall(r"\"(\w+)\"(?=[^;]*\]\) by\()", text))
    assert used
    assert used <= ids


def test_a_page_without_labels_or_changes_is_one_too():
    assert "labels judged" not in Tags(page([], SPEC, "x", [])).text
    quiet = replace(ENTRY, changed=0.0001, totals={(0, 1): 0.0001}, regions=[])  # no region that can be seen
    assert "Nothing was changed" in Tags(page([quiet], SPEC, "x", [])).text
