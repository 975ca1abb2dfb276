from hashlib import sha256

import pytest
from tests.runtime.engines import fake_trt
from tests.tiny import colour_net, colour_spec

from segrt.cli import main
from segrt.runtime.plan_file import PlanKey, PlanRecord, write_plan


def test_info_says_what_this_machine_offers(capsys):
    assert main(["info"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if not line.startswith("b"))
    assert "teeth" in rows["models"]
    assert "cores" in rows["machine"]


def test_a_backend_that_is_missing_is_named_with_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr("segrt.runtime.engines.find_spec", lambda name: None if name == "torch" else object())
    assert main(["info"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("backend pytorch"))
    assert "torch is not installed: pip install 'segrt[pytorch]'" in line


def test_info_reads_the_spec_of_a_model_file(tmp_path, capsys):
    assert main(["info", str(colour_net(tmp_path / "net.onnx"))]) == 0
    out = capsys.readouterr().out
    for fact in ("image: 1x3x32x32", "logits: 1x4x8x8", "RGB", "0 dark, 1 red, 2 green, 3 blue", "stretch", "softmax"):
        assert fact in out


def test_info_of_the_default_model_leads_to_its_card(capsys):
    assert main(["info", "teeth"]) == 0
    assert "teeth.md" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nothing", "nowhere.onnx"])
def test_info_of_what_is_not_there_is_one_line(name, capsys):
    assert main(["info", name]) == 1
    assert capsys.readouterr().err.startswith(f"segrt: there is no model '{name}'")


def test_info_of_a_file_without_a_spec_shows_its_shapes_and_what_run_needs(tmp_path, capsys):
    assert main(["info", str(colour_net(tmp_path / "bare.onnx", with_spec=False))]) == 0
    out = capsys.readouterr().out
    assert "image: 1x3x32x32" in out
    assert "--classes, --mean and --std" in out


def test_info_of_a_damaged_model_says_so(tmp_path, capsys):
    assert main(["info", str(colour_net(tmp_path / "nan.onnx", bias=float("nan")))]) == 0
    assert "NaN or infinite values" in capsys.readouterr().out


def test_info_works_where_no_backend_is_installed_at_all(capsys, monkeypatch):
    monkeypatch.setattr("segrt.runtime.engines.find_spec", lambda name: None)
    assert main(["info"]) == 0
    assert "nothing: no backend is installed: openvino is not installed" in capsys.readouterr().out


def tensorrt_line(capsys):
    assert main(["info"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("backend tensorrt"))
    return line


def test_a_missing_tensorrt_is_an_ordinary_case_with_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("segrt.runtime.engines.tensorrt_package.find_spec", lambda name: None)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    line = tensorrt_line(capsys)
    assert "tensorrt is not installed: pip install 'segrt[tensorrt]'" in line
    assert "or tensorrt_rtx: pip install 'segrt[tensorrt-rtx]'" in line


@pytest.mark.parametrize(
    ("why_none", "expected"),
    [("", "ready (tensorrt 11.4.0.106)"), ("no driver", "11.4.0.106 is installed, but TensorRT needs an NVIDIA GPU")],
)
def test_a_tensorrt_that_is_there_is_named_and_whether_it_has_a_gpu(why_none, expected, capsys, monkeypatch):
    fake_trt.install(monkeypatch, why_none=why_none)
    assert expected in tensorrt_line(capsys)


def test_info_of_an_engine_says_what_it_is_good_for(tmp_path, capsys):
    key = PlanKey("tensorrt", "10.3.0", "Linux aarch64", "Orin", "8.7", "a" * 64, "", "strongly typed")
    record = PlanRecord(key, sha256(b"plan").hexdigest(), "net.onnx", "image", "logits", colour_spec())
    write_plan(tmp_path / "net.engine", b"plan", record)
    assert main(["info", str(tmp_path / "net.engine")]) == 0
    out = capsys.readouterr().out
    for fact in ("tensorrt 10.3.0 on Linux aarch64", "Orin of compute capability 8.7", "net.onnx", "0 dark, 1 red"):
        assert fact in out
    (tmp_path / "net.engine").write_bytes(b"plam")
    assert main(["info", str(tmp_path / "net.engine")]) == 1
    assert "is damaged" in capsys.readouterr().err
