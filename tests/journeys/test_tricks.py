"""Whoever tries to get a register written without the right to, over sockets: nothing is written."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import aiohttp
import msgpack
import msgspec
import pytest

from edgeagent.publish.transports.console import console_of
from tests.journeys.floor import PATH, PATIENT, SETPOINT, WAYS, Floor, floor, outcome

SET = "Configuration.SetObjectParameter"


def on_floor(tmp_path, steps, **more):
    async def go():
        async with floor(tmp_path, maps={"RO0001": PATIENT}, **more) as it:
            it.knows("anna", role="engineer")
            it.knows("otto", role="engineer")
            await it.grant()
            await steps(it)

    asyncio.run(go())


def revoke(it: Floor, name: str, *, only_token: bool = False) -> None:
    def edit(users):
        return tuple(
            user if user.name != name
            else msgspec.structs.replace(user, tokens=()) if only_token
            else msgspec.structs.replace(user, revoked=user.created)
            for user in users
        )  # fmt: skip

    it.edits(edit)


@pytest.mark.parametrize("only_token", [False, True])
def test_a_revoked_token_commands_nothing_more_on_connections_and_in_batches_that_stand(tmp_path, only_token):
    async def steps(it: Floor):
        waits = ("Event.Read", {"from": "now", "waitMs": 700, "topics": ["Recipe.Deleted"]})
        callers = [it.caller(way, it.tokens["anna"]) for way in WAYS]
        for caller in callers:
            await caller.__aenter__()
        (answer,) = await callers[0].ask([(SET, {**SETPOINT, "value": 170.0})])
        assert (await it.ended(answer["result"]["id"]))["state"] == "done"
        asked = [asyncio.create_task(caller.ask([waits, (SET, {**SETPOINT, "value": 180.0})])) for caller in callers]
        await asyncio.sleep(0.1)
        revoke(it, "anna", only_token=only_token)
        for _, answer in await asyncio.gather(*asked):
            assert outcome(answer) == "unauthenticated", answer
        for caller in callers:
            assert outcome(await caller.call(SET, **SETPOINT, value=180.0)) == "unauthenticated"
            await caller.close()
        assert it.wrote() == [(PATH, 170.0)]

    on_floor(tmp_path, steps)


class HeldAudit:
    """Holds the disk of the audit at one of its entries, until something has happened."""

    def __init__(self, monkeypatch, at: int) -> None:
        self.is_held = threading.Event()
        self.goes_on = threading.Event()
        self._left = at
        sync = os.fsync

        def held(descriptor: int) -> None:
            if "audit" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                self._left -= 1
                if not self._left:
                    self.is_held.set()
                    assert self.goes_on.wait(20)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", held)


@pytest.mark.parametrize(("at", "kind"), [(1, "command"), (2, "write")])
@pytest.mark.parametrize("happens", ["the switch", "the user", "the role", "released", "stopped", "a board"])
def test_what_ends_the_right_after_it_was_accepted_ends_the_write(tmp_path, monkeypatch, happens, at, kind):
    async def steps(it: Floor):
        unit, oven = it.unit(), it.ovens["RO0001"]
        async with it.caller("lines", it.tokens["anna"]) as anna, it.caller("http", it.tokens["otto"]) as otto:
            held = HeldAudit(monkeypatch, at)
            asking = asyncio.create_task(anna.call(SET, **SETPOINT, value=180.0))
            await it.until(held.is_held.is_set)
            if happens == "the switch":
                oven.remote = False
                await it.until(lambda: unit.status().control == "local")
            elif happens == "the user":
                revoke(it, "anna")
            elif happens == "the role":
                it.edits(lambda users: tuple(msgspec.structs.replace(user, role="operator") for user in users))
            elif happens == "released":
                releasing = asyncio.create_task(otto.call("Status.ReleaseRemote"))
                it.agent._room.machines["RO0001"].remote.release("otto")
            elif happens == "stopped":
                await it.until(lambda: it.agent._room.executor.jobs)
                (running,) = it.agent._room.executor.jobs
                stopping = asyncio.create_task(otto.call("Command.Stop", job=running.job.id))
                await it.until(running.stop_asked.is_set)
            else:
                it.ovens["RO0001"]._read["machine/state"] = lambda: 9
                await it.until(lambda: unit.status().state == "emergencyStop")
            held.goes_on.set()
            answer = await asking
            job = await it.ended(answer["result"]["id"])
            assert job["state"] == "stopped", job
            assert not it.wrote(), (kind, it.wrote())
            if happens == "released":
                await releasing
            if happens == "stopped":
                assert outcome(await stopping) == "done"

    on_floor(tmp_path, steps)


def test_a_key_belongs_to_its_user_and_the_same_key_writes_once_over_every_way(tmp_path):
    async def steps(it: Floor):
        call = (SET, {**SETPOINT, "value": 180.0, "requestId": "4711"})
        jobs = set()
        for way in WAYS:
            async with it.caller(way, it.tokens["anna"]) as anna:
                for answer in await anna.ask([call, call, call]):
                    jobs.add(answer["result"]["id"])
        (job,) = jobs
        assert (await it.ended(job))["state"] == "done"
        async with it.caller("http", it.tokens["otto"]) as otto:
            (other,) = await otto.ask([call])
            assert other["result"]["id"] != job, "it is another user's"
            await it.ended(other["result"]["id"])
            peeped = await otto.call("Command.Get", job=job)
            assert peeped["result"]["by"] == "anna"
            stolen = await otto.call(SET, **SETPOINT, value=190.0, requestId=f"\n{job}")
            assert outcome(stolen) == "done"
            await it.ended(stolen["result"]["id"])
        async with it.caller("http") as nobody:
            assert outcome(await nobody.call(*[SET], **call[1])) == "unauthenticated"
        assert [value for _, value in it.wrote()] == [180.0, 180.0, 190.0]

    on_floor(tmp_path, steps)


BAD_VALUES = [
    b"true", b"false", b'"178"', b'"178.0"', b"null", b"[178]", b'{"value":178}', b"1e999", b"-1e999", b"NaN",
    b"Infinity", b"-Infinity", b"1" + b"0" * 400, b"-0.05", b"178.05", b"3276.8", b"-1",
    b"65535", b"0x10", b'"\\u0000"', b'""', b'"NaN"', b"1e308", b"9007199254740993", b"18446744073709551616",
]  # fmt: skip
"""Of a setpoint in tenths of a degree from 0 to 350."""


def test_no_value_that_is_not_exactly_one_of_the_points_is_written(tmp_path):
    async def steps(it: Floor):
        host, port = it.agent.addresses["TCP lines"].rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))

        async def say(line: bytes):
            writer.write(line + b"\n")
            return json.loads(await reader.readline())

        token = it.tokens["anna"].encode()
        assert "result" in await say(
            b'{"jsonrpc":"2.0","id":1,"method":"Session.Authenticate","params":{"token":"%b"}}' % token)
        for value in BAD_VALUES:
            answer = await say(b'{"jsonrpc":"2.0","id":1,"method":"Configuration.SetObjectParameter","params":'
                               b'{"object":"zone/3/top","name":"setpoint","value":%b}}' % value)
            assert "error" in answer, (value, answer)
            assert answer["error"]["data"]["kind"] in ("outOfRange", "invalidParameters", "parse"), (value, answer)
        writer.close()
        async with it.caller("msgpack", it.tokens["anna"]) as anna:
            for value in (float("nan"), float("inf"), b"178", True, [178.0], 2**63, -(2**63), {"a": 1},
                          msgpack.ExtType(1, b"178"), msgpack.Timestamp(178)):
                await anna._socket.send_bytes(msgpack.packb({"jsonrpc": "2.0", "id": 1, "method": SET,
                                                             "params": {**SETPOINT, "value": value}}))
                answer = msgpack.unpackb((await anna._socket.receive()).data)
                assert "error" in answer, (value, answer)
        assert not it.wrote()

    on_floor(tmp_path, steps)


@pytest.mark.parametrize("machine", ["ro0001", "RO0001 ", " RO0001", "RO0001\u0000", "RO0001\u200b", "RΟ0001", "", "*"])
def test_a_machine_is_called_exactly_by_its_name(tmp_path, machine):
    async def steps(it: Floor):
        async with it.caller("http", it.tokens["anna"]) as anna:
            assert outcome(await anna.call(SET, **SETPOINT, value=180.0, machine=machine)) == "notFound"
            for object_, name in (("zone/3/top/setpoint", ""), ("", PATH), ("zone/3", "top/setpoint"),
                                  ("zone/3/top/setpoint", "setpoint"), ("ZONE/3/TOP", "setpoint"),
                                  ("zone/3/top/../top", "setpoint")):
                answer = await anna.call(SET, object=object_, name=name, value=180.0)
                assert outcome(answer) == "notFound", answer
        assert not it.wrote()

    on_floor(tmp_path, steps)


def test_what_follows_on_a_connection_is_not_asked_with_the_token_of_what_came_before(tmp_path):
    async def steps(it: Floor):
        address = it.agent.addresses["HTTP"].removeprefix("http://").removesuffix("/rpc")
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": SET, "params": {**SETPOINT, "value": 180.0}}).encode()
        look = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "Status.Get"}).encode()
        head = f"POST /rpc HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n".encode()
        right = b"Authorization: Bearer " + it.tokens["anna"].encode() + b"\r\n"

        def sized(text: bytes) -> bytes:
            return b"Content-Length: %d\r\n" % len(text)

        chunked = b"Transfer-Encoding: chunked\r\n"
        smuggled = head + sized(body) + b"\r\n" + body
        tries = [
            head + right + sized(look) + b"\r\n" + look + smuggled,
            head + right + sized(look) + chunked + b"\r\n0\r\n\r\n" + smuggled,
            head + right + chunked + sized(look) + b"\r\n" + b"%x\r\n" % len(look) + look + b"\r\n0\r\n\r\n" + smuggled,
            head + right + sized(look) + sized(b"") + b"\r\n" + look + smuggled,
            head + b"Authorization : Bearer " + it.tokens["anna"].encode() + b"\r\n" + sized(body) + b"\r\n" + body,
            head + b"X: a\r\n Authorization: Bearer " + it.tokens["anna"].encode() + b"\r\n" + sized(body) + b"\r\n"
            + body,
        ]  # fmt: skip
        for each in tries:
            host, port = address.rsplit(":", 1)
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(each)
            told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            writer.write_eof()
            told += await asyncio.wait_for(reader.read(), 20)
            assert told.startswith(b"HTTP/1."), told
            assert b'"accepted"' not in told, told
            writer.close()
        async with aiohttp.ClientSession() as session:
            for header in ("Basic YW5uYTphbm5h", "Bearer", "Bearer ", f"Token {it.tokens['anna']}", it.tokens["anna"],
                           f"Bearer {it.tokens['anna']}x", f"Bearer {it.tokens['anna'].upper()}"):
                async with session.post(it.agent.addresses["HTTP"], data=body, headers={
                        "Content-Type": "application/json", "Authorization": header}) as response:
                    assert response.status in (401, 429), (header, await response.text())
        assert not it.wrote()

    on_floor(tmp_path, steps)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_of_the_computer_cannot_open_the_console(monkeypatch):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)

        async def steps():
            async with floor(folder) as it:
                console = console_of(it.store)

                def as_nobody() -> None:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                    with socket.socket(socket.AF_UNIX) as client:
                        os._exit(client.connect_ex(str(console)))

                tried = await asyncio.create_subprocess_exec("true", preexec_fn=as_nobody)
                assert await tried.wait() == errno.EACCES
                assert console.stat().st_mode & 0o007 == 0

        asyncio.run(steps())


def test_nothing_by_which_a_machine_is_commanded_is_set_as_a_parameter(tmp_path):
    commanding = [register.path for register in PATIENT.registers if register.writable and register.kind == "state"]
    assert {"command/powerOn", "command/powerOff", "machine/horn", "recipe/version"} <= {*commanding}
    disguised = replace(PATIENT, registers=tuple(
        replace(register, kind="setpoint") if register.path in commanding else register
        for register in PATIENT.registers))  # fmt: skip

    async def go():
        async with floor(tmp_path, "RO0001", "RO0002", maps={"RO0001": PATIENT, "RO0002": disguised}) as it:
            token = it.knows("boss", role="administrator")
            await it.grant()
            async with it.caller("http", token) as boss:
                for machine in it.ovens:
                    for path in commanding if machine == "RO0001" else commanding[2:]:
                        object_, _, name = path.rpartition("/")
                        for value in (1, True, 0, 3):
                            told = await boss.call(SET, object=object_, name=name, value=value, machine=machine)
                            assert outcome(told) == "outOfRange", (path, told)
            assert not it.wrote("RO0001")
            assert not it.wrote("RO0002")

    asyncio.run(go())
