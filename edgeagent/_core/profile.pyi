from array import array
from typing import NamedTuple

class Profile(NamedTuple):
    peak: float
    peak_ns: int
    time_above_liquidus: float
    soak: float
    max_rise: float
    max_fall: float
    excursions: int

class TraceTooShort(ValueError): ...

def measure(
    times_ns: array[int],
    temperatures: array[float],
    liquidus: float,
    soak_low: float,
    soak_high: float,
    max_gap_s: float = 1.0,
) -> Profile: ...
def window_share(value: float, low: float, high: float) -> float: ...
