from bench import tracing
from tests.tiny import colour_net

import segrt


def test_the_untimed_way_gives_the_masks_of_the_timed_one_and_both_are_compared(tmp_path):
    with segrt.open(colour_net(tmp_path / "net.onnx"), device="cpu") as timed:
        found = tracing.compare(timed, 4)
    assert found["timed_over_untimed"]["q1"] <= found["timed_over_untimed"]["q3"]
    assert found["clock_share"] > 0
