from itertools import pairwise

from segrt.runtime.live.load import WINDOW, Load


def run(load: Load, seconds: float, *, from_s: float, age_ms, late) -> list[int]:
    """Thirty answers a second; `age_ms` and `late` of the choice at hand."""
    choices = []
    for number in range(int(seconds * 30)):
        load.add(age_ms(load.choice), late=late(load.choice), now_s=from_s + number / 30)
        choices.append(load.choice)
    return choices


def test_a_machine_that_keeps_up_stays_with_its_model():
    assert set(run(Load(33, 2), 60, from_s=0, age_ms=lambda _: 10, late=lambda _: False)) == {0}


def test_single_late_answers_change_nothing():
    load = Load(33, 2)
    for number in range(300):
        load.add(10, late=number % 10 == 0, now_s=number / 30)
    assert load.choice == 0


def test_without_a_deadline_or_a_second_model_there_is_nothing_to_choose():
    for load in (Load(None, 2), Load(33, 1)):
        assert set(run(load, 5, from_s=0, age_ms=lambda _: 99, late=lambda _: True)) == {0}


def test_a_fifth_of_late_answers_takes_the_smaller_model_within_a_second():
    choices = run(Load(33, 2), 1, from_s=0, age_ms=lambda _: 40, late=lambda choice: choice == 0)
    assert choices.index(1) <= WINDOW


def test_the_larger_model_comes_back_after_ten_seconds_at_ease():
    load = Load(33, 2)
    run(load, 1, from_s=0, age_ms=lambda _: 40, late=lambda choice: choice == 0)
    choices = run(load, 20, from_s=1, age_ms=lambda _: 10, late=lambda _: False)
    assert 8 * 30 < choices.index(0) < 11 * 30
    assert set(choices[choices.index(0) :]) == {0}


def test_a_smaller_model_that_has_no_room_to_spare_stays():
    load = Load(33, 2)
    run(load, 1, from_s=0, age_ms=lambda _: 40, late=lambda choice: choice == 0)
    assert set(run(load, 60, from_s=1, age_ms=lambda _: 25, late=lambda _: False)) == {1}


def test_a_load_that_lasts_is_tried_ever_more_seldom():
    changes = run(Load(33, 2), 600, from_s=0, age_ms=lambda c: (40, 10)[c], late=lambda choice: choice == 0)
    tries = sum(now < before for before, now in pairwise(changes))
    assert 3 <= tries <= 7  # after 10, 20, 40, 80, 160 and 160 seconds, not every ten
