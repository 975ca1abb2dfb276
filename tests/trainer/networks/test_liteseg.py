import pytest

from segrt.trainer.networks import build_network, measure_size
from segrt.trainer.settings import NetworkConfig


@pytest.mark.parametrize(("width", "gmac"), [(32, 1.3), (64, 5.2)])
def test_the_width_is_the_one_knob_from_small_to_pp_liteseg_t(width: int, gmac: float):
    size = measure_size(build_network(NetworkConfig(name="liteseg", width=width), 3), (480, 480))
    assert size.macs / 1e9 == pytest.approx(gmac, abs=0.1)
