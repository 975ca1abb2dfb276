import pytest
from tests.tiny import colour_net

from segrt.cli import main


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
