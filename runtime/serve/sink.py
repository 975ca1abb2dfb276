"""The sink behind `--serve`: hands each frame to a server in a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segrt import __version__

from ..errors import SinkError
from ..overlay import Overlay
from ..segmenter import Segmenter
from ..types import Frame, Segmentation
from .address import Address, check_token, listen, url
from .feed import Feed
from .history import BIN_S, WINDOW_S

if TYPE_CHECKING:
    from ..pipeline import Report


class ServeSink:
    """Show a run in browsers, and tell Prometheus of it, until it is closed.

    `write` takes microseconds whoever looks: nothing is drawn or sent in it.

    Args:
        address: where to serve; port 0: any that is free, see `url`.
        token: what viewers must have; None: this machine alone may look.
        segmenter: named on the page.
        source: its name, likewise.
        alpha: strength of the overlay's colours.
    Raises:
        SinkError: the port cannot be had, other machines could look without a token, or a package is missing.
        ConfigError: the token is none.
    """

    def __init__(
        self, address: Address, token: str | None, segmenter: Segmenter, source: str, alpha: float = 0.5
    ) -> None:
        try:
            from .server import Server
        except ModuleNotFoundError as error:
            raise SinkError(f"serving needs {error.name}; install it: pip install 'segrt[serve]'") from None
        listening = listen(address, check_token(token))
        spec, info = segmenter.spec, segmenter.info
        self.url = url(listening)
        self._feed = Feed()
        model = f"{spec.name} {spec.version}"
        engine = f"{info.backend} {info.version}"
        hello = {
            "segrt": __version__,
            "source": source,
            "model": model,
            "engine": engine,
            "device": info.device,
            "note": info.note,
            "graph": segmenter.graph,
            "defect": segmenter.defect,
            "classes": [
                {"name": name, "colour": spec.palette[number], "hidden": number in spec.hidden}
                for number, name in enumerate(spec.class_names)
            ],
            "window_s": WINDOW_S,
            "bin_s": BIN_S,
        }
        facts = {"version": __version__, "model": model, "engine": engine, "device": info.device, "source": source}
        overlay = Overlay(spec, alpha)
        self._server = Server(listening, token, self._feed, overlay, spec.class_names, hello, facts)
        self._server.start()

    def watch(self, frame: Frame, segmentation: Segmentation, report: Report) -> None:
        """The progress of a `Pipeline`: what it dropped is shown too."""
        self._feed.watch(report)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take one frame in the place of the one before."""
        self._server.metrics.count(self._feed.put(frame, segmentation))

    def close(self) -> None:
        """Tell viewers that the run has ended, and stop; more than once does no harm."""
        self._server.stop("The run has ended.")

    def abort(self) -> None:
        """Stop."""
        self._server.stop("The run has failed.")
