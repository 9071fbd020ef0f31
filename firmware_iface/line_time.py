"""How long a request takes on a serial line, and how much of the line a map's groups need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from firmware_iface.registers import Device, Group, Register, SerialSettings
from firmware_iface.spans import BIT_TABLES, Span, reads

QUESTION_BYTES = 8
"""Characters of a read request: unit, function, address, count, CRC."""

FRAME_BYTES = 5
"""Characters of an answer beside its data: unit, function, length, CRC."""

_SILENCE_CHARACTERS = 3.5
_SHORTEST_SILENCE_S = 0.00175
_FAST_BAUD = 19_200
"""Above this speed the silence between two frames stays the same (Modbus over Serial Line, section 2.5.1.1)."""


class Asked(Protocol):
    """What is asked of a device again and again; a `RegisterMap` is one."""

    @property
    def groups(self) -> Sequence[Group]:
        """Groups that are read, each with its period."""

    @property
    def registers(self) -> Sequence[Register]:
        """The points in them."""

    @property
    def device(self) -> Device:
        """How the device wants to be asked."""


def character_s(settings: SerialSettings) -> float:
    """One character: a start bit, eight data bits, parity where there is one, stop bits."""
    return (9 + (settings.parity != "none") + settings.stop_bits) / settings.baud


def silence_s(settings: SerialSettings) -> float:
    """The silence that ends a frame."""
    return _SHORTEST_SILENCE_S if settings.baud > _FAST_BAUD else _SILENCE_CHARACTERS * character_s(settings)


def answer_bytes(span: Span) -> int:
    """Characters of the whole answer to a read."""
    return FRAME_BYTES + ((span.count + 7) // 8 if span.table in BIT_TABLES else 2 * span.count)


def request_s(settings: SerialSettings, count_of_bytes_answered: int, latency_ms: float, pause_ms: float) -> float:
    """Longest time of one request: question, latency, answer, and a silence after each, or the pause if longer.

    Args:
        count_of_bytes_answered: characters of the whole answer, `answer_bytes` of a read.
    """
    characters = QUESTION_BYTES + count_of_bytes_answered
    silence = silence_s(settings)
    return characters * character_s(settings) + silence + latency_ms / 1000 + max(silence, pause_ms / 1000)


def group_share(asked: Asked, group: Group, settings: SerialSettings) -> float:
    """Share of the line that one group needs; 1 is the whole line."""
    return sum(_seconds(asked, span, settings) for span in _reads(asked, group)) * 1000 / group.period_ms


def share(asked: Asked, settings: SerialSettings) -> float:
    """Share of the line that all groups need; 1 is the whole line."""
    return sum(group_share(asked, group, settings) for group in asked.groups)


def explain(asked: Asked, settings: SerialSettings) -> str:
    """The arithmetic of the whole share, group by group, in words."""
    parts = [f"{group.name}: {explain_group(asked, group, settings)}" for group in asked.groups]
    total = f"together {share(asked, settings):.0%} of the line"
    return "; ".join([*parts, total] if len(parts) > 1 else parts)


def explain_group(asked: Asked, group: Group, settings: SerialSettings) -> str:
    """The arithmetic of one group's share in words, by its longest read."""
    spans = _reads(asked, group)
    if not spans:
        return "no reads"
    longest = max(spans, key=answer_bytes)
    silence_ms, pause_ms = silence_s(settings) * 1000, asked.device.pause_ms
    rests = f"silences of 2 * {silence_ms:.1f} ms" if pause_ms <= silence_ms else (
        f"a silence of {silence_ms:.1f} ms + a pause of {pause_ms} ms")  # fmt: skip
    count = "1 read" if len(spans) == 1 else f"{len(spans)} reads"
    which, are = ("a read", "is") if len(spans) == 1 else ("the longest read", "are")
    return (
        f"{which} takes {_seconds(asked, longest, settings) * 1000:.1f} ms = {QUESTION_BYTES} characters asked"
        f" + {answer_bytes(longest)} answered, of {character_s(settings) * 1000:.3f} ms at {settings.baud} baud,"
        f" + {rests} + a latency of {asked.device.latency_ms} ms;"
        f" {count} every {group.period_ms} ms {are} {group_share(asked, group, settings):.0%} of the line"
    )


def _reads(asked: Asked, group: Group) -> list[Span]:
    points = (register for register in asked.registers if register.group == group.name)
    return reads(points, asked.device, asked.device.max_gap)


def _seconds(asked: Asked, span: Span, settings: SerialSettings) -> float:
    return request_s(settings, answer_bytes(span), asked.device.latency_ms, asked.device.pause_ms)
