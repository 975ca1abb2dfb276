from segrt.trainer.networks import measure_size
from segrt.trainer.networks.light import LightNet


def test_it_is_light():
    parameters, macs = measure_size(LightNet(2), (480, 480))
    assert parameters < 1.3e6
    assert macs < 2.0e9
