"""OPC UA as a factory sees it: a user, a certificate that somebody trusts, an agent that goes on whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from edgeagent.publish.opcua.node_ids import MACHINES_URI, TYPES_URI, NodeIds
from firmware_iface.simulated.faults import parse
from tests.journeys.plant import Plant, plant
from tests.publish.opcua.clients import Application

POLICIES = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
SETTINGS = "[opcua]\nport = 0\n[control]\nenabled = true\n"
STATUS = {"good": "Good", "uncertain": "Uncertain", "stale": "UncertainLastUsableValue", "bad": "Bad"}


class Factory:
    """A plant whose agent serves OPC UA, its users, and a client application."""

    def __init__(self, the_plant: Plant) -> None:
        self.plant = the_plant
        self.application = Application(the_plant.folder / "client")
        self.endpoint = ""

    async def start(self) -> None:
        await self.plant.start_agent()
        line = (await asyncio.wait_for(self.plant.agent.stdout.readline(), 60)).decode()
        assert line.startswith("OPC UA: opc.tcp://"), line
        self.endpoint = line.partition(": ")[2].strip()

    async def typed(self, *words: str) -> str:
        command = (sys.executable, "-P", "-m", "edgeagent", *words, "--store", str(self.plant.folder / "store.sqlite3"))
        running = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, err = await running.communicate()
        assert running.returncode == 0, err
        return out.decode()

    async def add_user(self, name: str, role: str) -> str:
        """A user's token."""
        token = json.loads(await self.typed("users", "add", name, "--role", role, "--json"))["token"]
        return str(token)

    async def trust(self) -> None:
        """What somebody at the oven does once the client has knocked."""
        [knocked] = json.loads(await self.typed("opcua", "list", "--json"))["certificates"]
        await self.typed("opcua", "trust", knocked["fingerprint"][:10])

    async def client(self, user: str, token: str, policy: str = "Basic256Sha256") -> Client:
        own = (self.plant.folder / "pki" / "own" / "certificate.der").read_bytes()
        return await self.application.client(self.endpoint, own, user, token, policy)

    async def refused(self, user: str, token: str) -> str:
        with pytest.raises((ua.UaError, ConnectionError, TimeoutError)) as caught:
            async with await self.client(user, token):
                pass
        return type(caught.value).__name__

    def process(self) -> int:
        """The number of the OPC UA process."""
        children = Path(f"/proc/{self.plant.agent.pid}/task/{self.plant.agent.pid}/children").read_text().split()
        [number] = [child for child in children if b"edgeagent.publish.opcua" in
                    Path(f"/proc/{child}/cmdline").read_bytes()]  # fmt: skip
        return int(number)


@asynccontextmanager
async def factory(folder: Path) -> AsyncIterator[Factory]:
    async with plant(folder, speed=1.0, settings=SETTINGS) as the_plant:
        its = Factory(the_plant)
        await its.start()
        yield its


async def time_of(client: Client) -> Any:
    return await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)).read_value()


async def until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  what another process does has no event
            await asyncio.sleep(0.05)


def test_a_client_comes_in_with_a_trusted_certificate_and_a_user_until_that_is_revoked(tmp_path: Path) -> None:
    async def body() -> None:
        async with factory(tmp_path) as its:
            token = await its.add_user("scada", "viewer")
            await its.refused("scada", token)
            await its.trust()
            for policy in POLICIES:
                async with await its.client("scada", token, policy) as client:
                    assert await time_of(client)
            await its.refused("admin", token)
            async with await its.client("scada", token) as client:
                await its.typed("users", "revoke", "scada")
                with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
                    async with asyncio.timeout(30):
                        while True:
                            await time_of(client)
                            await asyncio.sleep(0.1)
            await its.refused("scada", token)
            told = [json.loads(line)["entry"] for line in (await its.typed("audit", "export")).splitlines()]
            told = [each for each in told if each.get("transport") == "opcua"]
            by_opcua = [(each["kind"], each["who"], each["outcome"]) for each in told]
            assert ("login", "scada", "done") in by_opcua
            assert ("refusal", "", "refused") in by_opcua

    asyncio.run(body())


def test_the_process_is_killed_and_serves_again_while_the_agent_goes_on(tmp_path: Path) -> None:
    async def body() -> None:
        async with factory(tmp_path) as its:
            first = its.process()
            os.kill(first, signal.SIGKILL)
            await until(lambda: _is_gone(first))
            mes = await its.plant.client()
            assert (await mes.call("Status.Get"))["machines"][0]["connected"]
            mes.close()
            await until(lambda: _has_another(its, first))

    asyncio.run(body())


def test_the_process_ends_with_an_agent_that_is_killed(tmp_path: Path) -> None:
    async def body() -> None:
        async with factory(tmp_path) as its:
            number = its.process()
            await its.plant.kill_agent()
            await until(lambda: _is_gone(number))

    asyncio.run(body())


def _is_gone(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _has_another(its: Factory, before: int) -> bool:
    try:
        return its.process() != before
    except ValueError:
        return False


class Independent:
    """node-opcua's client, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def answer(self, **asked: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), 120)
        assert line, "node-opcua ended"
        return json.loads(line)  # type: ignore[no-any-return]

    async def ask(self, **asked: Any) -> Any:
        answer = await self.answer(**asked)
        assert "error" not in answer, answer["error"]
        return answer["result"]


@asynccontextmanager
async def independent() -> AsyncIterator[Independent]:
    node, modules = shutil.which("node"), os.environ.get("NODE_OPCUA")
    if node is None or modules is None:
        pytest.skip("node, or node-opcua-client in the folder NODE_OPCUA, is not there: .ci/run installs them")
    process = await asyncio.create_subprocess_exec(
        node, str(Path(__file__).parent / "opcua_client.cjs"), env=os.environ | {"NODE_PATH": modules},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24)  # fmt: skip
    try:
        yield Independent(process)
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


def test_an_independent_client_sees_the_secure_endpoints_alone_and_comes_in_by_each(tmp_path: Path) -> None:
    async def body() -> None:
        async with independent() as client, factory(tmp_path) as its:
            found = await client.ask(do="endpoints", endpoint=its.endpoint, pki=str(tmp_path / "node"))
            assert [each["policy"] for each in found] == list(POLICIES)
            assert {each["mode"] for each in found} == {"SignAndEncrypt"}
            assert {token for each in found for token in each["tokens"]} == {"UserName", "Certificate"}
            token = await its.add_user("scada", "viewer")
            way = {"do": "connect", "endpoint": its.endpoint, "pki": str(tmp_path / "node"), "uri": "urn:test:journey"}
            assert "error" in await client.answer(**way, policy=POLICIES[0], user="scada", password=token)
            await its.trust()
            for policy in POLICIES:
                await client.ask(**way, policy=policy, user="scada", password=token)
                [time] = await client.ask(do="read", ids=["i=2258"])
                assert (time["type"], time["status"]) == ("DateTime", "Good")
                await client.ask(do="end")
                for user, password in (("scada", token[:-1]), ("admin", token), ("", "")):
                    assert "error" in await client.answer(**way, policy=policy, user=user, password=password)
            assert "error" in await client.answer(**way, policy="None", user="scada", password=token)

    asyncio.run(body())


@asynccontextmanager
async def let_in(its: Factory, client: Independent) -> AsyncIterator[Callable[[str, str], Awaitable[None]]]:
    """Trust the client's application; yields what connects as a new user with a role."""
    way = {"do": "connect", "endpoint": its.endpoint, "pki": str(its.plant.folder / "node"), "uri": "urn:test:journey"}

    async def connect(name: str, role: str) -> None:
        await client.ask(do="end")
        token = await its.add_user(name, role)
        await client.ask(**way, policy=POLICIES[0], user=name, password=token)

    assert "error" in await client.answer(**way, policy=POLICIES[0], user="nobody", password="nothing")
    await its.trust()
    yield connect


async def ids_of(client: Independent) -> NodeIds:
    [uris] = await client.ask(do="read", ids=["i=2255"])
    return NodeIds(uris["value"].index(TYPES_URI), uris["value"].index(MACHINES_URI))


def test_an_independent_client_browses_everything_and_reads_what_json_rpc_tells(tmp_path: Path) -> None:
    async def body() -> None:
        async with independent() as client, factory(tmp_path) as its, let_in(its, client) as connect:
            await connect("scada", "viewer")
            ids = await ids_of(client)
            found = await client.ask(do="browse", root="i=85", most=20_000)
            variables = [each["id"] for each in found if each["class"] == "Variable"]
            values = dict(zip(variables, await client.ask(do="read", ids=variables), strict=True))
            assert not {each["status"] for each in values.values()} & {"BadNodeIdUnknown", "BadInternalError"}
            mes = await its.plant.client()
            told = (await mes.call("Status.GetValues"))["values"]
            paths = [f"{each['object']}/{each['name']}" for each in told]
            node = {path: ids.of_node(f"RO0001/{path}").to_string() for path in paths}
            assert set(node.values()) <= values.keys(), "every point is found by browsing"
            await agree(client, mes, node)
            mes.close()
            zone = node["zone/1/top/temperature"]
            heard = await client.ask(do="subscribe", ids=[zone], count=3)
            assert len({each["time"] for each in heard}) == 3
            past = await client.ask(do="history", id=zone, since="2020-01-01", until="2090-01-01")
            assert past["status"] == "Good"
            assert len(past["values"]) > 5
            refused = await client.ask(do="write", id=zone, type="Double", value=1)
            assert refused in ("BadUserAccessDenied", "BadNotWritable")

    asyncio.run(body())


async def agree(client: Independent, mes: Any, node: dict[str, str]) -> None:
    """Read every value both ways, until none of them was read only while it changed."""
    waiting = dict(node)
    for _ in range(50):
        before = points_of(await mes.call("Status.GetValues"))
        read = await client.ask(do="read", ids=list(waiting.values()))
        after = points_of(await mes.call("Status.GetValues"))
        for path, value in zip(tuple(waiting), read, strict=True):
            shown = value["value"], value["status"]
            if shown in (before[path], after[path]):
                del waiting[path]
        if not waiting:
            return
    raise AssertionError(f"they never agree on {waiting}; JSON-RPC says {after}")


def points_of(told: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {f"{each['object']}/{each['name']}": (each["value"], STATUS[each["quality"]]) for each in told["values"]}


def test_an_independent_client_commands_as_its_user_may_and_nothing_else(tmp_path: Path) -> None:
    async def body() -> None:
        async with independent() as client, factory(tmp_path) as its, let_in(its, client) as connect:
            await connect("scada", "viewer")
            ids = await ids_of(client)
            machine = ids.of_node("RO0001").to_string()
            method = ids.of_node("RO0001/methods/Status.RequestRemote").to_string()
            asked = {"do": "call", "object": machine, "method": method, "values": [
                ["String", "changing over"], ["Int32", 5], ["String", "r-1"], ["String", ""]]}  # fmt: skip
            refused = await client.ask(**asked)
            assert refused["status"] == "BadUserAccessDenied"
            assert refused["outputs"][3] == "forbidden"
            await connect("shift", "operator")
            done = await client.ask(**asked)
            assert (done["status"], done["outputs"][1]) == ("Good", "done"), done
            assert json.loads(done["outputs"][2])["pending"]["by"] == "shift"
            assert await client.ask(**asked) == done, "the same request is answered as the first was"
            wrong = await client.ask(**(asked | {"values": [["Int32", 1], *asked["values"][1:]]}))
            assert (wrong["status"], wrong["inputs"][0]) == ("BadInvalidArgument", "BadTypeMismatch")
            mes = await its.plant.client()
            [job] = (await mes.call("Command.List"))["jobs"]
            assert (job["by"], job["requestId"], job["state"]) == ("shift", "r-1", "done")
            mes.close()

    asyncio.run(body())


def test_an_independent_client_acknowledges_an_alarm_that_json_rpc_tells_as_acknowledged(tmp_path: Path) -> None:
    async def body() -> None:
        async with independent() as client, factory(tmp_path) as its, let_in(its, client) as connect:
            oven = its.plant.machine
            oven.add_fault(parse(f"emergency-stop@{oven.time}+600"))
            mes = await its.plant.client()
            await mes.call("Event.Subscribe", topics=["Alarm.Raised"], **{"from": "beginning"})
            raised = await asyncio.wait_for(mes.notification(), 60)
            alarm = raised["params"]["data"]["alarm"]
            await connect("scada", "viewer")
            told = await client.ask(do="alarm")
            assert (told["message"], told["acked"]) == (alarm["text"], False)
            knows = {"do": "acknowledge", "condition": told["condition"], "event": told["event"], "comment": "seen"}
            assert await client.ask(**knows) == "BadUserAccessDenied"
            await connect("shift", "operator")
            assert await client.ask(**knows) == "Good"
            past = (await mes.call("Alarm.GetHistory"))["alarms"]
            assert [each["acknowledgedBy"] for each in past if each["alarm"]["id"] == alarm["id"]] == ["shift"]
            mes.close()

    asyncio.run(body())
