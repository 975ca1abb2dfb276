import threading
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.clips import write_video
from tests.runtime.live.servers import RtspServer, needs_rtsp_server
from tests.tiny import colour_net, colour_spec, stripe_classes, stripes

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


def coded_clip(path, number, count=12):
    """A clip of one colour, of a width of its own."""
    colour = ((20, 20, 20), (30, 30, 220), (30, 220, 30), (220, 30, 30))[number]
    return write_video(path, [np.full((48, 64 + 16 * number, 3), colour, np.uint8)] * count)


def test_several_clips_at_once_each_in_its_order_with_its_own_masks(net, tmp_path):
    clips = [coded_clip(tmp_path / f"{number}.mp4", number) for number in range(4)]
    seen = [[] for _ in clips]
    for number, frame, result in segrt.run_streams(clips, net):
        seen[number].append(frame.index)
        assert result.mask.shape == (48, 64 + 16 * number)
        assert (result.mask == number).mean() > 0.95
        assert result.age_ms > 0
    assert seen == [list(range(12))] * 4


def test_of_several_clips_a_truncated_one_is_raised_when_the_others_have_ended(net, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(CLIP.read_bytes()[: CLIP.stat().st_size // 2])
    seen = [0, 0]
    with pytest.raises(SourceError, match="ends early"):  # noqa: PT012
        for number, _, _ in segrt.run_streams([cut, coded_clip(tmp_path / "whole.mp4", 1, 200)], net):
            seen[number] += 1
    assert seen[0] > 20
    assert seen[1] == 200


def test_of_several_sources_one_that_is_not_there_leaves_none_open(net, tmp_path):
    clip = coded_clip(tmp_path / "a.mp4", 1)
    with pytest.raises(SourceError, match="nowhere"):
        next(segrt.run_streams([clip, "nowhere.mp4"], net))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("segrt")]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], r"a list of them, found \[\]"),
        ("scan.mp4", "a list of them, found 'scan.mp4'"),
        (["-", "-"], "standard input can be one source, found it 2 times"),
    ],
)
def test_what_is_no_list_of_sources_is_refused_at_once(sources, message, net):
    with pytest.raises(SourceError, match=message):
        segrt.run_streams(sources, net)


@pytest.mark.parametrize("option", [{"device": "cpu"}, {"deadine_ms": 33}])
def test_an_option_that_an_open_segmenter_cannot_follow_is_refused_not_ignored(option, net):
    with segrt.open(net) as segment:
        with pytest.raises(segrt.ConfigError, match=f"{next(iter(option))}: a segmenter is open already"):
            segrt.run(CLIP, segment, **option)
        assert len(list(segrt.run([stripes(40, 64)], segment, guard=None, deadline_ms=5000))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deadline_ms": -1}, "deadline_ms"),
        ({"fallback_model": "teeth"}, "give deadline_ms"),
        ({"on_hang": "pray"}, "on_hang"),
        ({"drop": "newest"}, "drop"),
    ],
)
def test_an_option_without_sense_is_refused_before_anything_is_opened(options, message, net):
    with pytest.raises(segrt.ConfigError, match=message):
        segrt.run("nowhere.mp4", net, **options)


def test_a_fallback_model_of_other_classes_is_refused(net, tmp_path):
    other = colour_net(tmp_path / "other.onnx", colour_spec(class_names=("a", "b", "c", "d")))
    with pytest.raises(ModelError, match="the fallback model has the classes a, b, c, d"):
        next(segrt.run(CLIP, net, deadline_ms=100, fallback_model=other))


def test_the_options_of_one_run_do_not_change_the_next(net):
    options = {"deadline_ms": 5000, "hang_s": 3, "timeout_s": 2}
    before = dict(options)
    for _ in range(2):
        assert len(list(segrt.run([stripes(40, 64)], net, **options))) == 1
    assert options == before


@needs_rtsp_server
def test_a_lost_and_regained_signal_is_told_and_shown_and_a_stop_ends_the_silence(net):
    events, statuses = [], []
    with RtspServer() as server:
        results = segrt.run(server.url, net, guard=False, timeout_s=1.0, on_event=events.append)
        for frame, result in results:
            statuses.append((result.status, frame.index))
            lost = any(isinstance(event, segrt.SignalLost) for event in events)
            regained = any(isinstance(event, segrt.SignalRegained) for event in events)
            silent = [index for status, index in statuses if status is Status.NO_SIGNAL]
            if len(statuses) == 5:
                server.kill()
            elif lost and silent and server._process is None:
                server.start()
            elif regained and result.status is Status.OK:
                break
            assert len(statuses) < 500
        results.close()
    assert [type(event) for event in events][:2] == [segrt.SignalLost, segrt.Reconnecting]
    last = events[0].frames_given - 1
    assert last in silent
    assert set(silent) == {last}  # the index of the frame before the silence
    indices = [index for status, index in statuses if status is not Status.NO_SIGNAL]
    assert indices == sorted(set(indices))


@needs_rtsp_server
def test_a_signal_that_does_not_come_back_is_a_lost_source(net):
    with RtspServer() as server:
        results = segrt.run(server.url, net, reconnect=1)
        next(results)
        server.kill()
        with pytest.raises(segrt.SourceLostError, match="1 attempts to connect again failed"):
            list(results)
