"""The proof kit: what it tries holds, and it says so where something was lost, reordered, told again or changed."""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from edgeagent.tools.proving import behind, deaf, disk, hundred, kill, oracle
from edgeagent.tools.proving.ground import Ground


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


def test_killed_twenty_times_the_agent_loses_no_board_and_no_event(tmp_path):
    seen = proven(tmp_path, lambda ground: kill.prove(ground, 20))
    hold(seen)
    assert sum(line.times for line in seen) >= 20


@pytest.mark.slow
def test_killed_two_hundred_times_the_agent_loses_no_board_and_no_event(tmp_path):
    hold(proven(tmp_path, lambda ground: kill.prove(ground, 200)))


@pytest.mark.parametrize("limit", [disk.Mounted, disk.Limited])
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


# That the proof can fail


def log_of(folder, *entries):
    log = folder / "mes.log"
    log.write_bytes(b"".join(kind + text.encode() + b"\n" for kind, text in entries))
    return log


def told(sequence, what="a"):
    return oracle.TOLD, json.dumps({"jsonrpc": "2.0", "method": "Configuration.Changed", "params": {
        "stream": "s", "sequence": sequence, "previous": sequence - 1, "time": "2026-11-21T21:53:00.123Z",
        "clock": "trusted", "machine": "M", "data": {"what": what}}})


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
])
def test_a_log_with_a_fault_is_found_out(tmp_path, entries, fault):
    assert any(fault in found for found in oracle.read(log_of(tmp_path, *entries)).faults)


def test_what_was_not_acknowledged_may_be_told_again(tmp_path):
    entries = [connected(1), told(1), told(2), told(3), done(1), connected(2), told(2), told(3), told(4), done(4)]
    findings = oracle.read(log_of(tmp_path, *entries))
    assert (findings.faults, findings.repeated, oracle.complete(findings, "mes", 4)) == ([], 2, [])


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


def hide_a_board(lived):
    lines = lived.oven.truth.read_text().splitlines(keepends=True)
    lived.oven.truth.write_text("".join(lines).replace("PROOF00001", "NEVERTOLD"))


def test_sabotage_after_a_kill_is_found_out(tmp_path):
    async def sabotaged(ground):
        lived = await kill.live(ground, 1)
        honest = await kill.judged(lived)
        logs = [(file, file.read_bytes()) for file in (*(c.log for c in lived.consumers), lived.oven.truth)]
        found = {}
        for sabotage in (drop, reorder, repeat, hide_a_board, delete, delete_the_newest):
            sabotage(lived)
            found[sabotage] = (await kill.judged(lived)).faults
            for file, content in logs:
                file.write_bytes(content)
        return honest, found

    honest, found = proven(tmp_path, sabotaged)
    assert not honest.faults, honest.faults
    assert "each: not told" in str(found[drop])
    assert "out of order" in str(found[reorder])
    assert "told again though acknowledged" in str(found[repeat])
    assert "NEVERTOLD went in and was told 0 times" in str(found[hide_a_board])
    assert "gone" in str(found[delete])
    assert "told, and not in the journal" in str(found[delete_the_newest])


def prove_command(folder, *options):
    return subprocess.run([sys.executable, "-P", "-m", "edgeagent", "prove", "--folder", str(folder), *options],
                          check=False, capture_output=True, text=True, timeout=300, env=os.environ | {"COLUMNS": "200"})


def test_the_command_prints_what_it_tried_and_leaves_nothing_behind(tmp_path):
    done = prove_command(tmp_path, "--scenario", "behind", "--events", "1000", "--seed", "7", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["held"], told["seed"], told["folder"]) == (0, True, 7, None), done.stdout
    assert [proof["scenario"] for proof in told["proofs"]] == ["behind"]
    assert not list(tmp_path.iterdir())
