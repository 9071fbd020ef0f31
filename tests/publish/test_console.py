"""The console's socket: who may open it, how much it takes, and what is in its place."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeagent.model.callers import Caller
from edgeagent.model.functions import Function, Nothing
from edgeagent.publish.access import Access
from edgeagent.publish.jsonrpc import Dispatcher
from edgeagent.publish.transports import console as module
from edgeagent.publish.transports.console import Console, connected, console_of
from edgeagent.tools import console as tool
from tests.journeys.floor import floor
from tests.publish.serving import Line, request

Run = Callable[[Coroutine[Any, Any, None]], None]
NOBODY, MEMBERS = 65534, 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Console]:
    """A console that answers who asks."""
    async def who(_: Nothing, caller: Caller) -> dict[str, str]:
        return {"name": caller.name, "role": caller.role}

    functions = {"Who.AmI": Function("Who.AmI", "administrator", False, Nothing, Any, "")}
    console = Console(Dispatcher(Access(functions, {"Who.AmI": who})), path)
    await console.start()
    try:
        yield console
    finally:
        await console.stop()


async def dial(path: Path) -> Line:
    return Line(*await asyncio.open_unix_connection(sock=connected(path, 10)))


def test_it_has_few_places_and_gives_them_again(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        path = tmp_path / "console"
        async with listening(path) as console:
            lines = [await dial(path) for _ in range(module._MOST)]
            for line in lines:
                assert (await line.ask("Who.AmI"))["role"] == "administrator"
            beyond = await dial(path)
            assert (await beyond.message())["error"]["data"]["kind"] == "tooMany"
            assert await beyond.message() is None
            await beyond.close()
            await lines.pop().close()
            while len(console._connections) >= module._MOST:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            lines.append(await dial(path))
            assert await lines[-1].ask("Who.AmI")
            for line in lines:
                await line.close()

    run(main())


def test_a_line_without_end_is_not_kept_and_the_next_caller_is_served(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        path = tmp_path / "console"
        async with listening(path):
            line = await dial(path)
            line.write(b"x" * (module._LIMIT * 2))
            assert (await line.message())["error"]["data"]["kind"] == "tooLarge"
            await line.close()
            other = await dial(path)
            other.write(request("Who.AmI") + b" " * (module._LIMIT // 2) + b"\n")
            assert (await other.message())["result"]
            await other.close()

    run(main())


def test_it_is_for_its_owner_and_group_and_takes_the_place_of_a_dead_agents(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        path = tmp_path / "console"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        before = os.umask(0)
        try:
            async with listening(path) as console:
                assert console.fault is None
                assert stat.S_IMODE(path.stat().st_mode) == 0o660
                line = await dial(path)
                assert (await line.ask("Who.AmI"))["name"].startswith("console:")
                await line.close()
        finally:
            os.umask(before)
        assert not path.exists()

    run(main())


def test_a_folder_may_be_deeper_than_an_address_is_long(tmp_path: Path, run: Run) -> None:
    async def main() -> None:
        folder = tmp_path / ("d" * 100) / ("e" * 100)
        folder.mkdir(parents=True)
        async with listening(folder / "console"):
            line = await dial(folder / "console")
            assert await line.ask("Who.AmI")
            await line.close()

    run(main())


@pytest.mark.parametrize("name", ["n" * 120, "a file", "a folder"])
def test_where_it_cannot_be_it_says_so_and_touches_nothing(tmp_path: Path, run: Run, name: str) -> None:
    path = tmp_path / name
    if name == "a file":
        path.write_text("mine")
    elif name == "a folder":
        path.mkdir()

    async def main() -> None:
        async with listening(path) as console:
            assert str(path) in (console.fault or "")

    run(main())
    assert name != "a file" or path.read_text() == "mine"
    assert name != "a folder" or path.is_dir()


def test_an_agent_without_a_console_watches_its_machines_and_says_what_is_missing(tmp_path: Path) -> None:
    async def main() -> None:
        console_of(tmp_path / "store.sqlite3").mkdir()
        async with floor(tmp_path) as it:
            assert it.unit().status().connected
            assert it.agent is not None
            is_ready, parts = it.agent.health.ready()
            assert (is_ready, "grant remote control" in (parts["console"] or "")) == (True, True)

    asyncio.run(main())


@contextmanager
def as_somebody(group: int) -> Iterator[None]:
    """This process with the rights of a user of the computer who has nothing to do with the agent."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@needs_root
def test_another_user_of_the_computer_comes_in_as_a_member_of_its_group_only_and_by_its_name(run: Run) -> None:
    name = f"console:{pwd.getpwuid(NOBODY).pw_name}"

    async def main(folder: Path) -> None:
        async with listening(folder / "console") as console:
            os.chown(console.path, 0, MEMBERS)
            with as_somebody(NOBODY), pytest.raises(PermissionError):
                connected(console.path, 10)
            with as_somebody(MEMBERS):
                client = connected(console.path, 10)
            line = Line(*await asyncio.open_unix_connection(sock=client))
            assert await line.ask("Who.AmI") == {"name": name, "role": "administrator"}
            await line.close()

    with tempfile.TemporaryDirectory() as made:  # pytest's own folder is closed to others
        Path(made).chmod(0o755)
        run(main(Path(made)))


@needs_root
def test_a_member_of_the_services_group_finds_its_console_though_the_folder_of_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with tempfile.TemporaryDirectory() as made:  # pytest's own folder is closed to others
        Path(made).chmod(0o755)
        installed = Path(made) / "edgeagent.toml"
        installed.write_text(f'[agent]\nstore = "{closed / "edgeagent.sqlite3"}"\n')
        monkeypatch.setattr(tool, "INSTALLED", installed)
        monkeypatch.setattr(tool, "_IN_RUN", Path("/proc/self"))
        with as_somebody(MEMBERS):
            assert tool.console(closed / "edgeagent.sqlite3") == Path("/proc/self")
            other = closed / "other.sqlite3"
            assert tool.console(other) == console_of(other), "what is meant for another agent goes to no other"
