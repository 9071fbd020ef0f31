"""Events reach an MES over a real socket: in order, each until it is taken, whatever the MES does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec import structs

from edgeagent.errors import CommandRefused, StoreError
from edgeagent.publish.notices import Notices
from edgeagent.store import Database, Journal
from edgeagent.store.consumers import PUSHED
from edgeagent.store.had import ranges
from tests.publish.push.mes import Hasty, Post, Pushed, an_mes, line_to, until
from tests.publish.serving import event

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_what_is_on_disk_and_what_comes_is_posted_in_order_as_the_very_bytes_of_a_websocket(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async with an_mes() as mes, line_to(mes, tmp_path) as it:
            it.happen(3)
            await until(lambda: mes.taken == [1, 2, 3])
            it.happen(2, "Alarm.Raised")
            await until(lambda: mes.taken == [1, 2, 3, 4, 5])
            events, _, _ = await it.archive.journal.read(1, ("*",), None, 10)
            notices = Notices(it.archive.journal.stream, it.line._clock)
            told = [notices.durable(each, each.sequence - 1) for each in events]
            assert b",".join(told) == b",".join(post.body[1:-1] for post in mes.posts)
            assert all(post.body.startswith(b"[") and post.body.endswith(b"]") for post in mes.posts)
            first = mes.posts[0]
            assert first.headers["Content-Type"] == "application/json"
            assert "Authorization" not in first.headers
            assert "Content-Encoding" not in first.headers
            stream, last = it.archive.journal.stream, first.sequences[-1]
            assert first.headers["Idempotency-Key"] == f'"{stream}/1-{last}"'
            await until(lambda: it.line.state == "waiting")
            await until(lambda: it.line.place.acknowledged == 5)
            assert it.line.place.owner == PUSHED

    run(main())


def test_a_target_whose_row_the_disk_changed_misses_nothing(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            async with line_to(mes, tmp_path, begin="now") as it:
                await until(lambda: it.line.state == "waiting")
                it.happen(2)
                await until(lambda: it.line.place.acknowledged == 2)
            with sqlite3.connect(tmp_path / "edge.db") as connection:
                connection.execute("UPDATE consumers SET acknowledged = acknowledged + 1")
            connection.close()
            mes.posts.clear()
            async with line_to(mes, tmp_path, begin="now"):
                await until(lambda: mes.taken == [1, 2])

    run(main())


def test_a_target_whose_place_went_with_a_whole_page_misses_nothing(tmp_path: Path, run: Run) -> None:
    store = tmp_path / "edge.db"

    async def main() -> None:
        async with an_mes() as mes:
            async with line_to(mes, tmp_path, begin="now") as it:
                await until(lambda: it.line.state == "waiting")
                it.happen(2)
                await until(lambda: it.line.place.acknowledged == 2)
            root = root_of(store, "consumers")
            with store.open("r+b") as file:
                file.seek((root - 1) * 4096)
                file.write(b"\xff" * 4096)
            mes.posts.clear()
            async with line_to(mes, tmp_path, begin="now") as it:
                await until(lambda: mes.taken == [1, 2])
                told = it.archive.care.damage()
                assert "consumers that are missing begin anew at the oldest event" in told
            mes.posts.clear()
            async with line_to(mes, tmp_path, begin="now") as it:
                it.happen(1)
                await until(lambda: mes.taken == [3])

    run(main())


def test_a_target_whose_place_went_with_the_end_of_the_journal_misses_nothing(tmp_path: Path, run: Run) -> None:
    store = tmp_path / "edge.db"

    async def main() -> None:
        async with an_mes() as mes:
            database = Database(store)
            database.open(asyncio.get_running_loop())
            journal = await Journal.open(database)
            await journal.settled(journal.append([event("Alarm.Raised")]))
            await asyncio.to_thread(database.close)
            before = store.read_bytes()
            async with line_to(mes, tmp_path, begin="now") as it:
                await until(lambda: it.line.state == "waiting")
                it.happen(2)
                await until(lambda: it.line.place.acknowledged == 3)
            store.write_bytes(before)
            mes.posts.clear()
            async with line_to(mes, tmp_path, begin="now") as it:
                assert it.archive.journal.missing
                await until(lambda: mes.taken == [1])

    run(main())


def root_of(store: Path, table: str) -> int:
    with closing(sqlite3.connect(store)) as connection:
        page: int = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        return page


def test_only_wanted_topics_and_machines_go_and_previous_is_of_those(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes, line_to(mes, tmp_path, topics=["Alarm.*"], machines=["RO0002"]) as it:
            for topic, machine in (("Alarm.Raised", "RO0002"), ("Alarm.Raised", "RO0001"), ("Recipe.Started", "RO0002"),
                                   ("Alarm.Cleared", "RO0002")):  # fmt: skip
                it.happen(1, topic, machine=machine)
            await until(lambda: mes.taken == [1, 4])
            assert [each["params"]["previous"] for post in mes.posts for each in post.events] == [0, 1]

    run(main())


def test_an_mes_that_is_away_is_told_everything_in_order_when_it_is_back(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes, line_to(mes, tmp_path) as it:
            it.happen(2)
            await until(lambda: mes.taken == [1, 2])
            for _ in range(3):
                await mes.stop()
                it.happen(5)
                await until(lambda: it.line.state == "stopped")
                assert "nobody listens there" in it.line.fault()
                it.happen(5)
                await mes.start()
                await until(lambda: it.line.state == "waiting")
            assert mes.taken == list(range(1, 33))
            assert it.line.fault() is None

    run(main())


def test_a_batch_that_was_taken_and_not_noted_comes_again_with_the_same_sequences_and_nothing_else_does(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        taken = asyncio.Event()

        async def takes_and_lets_nobody_know(post: Post) -> web.StreamResponse:
            if post.sequences[-1] > 5:
                taken.set()
                await asyncio.sleep(3600)
            return web.Response(status=204)

        async with an_mes(takes_and_lets_nobody_know) as mes:
            async with line_to(mes, tmp_path) as it:
                it.happen(5)
                await until(lambda: it.line.place and it.line.place.acknowledged == 5)
                it.happen(3)
                await taken.wait()
            unnoted = [post for post in mes.posts if post.status is None]
            mes.does = lambda _: 204
            before = len(mes.posts)
            async with line_to(mes, tmp_path) as it:
                it.happen(1)
                await until(lambda: mes.taken[-1:] == [9])
            again = [number for post in mes.posts[before:] for number in post.sequences]
            assert again == [6, 7, 8, 9]
            assert unnoted[0].sequences == again[: len(unnoted[0].sequences)]

    run(main())


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 408, 409, 418, 429, 500, 502, 503, 599])
def test_what_speaks_of_anything_but_the_events_stops_the_line_and_is_tried_again(
    tmp_path: Path, status: int
) -> None:
    async def main() -> None:
        asked = []

        def does(post: Post) -> web.StreamResponse | int:
            asked.append(post.sequences)
            return web.Response(status=status, text="no, not yet", headers={"Location": "/elsewhere"}) if len(
                asked) <= 3 else 202  # fmt: skip

        async with an_mes(does) as mes, line_to(mes, tmp_path) as it:
            it.happen(1)
            await until(lambda: it.line.state == "stopped")
            assert f"HTTP {status}" in it.line.fault()
            assert it.line.said == ("/elsewhere" if status < 400 else "no, not yet")
            it.happen(1)
            await until(lambda: mes.taken == [1, 2])
            assert [numbers[0] for numbers in asked[:4]] == [1, 1, 1, 1], "no event overtakes another"
            assert it.line.fault() is None
            assert not it.line.said
            assert not it.line.set_aside()
            assert all(post.request.path == "/events" for post in mes.posts)

    asyncio.run(main())


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_rejected_event_is_found_and_set_aside_with_the_reason_and_all_others_go_once_in_order(
    tmp_path: Path, status: int
) -> None:
    async def main() -> None:
        def does(post: Post) -> web.StreamResponse | int:
            return web.Response(status=status, text="what is\n this?") if {7, 20} & set(post.sequences) else 204

        async with an_mes(does) as mes:
            async with line_to(mes, tmp_path) as it:
                it.happen(40)
                await until(lambda: mes.taken[-1:] == [40])
                assert mes.taken == [number for number in range(1, 41) if number not in (7, 20)]
                assert [(each.sequence, each.by, each.stream) for each in it.line.set_aside()] == [
                    (number, "mes", it.archive.journal.stream) for number in (7, 20)]
                assert all(f"HTTP {status}" in each.reason for each in it.line.set_aside())
                assert all("(what is this?)" in each.reason for each in it.line.set_aside())
                assert it.line.fault() is None
                assert it.line.has_set_aside() == "2 events are set aside: edgeagent push status tells which"
                await until(lambda: it.line.place.acknowledged == 40)
            async with line_to(mes, tmp_path) as it:
                assert [each.sequence for each in it.line.set_aside()] == [7, 20]
                it.happen(1)
                await until(lambda: mes.taken[-1:] == [41])
                assert len(mes.taken) == 39

    asyncio.run(main())


def test_when_all_is_rejected_the_line_stops_instead_of_setting_everything_aside_also_over_a_restart(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async with an_mes(lambda _: 422) as mes:
            async with line_to(mes, tmp_path, most_rejected=3) as it:
                it.happen(10)
                await until(lambda: it.line.state == "stopped")
                assert "3 events in a row are set aside and it rejects the next as well" in it.line.fault()
                assert [each.sequence for each in it.line.set_aside()] == [1, 2, 3]
                it.archive.consumers.saw(it.line.consumer, it.line._clock.wall_ns() + 10**9)
            async with line_to(mes, tmp_path, most_rejected=3) as it:
                await until(lambda: it.line.state == "stopped")
                assert [each.sequence for each in it.line.set_aside()] == [1, 2, 3]
                mes.does = lambda _: 204
                await until(lambda: mes.taken == list(range(4, 11)))
                mes.does = lambda post: 422 if post.sequences == [11] or len(post.sequences) > 1 else 204
                it.happen(2)
                await until(lambda: mes.taken[-1] == 12)
                assert [each.sequence for each in it.line.set_aside()] == [1, 2, 3, 11]

    run(main())


def test_an_event_that_is_set_aside_is_sent_again_when_asked_alone_marked_and_as_it_was(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        def does(post: Post) -> int:
            return 422 if 2 in post.sequences else 204

        async with an_mes(does) as mes:
            async with line_to(mes, tmp_path) as it:
                it.happen(3)
                await until(lambda: mes.taken == [1, 3])
                rejected = next(post for post in mes.posts if post.sequences == [2])
                await it.line.send_again(it.line.set_aside())
                await until(lambda: sum(post.sequences == [2] for post in mes.posts) == 2)
                await until(lambda: not any(each.again for each in it.line.set_aside()))
                assert len(it.line.set_aside()) == 1, "it was rejected once more, and stays"
                mes.does = lambda _: 503
                await it.line.send_again(it.line.set_aside())
                await until(lambda: it.line.state == "stopped")
            mes.does = lambda _: 204
            async with line_to(mes, tmp_path) as it:
                it.happen(1)
                await until(lambda: mes.taken == [1, 3, 2, 4])
                again = mes.posts[-2] if mes.posts[-2].sequences == [2] else mes.posts[-1]
                assert again.body == rejected.body
                assert again.headers["Idempotency-Key"] == rejected.headers["Idempotency-Key"]
                assert again.headers["Edgeagent-Redelivered"] == "true"
                assert "Edgeagent-Redelivered" not in rejected.headers
                assert not it.line.set_aside()
                await until(lambda: it.line.place.acknowledged == 4)

    run(main())


def test_the_record_of_a_board_that_is_taken_late_was_had_and_that_of_one_set_aside_was_not(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async def had(it: Pushed) -> list[tuple[int, int]]:
            return await it.archive.database.write(lambda c: ranges(c, ("RO0001", "Board.ProcessCompleted")))

        async with an_mes(lambda post: 422 if 2 in post.sequences else 204) as mes, line_to(mes, tmp_path) as it:
            it.happen(3, "Board.ProcessCompleted")
            await until(lambda: it.line.place and it.line.place.acknowledged == 3)
            assert await had(it) == [(1, 1), (3, 3)]
            mes.does = lambda _: 204
            await it.line.send_again(it.line.set_aside())
            await until(lambda: not it.line.set_aside())
            assert await had(it) == [(1, 3)]

    run(main())


def test_somebody_may_pass_over_the_event_at_which_a_stopped_line_stands_and_no_other(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        def does(post: Post) -> int:
            return 500 if 2 in post.sequences else 204

        async with an_mes(does) as mes, line_to(mes, tmp_path, batch_events=1) as it:
            with pytest.raises(CommandRefused, match="stands at no event"):
                await it.line.skip(1, "a trial", "console:root")
            it.happen(3)
            await until(lambda: it.line.state == "stopped")
            with pytest.raises(CommandRefused, match="stands at event 2, not 1"):
                await it.line.skip(1, "a trial", "console:root")
            await it.line.skip(2, "the MES falls over it", "console:root")
            await until(lambda: mes.taken == [1, 3])
            (aside,) = it.line.set_aside()
            assert (aside.sequence, aside.by, aside.reason) == (2, "console:root", "the MES falls over it")

    run(main())


def test_an_event_sent_again_that_stops_the_line_is_passed_over_once_more(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with (an_mes(lambda post: 500 if 2 in post.sequences else 204) as mes,
                    line_to(mes, tmp_path, batch_events=1) as it):  # fmt: skip
            it.happen(2)
            await until(lambda: it.line.state == "stopped" and it.line.head.sequence == 2)
            await it.line.skip(2, "the MES falls over it", "console:root")
            await it.line.send_again(it.line.set_aside())
            await until(lambda: it.line.state == "stopped" and it.line.head and it.line.head.aside)
            it.happen(1)
            await it.line.skip(2, "it still does", "console:root")
            await until(lambda: mes.taken == [1, 3])
            (aside,) = it.line.set_aside()
            assert (aside.by, aside.reason, aside.again) == ("console:root", "it still does", False)

    run(main())


def test_the_head_of_a_batch_is_passed_over_and_the_rest_of_it_goes(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes(lambda _: 503) as mes, line_to(mes, tmp_path) as it:
            it.happen(5)
            await until(lambda: it.line.state == "stopped")
            head = it.line.head.sequence
            await it.line.skip(head, "a trial", "console:root")
            mes.does = lambda _: 204
            await until(lambda: mes.taken[-1:] == [5])
            assert mes.taken == [number for number in range(1, 6) if number != head]

    run(main())


def test_what_is_gone_from_the_journal_is_told_as_a_gap_in_its_place(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            async with line_to(mes, tmp_path) as it:
                it.happen(2)
                await until(lambda: it.line.place and it.line.place.acknowledged == 2)
            await mes.stop()
            async with line_to(mes, tmp_path) as it:
                it.happen(6)
                await it.archive.journal.settled(8)
                await it.archive.database.write(
                    lambda c: c.execute("DELETE FROM events WHERE sequence IN (4, 5)").rowcount)
            await mes.start()
            async with line_to(mes, tmp_path) as it:
                await until(lambda: mes.taken[-1] == 8)
            told = [each for post in mes.posts[1:] for each in post.events]
            assert [each["params"].get("sequence", each["method"]) for each in told][-6:] == [
                3, "Event.Gap", 6, 7, 8][-6:]
            (gap,) = [each for each in told if each["method"] == "Event.Gap"]
            assert gap["params"]["data"]["ranges"] == [{"from": 4, "to": 5, "count": 2, "topics": []}]
            assert told[-3]["params"]["previous"] == 5

    run(main())


def test_a_new_stream_is_told_before_its_first_event(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            async with line_to(mes, tmp_path) as it:
                it.happen(3)
                await until(lambda: it.line.place and it.line.place.acknowledged == 3)
                before = it.archive.journal.stream
                await it.archive.database.write(lambda c: c.execute("DELETE FROM events WHERE sequence > 1").rowcount)
            async with line_to(mes, tmp_path) as it:
                assert it.archive.journal.stream != before
                last = it.happen(1)
                await until(lambda: mes.taken[-1] == last)
                gap = next(each for post in mes.posts for each in post.events if each["method"] == "Event.Gap")
                assert gap["params"]["data"] == {"stream": before, "ranges": [], "lostAfter": 3}
                await until(lambda: it.line.place.acknowledged == last)
                assert it.line.place.stream == it.archive.journal.stream

    run(main())


def test_a_new_target_may_begin_with_what_comes(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            async with line_to(mes, tmp_path, name="other") as it:
                it.happen(4)
                await until(lambda: len(mes.taken) == 4)
            async with line_to(mes, tmp_path, begin="now") as it:
                await until(lambda: it.line.state == "waiting")
                it.happen(1)
                await until(lambda: mes.taken == [1, 2, 3, 4, 5])

    run(main())


def test_batches_keep_their_bounds_and_a_huge_event_goes_alone(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            await mes.stop()
            async with line_to(mes, tmp_path) as it:
                it.happen(20)
                it.tell(event("Status.MachineStatusChanged", reason="x" * 300_000))
                it.happen(20)
                await it.archive.journal.settled(41)
            await mes.start()
            async with line_to(mes, tmp_path, batch_events=7, batch_bytes=2048, catch_up_per_s=100_000) as it:
                await until(lambda: mes.taken == list(range(1, 42)))
                assert all(len(post.sequences) <= 7 for post in mes.posts)
                assert all(len(post.body) <= 2048 or post.sequences == [21] for post in mes.posts)

    run(main())


def test_an_event_that_the_server_of_the_mes_refuses_to_read_is_set_aside_and_can_be_had(
    tmp_path: Path, run: Run
) -> None:
    async def main() -> None:
        async with an_mes() as mes, line_to(mes, tmp_path) as it:
            it.tell(event("Recipe.Started"), event("Recipe.Started", reason="x" * (2 << 20)), event("Recipe.Started"))
            await until(lambda: mes.taken == [1, 3])
            (aside,) = it.line.set_aside()
            assert (aside.sequence, aside.topic) == (2, "Recipe.Started")
            assert "HTTP 413: it is too large" in aside.reason
            assert len(await it.archive.asides.message(aside)) > 2 << 20

    run(main())


def test_an_mes_that_takes_only_small_bodies_is_sent_small_ones_after_it_said_so(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes(lambda post: 413 if len(post.body) > 1000 else 204) as mes:
            await mes.stop()
            async with line_to(mes, tmp_path) as it:
                it.happen(60)
                await it.archive.journal.settled(60)
            await mes.start()
            async with line_to(mes, tmp_path, batch_events=20) as it:
                await until(lambda: mes.taken == list(range(1, 61)))
                assert not it.line.set_aside()
                assert mes.posts[-1].status == 204
                assert all(post.status == 204 for post in mes.posts[-5:])

    run(main())


def test_catching_up_is_paced_and_what_comes_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            await mes.stop()
            async with line_to(mes, tmp_path) as it:
                it.happen(60)
                await it.archive.journal.settled(60)
            await mes.start()
            async with line_to(mes, tmp_path, batch_events=10, catch_up_per_s=100) as it:
                begun = asyncio.get_running_loop().time()
                await until(lambda: mes.taken == list(range(1, 61)))
                assert asyncio.get_running_loop().time() - begun >= 0.45, "five pauses of 0.1 s"
            async with line_to(mes, tmp_path, batch_events=1, catch_up_per_s=1) as it:
                for number in range(61, 71):
                    it.happen(1)
                    await until(lambda number=number: mes.taken[-1] == number)  # would take 10 s, and wait in vain

    asyncio.run(main())


def test_retry_after_is_heeded(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        asked = Hasty()
        answers = iter([web.Response(status=429, headers={"Retry-After": "120"}),
                        web.Response(status=503, headers={"Retry-After": "Sat, 21 Nov 2065 21:53:00 GMT"}),
                        web.Response(status=503, headers={"Retry-After": "soon"})])
        async with (an_mes(lambda _: next(answers, 204)) as mes,
                    line_to(mes, tmp_path, asked) as it):  # fmt: skip
            it.happen(1)
            await until(lambda: mes.taken == [1])
            seconds, date, none = asked.waited
            assert seconds == 120
            assert date > 10**8
            assert none is None

    run(main())


def test_a_retry_is_made_at_once_when_somebody_asks(tmp_path: Path, run: Run) -> None:
    class Long(Hasty):
        def failed(self, asked_s: float | None = None) -> float:
            return 3600.0

    async def main() -> None:
        async with an_mes(lambda _: 503) as mes, line_to(mes, tmp_path, Long()) as it:
            it.happen(1)
            await until(lambda: it.line.next_try_s)
            mes.does = lambda _: 204
            it.line.retry()
            assert it.line.next_try_s is None, "it tries now"
            await until(lambda: mes.taken == [1])

    run(main())


def test_a_stopped_line_that_owes_nothing_waits_for_no_time(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes(lambda _: 503) as mes, line_to(mes, tmp_path) as it:
            it.happen(1)
            await until(lambda: it.line.state == "stopped" and it.line.head)
            await it.line.skip(1, "nobody wants it", "test")
            asked = len(mes.posts)
            await until(lambda: it.line._next_try_at > asyncio.get_running_loop().time() + 1000)
            assert it.line.next_try_s is None
            assert len(mes.posts) == asked

    run(main())


def test_a_silence_is_filled_with_heartbeats_where_they_are_wanted(tmp_path: Path) -> None:
    async def main() -> None:
        async with an_mes() as mes, line_to(mes, tmp_path, heartbeat_s=1.0) as it:
            it.happen(1)
            await until(lambda: any(post.events[0]["method"] == "Event.Heartbeat" for post in mes.posts))
            beat = mes.posts[-1].events[0]["params"]
            assert beat["data"] == {"stream": it.archive.journal.stream, "lastSequence": 1}
            assert "Idempotency-Key" not in mes.posts[-1].headers, "no event is taken for known because of it"
            assert mes.taken == [1]
            mes.does = lambda _: 503
            await until(lambda: it.line.state == "stopped")
            mes.does = lambda _: 422
            await until(lambda: it.line.state == "waiting")
            assert not it.line.set_aside()

    asyncio.run(main())


def test_the_place_follows_events_that_are_not_wanted(tmp_path: Path, run: Run, monkeypatch: Any) -> None:
    async def main() -> None:
        monkeypatch.setattr("edgeagent.publish.push.line._NOTE_S", 0.05)
        async with an_mes() as mes, line_to(mes, tmp_path, topics=["Board.*"]) as it:
            it.happen(5)
            await until(lambda: it.line.place and it.line.place.acknowledged == 5)
            assert not mes.posts

    run(main())


def test_a_consumer_of_the_same_name_is_not_taken_from_its_owner(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            async with line_to(mes, tmp_path, name="first") as it:
                await until(lambda: it.line.place)
                await it.archive.consumers.put(structs.replace(it.line.place, owner="olga", name="push:mes"))
            line = None
            with pytest.raises(AssertionError):  # the task ended: its supervisor would start it again
                async with line_to(mes, tmp_path) as it:
                    line = it.line
                    it.happen(1)
                    await until(it.line.fault)
                    await asyncio.sleep(0.05)
            assert "belongs to olga" in line.fault()
            assert not mes.posts

    run(main())


def test_a_fault_of_the_disk_while_it_reads_loses_nothing(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            await mes.stop()
            async with line_to(mes, tmp_path) as it:
                it.happen(100)
                await it.archive.journal.settled(100)
            await mes.start()
            async with line_to(mes, tmp_path, catch_up_per_s=100_000) as it:
                read, faults = it.archive.database.read, iter(range(1000))

                async def fails_often(work: Any) -> Any:
                    if next(faults) % 3 == 1:
                        raise StoreError("the disk is away")
                    return await read(work)

                it.archive.database.read = fails_often  # type: ignore[method-assign]
                await until(lambda: mes.taken == list(range(1, 101)))

    run(main())


def test_events_that_nobody_could_make_shorter_are_read_a_batch_at_a_time(tmp_path: Path, run: Run) -> None:
    """Memory holds one batch and one step, however much is owed."""
    async def main() -> None:
        async with an_mes() as mes:
            await mes.stop()
            async with line_to(mes, tmp_path) as it:
                it.tell(*(event("Status.MachineStatusChanged", reason="y" * 10_000) for _ in range(200)))
                await it.archive.journal.settled(200)
            async with line_to(mes, tmp_path, batch_bytes=65_536) as it:
                await until(lambda: it.line.state == "stopped")
                assert sum(len(batch.body) for batch in it.line._due) <= 65_536
                await mes.start()
                await until(lambda: mes.taken == list(range(1, 201)))

    run(main())


def test_a_fault_of_its_own_is_told_and_it_goes_on_when_it_is_started_again(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        async with an_mes() as mes:
            with pytest.raises(AssertionError):  # the task ended: its supervisor starts it again
                async with line_to(mes, tmp_path) as it:
                    told: list[str | None] = []
                    it.line.told = told.append
                    await until(lambda: it.line.state == "waiting")
                    reading, it.line._reading = it.line._reading, None
                    it.happen(1)
                    await until(it.line.fault)
                    assert reading is not None
                    again = asyncio.create_task(it.line.run())
                    await until(lambda: mes.taken == [1])
                    await until(lambda: it.line.state == "waiting")
                    again.cancel()
                    await asyncio.gather(again, return_exceptions=True)
            assert it.line.fault() is None
            assert [bool(each) for each in told][-4:] == [True, False, False, False]
            assert "failed unexpectedly" in next(filter(None, told))

    run(main())
