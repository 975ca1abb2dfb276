"""The table, the command line, and peers that can be had everywhere, on one real frame."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench.peers import DEFAULT, OURS, OVERLAYS, PEERS
from bench.peers.__main__ import chosen, main, read_frames, sizes_of
from bench.peers.usual import ToBatch, to_mask

import segrt
from segrt.runtime.engines.pytorch import PyTorchEngine
from segrt.runtime.model import load

PACKAGE = Path(sys.modules["bench.peers"].__file__).parent
ENTRIES = {**PEERS, **{f"overlay by {name}": entry for name, entry in OVERLAYS.items()}}


@pytest.fixture(scope="module")
def frame():
    return read_frames("examples/scan.mp4")[0]


@pytest.fixture(scope="module")
def reference():
    with segrt.open("teeth", device="cpu", precision="fp32") as segment:
        yield lambda image, fit=None: segment(image, fit=fit).mask


@pytest.mark.parametrize("name", ENTRIES)
def test_every_row_of_the_table_has_its_file(name):
    entry = ENTRIES[name]
    source = (PACKAGE / f"{entry.module[1:]}.py").read_text()
    assert "def open_peer(model: Model, threads: int) -> Peer:" in source
    assert set(entry.graphs) <= {DEFAULT, "fp32", "int8"}
    assert not entry.packages or entry.install.startswith("pip install")


def test_the_table_loads_no_library():
    code = "import bench.peers, sys; print({'torch', 'openvino', 'cv2', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parents[1])
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("size", [(480, 480), (640, 480), (1920, 1080)])
@pytest.mark.parametrize("name", ["openvino", "openvino-ppp", "onnxruntime", "opencv-dnn", "model-api"])
def test_a_peer_gives_the_reference_s_mask(name, size, frame, reference):
    entry = PEERS[name]
    if missing := entry.missing():
        pytest.skip(missing)
    image = np.ascontiguousarray(cv2.resize(frame, size))
    given = {"fit": entry.fit} if entry.fit else None
    peer = import_module(f"bench.peers{entry.module}").open_peer(load("teeth", given, precision="fp32"), 2)
    mask = peer(image)
    assert mask.dtype == np.uint8
    assert mask.shape == image.shape[:2]
    assert (mask == reference(image, entry.fit)).mean() > 0.975


def test_torch_runs_the_graph_s_own_network():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from bench.peers.torch_network import network_of

    model = load("teeth", precision="fp32")
    engine = PyTorchEngine(model, 2)
    engine.input_buffer[...] = np.random.default_rng(0).standard_normal(engine.input_buffer.shape, np.float32)
    with torch.inference_mode():
        found = network_of(model)(torch.from_numpy(engine.input_buffer)).numpy()
    np.testing.assert_allclose(found, engine.infer(), atol=1e-3)


def test_letterboxed_logits_come_back_to_where_the_frame_lay():
    spec = load("teeth", precision="fp32").spec
    batch, at = ToBatch(spec)(np.full((240, 480, 3), 255, np.uint8))
    assert batch.shape == (1, 3, 480, 480)
    assert tuple(at) == (0, 120, 480, 240)
    assert batch[0, :, :120].tolist() == np.zeros((3, 120, 480)).tolist()
    assert (batch[0, :, 120:360] == 1).all()
    logits = np.zeros((2, 120, 120), np.float32)
    logits[1, 30:60, 60:] = 1  # of the frame the upper right quarter
    mask = to_mask(logits + np.array([[[0.5]], [[0]]], np.float32), at, (480, 480), (240, 480))
    assert mask[:118, 244:].all()
    assert not mask[122:].any()
    assert not mask[:, :236].any()


def test_names_and_sizes_are_checked_before_anything_runs(capsys):
    assert sizes_of("480x480, 1920x1080") == [(480, 480), (1920, 1080)]
    assert chosen("ncnn,openvino,ncnn") == [OURS, "ncnn", "openvino"]
    for arguments, told in (
        (["--peers", "openvino,tensorflow"], "there is no peer 'tensorflow'; there are segrt, openvino"),
        (["--sizes", "480"], "expected sizes such as 640x480,1920x1080, found '480'"),
        (["--rounds", "0"], "must be 1 or more"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert told in capsys.readouterr().err
    assert main(["--video", "no-such.mp4"]) == 1
    assert "no-such.mp4" in capsys.readouterr().err


def test_a_run_from_the_command_line_to_the_table(capsys):
    assert main(["--sizes", "64x48", "--rounds", "1", "--peers", "opencv-dnn"]) == 0
    printed = capsys.readouterr().out
    assert "64x48: frame to mask" in printed
    assert "64x48: faster than every peer" in printed
