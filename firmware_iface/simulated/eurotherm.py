"""A temperature controller of the Eurotherm 2000 series as its handbook describes it to a Modbus master.

Its addresses are written down here once more, not taken from a map: so each proves the other. What the handbook leaves
open (the load, the noise, what an unconfigured address holds) is assumed.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.faults import ANY, LOOP, Fault, FaultList
from firmware_iface.simulated.heaters import AMBIENT, STEP_S
from firmware_iface.simulated.loop import Loop
from firmware_iface.simulated.recipes import NotSimulated

IEEE = 0x8000
"""Parameter n lies at 2n + IEEE as well: a float of two registers, or a whole number and a padding word."""

PADDING = 0x8000
FIRMWARE = 0x0304
INSTRUMENT = 0x2400
"""Version 3.04 of a 2400."""

ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3
"""The only exceptions that it knows."""

_READ, _READ_INPUT, _WRITE_ONE, _READ_STATUS, _LOOPBACK, _WRITE_MANY = 3, 4, 6, 7, 8, 16
_BITS = (1, 2, 5)
_MOST = 125
_UNDEFINED = 0x5A5A

_SINGLE_S = (0.002, 0.010)
_BLOCK_S_A_WORD = 0.004
"""A word takes 2 to 10 ms, a block 2 to 500 ms."""


class _Refused(Exception):
    """The request gets an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Parameter(NamedTuple):
    """One parameter: `places` after the decimal point of its integer, None for a whole number, -1 for the panel's."""

    places: int | None
    read: Callable[[], float]
    write: Callable[[float], None] | None = None


class TemperatureController:
    """One loop under the control of a 2400.

    Args:
        register_map: only its addresses are looked at, so that a map with others is refused.
        loop: what it controls; one that is settled, or cold, where none is given.

    Attributes:
        eeprom_writes: how often a master has written; the memory bears about 100,000.

    Raises:
        NotSimulated: the map has points at addresses that this controller does not know.
    """

    def __init__(self, register_map: RegisterMap, *, seed: int = 1, cold: bool = False,
                 loop: Loop | None = None) -> None:  # fmt: skip
        self.time = 0.0
        self.loop = loop or (Loop(temperature=AMBIENT) if cold else Loop())
        self.faults = FaultList(LOOP | ANY)
        self.refusals: deque[str] = deque(maxlen=100)
        self.eeprom_writes = 0
        self.customer_id = 0
        self.answer_delay_s = self._slow_s = 0.0
        self._random = Random(seed)  # noqa: S311
        self._step_at = 0.0
        self._parameters = self._known()
        if unknown := [r.path for r in register_map.registers if r.table not in ("holding", "input")
                       or self._number(r.address) not in self._parameters]:  # fmt: skip
            raise NotSimulated(f"the simulated controller knows nothing of {', '.join(unknown)}")

    @property
    def state(self) -> str:
        """Sensor break, manual or auto."""
        return "sensorBreak" if self.loop.is_broken else "manual" if self.loop.is_manual else "auto"

    @property
    def is_rebooting(self) -> bool:
        """Whether it is starting again."""
        return self.faults.standing("controller-reboot")

    @property
    def is_silent(self) -> bool:
        """Whether nothing is answered."""
        return self.is_rebooting or self.faults.standing("silent")

    def advance(self, seconds: float) -> None:
        """Let time go on; what happens does not depend on how it is cut into calls."""
        self.time += seconds
        while self._step_at + STEP_S <= self.time + 1e-9:
            list(self.faults.advance(self._step_at))
            self.loop.advance(self.faults.standing("sensor-break"), self.faults.standing("load-open"), self._random)
            self._step_at += STEP_S

    def add_fault(self, fault: Fault) -> None:
        """Take a fault; one without start begins now. FaultError for one that a controller cannot have."""
        self.faults.add(fault, self.time)

    def answer(self, request: bytes) -> bytes:
        """Answer a request PDU; empty for a function that it does not have."""
        self._slow_s = self.faults.argument("slow", 0.0) / 1000
        self.answer_delay_s = self._slow_s + self._random.uniform(*_SINGLE_S)
        answers = {_READ: self._read, _READ_INPUT: self._read, _WRITE_ONE: self._write_one,
                   _WRITE_MANY: self._write_many, _READ_STATUS: self._read_status, _LOOPBACK: self._loop_back,
                   **dict.fromkeys(_BITS, self._no_bits)}  # fmt: skip
        function = request[0]
        try:
            return answers[function](request) if function in answers else b""
        except _Refused as refused:
            return bytes([function | 0x80, refused.code])
        except (ValueError, struct.error):
            return bytes([function | 0x80, ILLEGAL_VALUE])

    def _read(self, request: bytes) -> bytes:
        address, count = struct.unpack(">HH", request[1:])
        if count > 1:
            self.answer_delay_s = self._slow_s + self._random.uniform(_SINGLE_S[0], _BLOCK_S_A_WORD * count)
        return struct.pack(f">BB{count}H", request[0], 2 * count, *self._words(address, count))

    def _read_status(self, request: bytes) -> bytes:
        return bytes([request[0], self.loop.status & 0xFF])

    def _loop_back(self, request: bytes) -> bytes:
        if len(request) != 5 or request[1:3] != b"\0\0":
            raise _Refused(ILLEGAL_VALUE)
        return request

    def _no_bits(self, request: bytes) -> bytes:
        raise _Refused(ILLEGAL_ADDRESS)

    def _known(self) -> dict[int, Parameter]:
        loop = self.loop

        def setpoint(index: int) -> Parameter:
            return Parameter(-1, lambda: loop.presets[index], lambda value: loop.preset(index, value))

        def alarm(index: int) -> Parameter:
            return Parameter(-1, lambda: loop.alarm_setpoints[index], lambda value: loop.set_alarm(index, value))

        def identify(value: float) -> None:
            self.customer_id = int(value)

        return {
            1: Parameter(-1, lambda: loop.measured),
            2: Parameter(-1, lambda: loop.target, loop.aim),
            3: Parameter(1, lambda: loop.output, loop.drive),
            5: Parameter(-1, lambda: loop.target),
            13: alarm(0), 14: alarm(1), 81: alarm(2), 82: alarm(3),
            39: Parameter(-1, lambda: loop.target - loop.measured),
            74: Parameter(None, lambda: loop.status & 0xFF),
            75: Parameter(None, lambda: loop.status),
            76: Parameter(None, lambda: loop.broken_bits),
            107: Parameter(None, lambda: FIRMWARE),
            122: Parameter(None, lambda: INSTRUMENT),
            164: setpoint(0), 165: setpoint(1), 166: setpoint(2),
            273: Parameter(None, lambda: loop.is_manual, loop.switch),
            629: Parameter(None, lambda: self.customer_id, identify),
        }  # fmt: skip

    def _number(self, address: int) -> int:
        return address if address < IEEE else (address - IEEE) // 2

    def _words(self, address: int, count: int) -> list[int]:
        if not 1 <= count <= _MOST:
            raise _Refused(ILLEGAL_VALUE)
        if address < IEEE:
            return [self._integer(number) for number in range(address, address + count)]
        _check_pairs(address, count)
        first = self._number(address)
        return [word for number in range(first, first + count // 2) for word in self._pair(number)]

    def _places(self, parameter: Parameter) -> int:
        return int(self.faults.argument("decimal-point", 1)) if parameter.places == -1 else parameter.places or 0

    def _integer(self, number: int) -> int:
        """The parameter as an integer; an unconfigured one is read as anything, without an error."""
        if (parameter := self._parameters.get(number)) is None:
            return _UNDEFINED ^ number
        raw = round(parameter.read() * 10.0 ** self._places(parameter))
        return raw if parameter.places is None else min(32_767, max(-32_768, raw)) & 0xFFFF

    def _pair(self, number: int) -> tuple[int, int]:
        parameter = self._parameters.get(number)
        if parameter is None or parameter.places is None:
            return self._integer(number), PADDING
        high, low = struct.unpack(">HH", struct.pack(">f", parameter.read()))
        return high, low

    def _write_one(self, request: bytes) -> bytes:
        address, word = struct.unpack(">HH", request[1:])
        parameter = self._parameters.get(address)
        if parameter is None or parameter.write is None:
            raise _Refused(ILLEGAL_ADDRESS)
        self._store(parameter, self._decoded(parameter, word))
        return request

    def _write_many(self, request: bytes) -> bytes:
        """Write in order; what is written to an unconfigured address looks as if it had been taken."""
        address, count = struct.unpack(">HH", request[1:5])
        words = struct.unpack(f">{count}H", request[6:])
        if count < 1 or request[5] != 2 * count:
            raise _Refused(ILLEGAL_VALUE)
        size = 1 if address < IEEE else 2
        if size == 2:
            _check_pairs(address, count)
        for place in range(0, count, size):
            parameter = self._parameters.get(self._number(address) + place // size)
            if parameter is None:
                continue
            if parameter.write is None:
                raise _Refused(ILLEGAL_ADDRESS)
            if size == 1 or parameter.places is None:
                self._store(parameter, self._decoded(parameter, words[place]))
            else:
                self._store(parameter, struct.unpack(">f", struct.pack(">HH", *words[place : place + 2]))[0])
        return request[:5]

    def _decoded(self, parameter: Parameter, word: int) -> float:
        if parameter.places is None:
            return word
        return (word - 65_536 if word > 32_767 else word) / 10.0 ** self._places(parameter)

    def _store(self, parameter: Parameter, value: float) -> None:
        assert parameter.write is not None
        parameter.write(value)
        self.eeprom_writes += 1


def _check_pairs(address: int, count: int) -> None:
    if address % 2 or count % 2:
        raise _Refused(ILLEGAL_ADDRESS)
