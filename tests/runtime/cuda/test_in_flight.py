"""Whole runs on a GPU: two frames in flight where none may be lost, one where they must be fresh."""

import numpy as np
import pytest
from tests.runtime.cuda.fake import FakeDeviceEngine
from tests.runtime.cuda.test_session import brightness
from tests.runtime.fakes import ListedSource, RecordingSink
from tests.tiny import colour_spec

from segrt import EngineError, Frame, Segmenter, SourceError
from segrt.runtime.engines import FakeEngine
from segrt.runtime.pipeline import Pipeline


class Recording(RecordingSink):
    """Keeps the masks too."""

    def __init__(self):
        super().__init__()
        self.masks = []

    def write(self, frame, segmentation):
        super().write(frame, segmentation)
        self.masks.append((segmentation.mask, segmentation.changed))


def frames(index):
    """Two sizes in turn, each frame another picture."""
    rng = np.random.default_rng(index)
    return Frame(rng.integers(0, 256, (24, 32 + 8 * (index // 5 % 2), 3), np.uint8), index, index)


def run(segmenter, **source):
    sink = Recording()
    with segmenter:
        report = Pipeline(ListedSource(20, make=frames, **source), segmenter, [sink]).run()
    return report, sink


def test_a_run_gives_the_masks_of_the_cpu_in_order(fake):
    report, ours = run(Segmenter(FakeDeviceEngine(fake, brightness, (32, 32)), colour_spec()))
    _, theirs = run(Segmenter(FakeEngine(brightness, (32, 32)), colour_spec()))
    assert ours.indices == list(range(20))
    assert (report.frames_in, report.frames_bad) == (20, 0)
    for (mask, changed), (expected, changed_before) in zip(ours.masks, theirs.masks, strict=True):
        assert np.array_equal(mask, expected)
        assert changed == changed_before


@pytest.mark.parametrize(("live", "in_flight"), [(False, 2), (True, 1)])
def test_only_frames_that_need_not_be_fresh_wait_for_one_another(live, in_flight, fake):
    segmenter = Segmenter(FakeDeviceEngine(fake, brightness, (32, 32)), colour_spec())
    most, submit = 0, segmenter.submit

    def watched(image):
        nonlocal most
        pending = submit(image)
        most = max(most, len(segmenter._session._flying))
        return pending

    segmenter.submit = watched
    run(segmenter, live=live, pause_s=0.002)
    assert most == in_flight


def test_a_failure_comes_after_the_frames_before_it(fake):
    engine = FakeDeviceEngine(fake, brightness, (32, 32), fail_at=(7,), capturable=False)
    sink = RecordingSink()
    with Segmenter(engine, colour_spec()) as segmenter, pytest.raises(EngineError, match="failed badly"):
        Pipeline(ListedSource(20, make=frames), segmenter, [sink]).run()
    assert sink.indices == [*range(7)]
    assert sink.ended == "closed"


def test_a_source_that_fails_leaves_the_frames_before_it(fake):
    sink = RecordingSink()
    segmenter = Segmenter(FakeDeviceEngine(fake, brightness, (32, 32)), colour_spec())
    with segmenter, pytest.raises(SourceError, match="lost"):
        Pipeline(ListedSource(9, failure=SourceError("lost")), segmenter, [sink]).run()
    assert sink.indices == [*range(9)]
