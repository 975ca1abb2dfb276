"""The engine itself goes through the gate, and takes its name only if it passed; on a fake GPU with a fake TensorRT."""

from pathlib import Path

import pytest
from tests.bundles import small_bundle
from tests.runtime.cuda.fake import FakeCuda
from tests.runtime.engines import fake_trt
from tests.tiny import colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import EngineError
from segrt.cli import main
from segrt.export import engine as engines

SPEC = colour_spec((64, 64))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def trt(monkeypatch):
    """TensorRT on a GPU that computes, whichever of its packages are really installed."""
    monkeypatch.setattr("segrt.runtime.engines.find_spec", lambda name: None if name == "torch" else object())
    return fake_trt.install(monkeypatch, cuda=FakeCuda())[0]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where `colours.onnx` lies, alone, and the engine shall be."""
    (tmp_path / "here").mkdir()
    colour_net(tmp_path / "here" / "colours.onnx", SPEC)
    return tmp_path / "here"


def export(folder: Path, *options: str) -> int:
    return main(["export", str(folder / "colours.onnx"), "-o", str(folder / "colours.engine"), *options])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def build_wrongly(monkeypatch, trt):
    """What is exported is spoilt; the gate's own engines of the graph are as they should be."""
    honest = engines.build_plan

    def build(*arguments, **options):
        trt.gain = -1.0
        return honest(*arguments, **options)

    monkeypatch.setattr(engines, "build_plan", build)


def verdicts(out: str) -> list[str]:
    """The table's first and last words, by row."""
    rows = [line.split() for line in out.splitlines() if line.endswith(("passed", "FAILED"))]
    return [f"{row[0]} {row[1]} {row[-1]}" for row in rows]


def test_an_engine_that_answers_as_the_reference_is_written_and_runs_strictly(trt, folder, capsys):
    assert export(folder) == 0
    out = capsys.readouterr().out
    assert verdicts(out) == ["fp32 openvino passed", "fp32 tensorrt passed", "engine tensorrt passed"]
    assert "NOT JUDGED" not in out
    assert names(folder) == ["colours.engine", "colours.engine.json", "colours.onnx"]
    with segrt.open(folder / "colours.engine", strict=True) as segment:
        mask = segment(stripes(64, 64)).mask
    assert (mask == stripe_classes(64, 64)).mean() > 0.9
    assert main(["info", str(folder / "colours.engine")]) == 0
    assert "engine on tensorrt 11.4.0.106, cuda:0" in capsys.readouterr().out


def test_an_engine_whose_masks_are_wrong_never_takes_its_name(trt, folder, monkeypatch, capsys):
    (folder / "colours.engine").write_bytes(b"the old one")
    build_wrongly(monkeypatch, trt)
    assert export(folder) == 1
    printed = capsys.readouterr()
    assert verdicts(printed.out) == ["fp32 openvino passed", "fp32 tensorrt passed", "engine tensorrt FAILED"]
    (line,) = printed.err.splitlines()
    assert "colours.engine is refused: engine on tensorrt: " in line
    assert "at least 99.95% are needed" in line
    assert names(folder) == ["colours.engine", "colours.onnx", "colours.worst.png"]
    assert (folder / "colours.engine").read_bytes() == b"the old one"


def test_an_engine_that_tensorrt_will_not_load_is_not_written(trt, folder, monkeypatch, capsys):
    honest = engines.build_plan

    def build(*arguments, **options):
        plan = honest(*arguments, **options)
        trt.refused.append("magic tag")
        return plan

    monkeypatch.setattr(engines, "build_plan", build)
    assert export(folder) == 1
    assert "refuses its plan: magic tag" in capsys.readouterr().err
    assert names(folder) == ["colours.onnx"]


@pytest.mark.parametrize("why_none", ["", "no driver"], ids=["another GPU", "no GPU"])
def test_an_engine_for_gpus_elsewhere_is_said_not_to_be_judged(why_none, folder, monkeypatch, capsys):
    fake_trt.install(monkeypatch, fake_trt.make("rtx 1.7"), FakeCuda(), why_none=why_none)
    assert export(folder, "--gpu", "8.6") == 0
    *_, what, not_judged = capsys.readouterr().out.splitlines()
    assert "any GPU of compute capability 8.6" in what
    assert not_judged.startswith("NOT JUDGED: its graph passed, but no GPU of this machine runs the engine itself")
    assert not_judged.endswith(f"segrt verify BUNDLE --engine {folder / 'colours.engine'}")


def test_an_engine_for_several_gpus_is_judged_where_this_machine_has_one_of_them(folder, monkeypatch, capsys):
    trt, _ = fake_trt.install(monkeypatch, fake_trt.make("rtx 1.7"), FakeCuda())
    monkeypatch.setattr("segrt.runtime.engines.find_spec", lambda name: None if name == "torch" else object())
    build_wrongly(monkeypatch, trt)
    assert export(folder, "--gpu", "8.6,8.9") == 1
    assert "refused: engine on tensorrt: " in capsys.readouterr().err


class TestVerify:
    """`segrt verify BUNDLE --engine X.engine`: on the machine that an engine was built for elsewhere."""

    @pytest.fixture
    def made(self, trt, folder, tmp_path, capsys):
        """An engine that nobody here has judged, and a bundle of the same model."""
        assert export(folder) == 0
        capsys.readouterr()
        for marker in (tmp_path / "cache" / "segrt" / "verified").iterdir():
            marker.unlink()
        return folder / "colours.engine", small_bundle(tmp_path / "colours.segrt", spec=SPEC)

    def test_what_passes_is_remembered_for_this_very_engine(self, made, capsys):
        engine, bundle = made
        with pytest.raises(EngineError, match=f"{engine} was never verified .*: segrt verify BUNDLE --engine {engine}"):
            segrt.open(engine, strict=True)
        assert main(["verify", str(bundle), "--engine", str(engine)]) == 0
        assert verdicts(capsys.readouterr().out) == ["engine tensorrt passed"]
        with segrt.open(engine, strict=True):
            pass
        record = Path(f"{engine}.json")
        record.write_text(record.read_text().replace("127.5", "120.0"))  # masks would be others
        with pytest.raises(EngineError, match="never verified"):
            segrt.open(engine, strict=True)

    def test_without_strict_what_never_passed_is_warned_of(self, made, caplog):
        with segrt.open(made[0]):
            pass
        assert "colours.engine was never verified" in caplog.text

    def test_what_fails_is_forgotten(self, made, trt, monkeypatch, capsys):
        engine, bundle = made
        assert main(["verify", str(bundle), "--engine", str(engine)]) == 0
        with monkeypatch.context() as patch:
            patch.setattr(fake_trt._Context, "_compute", lambda self: None)  # whatever lay there: one class for all
            assert main(["verify", str(bundle), "--engine", str(engine)]) == 1
        assert "segrt: engine on tensorrt: " in capsys.readouterr().err
        with pytest.raises(EngineError, match="never verified"):
            segrt.open(engine, strict=True)

    def test_a_bundle_of_another_model_is_no_judge(self, made, tmp_path, capsys):
        other = small_bundle(tmp_path / "other.segrt", spec=colour_spec((32, 32)))
        assert main(["verify", str(other), "--engine", str(made[0])]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "colours.engine is of another model than" in line
        assert "its input_hw is (64, 64), expected (32, 32); export both from one checkpoint" in line

    @pytest.mark.parametrize("option", [["--all"], ["--precision", "fp32"], ["--backend", "openvino"]])
    def test_options_that_choose_a_graph_do_not_go_with_it(self, option, made, capsys):
        assert main(["verify", str(made[1]), "--engine", str(made[0]), *option]) == 1
        assert "--engine names what to verify: leave out" in capsys.readouterr().err

    def test_without_its_gpu_it_is_one_line(self, made, monkeypatch, capsys):
        monkeypatch.setattr("segrt._core.cuda_devices", lambda: ([], "no driver"))
        assert main(["verify", str(made[1]), "--engine", str(made[0])]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "backend tensorrt cannot be used: no GPU can be used: no driver" in line
