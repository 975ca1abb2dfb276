"""The options of `segrt run`, and what makes values of their texts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundles.report import PRECISIONS
from ..errors import ConfigError
from ..placement import Fit
from ..serve.address import TOKEN_VARIABLE, Address, parse_address
from ..spec import Activation, ColourOrder

if TYPE_CHECKING:
    from ..live.lanes import Promptness


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add every option of `segrt run`."""
    parser.add_argument(
        "--video",
        "--source",
        "-i",
        dest="sources",
        action="append",
        required=True,
        metavar="SRC",
        help="video or image file, folder or glob of images, camera (0, v4l2:///dev/video0?size=1280x720), URL (rtsp, "
        "rtp, udp, tcp, srt, http, rtmp), .sdp file, - for standard input (docs/sources.md)",
    )
    parser.add_argument(
        "-m", "--model", default="teeth", help="a shipped model, a bundle (.segrt) or an .onnx file (default: teeth)"
    )
    outputs = parser.add_argument_group("outputs (several at once)")
    outputs.add_argument("-o", "--output", type=path, metavar="OUT.mp4", help="video with the classes laid over it")
    outputs.add_argument("--masks", type=path, metavar="DIR", help="one PNG of class ids per frame")
    outputs.add_argument("--json", type=path, metavar="FILE", help="one JSON object per frame and line; - is stdout")
    outputs.add_argument("--show", action="store_true", help="show the overlay in a window; q ends the run")
    outputs.add_argument(
        "--serve",
        type=_address,
        metavar="[HOST:]PORT",
        help="show the run in browsers, and /metrics and /healthz; on this machine alone (127.0.0.1) without a host",
    )
    outputs.add_argument(
        "--serve-token",
        metavar="TOKEN",
        help=f"what viewers must have; needed for other hosts. {TOKEN_VARIABLE} in the environment does not show it to "
        "the machine's other users",
    )
    _add_recording(outputs)
    outputs.add_argument("--alpha", type=_share, default=0.5, help="strength of the overlay, 0..1 (default: 0.5)")
    where = parser.add_argument_group("where and how")
    add_where(where)
    add_precision(where)
    where.add_argument("--strict", action="store_true", help="refuse an engine that `segrt verify` never passed here")
    where.add_argument("--fit", choices=[f.value for f in Fit], help="how frames are placed into the network's input")
    where.add_argument(
        "--steady",
        action="store_true",
        help="less flicker in video, by the frames before: small changes of the mask show some frames late, clear ones "
        "at once",
    )
    where.add_argument(
        "--guard",
        action=argparse.BooleanOptionalAction,
        help="no mask where the picture is black, frozen or of a changed size (default: for live sources)",
    )
    where.add_argument(
        "--on-bad",
        choices=["blank", "hold", "stop"],
        default="blank",
        help="of a frame without a mask show it with a banner (blank) and the last mask in stripes (hold), or end the "
        "run (stop); numbers and mask files have no mask of it either way (default: blank)",
    )
    where.add_argument(
        "--deadline-ms",
        type=_positive,
        metavar="MS",
        help="a frame whose mask is not there so long after its arrival gets none and is marked stale",
    )
    where.add_argument(
        "--fallback-model",
        metavar="M",
        help="smaller, of the same classes: runs while the deadline is often missed",
    )
    where.add_argument(
        "--on-hang",
        choices=["stop", "restart"],
        default="stop",
        help="of an engine or source that hangs: end the run, or open another in its place (default: stop)",
    )
    where.add_argument(
        "--hang-s", type=seconds, default=5.0, metavar="S", help="on one frame, and it hangs (default: 5)"
    )
    where.add_argument("--max-frames", type=count, metavar="N", help="stop after N frames")
    where.add_argument(
        "--drop",
        choices=["none", "oldest"],
        help="none: every frame; oldest: always the freshest (default: none for files, oldest for live sources)",
    )
    where.add_argument("-q", "--quiet", action="store_true", help="no progress and no table")
    _add_source(parser)
    _add_spec(parser)


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("cameras, streams and pipes")
    source.add_argument(
        "--timeout", type=seconds, default=5.0, metavar="S", help="silence after which the signal is lost (default: 5)"
    )
    source.add_argument("--connect-timeout", type=seconds, metavar="S", help="patience at opening (default: --timeout)")
    source.add_argument(
        "--reconnect",
        type=_attempts,
        default="forever",
        metavar="N",
        help="attempts in a row to open a lost camera or stream again (default: forever)",
    )
    source.add_argument("--transport", choices=["tcp", "udp"], default="tcp", help="of RTSP (default: tcp)")
    source.add_argument("--raw", metavar="FORMAT", help="frames on standard input are pixels: bgr24:640x480@30")


def source_options(options: argparse.Namespace) -> dict[str, Any]:
    """What `open_source` is to be told beside the source."""
    names = {"timeout_s": "timeout", "connect_timeout_s": "connect_timeout"}
    names |= {name: name for name in ("reconnect", "transport", "raw")}
    return {name: getattr(options, option) for name, option in names.items()}


def _add_recording(outputs: argparse._ActionsContainer) -> None:
    outputs.add_argument(
        "--record",
        type=path,
        metavar="DIR",
        help="keep the last seconds of the run for segrt replay (docs/recording.md)",
    )
    outputs.add_argument(
        "--record-seconds",
        type=seconds,
        default=60.0,
        metavar="N",
        help="how many (default: 60; older ones are removed)",
    )
    outputs.add_argument(
        "--record-mb", type=count, default=1024, metavar="N", help="and at most so many megabytes (default: 1024)"
    )


def promptness(options: argparse.Namespace) -> Promptness:
    """What is asked of the time of an answer."""
    from ..live.lanes import Promptness

    return Promptness(options.deadline_ms, options.hang_s, options.on_hang, options.fallback_model)


def add_where(parser: argparse._ActionsContainer) -> None:
    """Add device, backend and threads."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: auto)")
    parser.add_argument(
        "--backend", default="auto", help="auto, tensorrt, openvino, onnxruntime or pytorch (default: auto)"
    )
    parser.add_argument("--threads", type=count, metavar="N", help="CPU threads of the engine (default: every core)")


def add_precision(parser: argparse._ActionsContainer) -> None:
    """Add the choice among a bundle's graphs."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="which graph of a bundle (default: int8 on a CPU, fp16 on a GPU, where it passed the gate; else fp32)",
    )


def _add_spec(parser: argparse.ArgumentParser) -> None:
    spec = parser.add_argument_group("spec: for models without one inside, or in the place of a model's own")
    spec.add_argument("--classes", type=_names, dest="class_names", metavar="A,B,...", help="class names in order")
    spec.add_argument("--mean", type=_triple, metavar="M,M,M", help="mean per channel in bytes, 0..255")
    spec.add_argument("--std", type=_triple, metavar="S,S,S", help="standard deviation per channel in bytes")
    spec.add_argument("--colour-order", choices=[c.value for c in ColourOrder], help="order of the input's channels")
    spec.add_argument("--activation", choices=[a.value for a in Activation], help="what makes logits probabilities")


def spec_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a ModelSpec that were given."""
    names = ("class_names", "mean", "std", "colour_order", "activation")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    for name, kind in (("colour_order", ColourOrder), ("activation", Activation)):
        if name in given:
            given[name] = kind(given[name])
    return given


def path(text: str) -> Path:
    """An option that is a path."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return Path(text)


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """An option that is a whole number from 1."""
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from None


def _attempts(text: str) -> int | str:
    if text != "forever" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, or forever, found {text!r}")
    return text if text == "forever" else int(text)


def _positive(text: str) -> float:
    if not 0 < (number := _number(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return number


def _share(text: str) -> float:
    if not 0 <= (number := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"expected a number of 0..1, found {text!r}")
    return number


def seconds(text: str) -> float:
    """An option that is a finite number above 0."""
    if not 0 < (number := _number(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text!r}")
    return number


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _triple(text: str) -> tuple[float, float, float]:
    parts = text.split(",")
    if len(parts) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers with commas between them, found {text!r}")
    return (_number(parts[0]), _number(parts[1]), _number(parts[2]))
