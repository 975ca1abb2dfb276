"""The emulated GPU finds what it is there to find."""

import numpy as np
import pytest
from tests.csrc.gpus import BACKWARD, FORWARD, SHUFFLED

WRITTEN = (1000 * np.arange(2)[:, None] + np.arange(64)[::-1]).reshape(-1).astype(np.int32)


@pytest.fixture
def emulated(gpu):
    if not gpu.emulated:
        pytest.skip("about the emulation")
    yield gpu
    gpu.cuda.reset()


def exchanged(emulated, order, *, wait):
    out = emulated.empty((128,), np.int32)
    emulated.cuda.set_order(order)
    emulated.cuda.exchange(out.array.address, wait, emulated.stream)
    return out.read().tolist() == WRITTEN.tolist()


def test_a_missing_barrier_shows_in_any_order(emulated):
    assert not any(exchanged(emulated, order, wait=False) for order in (FORWARD, BACKWARD, SHUFFLED))
    assert all(exchanged(emulated, order, wait=True) for order in (FORWARD, BACKWARD, SHUFFLED))


@pytest.mark.parametrize(("kernel", "complaint"), [("forsaken", "have ended"), ("split", "different operations")])
def test_threads_that_wait_in_vain_are_reported(emulated, kernel, complaint):
    getattr(emulated.cuda, kernel)(emulated.stream)
    with pytest.raises(RuntimeError, match=complaint):
        emulated.stream.synchronize()
