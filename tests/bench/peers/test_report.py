"""From times to ratios, to what holds."""

from dataclasses import replace

import pytest
from bench.peers import PEERS
from bench.peers.report import figures, holds, show
from bench.peers.turns import Row


def row(name: str, graph: str, *rounds: float, agreement: float = 1.0) -> Row:
    against = list(rounds) if (name, graph) == ("segrt", "int8") else [4.0, 5.0, 4.0]
    return Row(name, graph, None, list(rounds), list(rounds), against, agreement)


ROWS = [
    row("segrt", "int8", 4.0, 5.0, 4.0, agreement=0.99),
    row("segrt", "fp32", 9.0, 9.0, 9.0),
    row("openvino", "fp32", 30.0, 30.0, 32.0),
    row("openvino", "int8", 20.0, 20.0, 20.0, agreement=0.99),
    row("model-api", "int8", 6.0, 6.0, 6.0, agreement=0.98),
]


def by_peer(rows):
    return {(found["peer"], found["graph"]): found for found in rows}


def test_ratios_are_taken_turn_by_turn():
    found = by_peer(figures(ROWS))
    assert found["openvino", "int8"]["ratio"] == {"median": 5.0, "low": 4.0, "high": 5.0}
    assert found["segrt", "int8"]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert found["openvino", "int8"]["p50_ms"] == 20.0


def test_the_faster_graph_counts_as_the_peer_and_of_ours_the_default():
    counting = {key for key, found in by_peer(figures(ROWS)).items() if found["counts"]}
    assert counting == {("segrt", "int8"), ("openvino", "int8"), ("model-api", "int8")}


def test_what_holds_is_asked_of_the_fastest():
    sizes = {"1920x1080": figures(ROWS), "480x480": figures(ROWS), "64x48": figures(ROWS[:2])}
    assert holds(sizes) == {
        "1920x1080: faster than every peer": True,
        "1920x1080: 4.5 times the fastest tutorial's": True,
        "1920x1080: 1.4 times Model API": True,
        "480x480: faster than every peer": True,
        "480x480: 1.8 times the fastest tutorial's": True,
        "480x480: 1.4 times Model API": True,
    }
    slower = [*ROWS, row("onnxruntime", "fp32", 17.0, 17.0, 17.0), row("ncnn", "fp32", 3.9, 4.9, 3.9)]
    found = holds({"1920x1080": figures(slower)})
    assert not found["1920x1080: 4.5 times the fastest tutorial's"]
    assert not found["1920x1080: faster than every peer"]


def test_a_peer_whose_masks_disagree_is_no_rival_but_is_shown(capsys):
    rows = figures([*ROWS, row("ncnn", "fp32", 0.1, 0.1, 0.1, agreement=0.6)])
    assert not by_peer(rows)["ncnn", "fp32"]["agrees"]
    assert holds({"480x480": rows})["480x480: faster than every peer"]
    show(
        {
            "frame_to_mask": {"480x480": rows},
            "overlay": {},
            "engine": "an engine",
            "threads": 2,
            "scheduling": "real-time",
            "left_out": ["pytorch: skipped, torch is not installed: pip install 'segrt[pytorch]'"],
            "holds": holds({"480x480": rows}),
        }
    )
    printed = capsys.readouterr().out
    assert "60.00%" in printed
    assert "pip install 'segrt[pytorch]'" in printed


@pytest.mark.parametrize("name", PEERS)
def test_a_row_says_what_the_peer_does(name):
    assert replace(ROWS[0], name=name)
    assert figures([replace(ROWS[0], name=name)], ours=name)[0]["does"] == PEERS[name].does != ""
