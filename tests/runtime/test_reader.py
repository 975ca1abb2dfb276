import threading
import time
from itertools import pairwise

import pytest
from tests.runtime.fakes import ListedSource

from segrt import SourceError
from segrt.runtime.reader import Drop, Reader
from segrt.runtime.sources.base import BlockingReads
from segrt.runtime.types import Frame


class HangingSource(BlockingReads):
    """Gives two frames, then hangs like a driver that does not answer until `free` is set."""

    name, live, frame_count, size_hw, rate = "hanging", True, None, None, None

    def __init__(self):
        super().__init__()
        self.free, self.given, self.released = threading.Event(), 0, 0

    def _begin(self):
        def read():
            if self.given == 2:
                self.free.wait(30)
                return None
            self.given += 1
            return Frame(None, self.given - 1)

        return read

    def _release(self):
        self.released += 1


def test_each_frame_has_the_time_of_its_arrival():
    start = time.perf_counter()
    with Reader(ListedSource(5, pause_s=0.01), Drop.NONE) as reader:
        arrivals = [frame.arrived_s for frame in reader]
    assert all(a + 0.009 < b for a, b in pairwise(arrivals))
    assert start < arrivals[0] < arrivals[-1] < time.perf_counter()


def test_silence_is_noticed_while_the_source_blocks():
    source = HangingSource()
    with Reader(source, Drop.NONE) as reader:
        assert [reader.take(timeout_s=5).index for _ in range(2)] == [0, 1]
        start = time.perf_counter()
        assert reader.take(timeout_s=0.2) is None
        assert 0.19 < time.perf_counter() - start < 0.5
        assert 0.19 < reader.silent_s < 0.5
        assert not reader.ended
        source.free.set()
        assert reader.take(timeout_s=5) is None
        assert reader.ended


def test_leaving_does_not_wait_for_a_source_that_hangs_and_the_source_is_released_when_it_wakes():
    source = HangingSource()
    with Reader(source) as reader:
        assert reader.take(timeout_s=5) is not None
        start = time.perf_counter()
    assert time.perf_counter() - start < 2
    assert source.released == 0  # never during a read
    source.free.set()
    reader._thread.join(5)
    assert not reader._thread.is_alive()
    assert source.released == 1


def test_stop_from_another_thread_ends_the_iteration():
    source = HangingSource()
    with Reader(source) as reader:
        threading.Timer(0.1, reader.stop).start()
        start = time.perf_counter()
        assert len(list(reader)) <= 2
        assert time.perf_counter() - start < 2
    source.free.set()


def test_a_failure_is_raised_once_after_the_frames_before_it():
    with Reader(ListedSource(2, failure=SourceError("lost"))) as reader:
        assert [reader.take().index for _ in range(2)] == [0, 1]
        with pytest.raises(SourceError, match="lost"):
            reader.take()
        assert reader.take() is None


def test_a_frame_of_a_file_arrives_when_it_is_taken_and_a_live_one_when_it_came():
    with Reader(ListedSource(2)) as files, Reader(ListedSource(1, live=True)) as live:
        time.sleep(0.1)
        taken_s = time.perf_counter()
        assert all(frame.arrived_s >= taken_s for frame in files)
        assert all(frame.arrived_s < taken_s for frame in live)
