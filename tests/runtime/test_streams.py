import threading
import time
from collections import Counter

import numpy as np
import pytest
from tests.runtime.fakes import ListedSource
from tests.tiny import colour_spec

from segrt import Frame, Segmenter, SourceError
from segrt.runtime.engines import FakeEngine
from segrt.runtime.reader import Drop
from segrt.runtime.rhythm import Rhythm
from segrt.runtime.streams import Streams

COLOURS = ((0, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0))  # BGR of the classes dark, red, green, blue


def coloured(number, count, **options):
    """Frames of a colour of their own whose size tells the index."""

    def make(index):
        return Frame(np.full((24, 32 + index % 7, 3), COLOURS[number], np.uint8), index, index)

    return ListedSource(count, make=make, **options)


def by_colour():
    """A segmenter whose engine tells colours apart."""

    def logits(batch):
        time.sleep(0.001)
        picture = batch[:, ::4, ::4].transpose(0, 3, 1, 2) - np.float32(127)  # (1, 3, 8, 8) RGB
        return np.concatenate([np.zeros((1, 1, 8, 8), np.float32), picture], axis=1)

    return Segmenter(FakeEngine(logits, (32, 32)), colour_spec())


@pytest.mark.parametrize("drop", [Drop.NONE, Drop.OLDEST])
def test_no_source_gets_the_mask_of_another_and_each_keeps_its_order(drop):
    sources = [coloured(number, 60, pause_s=0.001 * (1 + number), live=drop is Drop.OLDEST) for number in range(4)]
    seen = [[] for _ in sources]
    with by_colour() as segment, Streams(sources) as streams:
        for number, frame in streams:
            mask = segment(frame).mask
            assert mask.shape == (24, 32 + frame.index % 7)
            assert (mask == number).all()
            seen[number].append(frame.index)
    for indices, dropped in zip(seen, streams.frames_dropped, strict=True):
        assert indices == sorted(set(indices))
        assert len(indices) + dropped == 60
    if drop is Drop.NONE:
        assert streams.frames_dropped == [0] * 4


def test_the_stream_served_longest_ago_comes_first_so_that_none_starves():
    sources = [ListedSource(200), ListedSource(200), ListedSource(200, pause_s=0.002)]
    served = Counter()
    with Streams(sources) as streams:
        for number, _ in streams:
            served[number] += 1
            time.sleep(0.001)
            if sum(served.values()) == 120:
                break
    assert abs(served[0] - served[1]) <= 2
    assert served[2] > 20


def test_one_that_fails_or_ends_leaves_the_others_alone():
    failure = SourceError("cable pulled")
    sources = [ListedSource(3, failure=failure), ListedSource(50, pause_s=0.001), ListedSource(5, problem="cut short")]
    served = Counter()
    with Streams(sources) as streams:
        for number, _ in streams:
            served[number] += 1
        assert streams.ended == [True] * 3
    assert served == {0: 3, 1: 50, 2: 5}
    assert streams.failures == [failure, None, None]
    assert sources[2].problem == "cut short"


def test_silence_of_all_and_of_one_can_be_told():
    gate = threading.Event()

    def slow(index):
        gate.wait(10)
        return Frame(None, index)

    with Streams([ListedSource(1, make=slow), ListedSource(2)]) as streams:
        assert streams.take(timeout_s=5)[0] == streams.take(timeout_s=5)[0] == 1
        assert streams.take(timeout_s=0.2) is None
        assert streams.ended == [False, True]
        assert streams.silent_s[0] > 0.19
        gate.set()
        assert streams.take(timeout_s=5)[0] == 0
        assert streams.take(timeout_s=5) is None


def test_stop_from_another_thread_ends_the_iteration():
    with Streams([ListedSource(10**6, pause_s=0.001) for _ in range(3)]) as streams:
        threading.Timer(0.1, streams.stop).start()
        start = time.perf_counter()
        for _ in streams:
            pass
        assert time.perf_counter() - start < 3


def gated(number_of_frames):
    """A live source, and the semaphore that lets its frames come one by one."""
    gate = threading.Semaphore(0)

    def make(index):
        gate.acquire()
        return Frame(np.zeros((24, 32, 3), np.uint8), index, index)

    return ListedSource(number_of_frames, live=True, make=make), gate


def come(streams, gate, number, index):
    """Let a frame come, and wait until it waits to be taken."""
    gate.release()
    reader, give_up_s = streams._readers[number], time.perf_counter() + 10
    with streams._changed:
        while not (reader._waiting and reader._waiting[-1].index == index):
            assert streams._changed.wait(give_up_s - time.perf_counter())


def test_under_load_an_old_frame_gives_way_to_the_one_that_is_about_to_come(monkeypatch):
    monkeypatch.setattr(Rhythm, "patience_s", lambda rhythm, now_s: 0.0 if sum(rhythm._superseded) else 30.0)
    source, gate = gated(2)
    with Streams([source]) as streams:
        come(streams, gate, 0, 0)
        assert streams.take(timeout_s=0.05) is None
        come(streams, gate, 0, 1)
        assert streams.take(timeout_s=5)[1].index == 1
        assert streams.frames_dropped == [1]


def test_an_old_frame_is_taken_after_all_when_no_other_comes(monkeypatch):
    over_s = time.perf_counter() + 0.1
    monkeypatch.setattr(Rhythm, "patience_s", lambda rhythm, now_s: max(over_s - now_s, 0.0))
    source, gate = gated(2)
    with Streams([source]) as streams:
        come(streams, gate, 0, 0)
        assert streams.take(timeout_s=5)[1].index == 0
        assert time.perf_counter() >= over_s
        gate.release()


def test_of_several_streams_none_is_waited_for(monkeypatch):
    monkeypatch.setattr(Rhythm, "patience_s", lambda rhythm, now_s: 30.0)
    sources, gates = zip(*(gated(2) for _ in range(2)), strict=True)
    with Streams(sources) as streams:
        come(streams, gates[1], 1, 0)
        assert streams.take(timeout_s=5)[0] == 1
        for gate in gates:
            gate.release(2)
