"""The gate lets through what answers as the reference does, and nothing else; on refusal nothing is written."""

import resource
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.tiny import CLASSES, colour_net, colour_spec, stripe_classes, stripes

import segrt
from segrt import EngineError, ModelError, SinkError
from segrt.export import gate
from segrt.export.bundle import make_bundle
from segrt.export.card import About, model_card
from segrt.export.gate import limits_of, run_gate
from segrt.export.golden import Picture, golden_pictures
from segrt.runtime.bundles.bundle import open_bundle
from segrt.runtime.bundles.report import Limits
from segrt.trainer.config import from_dict

SPEC = colour_spec()
PICTURES = (
    Picture("with truth", stripes(48, 64), stripe_classes(48, 64).astype(np.uint8)),
    Picture("without", stripes(40, 40)[:, ::-1].copy()),
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def fp32(tmp_path_factory):
    return colour_net(tmp_path_factory.mktemp("graphs") / "net.onnx", SPEC).read_bytes()


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """A graph that takes the darkest colour for the brightest."""
    return colour_net(tmp_path_factory.mktemp("graphs") / "net.onnx", SPEC, gain=-1.0).read_bytes()


def network(gain: float = 1.0) -> torch.nn.Module:
    """The colour network in torch."""
    conv = torch.nn.Conv2d(3, 4, 4, stride=4)
    weight = torch.zeros_like(conv.weight)
    for channel in range(3):
        weight[channel + 1, channel] = gain / 16
    conv.load_state_dict({"weight": weight, "bias": torch.zeros(4)})
    return conv


def test_graphs_that_answer_as_the_checkpoint_become_a_bundle_that_is_verified_here(fp32, tmp_path, capsys):
    path, shown = tmp_path / "colours.segrt", []
    about = About("stripes", {"val_iou/mean": 0.5}, "one convolution")
    report = make_bundle(
        path, SPEC, {"fp32": fp32, "int8": fp32}, PICTURES, Limits(), network=network(), about=about, show=shown.append
    )
    assert [(row.precision, row.backend, row.passed) for row in report.rows] == [
        ("fp32", "onnxruntime", True),
        ("fp32", "openvino", True),
        ("int8", "openvino", True),
        ("int8", "onnxruntime", True),
    ]
    assert (report.frames, report.truths, report.notes) == (2, 1, ())
    assert report.rows[0].reference_miou == 1.0
    assert shown == [report.table()]
    assert "the checkpoint on torch" in shown[0]
    bundle = open_bundle(path)
    assert bundle.report == report
    np.testing.assert_array_equal(bundle.golden()[0].mask, stripe_classes(48, 64))
    for fact in (
        "# colours, version 0",
        "0 dark, 1 red",
        "stripes",
        "| val_iou/mean | 0.5 |",
        report.table(),
        "torch ",
    ):
        assert fact in bundle.card()
    with segrt.open(path, strict=True, device="cpu") as segment:
        assert segment.graph.startswith("int8 of colours.segrt")
    assert [file.name for file in tmp_path.iterdir()] == ["colours.segrt"]


def test_a_graph_that_answers_otherwise_is_refused_with_the_table_and_a_picture(fp32, wrong, tmp_path):
    path, shown = tmp_path / "colours.segrt", []
    path.write_bytes(b"the old one")
    with pytest.raises(ModelError, match=r"is refused: int8 on openvino: .* of pixels agree, at least 99.00%") as error:
        make_bundle(path, SPEC, {"fp32": fp32, "int8": wrong}, PICTURES, Limits(), network=network(), show=shown.append)
    assert "\n" not in str(error.value)
    assert "FAILED" in shown[0]
    assert path.read_bytes() == b"the old one"
    picture = tmp_path / "colours.worst.png"
    assert f"drawn in {picture}" in str(error.value)
    assert sorted(tmp_path.iterdir()) == [path, picture]
    drawn = cv2.imread(str(picture))
    bottom = drawn.shape[0] // 2
    differs = (drawn == (255, 0, 255)).all(2)
    assert differs[bottom:, drawn.shape[1] // 2 :].mean() > 0.5
    assert not differs[:bottom].any()


def test_the_reference_is_the_checkpoint_not_the_fp32_graph(fp32):
    rows = run_gate(SPEC, {"fp32": fp32}, PICTURES, Limits(), network(-1.0)).report.rows
    assert [(row.backend, row.passed) for row in rows] == [("onnxruntime", False), ("openvino", False)]


def test_without_a_checkpoint_the_fp32_graph_is_the_reference(fp32, wrong):
    found = run_gate(SPEC, {"fp32": fp32, "int8": wrong}, PICTURES, Limits())
    assert "the fp32 graph on onnxruntime" in found.report.reference
    assert (found.report.rows[0].precision, found.report.rows[0].backend) == ("fp32", "openvino")
    assert [row.passed for row in found.report.rows] == [True, False, False]
    assert found.worst.row.precision == "int8"


def test_on_a_gpu_its_backends_are_asked_too(monkeypatch):
    assert gate._backends("fp16") == [("pytorch", "cpu")]
    monkeypatch.setattr(gate, "choose", lambda backend, device: (backend, device, "as asked"))
    assert gate._backends("fp32")[2:] == [("tensorrt", "cuda:0")]
    assert gate._backends("fp16")[1:] == [("tensorrt", "cuda:0"), ("pytorch", "cuda:0")]
    monkeypatch.setattr(gate, "available", lambda: dict.fromkeys(("openvino", "onnxruntime"), "it is not installed"))
    with pytest.raises(EngineError, match="nothing here can judge an int8 graph: it is not installed"):
        gate._backends("int8")


def test_limits_come_from_the_recipe(fp32, wrong, tmp_path):
    limits = limits_of(from_dict({"export": {"agreement_int8": 0.0, "miou_drop": 1.0}}).export)
    assert limits == Limits(int8=0.0, miou_drop=1.0)
    assert limits_of(from_dict({}).export) == Limits()
    report = make_bundle(tmp_path / "x.segrt", SPEC, {"fp32": fp32, "int8": wrong}, PICTURES, limits)
    assert not report.refusals
    assert open_bundle(tmp_path / "x.segrt").report.limits == limits


def test_a_reference_that_gives_no_mask_is_refused(fp32):
    with pytest.raises(ModelError, match="the reference itself gives no mask of 'with truth'"):
        run_gate(SPEC, {"fp32": fp32}, PICTURES, Limits(), network(float("nan")))


def test_what_weakens_the_verdict_is_said(fp32):
    plain = (Picture("plain", np.zeros((32, 32, 3), np.uint8)),)
    (note,) = run_gate(SPEC, {"fp32": fp32}, plain, Limits()).report.notes
    assert note == f"the golden masks never show {', '.join(CLASSES[1:])}: agreement says nothing of that"
    notes = run_gate(SPEC, {"fp32": fp32}, golden_pictures(None, SPEC, 1), Limits()).report.notes
    assert notes[-1].startswith("the golden frames are drawn, not taken")


@pytest.mark.parametrize("limit", [2_000, 400])
def test_a_full_disk_leaves_neither_bundle_nor_part_of_one(fp32, tmp_path, limit):
    path = tmp_path / "colours.segrt"
    path.write_bytes(b"the old one")
    found = run_gate(SPEC, {"fp32": fp32}, PICTURES, Limits())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(SinkError, match=r"cannot write .*colours\.segrt: the file grew larger"):
            segrt.export.bundle.write_bundle(path, SPEC, {"fp32": fp32}, found.golden, "card", found.report)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("colours.segrt", b"the old one")]


def test_a_folder_that_is_not_there_is_named(fp32, tmp_path):
    with pytest.raises(SinkError, match=r"absent/x\.segrt: the folder .*absent does not exist"):
        make_bundle(tmp_path / "absent" / "x.segrt", SPEC, {"fp32": fp32}, PICTURES, Limits())


def test_entries_are_stored_so_that_readers_can_refuse_what_swells(fp32, tmp_path):
    make_bundle(tmp_path / "x.segrt", SPEC, {"fp32": fp32}, PICTURES, Limits())
    with zipfile.ZipFile(tmp_path / "x.segrt") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist()[0] == "manifest.json"


def test_the_author_s_own_words_stand_first_in_the_card(fp32):
    report = run_gate(SPEC, {"fp32": fp32}, PICTURES[:1], Limits()).report
    card = model_card(SPEC, {"fp32": fp32}, report, About(note="# My model\n\nFor stripes.\n"))
    assert card.startswith("# My model\n\nFor stripes.\n\n|")
    assert "# colours" not in card
    plain = model_card(SPEC, {"fp32": fp32}, report, About())
    assert plain.startswith("# colours, version 0\n\nIntended use: telling dark, red, green, blue apart")
    assert "## Limits" in card
    assert "## Limits" in plain


@pytest.mark.data
def test_the_default_model_becomes_a_bundle_on_real_photos(data_dir, tmp_path):
    from segrt.runtime.model import load

    by_hand = Path(__file__).parents[2] / "recipes" / "teeth" / "gum" / "val"
    photos = tmp_path / "photos"
    for kind in ("images", "masks"):
        (photos / kind).mkdir(parents=True)
    for mask in sorted(by_hand.glob("*.png"))[::20]:
        (photo,) = (data_dir / "dental" / "val" / "images").glob(f"{mask.stem}.*")
        (photos / "images" / photo.name).symlink_to(photo)
        (photos / "masks" / mask.name).symlink_to(mask)
    model = load("teeth", precision="fp32")
    spec, graph = model.spec, model.read()
    pictures = golden_pictures(photos, spec, 4)
    path = Path(tmp_path / "teeth.segrt")
    report = make_bundle(path, spec, {"fp32": graph}, pictures, Limits())
    assert (report.truths, report.notes, report.refusals) == (4, (), [])
    assert report.rows[0].miou == pytest.approx(report.rows[0].reference_miou, abs=1e-4)
    assert report.rows[0].miou > 0.6
    with segrt.open(path, backend="openvino", device="cpu", strict=True) as segment:
        mask = segment(pictures[0].image).mask
    assert (mask == open_bundle(path).golden()[0].mask).mean() > 0.999
