"""Every function, for everybody, over every way, in every control state: what is answered; nothing is written."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgeagent.config import ControlTable, HttpTable, LinesTable, OpenAppsTable, TlsTable
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.console import CONSOLE
from edgeagent.tools import keys
from edgeagent.tools.users import fingerprint
from firmware_iface.simulated.faults import parse
from firmware_iface.simulated.panel import STATES
from tests.journeys.floor import WAYS, Floor, floor, outcome

OFFLINE, LOCAL, REMOTE = "RO-OFFLINE", "RO-LOCAL", "RO-REMOTE"
"""One oven is in maintenance; one is under local control; of one the remote control is granted, and its emergency stop
is pressed, so that nothing moves there whoever may command it."""
MACHINES = (OFFLINE, LOCAL, REMOTE)

TOO_LATE = {"notAfter": "2020-01-01T00:00:00Z"}
HOT = {"name": "HOT", "settings": {"zone/1/top/setpoint": 9999}}
NOWHERE = {"stream": "0000000000000000", "sequence": 1}

READ = {
    "rpc.discover": ({}, "done"),
    "Event.Subscribe": ({"topics": ["Board.*"]}, "done"),
    "Event.Unsubscribe": ({"subscription": "99"}, "notFound"),
    "Event.Acknowledge": ({"consumer": "none", **NOWHERE}, "notFound"),
    "Event.Consumers": ({}, "done"),
    "Event.DeleteConsumer": ({"consumer": "none"}, "notFound"),
    "Event.Read": ({"from": "now"}, "done"),
    "Event.Snapshot": ({}, "done"),
    "Configuration.GetSoftwareVersion": ({}, "done"),
    "Configuration.GetMachine": ({}, "done"),
    "Configuration.GetObjects": ({}, "done"),
    "Configuration.GetObjectParameters": ({"object": "zone/3/top"}, "done"),
    "Alarm.GetActive": ({}, "done"),
    "Alarm.GetHistory": ({}, "done"),
    "Board.Get": ({"id": "none"}, "notFound"),
    "Board.GetTrace": ({"id": "none"}, "notFound"),
    "Board.Find": ({}, "done"),
    "Board.GetInProcess": ({}, "done"),
    "Production.GetCounters": ({}, "done"),
    "Recipe.GetCurrentName": ({}, "done"),
    "Recipe.Get": ({"name": "none"}, "notFound"),
    "Recipe.List": ({}, "done"),
    "Recipe.Check": ({"recipe": HOT}, "done"),
    "Command.Get": ({"job": "none"}, "notFound"),
    "Command.List": ({}, "done"),
    "Status.Get": ({}, "done"),
    "Status.GetValues": ({"objects": ["zone/3/top"]}, "done"),
}
"""What a viewer may, and what comes of it, whoever has control."""

CHANGES = {
    "Alarm.Acknowledge": ("operator", {"id": "none"}, "notFound"),
    "Board.Remove": ("operator", {"id": "none", "reason": "trial"}, "notFound"),
    "Board.ConfirmEmpty": ("operator", {"reason": "trial", **TOO_LATE}, "expired"),
    "Command.Stop": ("operator", {"job": "none"}, "notFound"),
    "Status.RequestRemote": ("operator", {"reason": "trial", "minutes": 5}, "done"),
    "Status.ReleaseRemote": ("operator", TOO_LATE, "expired"),
    "Recipe.Create": ("engineer", {"recipe": HOT}, "outOfRange"),
    "Recipe.Update": ("engineer", {"recipe": HOT}, "notFound"),
    "Recipe.Delete": ("administrator", {"name": "none"}, "notFound"),
}
"""What changes something and touches no machine: the lowest role, and what comes of it, whoever has control."""

COMMANDS = {
    "Alarm.Reset": ("operator", {"id": "none"}, "interlocked"),
    "Alarm.ResetAll": ("operator", {}, "interlocked"),
    "Recipe.Start": ("operator", {"name": "none"}, "notFound"),
    "Configuration.SetObjectParameter": (
        "engineer", {"object": "zone/3/top", "name": "setpoint", "value": 178.0}, "interlocked"),
    "Status.PowerOn": ("engineer", {}, "interlocked"),
    "Status.PowerOff": ("engineer", {"now": False}, "interlocked"),
}  # fmt: skip
"""What touches the machine: the lowest role, and what comes of it under remote control."""

AT_THE_CONSOLE = {
    "Status.GetRemote": ({}, "done"),
    "Status.GrantRemote": ({"minutes": 5, **TOO_LATE}, "expired"),
    "Status.ReleaseRemote": (TOO_LATE, "expired"),
    "Support.Get": ({}, "done"),
}
"""All that the console answers, to whoever may open its socket."""

OF_NO_MACHINE = {
    "rpc.discover", "Session.Authenticate", "Event.Subscribe", "Event.Unsubscribe", "Event.Acknowledge", "Event.Read",
    "Event.Consumers", "Event.DeleteConsumer", "Configuration.GetSoftwareVersion", "Board.Get", "Board.GetTrace",
    "Command.Get", "Command.Stop", "Support.Get",
}  # fmt: skip

ROLES = ("viewer", "operator", "engineer", "administrator")
LISTS = {"nothing": (), "power": ("Status.PowerOn", "Status.PowerOff", "Recipe.Delete")}
"""Users with a list of functions in place of a role."""
BESIDE = ("rpc.discover", "Session.Authenticate", "Command.Stop")
"""What a user with a list may beside it."""


def may(user: str | None, function: str) -> bool:
    """What openapps.md says: each role includes those before it; a list stands in place of a role."""
    if user in LISTS:
        return function in (*LISTS[user], *BESIDE)
    role, *_ = (CHANGES | COMMANDS).get(function, ("viewer",))
    return ROLES.index(user or "viewer") >= ROLES.index(role)


def expected(user: str | None, function: str, machine: str | None, way: str) -> str:
    """The outcome by the tables above."""
    if function not in FUNCTIONS:
        return "methodNotFound"
    if function == "Session.Authenticate":
        return "done"
    if not may(user, function):
        return "forbidden" if user else "unauthenticated"
    if function in COMMANDS:
        return COMMANDS[function][2] if machine == REMOTE else "notRemote"
    if function in ("Event.Subscribe", "Event.Unsubscribe") and way == "http":
        return "invalidRequest"
    return CHANGES[function][2] if function in CHANGES else READ[function][1]


def questions(token: str, machines: tuple[str, ...] = MACHINES) -> list[tuple[str, str | None, dict]]:
    """Function, machine, parameters: everything for every machine; who asks says last who it is once more."""
    asked = []
    known = {name: params for name, (params, _) in (READ | AT_THE_CONSOLE).items()}
    known |= {name: params for name, (_, params, _) in (CHANGES | COMMANDS).items()}
    for function, params in known.items():
        for machine in (None,) if function in OF_NO_MACHINE else machines:
            asked.append((function, machine, params | ({"machine": machine} if machine else {})))
    return [*asked, ("Session.Authenticate", None, {"token": token})]


async def sweep(
    it: Floor, user: str | None, way: str, context: ssl.SSLContext | None = None, machines: tuple[str, ...] = MACHINES
) -> list[str]:
    """Ask everything over one connection; return what was answered otherwise than it should.

    Args:
        context: over TLS, with a certificate that says who asks in place of a token.
    """
    asked = questions(it.tokens[user or "viewer"], machines)
    async with it.caller(way, it.tokens[user] if user and context is None else None, context) as caller:
        answers = await caller.ask([(function, params) for function, _, params in asked])
        for at, (function, machine, params) in enumerate(asked):
            while is_dark(answers[at]) and machine == REMOTE:  # this computer was too slow for the oven's beats
                await it.connected()
                (answers[at],) = await caller.ask([(function, params)])
    return [
        f"{way}, {user}: {function} of {machine}: {outcome(answer)}, not {wanted}: {answer}"
        for (function, machine, _), answer in zip(asked, answers, strict=True)
        if outcome(answer) != (wanted := expected(user, function, machine, way))
    ]


def is_dark(answer: dict) -> bool:
    """Whether it was refused because the machine was not heard for a moment."""
    return outcome(answer) == "unreachable" or "cannot be read" in answer.get("error", {}).get("message", "")


def test_every_function_has_its_place_in_the_table():
    assert {*READ, *CHANGES, *COMMANDS, "Session.Authenticate"} == FUNCTIONS.keys()
    assert AT_THE_CONSOLE.keys() == CONSOLE.keys()


def test_everybody_is_answered_by_the_table_over_every_way_in_every_control_state(tmp_path):
    async def go():
        async with floor(tmp_path, OFFLINE, LOCAL, REMOTE, control=ControlTable(
            enabled=True, caller_per_minute=600, machine_per_minute=600, alarm_resets=100,
        )) as it:  # fmt: skip
            for role in ROLES:
                it.knows(role, role=role)
            for name, functions in LISTS.items():
                it.knows(name, functions=functions)
            await it.grant(REMOTE)
            it.ovens[OFFLINE]._read["machine/state"] = lambda: STATES["maintenance"]
            it.ovens[REMOTE].add_fault(parse(f"emergency-stop@{it.ovens[REMOTE].time}"))
            await it.until(lambda: [it.unit(m).status().control for m in it.ovens] == ["offline", "local", "remote"])
            await it.until(lambda: it.unit(REMOTE).status().state == "emergencyStop")
            who = (None, *ROLES, *LISTS)
            found = await asyncio.gather(*(sweep(it, user, way) for user, way in itertools.product(who, WAYS)))
            wrong = list(itertools.chain(*found))
            async with it.console() as console:
                asked = questions("none")
                answers = await console.ask([(function, params) for function, _, params in asked])
            for (function, machine, _), answer in zip(asked, answers, strict=True):
                wanted = AT_THE_CONSOLE[function][1] if function in AT_THE_CONSOLE else "methodNotFound"
                if outcome(answer) != wanted:
                    wrong.append(f"console: {function} of {machine}: {answer}, not {wanted}")
            assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong[:40])
            assert [it.unit(m).status().control for m in it.ovens] == ["offline", "local", "remote"]
            assert all(not it.wrote(machine) for machine in it.ovens)

    asyncio.run(go())


class Cards:
    """A CA with the certificate of a server, and one of a client for each name; that of "late" is over."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        authority = keys._Authority(1, keys.elliptic)
        here = [keys._alternative("127.0.0.1")]
        made = authority.signed("server", "localhost", here, ExtendedKeyUsageOID.SERVER_AUTH)
        for name in names:
            authority._days = -1 / 48 if name == "late" else 1  # type: ignore[assignment]
            made |= authority.signed(name, name, [], ExtendedKeyUsageOID.CLIENT_AUTH)
        folder.mkdir()
        for name, (_, content) in (made | {"ca.pem": ("", authority.certificate)}).items():
            keys._write(folder / name, content)

    def table(self) -> TlsTable:
        return TlsTable(str(self.folder / "server.pem"), f"file:{self.folder / 'server.key'}",
                        str(self.folder / "ca.pem"))  # fmt: skip

    def context(self, name: str, folder: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.load_cert_chain((folder or self.folder) / f"{name}.pem", (folder or self.folder) / f"{name}.key")
        return context

    def of(self, name: str) -> tuple[str, ...]:
        return (fingerprint(self.folder / f"{name}.pem"),)


def test_a_certificate_gives_over_every_way_what_its_user_may_and_nothing_once_it_is_nobodys(tmp_path):
    cards, theirs = Cards(tmp_path / "ours", *ROLES, "gone", "unknown", "late"), Cards(tmp_path / "theirs", "boss")

    async def go():
        outlets = OpenAppsTable(http=HttpTable(port=0, tls=True, anonymous="none"),
                                lines=LinesTable(port=0, tls=True, anonymous="none"))  # fmt: skip
        async with floor(tmp_path, REMOTE, openapps=outlets, tls=cards.table(), control=ControlTable(
            enabled=True, caller_per_minute=600, machine_per_minute=600, alarm_resets=100,
        )) as it:  # fmt: skip
            for role in ROLES:
                it.knows(role, role=role, fingerprints=cards.of(role))
            it.knows("late", role="administrator", fingerprints=cards.of("late"))
            it.knows("boss", role="administrator", fingerprints=theirs.of("boss"))
            it.knows("gone", role="administrator", fingerprints=cards.of("gone"), revoked=datetime.now(UTC))
            await it.grant(REMOTE)
            it.ovens[REMOTE].add_fault(parse(f"emergency-stop@{it.ovens[REMOTE].time}"))
            await it.until(lambda: it.unit(REMOTE).status().state == "emergencyStop")
            wrong = []
            for role in ROLES:  # one after the other: of one address there are few handshakes at a time
                its = cards.context(role)
                found = await asyncio.gather(*(sweep(it, role, way, its, (REMOTE,)) for way in WAYS))
                wrong += itertools.chain(*found)
            assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong[:40])
            calls = [(function, params) for function, _, params in questions("none", (REMOTE,))]
            for name, way in itertools.product(("gone", "unknown"), WAYS):
                async with it.caller(way, None, cards.context(name)) as caller:
                    for at in range(0, len(calls), 5):  # who may nothing may not ask much at a time
                        for answer, (function, _) in zip(await caller.ask(calls[at:at + 5]), calls[at:at + 5],
                                                         strict=True):  # fmt: skip
                            unheard = "unauthenticated" if way == "http" or function in FUNCTIONS else "methodNotFound"
                            assert outcome(answer) == unheard, (name, way, function, answer)
            for its, way in itertools.product((cards.context("late"), cards.context("boss", theirs.folder)), WAYS):
                with pytest.raises((OSError, aiohttp.ClientError)):
                    async with it.caller(way, None, its) as caller:
                        await caller.ask(calls[:1])
            assert not it.wrote(REMOTE)

    asyncio.run(go())


@pytest.mark.parametrize("way", WAYS)
def test_where_commands_are_switched_off_not_even_the_console_grants_them(tmp_path, way):
    async def go():
        async with floor(tmp_path, control=ControlTable()) as it:
            it.knows("boss", role="administrator")
            async with it.caller(way, it.tokens["boss"]) as caller, it.console() as console:
                granted = await console.call("Status.GrantRemote", minutes=5)
                assert outcome(granted) == "notRemote", granted
                answers = await caller.ask([(name, params) for name, (_, params, _) in COMMANDS.items()])
                assert {outcome(answer) for answer in answers} == {"notRemote"}
                assert all("switched off" in answer["error"]["message"] for answer in answers)
            assert not it.wrote()

    asyncio.run(go())

