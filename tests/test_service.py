"""The agent as systemd runs it: a process of its own that tells how it stands over a real socket."""

import asyncio
import json
import os
import pwd
import resource
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from edgeagent.store.audit.accepting import accepted_file
from edgeagent.store.audit.segments import segment_files
from edgeagent.store.audit.verification import remembered
from tests.journeys.plant import plant

SABOTAGED = Path(__file__).parent / "sabotaged.py"
WATCHDOG_S = 0.6
QUIET_S = 1.5
"""So long no word for the watchdog: several were due."""


class Systemd:
    """Starts the agent as systemd does, and hears what it tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.setblocking(False)
        self.flag = folder / "hang"
        self.told: list[str] = []

    async def start(self, part: str = "nothing", output: int = asyncio.subprocess.DEVNULL) -> None:
        variables = {"NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6))}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(SABOTAGED), part, str(self.flag), "run", str(self.folder / "agent.toml"),
            env=os.environ | variables, stdout=output, stderr=asyncio.subprocess.PIPE)  # fmt: skip

    async def hear(self, wanted: str, within_s: float = 30.0) -> str:
        """The next message that has the wanted words; all that came are kept in `told`."""
        heard = len(self.told)
        try:
            async with asyncio.timeout(within_s):
                return await self._hear(wanted)
        except TimeoutError:
            raise TimeoutError(f"no {wanted!r} in {self.told[heard:]}") from None

    async def _hear(self, wanted: str) -> str:
        while True:
            message = (await asyncio.get_running_loop().sock_recv(self.socket, 10_000)).decode()
            self.told.append(message)
            if wanted in message:
                return message

    async def quiet(self) -> None:
        """Wait until the watchdog is not fed any more."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                await self.hear("WATCHDOG=1", QUIET_S)
            except TimeoutError:
                return
        raise AssertionError("the watchdog is still fed")

    async def fed(self, times: int = 8) -> None:
        for _ in range(times):
            await self.hear("WATCHDOG=1")

    async def end(self) -> int:
        self.process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        _, self.errors = await asyncio.wait_for(self.process.communicate(), 20)
        self.socket.close()
        return self.process.returncode


def configure(folder: Path, port: int) -> None:
    (folder / "agent.toml").write_text(
        "[openapps.http]\nport = 0\n[openapps.lines]\nport = 0\n"
        '[[machines]]\nid = "RO0001"\n[[machines.sources]]\nkind = "modbus-tcp"\nmap = "reflow10"\n'
        f'host = "127.0.0.1"\nport = {port}\n')


@contextmanager
def silent_oven():
    """Takes connections, as the kernel does for it, and says nothing; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@asynccontextmanager
async def systemd(folder: Path):
    its = Systemd(folder)
    try:
        yield its
    finally:
        if its.process.returncode is None:
            its.process.kill()
            await its.process.communicate()
        its.socket.close()


def test_it_is_ready_without_the_oven_and_tells_each_turn_of_its_life(tmp_path):
    async def life(port):
        async with systemd(tmp_path) as its:
            configure(tmp_path, port)
            await its.start()
            await its.hear("READY=1")
            assert [message for message in its.told if message != "WATCHDOG=1"] == [
                "STATUS=begins: takes up the store and the machines", "STATUS=1 machine: RO0001 does not answer",
                "READY=1"]
            its.process.send_signal(signal.SIGHUP)
            assert "\nMONOTONIC_USEC=" in await its.hear("RELOADING=1")
            await its.hear("READY=1")
            (tmp_path / "agent.toml").write_text("[agent")
            its.process.send_signal(signal.SIGHUP)
            await its.hear("RELOADING=1")
            await its.hear("READY=1")
            its.process.terminate()
            await its.hear("STOPPING=1")
            assert await its.ended() == 0

    with silent_oven() as port:
        asyncio.run(life(port))


def test_it_runs_on_where_nobody_reads_its_output(tmp_path):
    async def life():
        read, write = os.pipe()
        async with systemd(tmp_path) as its:
            configure(tmp_path, 9)
            os.close(read)
            await its.start(output=write)
            os.close(write)
            await its.hear("READY=1")
            its.process.send_signal(signal.SIGHUP)
            await its.hear("READY=1")
            assert await its.end() == 0
            assert b"Traceback" not in its.errors
            assert b"BrokenPipe" not in its.errors

    asyncio.run(life())


def test_a_configuration_that_cannot_be_used_is_told_and_ends_with_78(tmp_path):
    async def life():
        async with systemd(tmp_path) as its:
            (tmp_path / "agent.toml").write_text("[agents]\n")
            await its.start()
            told = await its.hear("STATUS=")
            assert told.startswith("STATUS=the configuration cannot be used: ")
            assert "agent.toml:1: agents: unknown key" in told
            assert await its.ended() == 78
            assert "READY=1" not in its.told

    asyncio.run(life())


def test_a_store_that_cannot_be_opened_is_told_and_ends_with_1_to_be_tried_again(tmp_path):
    async def life():
        async with systemd(tmp_path) as its:
            configure(tmp_path, 9)
            (tmp_path / "edgeagent.sqlite3").mkdir()
            await its.start()
            assert "the database cannot be opened" in await its.hear("STATUS=ended: ")
            assert await its.ended() == 1

    asyncio.run(life())


@pytest.mark.parametrize(("part", "told"), [
    ("store", "; store's writer: has not turned for"),
    pytest.param("poller", "; source 1 of RO0001: has not turned for", marks=pytest.mark.slow),
    pytest.param("loop", "", marks=pytest.mark.slow),
    pytest.param("server", "; TCP lines: does not listen any more", marks=pytest.mark.slow),
])  # fmt: skip
def test_the_watchdog_is_not_fed_while_a_vital_part_hangs(tmp_path, part, told):
    async def life():
        async with plant(tmp_path, 10.0) as the_plant, systemd(tmp_path) as its:
            await its.start(part)
            await its.hear("RO0001 warming up")
            the_plant.machine.insert_board("B1", 300.0)
            await its.hear("1 board inside")
            await its.fed(3)
            its.flag.touch()
            if told:
                await its.hear(told)
            await its.quiet()
            if part != "server":
                its.flag.unlink()
                await its.fed(3)
            assert await its.end() == 0

    asyncio.run(life())


def test_the_watchdog_is_fed_while_a_store_is_brought_to_a_new_layout_at_a_reload(tmp_path):
    async def life():
        async with systemd(tmp_path) as its:
            configure(tmp_path, 9)
            await its.start("opening")
            await its.hear("READY=1")
            its.flag.touch()
            its.process.send_signal(signal.SIGHUP)
            await its.hear("STATUS=begins: ")
            since = len(its.told)
            await its.fed()
            assert set(its.told[since:]) == {"WATCHDOG=1"}
            its.flag.unlink()
            await its.hear("READY=1")
            assert await its.end() == 0

    asyncio.run(life())


@pytest.mark.slow
def test_an_oven_that_says_nothing_keeps_the_watchdog_fed(tmp_path):
    async def life(port):
        async with systemd(tmp_path) as its:
            configure(tmp_path, port)
            await its.start()
            await its.hear("READY=1")
            begun = time.monotonic()
            while time.monotonic() < begun + 3:
                await its.hear("WATCHDOG=1")
            assert its.told.count("WATCHDOG=1") >= 10
            assert await its.end() == 0
            assert b"has not turned" not in its.errors

    with silent_oven() as port:
        asyncio.run(life(port))


def test_a_full_disk_keeps_the_watchdog_fed_is_told_and_is_waited_for_before_it_begins_anew(tmp_path):
    async def life():
        async with plant(tmp_path, 10.0) as the_plant, systemd(tmp_path) as its:
            await its.start()
            await its.hear("RO0001 warming up")
            the_plant.machine.insert_board("B1", 300.0)
            await its.hear("STATUS=1 machine: RO0001 warming up, 1 board inside")
            everything = resource.prlimit(its.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(its.process.pid, resource.RLIMIT_FSIZE, (0, everything[1]))
            assert "; store: " in await its.hear("; store: ")
            its.process.send_signal(signal.SIGHUP)
            await its.fed(10)
            assert not [message for message in its.told if "RELOADING" in message]
            resource.prlimit(its.process.pid, resource.RLIMIT_FSIZE, everything)
            await its.hear("RELOADING=1")
            assert "1 board inside" in await its.hear("STATUS=1 machine")
            assert "store: " not in its.told[-1]
            assert await its.end() == 0
            assert b"it begins anew once the store can be written" in its.errors
            assert b"could not be saved" not in its.errors
            assert b"has not turned" not in its.errors

    asyncio.run(life())


def test_a_broken_audit_is_accepted_under_the_running_agent_by_whom_and_why(tmp_path):
    store = tmp_path / "edgeagent.sqlite3"

    async def typed(*words):
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "edgeagent", "audit", *words, "--store", str(store),
            stdout=asyncio.subprocess.PIPE)  # fmt: skip
        output, _ = await asyncio.wait_for(command.communicate(), 60)
        return command.returncode, output.decode()

    async def life(port):
        configure(tmp_path, port)
        async with systemd(tmp_path) as its:
            await its.start()
            await its.hear("READY=1")
            assert await its.end() == 0
        [record] = segment_files(store)
        record.write_bytes(b"".join(record.read_bytes().splitlines(keepends=True)[:-1]))
        (tmp_path / "notify").unlink()
        async with systemd(tmp_path) as its:
            await its.start()
            await its.hear("READY=1")
            while not remembered(store).broken:  # noqa: ASYNC110  the store's writer takes its time
                await asyncio.sleep(0.05)
            code, told = await typed("accept", "--reason", "the disk was copied by hand")
            assert (code, "begins anew and takes it up" in told) == (0, True), told
            await its.hear("READY=1")
            while remembered(store).broken:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert not accepted_file(store).exists()
            assert "nothing to accept" in (await typed("accept", "--reason", "again"))[1]
            [line] = [line for line in (await typed("export"))[1].splitlines() if "copied by hand" in line]
            entry = json.loads(line)["entry"]
            assert entry["who"].endswith(pwd.getpwuid(os.getuid()).pw_name)
            assert "are missing" in entry["before"]
            assert await its.end() == 0

    with silent_oven() as port:
        asyncio.run(asyncio.wait_for(life(port), 120))
