"""The page in a real browser: what is seen of a good stream, a bad and a silent one, and of a server that is gone."""

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("prometheus_client")

from time import sleep

import cv2
import numpy as np
from tests.runtime.serve.chromium import browser, executable
from tests.tiny import colour_spec

from segrt import Status

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium: apt-get install chromium")

WORD = "document.getElementById('word').textContent"
_NOTHING = "\u2013"
_RED_OVERLAID = (np.array((30, 30, 220)) + colour_spec().palette[1][::-1]) / 2
TONE = "document.getElementById('status').dataset.tone"


def shares(tab):
    """Class name -> what its row says."""
    rows = (
        "[...document.querySelectorAll('#areas li')].map(row => [...row.children].slice(0, 2).map(e => e.textContent))"
    )
    return dict(tab.evaluate(rows))


def test_a_person_sees_the_stream_its_status_areas_and_latency_and_when_it_goes_wrong(serve, tmp_path):
    run = serve()
    with browser(tmp_path / "profile", run.url) as tab:
        tab.resize(1280, 800)
        tab.until(f"{WORD} === 'OK' && {TONE} === 'good'")
        tab.until("document.getElementById('picture').naturalWidth === 64")
        tab.until("document.getElementById('latency').dataset.points > 2")
        tab.until("document.getElementById('history').dataset.points > 2")
        assert set(shares(tab)) == {"red", "green", "blue"}
        assert all(23 < float(text.removesuffix(" %")) < 27 for text in shares(tab).values())
        assert tab.evaluate("document.querySelectorAll('#history .class').length") == 3
        assert "ms, at worst" in tab.evaluate("document.getElementById('latency').getAttribute('aria-label')")
        assert tab.evaluate("document.querySelector('[aria-live]').textContent").startswith("OK")
        text = tab.text()
        assert "Model colours 0 · fake 0 on cpu" in text
        assert "stripes" in text
        assert "Dropped" in text
        picture = cv2.imread(str(tab.screenshot(tmp_path / "good.png")))
        assert picture.shape == (800, 1280, 3)
        assert np.abs(_second_stripe(tab, picture) - _RED_OVERLAID).max() < 12

        run.source.status = Status.CORRUPT
        tab.until(f"{WORD} === 'CORRUPT' && {TONE} === 'bad'", 3)
        assert set(shares(tab).values()) == {_NOTHING}
        assert "Without a mask: corrupt" in tab.text()
        tab.until("document.querySelectorAll('#latency .none').length === 1", 3)
        run.source.status = Status.OK
        tab.until(f"{WORD} === 'OK AGAIN' && {TONE} === 'warn'", 3)
        tab.until(f"{WORD} === 'OK'", 5)

        run.source.paused = True
        tab.until(f"{WORD} === 'NO NEW FRAMES' && {TONE} === 'bad'", 3)
        assert tab.evaluate("document.body.classList.contains('old')")
        assert "NOT LIVE" in tab.text()
        run.source.paused = False
        tab.until(f"{WORD} === 'OK' && !document.body.classList.contains('old')", 5)

        pictures = run.sink._server._pictures
        paint, pictures._paint = pictures._paint, lambda shot: sleep(1.9) or paint(shot)
        tab.until(f"{WORD} === 'PICTURE LATE' && document.body.classList.contains('old')", 4)
        assert all(23 < float(text.removesuffix(" %")) < 27 for text in shares(tab).values())
        pictures._paint = paint
        tab.until(f"{WORD} === 'OK'", 5)

        tab.resize(390, 844, phone=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.errors == []
        run.stop()
        tab.until(f"{WORD} === 'RUN ENDED' && document.body.classList.contains('old')", 3)
        assert set(shares(tab).values()) == {_NOTHING}


def test_a_lost_connection_greys_the_picture_within_two_seconds_and_is_taken_up_again(serve, tmp_path):
    run = serve(token="0123456789abcdef")
    with browser(tmp_path / "profile", run.url + "?token=0123456789abcdef") as tab:
        tab.until(f"{WORD} === 'OK'")
        assert tab.evaluate("location.href") == run.url  # without the token
        tab.evaluate("window.hung = socket, socket.onmessage = null")  # nothing is heard, and nothing said
        tab.until(f"{WORD} === 'CONNECTION LOST' && {TONE} === 'bad'", 2.5)
        style = "getComputedStyle(document.getElementById('picture')).filter"
        assert "grayscale(1)" in tab.evaluate(style)
        assert tab.evaluate("document.getElementById('picture').alt") == "Old picture: not live"
        assert set(shares(tab).values()) == {_NOTHING}
        tab.evaluate("hung.close()")
        tab.until(f"{WORD} === 'OK' && hung !== socket", 5)
        assert tab.evaluate(style) == "none"


def _second_stripe(tab, picture):
    """The BGR colour in its middle, as the window shows it."""
    box = (
        "(({x, y, width, height}) => [x, y, width, height])(document.getElementById('picture').getBoundingClientRect())"
    )
    x, y, width, height = tab.evaluate(box)
    return picture[int(y + height / 2), int(x + width * 3 / 8)].astype(int)
