"""The record of a board: what the oven did to it; names, order and units as the OpenApps profile fixes them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from edgeagent.model.terms import IdentityTerm, QualityTerm, VerdictTerm


class Barcode(msgspec.Struct, frozen=True, rename="camel"):
    """A code on a board; kind "board"."""

    code: str
    kind: str = "board"


class RecipeName(msgspec.Struct, frozen=True, rename="camel"):
    """Name and version of a recipe as the machine tells them; None where it does not."""

    name: str | None
    version: int | None


class MachineName(msgspec.Struct, frozen=True, rename="camel"):
    """Which machine, and by which map it was read."""

    id: str
    serial_number: str | None
    map: str
    fingerprint: str


class ConveyorRecord(msgspec.Struct, frozen=True, rename="camel"):
    """Belt speed over the board's stay."""

    unit: str
    setpoint: float | None
    mean: float | None
    minimum: float | None
    maximum: float | None
    quality: QualityTerm
    exit_offset_mm: float | None = None
    """Where the belt said the board was when the outlet saw it, minus where the outlet is."""


class OxygenRecord(msgspec.Struct, frozen=True, rename="camel"):
    """Oxygen over the board's stay."""

    object: str
    unit: str
    mean: float | None
    minimum: float | None
    maximum: float | None
    setpoint: float | None
    quality: QualityTerm


class ZoneRecord(msgspec.Struct, frozen=True, rename="camel"):
    """What one zone did: value when the board's middle passed its middle, and statistics over the dwell."""

    object: str
    unit: str
    setpoint: float | None
    entered_at: str | None
    seconds: float | None
    at_centre: float | None
    mean: float | None
    minimum: float | None
    maximum: float | None
    quality: QualityTerm


class StationValue(msgspec.Struct, frozen=True, rename="camel"):
    """One number of a station: value when the board's middle passed its middle, and statistics over the dwell."""

    object: str
    name: str
    unit: str
    setpoint: float | None
    at_centre: float | None
    mean: float | None
    minimum: float | None
    maximum: float | None
    quality: QualityTerm


class StationRecord(msgspec.Struct, frozen=True, rename="camel"):
    """What one station of a wave machine did.

    The seconds of a wave are its contact with a point of the board, 0 where its pump stood or was set to 0.
    """

    zone: int
    entered_at: str | None
    seconds: float | None
    values: tuple[StationValue, ...]


class WindowShare(msgspec.Struct, frozen=True, rename="camel"):
    """One figure against its window: -100 at the low limit, 0 in the middle, 100 at the high limit."""

    name: str
    value: float | None
    low: float
    high: float
    share: float | None


class ProfileRecord(msgspec.Struct, frozen=True, rename="camel"):
    """What the board felt by the nominal model (an estimate, said so by `basis`); None where it cannot be told."""

    basis: str
    calibration: str | None
    peak: float | None
    time_above_liquidus: float | None
    soak: float | None
    max_rise: float | None
    max_fall: float | None
    process_window_index: float | None
    limits: tuple[WindowShare, ...]


class InsideRecord(msgspec.Struct, frozen=True, rename="camel"):
    """What happened at the machine while the board was inside."""

    alarms: tuple[str, ...] = ()
    setting_changes: tuple[str, ...] = ()
    control_changes: tuple[str, ...] = ()


class SampleRecord(msgspec.Struct, frozen=True, rename="camel"):
    """How complete the record is: beats expected while the board was inside, and how many were there."""

    expected: int
    good: int
    missing: int
    longest_gap_seconds: float


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """pass, fail or unknown, each with its reasons."""

    process: VerdictTerm
    profile: VerdictTerm
    reasons: tuple[str, ...]


class BoardRecord(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Everything that is known of one board's way through the machine.

    Of a reflow oven it has zones and profile; of a wave machine, in their place, flux, preheat, waves and cooling.
    """

    id: str
    barcodes: tuple[Barcode, ...]
    machine: MachineName
    agent: str
    lane: int
    side: str | None
    pass_: int = msgspec.field(name="pass")
    order: str | None
    operator: str | None
    length_mm: float | None
    identity: IdentityTerm
    recipe: RecipeName
    entered_at: str
    exited_at: str | None
    utc_offset: str
    process_ready: bool | None
    conveyor: ConveyorRecord
    oxygen: tuple[OxygenRecord, ...]
    zones: tuple[ZoneRecord, ...] | UnsetType = UNSET
    profile: ProfileRecord | UnsetType = UNSET
    flux: tuple[StationRecord, ...] | UnsetType = UNSET
    preheat: tuple[StationRecord, ...] | UnsetType = UNSET
    waves: tuple[StationRecord, ...] | UnsetType = UNSET
    cooling: tuple[StationRecord, ...] | UnsetType = UNSET
    while_inside: InsideRecord
    samples: SampleRecord
    verdict: Verdict


class BoardTrace(msgspec.Struct, frozen=True, rename="camel"):
    """A board's way in time: seconds since entry, estimated board temperature and zone values at those times.

    All lists have the same length; None where there was no value.
    """

    id: str
    seconds: list[float]
    estimated: list[float | None]
    zones: dict[str, list[float | None]]


class BoardInProcess(msgspec.Struct, frozen=True, rename="camel"):
    """A board in the tunnel now; the position is its leading edge in mm from the entrance."""

    id: str
    barcodes: tuple[Barcode, ...]
    lane: int
    recipe: RecipeName
    entered_at: str
    position_mm: float
    length_mm: float | None
    identity: IdentityTerm
    estimated_celsius: float | None


class BoardEntered(msgspec.Struct, frozen=True, rename="camel"):
    """A board as it is told when it enters."""

    id: str
    barcodes: tuple[Barcode, ...]
    lane: int
    recipe: RecipeName
    entered_at: str
    process_ready: bool | None
