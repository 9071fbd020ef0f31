"""A method for every function that is not shown as a node: typed arguments, the caller's rights, an answer at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from asyncua import Node, ua
from asyncua.common.manage_nodes import create_method, create_property

from edgeagent.errors import CommandRefused
from edgeagent.model.commands import Job
from edgeagent.model.functions import FUNCTIONS
from edgeagent.model.functions.forms import CommandParameters, Function
from edgeagent.publish.opcua.arguments import Argument, WrongArgument, arguments, is_of_machine, parameters
from edgeagent.publish.opcua.port import AgentPort

SHOWN = frozenset((
    "Configuration.GetSoftwareVersion", "Configuration.GetMachine", "Configuration.GetObjects",
    "Configuration.GetObjectParameters", "Status.Get", "Status.GetValues", "Alarm.GetActive", "Board.GetInProcess",
    "Recipe.GetCurrentName",
))  # fmt: skip
"""Functions whose answers are nodes."""

_OF_THE_SERVICE = ("rpc.", "Session.", "Event.")
"""OPC UA has services of its own for what these do."""

STATUS = {
    "invalidRequest": ua.StatusCodes.BadInvalidArgument,
    "methodNotFound": ua.StatusCodes.BadMethodInvalid,
    "invalidParameters": ua.StatusCodes.BadInvalidArgument,
    "internal": ua.StatusCodes.BadInternalError,
    "unauthenticated": ua.StatusCodes.BadUserAccessDenied,
    "forbidden": ua.StatusCodes.BadUserAccessDenied,
    "notRemote": ua.StatusCodes.BadInvalidState,
    "interlocked": ua.StatusCodes.BadInvalidState,
    "outOfRange": ua.StatusCodes.BadOutOfRange,
    "notFound": ua.StatusCodes.BadNotFound,
    "unreachable": ua.StatusCodes.BadNoCommunication,
    "notConfirmed": ua.StatusCodes.BadCommunicationError,
    "tooMany": ua.StatusCodes.BadTooManyOperations,
    "busy": ua.StatusCodes.BadResourceUnavailable,
    "tooLarge": ua.StatusCodes.BadRequestTooLarge,
    "expired": ua.StatusCodes.BadTimeout,
}
"""Kind of a refusal → status of the method's result."""

_MOST_UNANSWERED = 64
"""Commands of all clients that go on after their method was answered."""

_JOBS_LOOKED_AT = 50


class _Output(NamedTuple):
    name: str
    text: str


_OF_JOB = (
    _Output("JobId", "of the command, for Command.Get; empty where nothing was begun"),
    _Output("State", "accepted, running or done; refused where it was not allowed"),
)
_OF_ALL = (
    _Output("Answer", "all that the function answers, as JSON; empty where it was refused or goes on"),
    _Output("Kind", "of the refusal, as over JSON-RPC; empty where there is none"),
    _Output("Reason", "of the refusal, in words; empty where there is none"),
)


def called(functions: Iterable[Function] = tuple(FUNCTIONS.values())) -> tuple[Function, ...]:
    """The functions that are methods."""
    return tuple(f for f in functions if f.name not in SHOWN and not f.name.startswith(_OF_THE_SERVICE))


class Methods:
    """The methods of all machines.

    Args:
        session: the session that calls at this moment, as the agent knows it; None where there is none.

    Attributes:
        answers_within_s: what takes longer goes on, and its caller is told the job.
    """

    answers_within_s = 1.0

    def __init__(self, port: AgentPort, session: Callable[[], int | None]) -> None:
        self._port = port
        self._session = session
        self._unanswered: set[asyncio.Task[Any]] = set()

    async def add_to(self, parent: Node, machine: str, node_id: Callable[[str], ua.NodeId]) -> None:
        """Add a machine's methods below its object.

        Args:
            node_id: gives each node its id, the same for the same key at any time: "RO0001/methods/Recipe.Start".
        """
        for function in called():
            method = _Method(function, machine, parent.nodeid, self)
            await method.add_to(parent, node_id)

    async def stop(self) -> None:
        """Wait for nothing any more; what was begun goes on in the agent."""
        for task in self._unanswered:
            task.cancel()
        await asyncio.gather(*self._unanswered, return_exceptions=True)

    async def ask(self, function: Function, machine: str, taken: dict[str, Any]) -> tuple[Any, Job | None]:
        """Call a function for whoever calls now; return what it answers, or the job that goes on without an answer.

        Raises:
            CommandRefused: as the agent says.
        """
        session = self._session()
        if session is None:
            raise CommandRefused("unauthenticated", "Nobody has said who calls.")
        if len(self._unanswered) >= _MOST_UNANSWERED:
            raise CommandRefused("tooMany", f"{_MOST_UNANSWERED} calls have not been answered yet; call again.")
        if is_of_machine(function):
            taken["machine"] = machine
        if issubclass(function.parameters, CommandParameters):
            taken.setdefault("requestId", f"opcua-{secrets.token_hex(8)}")
        asking = asyncio.create_task(self._port.call(function.name, taken, session), name=f"method {function.name}")
        self._unanswered.add(asking)
        asking.add_done_callback(self._answered)
        await asyncio.wait((asking,), timeout=self.answers_within_s)
        if asking.done():
            return asking.result(), None
        if not issubclass(function.parameters, CommandParameters):
            return await asking, None
        return None, await self._job(machine, taken["requestId"], session)

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._unanswered.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have been told the job instead

    async def _job(self, machine: str, request: str, session: int) -> Job:
        """The job of a command that goes on."""
        listed = await self._port.call("Command.List", {"machine": machine, "limit": _JOBS_LOOKED_AT}, session)
        jobs = msgspec.convert(listed["jobs"], tuple[Job, ...])
        found = next((job for job in jobs if job.request_id == request), None)
        if found is None:
            raise CommandRefused("busy", f"It is being decided; call again with the RequestId {request}.", machine)
        return found


class _Method:
    """One method of one machine."""

    def __init__(self, function: Function, machine: str, owner: ua.NodeId, methods: Methods) -> None:
        self._function = function
        self._machine = machine
        self._owner = owner
        self._methods = methods
        self._arguments = arguments(function)
        self._is_command = issubclass(function.parameters, CommandParameters)

    async def add_to(self, parent: Node, node_id: Callable[[str], ua.NodeId]) -> None:
        """Make its nodes."""
        key = f"{self._machine}/methods/{self._function.name}"
        number = node_id(key)
        name = ua.QualifiedName(self._function.name.replace(".", ""), number.NamespaceIndex)
        method = await create_method(parent, number, name, self.call)
        await method.write_attribute(ua.AttributeIds.DisplayName, _value(ua.LocalizedText(self._function.name)))
        await method.write_attribute(ua.AttributeIds.Description, _value(ua.LocalizedText(self._function.text)))
        outputs = (*(_OF_JOB if self._is_command else ()), *_OF_ALL)
        described = [
            Argument(output.name, "", "text", True, output.text).described() for output in outputs
        ]
        for which, told in (("Input", [each.described() for each in self._arguments]), ("Output", described)):
            if told:
                await create_property(
                    method, node_id(f"{key}/{which.lower()}"), ua.QualifiedName(f"{which}Arguments", 0), told,
                    varianttype=ua.VariantType.ExtensionObject, datatype=ua.ObjectIds.Argument)  # fmt: skip

    async def call(self, owner: ua.NodeId, *given: ua.Variant) -> ua.CallMethodResult:
        """Answer a call; never raises for what a client gave."""
        if status := self._wrong(owner, len(given)):
            return _result(status)
        try:
            taken = parameters(self._arguments, given)
            answer, job = await self._methods.ask(self._function, self._machine, taken)
        except WrongArgument as wrong:
            return self._refused("invalidParameters", str(wrong), wrong.place)
        except CommandRefused as refused:
            return self._refused(refused.kind, refused.reason)
        if job is not None:
            return _result(ua.StatusCodes.GoodCompletesAsynchronously, job.id, job.state, "", "", "")
        text = msgspec.json.encode(answer).decode()
        if not self._is_command:
            return _result(ua.StatusCodes.Good, text, "", "")
        return _result(ua.StatusCodes.Good, *_standing(self._function, answer), text, "", "")

    def _wrong(self, owner: ua.NodeId, given: int) -> int:
        """What is wrong before anything is looked at; 0 where nothing is."""
        if owner != self._owner:
            return ua.StatusCodes.BadMethodInvalid
        if given < len(self._arguments):
            return ua.StatusCodes.BadArgumentsMissing
        return ua.StatusCodes.BadTooManyArguments if given > len(self._arguments) else 0

    def _refused(self, kind: str, reason: str, place: int | None = None) -> ua.CallMethodResult:
        """Say why not: in words among the outputs, and of a wrong argument beside it."""
        of_job = ("", "refused") if self._is_command else ()
        result = _result(STATUS.get(kind, ua.StatusCodes.BadInternalError), *of_job, "", kind, reason)
        if place is not None:
            for number in range(len(self._arguments)):
                is_wrong = number == place
                status = ua.StatusCodes.BadTypeMismatch if is_wrong else ua.StatusCodes.Good
                told = ua.DiagnosticInfo(AdditionalInfo=ua.String(reason)) if is_wrong else ua.DiagnosticInfo()
                result.InputArgumentResults.append(ua.StatusCode(ua.UInt32(status)))
                result.InputArgumentDiagnosticInfos.append(told)
        return result


def _standing(function: Function, answer: dict[str, Any]) -> tuple[str, str]:
    """The job's id, where the answer tells it, and its state."""
    if function.result is Job:
        return answer["id"], answer["state"]
    return str(answer.get("job", "")), "done"


def _result(status: int, *outputs: str) -> ua.CallMethodResult:
    texts = [ua.Variant(output, ua.VariantType.String) for output in outputs]
    return ua.CallMethodResult(StatusCode=ua.StatusCode(ua.UInt32(status)), OutputArguments=texts)


def _value(text: ua.LocalizedText) -> ua.DataValue:
    return ua.DataValue(ua.Variant(text, ua.VariantType.LocalizedText))
