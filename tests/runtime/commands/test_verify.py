import json
import resource
import subprocess
import sys
import zipfile
from dataclasses import replace

import cv2
import pytest
from tests.bundles import repacked, row, small_bundle
from tests.tiny import colour_net, stripes

import segrt
from segrt import EngineError
from segrt.cli import main
from segrt.runtime.bundles import verification
from segrt.runtime.engines.base import EngineInfo

ORT = ("--backend", "onnxruntime")


@pytest.fixture(autouse=True)
def markers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "segrt" / "verified"


@pytest.fixture
def bundle(tmp_path):
    """Its fp32 graph is right; its int8 graph is wrong, whatever its report says."""
    return small_bundle(tmp_path / "small.segrt", int8=-1.0)


def strictly(path, **options):
    with segrt.open(path, backend="onnxruntime", strict=True, **options) as segment:
        return segment(stripes(64, 64)).mask


def test_what_passes_is_said_reported_and_remembered(bundle, tmp_path, capsys):
    with pytest.raises(
        EngineError, match=r"fp32 graph was never verified on this machine with onnxruntime .*: segrt ver"
    ):
        strictly(bundle, precision="fp32")
    report, picture = tmp_path / "report.json", tmp_path / "worst.png"
    asked = ("--precision", "fp32", "--report", str(report), "--picture", str(picture))
    assert main(["verify", str(bundle), *ORT, *asked]) == 0
    out = capsys.readouterr().out
    assert "2 golden frames; reference: made up" in out
    assert "100.000%" in out
    assert "passed" in out
    found = json.loads(report.read_text())
    assert found["passed"] is True
    assert found["bundle"]["sha256"] == segrt.runtime.bundles.bundle.open_bundle(bundle).sha256
    (row,) = found["rows"]
    assert (row["precision"], row["backend"], row["agreement"], row["miou_drop"]) == ("fp32", "onnxruntime", 1.0, 0.0)
    assert cv2.imread(str(picture)).shape == (2 * (5 * 64 + 26), 2 * 5 * 64, 3)
    assert strictly(bundle, precision="fp32").shape == (64, 64)
    assert main(["info", str(bundle)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("verified here"))
    assert line.split()[2:5] == ["fp32", "on", "onnxruntime"]


def test_what_fails_is_refused_and_forgotten(bundle, tmp_path, capsys, markers):
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    assert len(list(markers.iterdir())) == 1
    report = tmp_path / "report.json"
    assert main(["verify", str(bundle), *ORT, "--report", str(report)]) == 1  # int8, which run would take
    shown = capsys.readouterr()
    assert "FAILED" in shown.out
    assert "segrt: int8 on onnxruntime: 0.000% of pixels agree, at least 99.00% are needed" in shown.err
    assert json.loads(report.read_text())["passed"] is False
    with pytest.raises(EngineError, match="int8 graph was never verified"):
        strictly(bundle)
    assert len(list(markers.iterdir())) == 1, "fp32 stays verified"


def test_a_later_failure_takes_the_marker_away(bundle, monkeypatch):
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    honest = segrt.Segmenter.__call__

    def spoilt(self, image):
        result = honest(self, image)
        result.mask[:] = 0
        return result

    with monkeypatch.context() as patch:
        patch.setattr(segrt.Segmenter, "__call__", spoilt)
        assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 1
    with pytest.raises(EngineError, match="never verified"):
        strictly(bundle, precision="fp32")


def test_a_marker_is_for_one_machine_one_version_and_one_bundle(bundle, tmp_path, monkeypatch, markers):
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(verification, "machine", lambda device: "another")
        with pytest.raises(EngineError, match="never verified"):
            strictly(bundle, precision="fp32")
    with monkeypatch.context() as patch:
        patch.setattr("onnxruntime.__version__", "0.0")
        with pytest.raises(EngineError, match="never verified"):
            strictly(bundle, precision="fp32")
    info = EngineInfo("tensorrt", "10.9", "cpu", 0, build="one plan")
    with_plan = replace(row("fp32", "tensorrt", 1.0), version="10.9", build="one plan")
    opened = segrt.runtime.bundles.bundle.open_bundle(bundle)
    verification.remember(opened, with_plan)
    assert verification.has_passed(opened, "fp32", info)
    assert not verification.has_passed(opened, "fp32", replace(info, build="another plan"))
    verification.remember(opened, replace(with_plan, agreement=0.5))
    assert not verification.has_passed(opened, "fp32", info)
    strictly(bundle, precision="fp32")
    (marker,) = markers.iterdir()
    marker.write_text("{")
    with pytest.raises(EngineError, match="never verified"):
        strictly(bundle, precision="fp32")
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    repacked(bundle, lambda files: files.update({"card.md": b"# changed\n"}), honest=True)
    with pytest.raises(EngineError, match="never verified"):
        strictly(bundle, precision="fp32")


def test_without_strict_a_bundle_that_never_passed_is_warned_of(bundle, caplog):
    with segrt.open(bundle, backend="onnxruntime", precision="fp32"):
        pass
    assert "warning" in caplog.text
    assert f"segrt verify {bundle} --backend onnxruntime --precision fp32" in caplog.text
    caplog.clear()
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    with segrt.open(bundle, backend="onnxruntime", precision="fp32"):
        pass
    assert not caplog.text


def test_a_model_without_golden_frames_is_refused_when_strict_and_only_then(tmp_path, caplog):
    path = colour_net(tmp_path / "net.onnx")
    with segrt.open(path, backend="onnxruntime"):
        assert not caplog.text
    with pytest.raises(EngineError, match="has no golden frames, so it cannot be verified here; a bundle has them"):
        strictly(path)


def test_run_takes_strict_and_precision(bundle, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "frame.png"), stripes(64, 64))
    command = ["run", "-i", str(tmp_path / "frame.png"), "-m", str(bundle), *ORT, "--precision", "fp32", "--strict"]
    assert main(command) == 1
    assert capsys.readouterr().err.startswith("segrt: ")
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    assert main([*command, "--masks", str(tmp_path / "masks")]) == 0
    assert "graph fp32 of small.segrt (as asked)" in capsys.readouterr().err


def test_all_means_every_backend_with_the_graph_that_it_would_be_given(tmp_path, capsys):
    bundle = small_bundle(tmp_path / "small.segrt", int8=1.0, failed=("onnxruntime",))
    assert main(["verify", str(bundle), "--all", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[:2] for line in lines] == [["int8", "openvino"], ["fp32", "onnxruntime"], ["fp32", "pytorch"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--report", "absent/report.json"], "cannot write absent/report.json: the folder absent does not exist"),
        (["--report", "small.segrt"], "cannot write small.segrt: it is the input"),
        (["--device", "cuda:0"], "device cuda:0 was asked for, but"),
        (["--device", "cuda:0", "--all"], "no backend serves the device cuda:0 here"),
        (["--precision", "fp16"], "has no fp16 graph; it has fp32, int8"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(bundle, tmp_path, monkeypatch, capsys, options, message):
    if "cuda:0" in options:
        monkeypatch.setattr("segrt._core.cuda_devices", lambda: ([], "no driver"))
    monkeypatch.chdir(tmp_path)
    before, content = sorted(tmp_path.iterdir()), bundle.read_bytes()
    assert main(["verify", "small.segrt", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert sorted(path for path in tmp_path.iterdir() if path.name != "cache") == before
    assert bundle.read_bytes() == content


def test_a_full_disk_leaves_no_half_report(bundle, tmp_path, capsys):
    main(["verify", str(bundle), *ORT, "--precision", "fp32"])  # the graph is in the cache
    report = tmp_path / "report.json"
    report.write_text("the old one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert main(["verify", str(bundle), *ORT, "--precision", "fp32", "--report", str(report)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "report.json: the file grew larger" in capsys.readouterr().err
    assert report.read_text() == "the old one"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_a_result_that_cannot_be_remembered_is_still_a_result(bundle, markers, capsys):
    markers.parent.mkdir(parents=True)
    markers.write_text("a file where the folder should be")
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0
    assert "will not be remembered: cannot write" in capsys.readouterr().err


def test_a_target_machine_needs_neither_torch_nor_onnx(bundle):
    code = (
        "import sys; sys.modules.update(torch=None, onnx=None, safetensors=None); from segrt.cli import main;"
        f"sys.exit(main(['verify', {str(bundle)!r}, '--backend', 'onnxruntime', '--precision', 'fp32']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "passed" in result.stdout


def test_nan_among_the_logits_fails(tmp_path, capsys):
    bundle = small_bundle(tmp_path / "small.segrt", int8=float("nan"))
    assert main(["verify", str(bundle), *ORT]) == 1
    assert "2 frames get no mask" in capsys.readouterr().err
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) == 0


def test_damage_in_a_graph_that_this_machine_does_not_use_is_found(bundle, capsys):
    with zipfile.ZipFile(bundle) as archive:
        graph = archive.read("graphs/int8.onnx")
    data = bytearray(bundle.read_bytes())
    data[data.index(graph) + len(graph) // 2] ^= 1
    bundle.write_bytes(data)
    assert main(["verify", str(bundle), *ORT, "--precision", "fp32"]) != 0
    assert "graphs/int8.onnx is damaged" in capsys.readouterr().err
