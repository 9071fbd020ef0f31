"""The proof kit: what it tries holds, and it says so where something was lost, reordered, told again or changed."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edgeagent.store import Journal, states
from edgeagent.store.connection import connect_writer
from edgeagent.store.counters import Ending
from edgeagent.tools.proving import behind, corruption, deaf, disk, hundred, kill, oracle
from edgeagent.tools.proving.filling import LAYOUTS, fill_earlier, what
from edgeagent.tools.proving.ground import Ground
from tests.store.samples import with_store


def proven(folder, make, seed=None):
    """What a scenario saw, and its ground, whose processes have ended."""
    seed = random.randrange(1 << 31) if seed is None else seed
    print(f"seed {seed}")
    ground = Ground(folder / "ground", seed)

    async def all_of_it():
        try:
            return await make(ground)
        finally:
            await ground.close()

    return asyncio.run(all_of_it())


def hold(seen):
    for line in seen:
        print(line.tried, line.times, line.seen, sep="; ")
    faults = [fault for line in seen for fault in line.faults]
    assert not faults, faults


@pytest.mark.parametrize("layout", range(1, LAYOUTS))
def test_a_store_of_each_earlier_layout_is_one_that_an_agent_takes_up(tmp_path, layout):
    fill_earlier(tmp_path / "s.db", layout, 5)

    async def use(database):
        journal = await Journal.open(database)
        stored, following, gaps = await journal.read(1, ("*",), None, 10)
        assert [json.loads(b"{%b}" % it.body)["data"]["what"] for it in stored] == [what(n) for n in range(1, 6)]
        assert (journal.stream, following, gaps) == ("0123456789abcdef", 6, [])

    with_store(tmp_path / "s.db", use)


@pytest.mark.slow
def test_killed_two_hundred_times_the_agent_loses_no_board_and_no_event(tmp_path):
    hold(proven(tmp_path, lambda ground: kill.prove(ground, 200)))


@pytest.mark.parametrize("limit", [pytest.param(disk.Mounted, marks=pytest.mark.slow), disk.Limited])
def test_a_full_disk_holds_everything_back_and_loses_nothing_that_was_told(tmp_path, limit):
    def of(folder):
        if limit is disk.Limited:
            raise OSError("a limit is what is wanted")
        return limit(folder)

    seen = proven(tmp_path, lambda ground: disk.prove(ground, of))
    hold(seen)


def test_who_is_far_behind_catches_up_and_live_events_come_in_time(tmp_path):
    hold(proven(tmp_path, lambda ground: behind.prove(ground, 5000)))


@pytest.mark.slow
def test_who_is_a_hundred_thousand_events_behind_catches_up_and_live_events_come_in_time(tmp_path):
    hold(proven(tmp_path, lambda ground: behind.prove(ground, 100_000)))


@pytest.mark.slow
def test_who_never_reads_costs_the_others_nothing_and_keeps_its_place(tmp_path):
    hold(proven(tmp_path, deaf.prove))


@pytest.mark.slow
def test_a_hundred_consumers_are_told_everything_over_a_kill(tmp_path):
    hold(proven(tmp_path, hundred.prove))


@pytest.mark.slow
def test_a_corruption_in_any_table_is_told_and_nothing_that_was_changed_is(tmp_path):
    hold(proven(tmp_path, corruption.prove))


# That the proof can fail


def log_of(folder, *entries):
    log = folder / "mes.log"
    log.write_bytes(b"".join(kind + text.encode() + b"\n" for kind, text in entries))
    return log


def told(sequence, what="a", previous=None, topic="Configuration.Changed", data=None):
    return oracle.TOLD, json.dumps({"jsonrpc": "2.0", "method": topic, "params": {
        "stream": "s", "sequence": sequence, "previous": sequence - 1 if previous is None else previous,
        "time": "2026-11-21T21:53:00.123Z", "clock": "trusted", "machine": "M", "data": data or {"what": what}}})


def connected(following):
    return oracle.CONNECTED, f"s {following}"


def done(sequence):
    return oracle.ACKNOWLEDGED, str(sequence)


@pytest.mark.parametrize(("entries", "fault"), [
    ([connected(1), told(1), told(3)], "not told: 2"),
    ([connected(1), told(1), told(2), connected(4), told(4)], "not told: 3"),
    ([connected(1), told(2), told(1)], "out of order: 1"),
    ([connected(1), told(1), told(2), done(2), connected(2), told(2)], "told again though acknowledged: 2"),
    ([connected(1), told(1), connected(1), told(1, "b")], "told again with another content: 1"),
    ([connected(1), told(1), told(2, previous=0)], "not behind its predecessor: 2"),
])
def test_a_log_with_a_fault_is_found_out(tmp_path, entries, fault):
    assert any(fault in found for found in oracle.read(log_of(tmp_path, *entries)).faults)


def test_what_was_not_acknowledged_may_be_told_again(tmp_path):
    entries = [connected(1), told(1), told(2), told(3), done(1), connected(2), told(2), told(3), told(4), done(4)]
    findings = oracle.read(log_of(tmp_path, *entries))
    assert (findings.faults, findings.repeated, oracle.complete(findings, "mes", 4)) == ([], 2, [])


def test_what_is_told_as_gone_where_nothing_may_be_gone_is_found_out(tmp_path):
    gap = json.dumps({"method": "Event.Gap", "params": {"data": {"ranges": [{"from": 2, "to": 2}]}}})
    findings = oracle.read(log_of(tmp_path, connected(1), told(1), (oracle.GAP, gap), told(3)))
    assert oracle.complete(findings, "mes", 3) == ["mes: not told: 2", "mes: told as gone: 2"]


def changed(sequence, before, after):
    return told(sequence, data={"what": "oxygen/1/limit", "from": before, "to": after, "by": "machine"})


@pytest.mark.parametrize(("entries", "wrong"), [
    ([changed(1, 1000, 1001), changed(2, 1001, 1000), changed(3, 1000, 1001)], None),
    ([changed(1, 1000, 1001), changed(2, 1000, 1001)], 2),
    ([told(1, topic="Status.LaneBusyChanged", data={"busy": True, "lane": 1, "boards": 1}),
      told(2, topic="Status.LaneBusyChanged", data={"busy": True, "lane": 2, "boards": 1}),
      told(3, topic="Status.LaneBusyChanged", data={"busy": True, "lane": 1, "boards": 1})], 3),
])  # fmt: skip
def test_an_event_that_was_lost_before_it_had_a_number_or_has_two_is_found_out(tmp_path, entries, wrong):
    found = oracle.chained(oracle.read(log_of(tmp_path, connected(1), *entries)), "mes")
    assert found == ([f"mes: does not go on from the change before it: {wrong}"] if wrong else [])


def one_board(sequence, code, ended_s=None, identity="certain", entered_s=0):
    """The event that begins a board, or the one that ends it; times in seconds of the oven's clock."""
    def stamp(second):
        return f"2026-11-21T10:{second // 60:02d}:{second % 60:02d}.000Z"

    board = {"id": f"id-{code}", "barcodes": [{"code": code}], "enteredAt": stamp(entered_s)}
    if ended_s is None:
        return told(sequence, topic="Board.ProcessStarted", data={"board": board})
    board |= {"exitedAt": stamp(ended_s), "identity": identity}
    return told(sequence, topic="Board.ProcessCompleted", data={"board": board})


def boards_of(folder, *entries, unseen=()):
    truth = folder / "oven.truth"
    truth.write_text("".join(json.dumps({"barcode": code, "what": what, "at": at_s}) + "\n" for code, what, at_s in [
        ("A", "in", 0.0), ("B", "in", 50.0), ("C", "in", 100.0),
        ("A", "out", 400.0), ("B", "out", 450.0), ("C", "out", 500.0)]))
    return oracle.boards(oracle.read(log_of(folder, connected(1), *entries)), truth, list(unseen))


BEGUN = [one_board(1, "A"), one_board(2, "B"), one_board(3, "C")]


@pytest.mark.parametrize("identity", ["certain", "uncertain"])
def test_a_record_with_the_times_of_another_board_is_found_out_where_it_says_that_it_is_certain(tmp_path, identity):
    swapped = [one_board(4, "B", 400, identity), one_board(5, "A", 450, identity, 50)]
    found = boards_of(tmp_path, *BEGUN, *swapped, one_board(6, "C", 500, identity, 100))
    guessed = [fault for fault in found.faults if "told as certain" in fault]
    assert {fault.split()[1] for fault in guessed} == ({"A", "B"} if identity == "certain" else set())


def test_a_board_that_ends_twice_is_found_out_and_one_that_nobody_could_see_is_told(tmp_path):
    ends = [one_board(4, "A", 400), one_board(5, "B", 450, entered_s=50), one_board(6, "C", 500, entered_s=100)]
    assert boards_of(tmp_path, *BEGUN, *ends) == (3, 3, 0, [])
    assert "board id-C ended 2 times" in boards_of(tmp_path, *BEGUN, *ends, one_board(7, "C", 500)).faults
    assert boards_of(tmp_path, *BEGUN, *ends[:2], unseen=[(490.0, 510.0)]) == (3, 2, 1, [])
    assert "no board can be judged" in str(boards_of(tmp_path, *BEGUN, *ends, unseen=[(0.0, 510.0)]).faults)


def lines_of(log):
    """The places of the log's lines that tell an event."""
    lines = log.read_bytes().splitlines(keepends=True)
    return lines, [place for place, line in enumerate(lines) if line.startswith(oracle.TOLD)]


def drop(lived):
    lines, told_at = lines_of(lived.consumers[0].log)
    del lines[told_at[-3]]
    lived.consumers[0].log.write_bytes(b"".join(lines))


def reorder(lived):
    lines, told_at = lines_of(lived.consumers[0].log)
    first, second = told_at[-3], told_at[-2]
    lines[first], lines[second] = lines[second], lines[first]
    lived.consumers[0].log.write_bytes(b"".join(lines))


def repeat(lived):
    lines, told_at = lines_of(lived.consumers[0].log)
    lived.consumers[0].log.write_bytes(b"".join([*lines, lines[told_at[0]]]))


def delete(lived):
    with closing(sqlite3.connect(lived.agent.store, isolation_level=None)) as connection:
        connection.execute("DELETE FROM events WHERE sequence = 3")


def delete_the_newest(lived):
    with closing(sqlite3.connect(lived.agent.store, isolation_level=None)) as connection:
        connection.execute("DELETE FROM events WHERE sequence = (SELECT max(sequence) FROM events)")


def hide_the_boards(lived):
    lived.oven.truth.write_text(lived.oven.truth.read_text().replace("PROOF", "HIDDEN"))


async def killed_and_sabotaged(ground, kills):
    """What the proof says of it as it was, and of each sabotage of what is left of it."""
    lived = await kill.live(ground, kills)
    stored = await kill.read_back(lived)
    honest = kill.judged(lived, *stored)
    found = {}
    for sabotage in (drop, reorder, repeat, hide_the_boards):
        files = [lived.consumers[0].log, lived.oven.truth]
        contents = [file.read_bytes() for file in files]
        sabotage(lived)
        found[sabotage] = str(kill.judged(lived, *stored).faults)
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
    for sabotage in (delete, delete_the_newest):
        sabotage(lived)
        found[sabotage] = str(kill.judged(lived, *await kill.read_back(lived)).faults)
    return honest, await kill.migrations(ground, 2), found


def test_killed_twenty_times_the_agent_loses_no_board_and_no_event_and_sabotage_is_found_out(tmp_path):
    honest, migrated, found = proven(tmp_path, lambda ground: killed_and_sabotaged(ground, 18))
    hold([honest, migrated])
    assert honest.times + migrated.times >= 20
    assert "each: not told" in found[drop]
    assert "out of order" in found[reorder]
    assert "told again though acknowledged" in found[repeat]
    assert "was told and never was in the oven" in found[hide_the_boards]
    assert "gone" in found[delete]
    assert "told, and not in the journal" in found[delete_the_newest]


def test_an_event_that_the_disk_changed_and_one_that_it_swallowed_are_found_out(tmp_path):
    def event(number, what="a"):
        return json.loads(told(number, what)[1])["params"] | {"method": "Configuration.Changed"}

    whole = corruption.Whole(tmp_path, {number: event(number) for number in (1, 2, 3)}, "s", {}, b"")
    gap = {"from": 3, "to": 3}
    assert corruption.held(whole, "s", [event(1), event(2)], [gap]) == ([], 1)
    faults, _ = corruption.held(whole, "s", [event(1, "b")], [gap])
    assert faults == ["event 1 is told otherwise than it was", "event 2 is not there, and not told as gone"]


@pytest.mark.parametrize(("table", "missing", "gone", "is_new", "faults"), [
    ("boards", ["Board.Get 1", "Board.GetTrace 1"], 0, False, []),
    ("traces", ["Board.Get 1"], 0, False, ["Board.Get 1 is not there"]),
    ("jobs", ["Command.Get 1", "Recipe.Get A"], 0, False, ["Recipe.Get A is not there"]),
    ("events", [], 3, True, []),
    ("history", [], 3, True, ["3 events are told as gone", "a new stream begins"]),
])
def test_what_is_missing_of_a_table_that_nobody_damaged_is_found_out(table, missing, gone, is_new, faults):
    assert corruption.strayed(table, missing, gone, is_new) == faults


@pytest.mark.parametrize(("now", "fault"), [
    (("pass", 9, "ready"), []),
    (("pass", 8, "ready"), []),
    (("fail", 9, "ready"), ["board b1 is counted as fail"]),
    (("pass", 9, "running"), ["from 5 on M is counted as running"]),
    (("pass", 10, "ready"), ["from 5 on M is counted as ready"]),
])
def test_what_is_counted_otherwise_than_it_was_is_found_out(tmp_path, now, fault):
    stores = tmp_path / "before.db", tmp_path / "now.db"
    for store, (result, to_ns, state) in zip(stores, (("pass", 9, "ready"), now), strict=True):
        with closing(connect_writer(store)) as connection:
            Ending("M", "A", result, 7, "b1").insert(connection)
            states.put(connection, "M", 5, to_ns, state)
    assert corruption.miscounted(*stores) == fault
    with closing(sqlite3.connect(stores[1])) as connection, connection:
        connection.execute("UPDATE endings SET at_ns = at_ns + 1")
    assert corruption.miscounted(*stores)[0].startswith("board b1 is counted as"), "as nobody wrote it"


def prove_command(folder, *options):
    return subprocess.run([sys.executable, "-P", "-m", "edgeagent", "prove", "--folder", str(folder), *options],
                          check=False, capture_output=True, text=True, timeout=300, env=os.environ | {"COLUMNS": "200"})


def test_the_command_leaves_nothing_behind_when_it_is_stopped(tmp_path):
    command = [sys.executable, "-P", "-m", "edgeagent", "prove", "--folder", str(tmp_path), "--scenario", "disk"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("*/disk/agent/store.sqlite3")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.endswith("stopped before its end\n")
    assert not list(tmp_path.iterdir())
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not [line for _, line in command_lines() if str(tmp_path).encode() in line]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends them")
def test_the_oven_and_the_agent_of_a_command_that_is_killed_end_with_it(tmp_path):
    command = [sys.executable, "-P", "-m", "edgeagent", "prove", "--folder", str(tmp_path), "--scenario", "hundred"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("*/hundred/agent/store.sqlite3")):
            assert process.poll() is None
            time.sleep(0.05)
        its = [Path("/proc", number) for number, line in command_lines()
               if number != str(process.pid) and str(tmp_path).encode() in line]
        assert len(its) == 2
        process.kill()
    deadline = time.monotonic() + 60
    try:
        while left := [each for each in its if runs(each)]:
            assert time.monotonic() < deadline, f"{len(left)} of them go on"
            time.sleep(0.05)
    finally:
        for each in filter(runs, its):
            os.kill(int(each.name), signal.SIGKILL)


def runs(process):
    with suppress(OSError):
        return "State:\tZ" not in (process / "status").read_text()
    return False


def command_lines():
    """What runs on this computer now: numbers, and what began it."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield process.name, (process / "cmdline").read_bytes()


def test_the_command_prints_what_it_tried_and_leaves_nothing_behind(tmp_path):
    done = prove_command(tmp_path, "--scenario", "behind", "--events", "1000", "--seed", "7", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["held"], told["seed"], told["folder"]) == (0, True, 7, None), done.stdout
    assert [proof["scenario"] for proof in told["proofs"]] == ["behind"]
    assert not list(tmp_path.iterdir())
