import numpy as np
import pytest
from tests.bundles import golden, row

from segrt import Segmentation, Status
from segrt.runtime.bundles.parity import Golden, measure
from segrt.runtime.bundles.report import GateReport, Limits, percent, table
from segrt.runtime.engines.base import EngineInfo

INFO = EngineInfo("fake", "1.2", "cpu", 1, "a note")


def found(frames, answers, precision="fp32", limits=None):
    given = iter(answers)
    return measure(lambda image: next(given), INFO, frames, 4, precision, limits or Limits())


def frame(mask, truth=None, name="f"):
    mask = np.array(mask, np.uint8)
    truth = None if truth is None else np.array(truth, np.uint8)
    return Golden(name, np.zeros((*mask.shape, 3), np.uint8), mask, truth)


def test_agreement_is_the_share_of_pixels_that_the_reference_saw():
    frames = [frame([[0, 1, 2, 255]], name="a"), frame([[3, 3, 3, 3]], name="b")]
    answers = [Segmentation(np.array([[0, 1, 0, 0]], np.uint8)), Segmentation(np.array([[3, 3, 3, 0]], np.uint8))]
    measured = found(frames, answers)
    assert measured.row.agreement == 5 / 7
    assert (measured.row.worst, measured.row.worst_agreement) == ("a", 2 / 3)
    assert measured.worst is frames[0]
    np.testing.assert_array_equal(measured.worst_mask, [[0, 1, 0, 0]])
    assert (measured.row.miou, measured.row.miou_drop) == (None, None)
    assert not measured.row.passed
    assert measured.row.failures == ["71.428% of pixels agree, at least 99.95% are needed"]


def test_the_drop_in_mean_iou_counts_known_pixels_of_frames_with_truth():
    frames = [frame([[0, 0, 1, 1]], [[0, 0, 1, 255]]), frame([[0, 0, 0, 0]])]
    answers = [Segmentation(np.array([[0, 1, 1, 0]], np.uint8)), Segmentation(np.zeros((1, 4), np.uint8))]
    row = found(frames, answers, limits=Limits(fp32=0.5)).row
    assert row.reference_miou == 1.0
    assert row.miou == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert row.failures == ["mean IoU falls by 50.00 points, at most 0.5 may"]


def test_a_frame_without_a_mask_fails_whatever_the_rest_is():
    answers = [Segmentation(None, Status.INVALID), Segmentation(golden()[1].mask)]
    measured = found(golden(), answers, limits=Limits(fp32=0.0, miou_drop=1.0))
    assert measured.row.invalid == 1
    assert measured.worst_mask is None
    assert measured.row.failures == ["1 frames get no mask (NaN or infinity among the logits)"]


@pytest.mark.parametrize(("precision", "passes"), [("fp32", False), ("fp16", True), ("int8", True)])
def test_each_precision_has_its_own_limit(precision, passes):
    mask = np.zeros((10, 100), np.uint8)
    answer = mask.copy()
    answer[0, 0] = 1  # 99.9 % agree
    assert found([frame(mask)], [Segmentation(answer)], precision).row.passed is passes


def test_pytorch_on_a_gpu_is_judged_by_what_it_computes_in():
    mask = np.zeros((1, 4), np.uint8)
    limits = {}
    for backend, device in (("pytorch", "cpu"), ("pytorch", "cuda:0"), ("tensorrt", "cuda:0")):
        info = EngineInfo(backend, "1", device, 0)
        measured = measure(lambda image: Segmentation(mask), info, [frame(mask)], 2, "fp32", Limits())
        limits[backend, device] = measured.row.limit
    assert list(limits.values()) == [Limits().fp32, Limits().fp16, Limits().fp32]


def test_fp32_must_pass_everywhere_and_others_on_one_backend():
    def refused(*rows):
        return GateReport(rows, Limits(), "r", 1, 0).refusals

    good = row("fp32", "openvino", 1.0)
    assert not refused(good, row("int8", "openvino", 0.995), row("int8", "onnxruntime", 0.9))
    assert refused(good, row("int8", "openvino", 0.98), row("int8", "onnxruntime", 0.9)) == [
        "int8 on openvino: 98.000% of pixels agree, at least 99.00% are needed",
        "int8 on onnxruntime: 90.000% of pixels agree, at least 99.00% are needed",
    ]
    assert refused(good, row("fp32", "onnxruntime", 0.99))
    assert refused(row("fp32", "openvino", float("nan")))


def test_a_percentage_is_never_rounded_up():
    assert percent(0.9999996) == "99.999%"
    assert percent(1.0) == "100.000%"
    assert percent(0.9995, 2) == "99.95%"
    assert percent(float("nan")) == "nan"


def test_the_table_has_a_line_for_each_row():
    rows = [row("fp32", "openvino", 1.0), row("int8", "onnxruntime", 0.5, reference_miou=0.8, miou=0.7)]
    head, good, bad = table(rows).splitlines()
    assert head.split() == ["graph", "backend", "agreement", "limit", "mIoU", "drop", "worst", "frame"]
    assert good.endswith("passed")
    assert bad.split()[-1] == "FAILED"
    assert "+10.00" in bad


def test_a_report_survives_the_way_through_json():
    import json

    report = GateReport(
        (row("fp32", "openvino", 1.0, reference_miou=0.5, miou=0.4),), Limits(int8=0.9), "r", 3, 2, ("n",)
    )
    assert GateReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
