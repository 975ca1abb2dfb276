"""segrt inside a program with an event loop, here Qt: the window never waits, shows what is freshest, and ends cleanly.

    pip install PySide6-Essentials
    python examples/qt_loop.py examples/scan.mp4              # or 0, or rtsp://scanner/live
    python examples/qt_loop.py examples/scan.mp4 --headless   # the same without Qt and without a screen

segrt works in a thread of its own and leaves each answer in a mailbox with room for one; a timer of the window takes
what is there, sixty times a second. A window that is dragged or covered then holds up nobody, and never shows a queue
of old pictures. Whatever has no mask says why instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from threading import Lock
from time import perf_counter, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

import segrt
from segrt.runtime.overlay import Overlay

TICK_MS = 16


class Mailbox:
    """Room for one answer: a fresher one takes the place of one that nobody took."""

    def __init__(self) -> None:
        self._lock, self._item, self.replaced = Lock(), None, 0

    def put(self, frame: segrt.Frame, result: segrt.Segmentation) -> None:
        """From segrt's thread."""
        with self._lock:
            self.replaced += self._item is not None
            self._item = frame, result

    def take(self) -> tuple[segrt.Frame, segrt.Segmentation] | None:
        """From the window's thread; does not wait."""
        with self._lock:
            item, self._item = self._item, None
        return item


class Controller:
    """Between segrt and a window; all but `Mailbox.put` runs in the window's thread.

    Args:
        show: given a (H, W, 3) uint8 BGR picture, or None to leave the last one, and a line of text.
    """

    def __init__(self, source: str, show: Callable[[NDArray[np.uint8] | None, str], None]) -> None:
        self._mail, self._show = Mailbox(), show
        self.ended = False
        self._segmenter = segrt.open("teeth", guard=True)
        self._draw = Overlay(self._segmenter.spec, 0.5)
        self._running = segrt.run(source, self._segmenter, on_event=self._tell).start(self._mail.put)
        self._event = ""

    def tick(self) -> None:
        """Show what has come; called by a timer."""
        ended = self._has_ended()  # before the mailbox is looked at: nothing can come after it
        if (item := self._mail.take()) is not None:
            frame, result = item
            if result.mask is not None:
                self._show(self._draw(frame, result), f"frame {frame.index}: {result.confidence:.0%} sure")
            else:
                self._show(frame.image, f"frame {frame.index}: no mask ({result.status.value}) {self._event}")
        elif ended:
            self.ended = True

    def close(self) -> None:
        """End the run and wait for it; the window is going away."""
        self._running.close()
        self._segmenter.close()

    def _has_ended(self) -> bool:
        try:
            return self._running.join(0)
        except segrt.SegrtError as error:
            self._show(None, f"ended: {error}")
            return True

    def _tell(self, event: object) -> None:
        self._event = type(event).__name__  # a plain assignment: it comes in the thread that reads


def in_a_window(source: str) -> int:
    """Until the window is closed."""
    from PySide6.QtCore import QTimer
    from PySide6.QtGui import QCloseEvent, QImage, QPixmap
    from PySide6.QtWidgets import QApplication, QLabel, QMainWindow

    class Window(QMainWindow):
        def __init__(self) -> None:
            super().__init__()
            self.setWindowTitle(f"segrt: {source}")
            self._picture = QLabel()
            self.setCentralWidget(self._picture)
            self.resize(640, 520)
            self._controller = Controller(source, self.show_result)
            self._timer = QTimer(self, interval=TICK_MS)
            self._timer.timeout.connect(self._controller.tick)
            self._timer.start()

        def show_result(self, image: NDArray[np.uint8] | None, text: str) -> None:
            if image is not None:
                height, width = image.shape[:2]
                view = QImage(image.data, width, height, image.strides[0], QImage.Format.Format_BGR888)
                self._picture.setPixmap(QPixmap.fromImage(view))  # a copy: segrt may draw into `image` again
            self.statusBar().showMessage(text)

        def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
            self._timer.stop()
            self._controller.close()
            super().closeEvent(event)

    application = QApplication(sys.argv[:1])
    window = Window()
    window.show()
    return int(application.exec())


def headless(source: str, seconds: float = 600.0) -> int:
    """The same with a loop of ten lines in Qt's place; prints what a window would say."""
    last: list[Any] = [None, ""]

    def show(image: NDArray[np.uint8] | None, text: str) -> None:
        last[:] = image, text
        print(text)

    controller, end_s = Controller(source, show), perf_counter() + seconds
    try:
        while not controller.ended and perf_counter() < end_s:
            controller.tick()
            sleep(TICK_MS / 1e3)
    finally:
        controller.close()
    return 0


def main() -> int:
    """Choose a loop."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source")
    options.add_argument("--headless", action="store_true")
    given = options.parse_args()
    return headless(given.source) if given.headless else in_a_window(given.source)


if __name__ == "__main__":
    raise SystemExit(main())
