"""Units of points as OPC UA has them: the common codes of UN/CEFACT, packed into a number as Part 8 says."""

from __future__ import annotations

from asyncua import ua

_CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"

_CODES = {
    "degC": ("CEL", "°C", "degree Celsius"),
    "percent": ("P1", "%", "percent"),
    "ppm": ("59", "ppm", "part per million"),
    "mm": ("MMT", "mm", "millimetre"),
    "s": ("SEC", "s", "second [unit of time]"),
    "rpm": ("RPM", "r/min", "revolutions per minute"),
    "mbar": ("MBR", "mbar", "millibar"),
    "ml/min": ("41", "ml/min", "millilitre per minute"),
    "mV": ("2Z", "mV", "millivolt"),
    "count": ("C62", "1", "one"),
}
"""Unit of a point → common code, symbol and name of UNECE Recommendation 20."""

_NO_CODE = -1
"""Of a unit that the recommendation does not have (OPC 10000-8, 5.6.4.3)."""

_NAMES = {"cm/min": "centimetre per minute"}
"""Names of such units."""

_OURS = "urn:edgeagent:units"


def engineering_units(unit: str) -> ua.EUInformation:
    """Say a unit; one without a common code, as cm/min, by its symbol alone."""
    if unit not in _CODES:
        return ua.EUInformation(_OURS, _NO_CODE, ua.LocalizedText(unit), ua.LocalizedText(_NAMES.get(unit, unit)))
    code, symbol, name = _CODES[unit]
    return ua.EUInformation(_CEFACT, unit_id(code), ua.LocalizedText(symbol), ua.LocalizedText(name))


def unit_id(code: str) -> int:
    """The number of a common code: its characters, the last one in the lowest byte."""
    return int.from_bytes(code.encode("ascii"), "big")
