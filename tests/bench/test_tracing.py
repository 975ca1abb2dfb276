import numpy as np
from bench import tracing
from tests.tiny import colour_net

import segrt


def test_the_untimed_way_gives_the_masks_of_the_timed_one_and_both_are_compared(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with segrt.open(colour_net(tmp_path / "net.onnx"), device="cpu") as timed:
        untimed = tracing.without_clock(timed)(image)
        assert np.array_equal(untimed.mask, timed(image).mask)
        assert untimed.timings_ms == {}
        found = tracing.compare(timed, 4)
    assert found["clock_share"] > 0
