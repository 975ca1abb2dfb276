import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.csrc import twins

from segrt import _core
from segrt.runtime.placement import Rect
from segrt.runtime.steady import TALLY

KNOWN, NONFINITE, LEAPS, MIXED, _ = range(len(TALLY))


def shivering(classes, height, width, count=5, noise=0.3, seed=0, dtype=np.float32):
    """Logits of a still picture, a little different in every frame."""
    rng = np.random.default_rng(seed)
    still = rng.standard_normal((classes, height, width)) * 4
    return [(still + noise * rng.standard_normal(still.shape)).astype(dtype) for _ in range(count)]


class Stream:
    """The kernel's memory of one stream, amid bytes that must stay as they are."""

    def __init__(self, like, seen=None, threads=2):
        self.seen = Rect(0, 0, like.shape[-1], like.shape[-2]) if seen is None else seen
        shape = like.shape[-3:]
        self._backing = np.full(np.prod(shape) + 32, 99, np.float32)
        self.state = self._backing[16:-16].reshape(shape)
        self.tally, self._threads = np.zeros(len(TALLY), np.int64), threads

    def __call__(self, logits):
        _core.steady(logits, self.seen, self.state, self.tally, self._threads)
        assert (self._backing[:16] == 99).all()
        assert (self._backing[-16:] == 99).all()
        return self.state


def check(frames, seen=None, threads=2):
    """Every frame's steady logits are the twin's."""
    stream, before = Stream(frames[0], seen, threads), None
    for logits in frames:
        expected, leaps = twins.steadied(logits.reshape(logits.shape[-3:]), before, stream.seen)
        found = stream(logits)
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-5)
        assert stream.tally[LEAPS] == leaps
        before = found.copy()  # so that roundings do not add up
    return stream


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("classes", [1, 2, 3, 4, 21])
def test_the_past_weighs_by_how_far_the_classes_moved_apart(isa, classes, dtype):
    stream = check(shivering(classes, 33, 37, noise=0.2, dtype=dtype))
    assert stream.tally[MIXED] == (classes > 1)


@settings(max_examples=150, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    classes=st.integers(1, 6),
    noise=st.floats(0, 1.5),
    threads=st.integers(1, 3),
    half=st.booleans(),
    data=st.data(),
)
def test_any_size_and_any_part_seen(sides, classes, noise, threads, half, data):
    height, width = sides
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    seen = Rect(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    check(shivering(classes, height, width, 4, noise, dtype=np.float16 if half else np.float32), seen, threads)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_logits_of_any_strides_give_the_same_bits(isa, dtype):
    frames = shivering(3, 20, 27, dtype=dtype)
    views = {
        "a batch of one": lambda v: v[None],
        "channels last": lambda v: np.ascontiguousarray(v.transpose(1, 2, 0)).transpose(2, 0, 1),
        "transposed": lambda v: np.ascontiguousarray(v.transpose(0, 2, 1)).transpose(0, 2, 1),
        "backwards": lambda v: np.ascontiguousarray(v[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
        "gaps": lambda v: np.repeat(np.repeat(v, 2, axis=1), 2, axis=2)[:, ::2, ::2],
    }
    plain = Stream(frames[0])
    others = {name: Stream(frames[0]) for name in views}
    for logits in frames:
        expected = plain(logits).tobytes()
        for name, view in views.items():
            assert others[name](view(logits)).tobytes() == expected, name


def test_the_number_of_threads_changes_no_bit():
    frames = shivering(3, 120, 120)
    streams = [Stream(frames[0], threads=threads) for threads in (1, 2, 5)]
    for logits in frames:
        assert len({stream(logits).tobytes() for stream in streams}) == 1


def test_noise_shrinks_and_the_mean_stays(isa):
    frames = shivering(2, 40, 50, count=200, noise=0.1)
    stream = Stream(frames[0])
    steady = np.array([stream(logits).copy() for logits in frames])[20:]
    assert steady.std(axis=0).mean() < 0.5 * np.std(frames, axis=0).mean()
    assert np.abs(steady.mean(axis=0) - np.mean(frames, axis=0)).max() < 0.1


def test_a_clear_change_is_believed_at_once(isa):
    before, _ = shivering(3, 16, 16, count=2)
    after = before.copy()
    after[1, 4:7, 5] += np.float32(2.001)
    stream = Stream(before)
    stream(before)
    assert np.array_equal(stream(after)[:, 4:7, 5], after[:, 4:7, 5])
    assert stream.tally[[LEAPS, MIXED]].tolist() == [3, 1]


def test_what_is_added_to_every_class_of_a_cell_moves_no_weight(isa):
    logits = np.zeros((3, 8, 8), np.float32)
    stream = Stream(logits)
    stream(logits)
    assert np.array_equal(stream(logits + 64), np.full_like(logits, 16))
    assert stream.tally[LEAPS] == 0


@pytest.mark.parametrize(("leaping", "mixed"), [(19, 1), (20, 0), (100, 0)])
def test_a_fifth_of_the_cells_seen_leaping_is_a_cut(isa, leaping, mixed):
    before = np.zeros((2, 14, 14), np.float32)
    after = before + np.float32([[[0.5]], [[0]]])
    after[0] += 9  # cells that are not seen leap too, and do not count
    seen = Rect(2, 3, 10, 10)
    part = after[0, 3:13, 2:12]
    part[...] = 0.5
    part[np.unravel_index(np.arange(leaping), (10, 10))] = 9.5
    stream = Stream(before, seen)
    stream(before)
    found = stream(after)
    assert stream.tally[[LEAPS, MIXED]].tolist() == [leaping, mixed]
    assert np.array_equal(found, after) == (not mixed)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0, 0), (1, 7, 3), (2, 19, 26)])
def test_after_a_logit_that_is_not_finite_everything_begins_anew(isa, where, poison):
    frames = shivering(3, 20, 27)
    stream, fresh = Stream(frames[0]), Stream(frames[0])
    stream(frames[0])
    bad = frames[1].copy()
    bad[where] = poison
    assert np.array_equal(stream(bad), bad, equal_nan=True)  # so that postprocess refuses it
    assert stream.tally[[KNOWN, NONFINITE, MIXED]].tolist() == [0, 1, 0]
    for logits in frames[2:]:
        assert stream(logits).tobytes() == fresh(logits).tobytes()
    assert stream.tally[KNOWN] == 1


def test_what_the_memory_held_before_the_first_frame_does_not_matter(isa):
    frames = shivering(2, 9, 17)
    stream = Stream(frames[0])
    stream.state[...] = np.nan
    assert np.array_equal(stream(frames[0]), frames[0])
    assert np.isfinite(stream(frames[1])).all()


def test_finite_logits_stay_finite(isa):
    most = np.finfo(np.float32).max
    rng = np.random.default_rng(0)
    frames = [rng.choice(np.float32([most, -most, 0, 1, 1.5]), (3, 30, 31)) for _ in range(6)]
    stream = Stream(frames[0], seen=Rect(0, 0, 1, 1))  # a cell that stays, so that the others are mixed
    for logits in frames:
        logits[:, 0, 0] = 0
        assert np.isfinite(stream(logits)).all()
    assert stream.tally[MIXED] == 1
