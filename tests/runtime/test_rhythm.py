from itertools import accumulate, repeat

import pytest

from segrt.runtime.rhythm import Rhythm


def after(gaps_s, superseding=True):
    """A rhythm whose frames came so far apart, and when the last one came."""
    rhythm, moments = Rhythm(), list(accumulate(gaps_s, initial=100.0))
    for moment in moments:
        rhythm.came(moment, superseding=superseding)
    return rhythm, moments[-1]


def overloaded():
    return after(repeat(0.02, 20))


def test_a_fresh_frame_is_taken_at_once():
    rhythm, last_s = overloaded()
    assert rhythm.patience_s(last_s) == 0
    assert rhythm.patience_s(last_s + 0.009) == 0


def test_for_an_old_frame_it_is_worth_waiting_until_the_next_one_is_overdue():
    rhythm, last_s = overloaded()
    assert rhythm.patience_s(last_s + 0.011) == pytest.approx(0.014)
    assert rhythm.patience_s(last_s + 0.020) == pytest.approx(0.005)
    assert rhythm.patience_s(last_s + 0.026) == 0


def test_where_frames_are_kept_up_with_none_is_waited_past():
    rhythm, last_s = after(repeat(0.02, 20), superseding=False)
    assert rhythm.patience_s(last_s + 0.015) == 0


def test_a_hiccup_is_no_overload():
    rhythm, last_s = after(repeat(0.02, 20), superseding=False)
    for number in range(6):
        rhythm.came(last_s := last_s + 0.02, superseding=number < 2)
    assert rhythm.patience_s(last_s + 0.015) == 0


def test_an_overload_that_is_over_is_forgotten():
    rhythm, last_s = overloaded()
    for _ in range(32):
        rhythm.came(last_s := last_s + 0.02, superseding=False)
    assert rhythm.patience_s(last_s + 0.015) == 0


def test_a_gap_among_many_frames_changes_nothing():
    rhythm, last_s = after([*repeat(0.02, 20), 3.0, 0.02, 0.02])
    assert rhythm.patience_s(last_s + 0.011) == pytest.approx(0.014)


def test_of_a_slow_source_the_frame_at_hand_is_taken():
    rhythm, last_s = after(repeat(1.0, 20))
    assert rhythm.patience_s(last_s + 0.6) == 0
    assert rhythm.patience_s(last_s + 0.96) == pytest.approx(0.09)


def test_nothing_is_waited_for_before_the_rhythm_is_known():
    rhythm, last_s = after([0.02] * 6)
    assert rhythm.patience_s(last_s + 0.015) == 0
    assert Rhythm().patience_s(1.0) == 0
