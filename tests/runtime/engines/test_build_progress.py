import pytest
from tests.runtime.engines import fake_trt

from segrt.runtime.engines.build_progress import Shares, monitor_of


def test_a_phase_takes_the_place_of_one_step_of_its_parent():
    shares = Shares()
    shares.start("build", None, 4)
    shares.step("build", 0)
    assert shares.done == 0.25
    shares.start("time", "build", 2)
    shares.step("time", 0)
    assert shares.done == 0.375
    shares.start("kernels", "time", 2)
    shares.step("kernels", 0)
    assert shares.done == 0.4375
    shares.finish("kernels")
    shares.finish("time")
    assert shares.done == 0.5
    shares.finish("build")
    assert shares.done == 1.0


def test_phases_that_do_more_than_they_said_never_go_beyond_the_end_or_back():
    shares = Shares()
    shares.start("build", None, 1)
    for index in range(3):
        shares.step("build", index)
    shares.start("more", "build", 0)
    shares.step("more", 0)
    shares.start("orphan", "nobody", 2)
    shares.step("orphan", 0)
    shares.step("unheard of", 0)
    shares.finish("unheard of")
    assert shares.done == 1.0


def test_what_progress_raises_waits_and_cancels_the_build():
    def interrupt(phase, share):
        raise KeyboardInterrupt

    monitor = monitor_of(fake_trt.make(), interrupt)
    monitor.phase_start("build", None, 2)
    assert monitor.step_complete("build", 0) is False
    monitor.phase_finish("build")
    with pytest.raises(KeyboardInterrupt):
        raise monitor.interruption
