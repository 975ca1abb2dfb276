from segrt.runtime.serve.history import BIN_S, WINDOW_S, History


def test_a_bin_has_mean_and_worst_the_last_bad_status_and_the_last_areas():
    history = History()
    for at_s, ms, bad, areas in ((0.0, 4.0, None, (0.5, 0.5)), (0.1, None, "black", ()), (0.2, 8.0, None, (0.4, 0.6))):
        history.add(at_s, 100.0, bad, ms, areas)
    (only,) = history.closed(-1, BIN_S)
    assert only.as_json() == {
        "t": 0.0, "n": 3, "ms": 6.0, "max_ms": 8.0, "period_ms": 100.0, "bad": "black", "areas": [0.4, 0.6]
    }  # fmt: skip


def test_a_bin_is_given_once_it_is_over_and_then_never_again():
    history = History()
    history.add(0.0, None, None, 1.0, ())
    assert history.closed(-1, BIN_S * 0.9) == []
    assert [bin_.number for bin_ in history.closed(-1, BIN_S)] == [0]
    assert history.closed(0, BIN_S) == []


def test_an_hour_takes_no_more_room_than_a_minute():
    history = History()
    for number in range(int(3600 / BIN_S)):
        history.add(number * BIN_S, 250.0, None, 1.0, (1.0,))
    kept = history.closed(-1, 3600.0)
    assert len(kept) == WINDOW_S / BIN_S
    assert kept[-1].number == 3600 / BIN_S - 1
