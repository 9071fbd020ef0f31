"""The last bytes of each wire are kept, and no more of them than is meant."""

from edgeagent.acquire.last_frames import MOST_BYTES, MOST_TOGETHER, Frame, LastFrames


def test_frames_are_kept_in_order_by_wire_with_their_time():
    times = iter(range(100))
    last = LastFrames(lambda: next(times))
    one, other = last.tap("one"), last.tap("other")
    one(True, b"ask")
    other(False, b"noise")
    one(False, b"answer")
    one(False, b"")
    assert last.frames() == {"one": [Frame(0, True, b"ask"), Frame(2, False, b"answer")],
                             "other": [Frame(1, False, b"noise")]}


def test_two_connections_to_one_device_share_its_frames():
    last = LastFrames(lambda: 5)
    last.tap("oven")(True, b"a")
    last.tap("oven")(True, b"b")
    assert last.frames() == {"oven": [Frame(5, True, b"a"), Frame(5, True, b"b")]}


def test_no_more_than_the_bound_is_kept_whatever_passes():
    last = LastFrames(lambda: 5)
    tap = last.tap("oven")
    for size in (1, 12, 260, 4096, MOST_BYTES, 3 * MOST_BYTES):
        for _ in range(2 * MOST_BYTES // size + 2):
            tap(False, b"x" * size)
        kept = last.frames()["oven"]
        assert kept
        assert sum(len(frame.data) for frame in kept) <= MOST_BYTES
        assert len(kept) <= MOST_BYTES // 64


def test_many_wires_share_what_is_kept():
    last = LastFrames(lambda: 5)
    taps = [last.tap(f"wire {number}") for number in range(128)]
    for tap in taps:
        for _ in range(60):
            tap(False, b"x" * 1000)
    kept = last.frames()
    assert all(kept.values())
    assert MOST_TOGETHER // 2 < sum(len(frame.data) for frames in kept.values() for frame in frames) <= MOST_TOGETHER
