import threading
from pathlib import Path

import numpy as np
import pytest
from tests.tiny import colour_net, stripe_classes, stripes

import segrt
from segrt import ModelError, SourceError, Status

CLIP = Path(__file__).parents[2] / "examples" / "scan.mp4"


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return colour_net(tmp_path / "net.onnx")


def test_every_frame_of_a_clip_comes_with_its_segmentation(net):
    pairs = list(segrt.run(CLIP, net))
    assert [frame.index for frame, _ in pairs] == list(range(150))
    assert all(result.mask.shape == frame.image.shape[:2] for frame, result in pairs)
    assert pairs[0][1].changed is None
    assert pairs[1][1].changed is not None


def test_arrays_are_a_source(net):
    images = [stripes(40, 64), stripes(50, 70)]
    results = [result for _, result in segrt.run(images, net)]
    for image, result in zip(images, results, strict=True):
        assert (result.mask == stripe_classes(*image.shape[:2])).mean() > 0.9


def test_an_open_segmenter_can_be_given_and_stays_open(net):
    with segrt.open(net) as segment:
        for _ in range(2):
            assert len(list(segrt.run([stripes(40, 64)] * 3, segment))) == 3
        assert segment(stripes(40, 64)).status is Status.OK


def test_steady_is_an_option_of_open_and_run_and_each_run_begins_anew(net):
    level = [np.full((32, 32, 3), (0, 0, grey), np.uint8) for grey in (140, 120, 140, 120)]
    plain, steady = ([r.changed for _, r in segrt.run(level, net, steady=on)] for on in (False, True))
    assert plain == [None, 1, 1, 1]
    assert steady == [None, 0, 0, 0]
    with segrt.open(net, steady=True) as segment:
        for first in (0, 1):
            masks = [result.mask for _, result in segrt.run(level[first:], segment)]
            assert (masks[0] == 1 - first).all()


def test_an_abandoned_run_leaves_no_thread_behind(net):
    before = {thread.name for thread in threading.enumerate()}
    with segrt.open(net) as segment:
        frames = segrt.run(CLIP, segment)
        next(frames)
        frames.close()
    assert {thread.name for thread in threading.enumerate()} == before


def test_a_source_that_is_not_there_is_an_error_at_the_first_step(net):
    with pytest.raises(SourceError, match="nowhere"):
        next(segrt.run("nowhere.mp4", net))


def test_fields_of_the_spec_can_be_given_in_the_place_of_the_files(net):
    with segrt.open(net, fit="crop") as segment:
        assert (segment(stripes(32, 64)).mask == segrt.UNSEEN).any()
    with pytest.raises(ModelError, match="4 classes need as many"):
        segrt.open(net, palette=((0, 0, 0),))


@pytest.mark.parametrize("fit", ["squeeze", 3])
def test_an_unknown_fit_is_a_value_error(fit, net):
    with pytest.raises(ValueError, match=str(fit)):
        segrt.open(net, fit=fit)


def test_any_stride_is_an_image(net):
    image = stripes(64, 96)
    with segrt.open(net) as segment:
        expected = segment(np.ascontiguousarray(image[::2, ::-1])).mask
        assert np.array_equal(segment(image[::2, ::-1]).mask, expected)


def test_a_truncated_clip_raises_after_its_last_frame(net, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(CLIP.read_bytes()[: CLIP.stat().st_size // 2])
    seen = []
    with pytest.raises(SourceError, match="ends early"):
        seen.extend(segrt.run(cut, net))
    assert len(seen) > 20


@pytest.mark.parametrize("source", [None, b"scan.mp4", ""])
def test_what_is_no_source_is_refused_by_name(source, net):
    with pytest.raises(SourceError, match="found"):
        next(segrt.run(source, net))


@pytest.mark.parametrize("threads", [0, -1, 1.5, 10**6])
def test_threads_that_make_no_sense_are_refused(threads, net):
    with pytest.raises(segrt.EngineError, match="threads"):
        segrt.open(net, threads=threads)


def test_a_format_that_does_not_exist_lists_those_that_do(net):
    with segrt.open(net) as segment:
        with pytest.raises(segrt.ConfigError, match=r"'nv12'.*found 'yuyv'"):
            segment(stripes(8, 8), format="yuyv")
        segment.close()
        with pytest.raises(segrt.EngineError, match="closed"), segment:
            pass
