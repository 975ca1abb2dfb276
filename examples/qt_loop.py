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
from importlib.util import find_spec
from threading import Lock
from time import sleep

import numpy as np
from numpy.typing import NDArray

import segrt
from segrt.runtime.overlay import Overlay
from segrt.runtime.sinks.shown import Shown

TICK_MS = 16

Show = Callable[[NDArray[np.uint8] | None, str], None]


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
    """Between segrt and a window; all but `Mailbox.put` and `_tell` runs in the window's thread.

    Args:
        show: given a (H, W, 3) uint8 BGR picture that is good until it returns, or None, and a line of text.
    """

    def __init__(
        self, source: str, show: Callable[[NDArray[np.uint8] | None, str], None], model: str = "teeth"
    ) -> None:
        self._mail, self._show = Mailbox(), show
        self.ended, self.problem = False, ""
        self._segmenter = segrt.open(model, guard=True)
        # What has no mask gets a banner that says why; silence is grey, so that no old picture passes for a new one.
        self._picture = Shown(Overlay(self._segmenter.spec, 0.5))
        self._size_hw, self._event = (480, 640), ""
        self._running = segrt.run(source, self._segmenter, on_event=self._tell).start(self._mail.put)

    def tick(self) -> None:
        """Show what has come; called by a timer."""
        over = self._is_over()  # before the mailbox is looked at: nothing can come after it
        if (item := self._mail.take()) is not None:
            frame, result = item
            picture = self._picture(frame, result, self._size_hw)
            self._size_hw = (picture.shape[0], picture.shape[1])
            said = "no mask" if result.mask is None else f"{result.confidence:.0%} sure"
            self._show(picture, f"frame {frame.index}: {result.status.value}, {said}{self._event}")
        elif over and not self.ended:
            self.ended = True
            self._show(None, f"ended: {self.problem}" if self.problem else "ended")

    def close(self) -> None:
        """End the run and wait for it; the window is going away."""
        self._running.close()
        self._segmenter.close()

    def _is_over(self) -> bool:
        try:
            return self._running.join(0)
        except segrt.SegrtError as error:
            self.problem = str(error)
            return True

    def _tell(self, event: object) -> None:
        # In the thread that reads, so no more than an assignment.
        if isinstance(event, segrt.SignalLost):
            self._event = f"; signal lost: {event.reason}"
        elif isinstance(event, segrt.SignalRegained):
            self._event = ""


def in_a_window(source: str) -> int:
    """Until the window is closed."""
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtGui import QCloseEvent, QImage, QPixmap
    from PySide6.QtWidgets import QApplication, QLabel, QMainWindow

    class Window(QMainWindow):
        def __init__(self) -> None:
            super().__init__()
            self.setWindowTitle(f"segrt: {source}")
            self._picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
            self._picture.setMinimumSize(160, 120)  # else a large picture would keep the window from being made smaller
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
                drawn = QPixmap.fromImage(view)  # a copy: segrt may draw into `image` again
                self._picture.setPixmap(drawn.scaled(self._picture.size(), Qt.AspectRatioMode.KeepAspectRatio))
            self.statusBar().showMessage(text)

        def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
            self._timer.stop()
            self._controller.close()
            super().closeEvent(event)

    application = QApplication(sys.argv[:1])
    window = Window()
    window.show()
    return int(application.exec())


def headless(source: str, model: str = "teeth") -> int:
    """The same with a loop of a few lines in Qt's place; prints what the window would say."""
    controller = Controller(source, lambda picture, text: print(text, flush=True), model)
    try:
        while not controller.ended:
            controller.tick()
            sleep(TICK_MS / 1e3)
    finally:
        controller.close()
    return 1 if controller.problem else 0


def main() -> int:
    """Choose a loop."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source")
    options.add_argument("--headless", action="store_true", help="without a window; so it is where PySide6 is missing")
    given = options.parse_args()
    try:
        return (headless if given.headless or find_spec("PySide6") is None else in_a_window)(given.source)
    except segrt.SegrtError as error:
        print(f"segrt: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
