"""What moves solder and flux in a wave machine: the pumps under the waves, and the spray of the fluxer."""

from __future__ import annotations

from random import Random

from firmware_iface.registers import Zone
from firmware_iface.simulated.heaters import STEP_S

PUMP_TAU_S = 1.5
SPRAY_TAU_S = 0.4
AIR_TAU_S = 2.0
IDLE = 0.4
"""Share of the soldering speed at which a pump turns while no board is near: less dross."""

RUNNING = 0.9
"""Share of the soldering speed from which on a wave is as high as it should be."""

RPM_SIGMA, FLOW_SIGMA, AIR_SIGMA, HEIGHT_SIGMA = 2.0, 0.3, 8.0, 0.05


class Wave:
    """One wave and its pump.

    Args:
        rated_rpm, rated_mm: a speed, and the height of the wave at it; a head goes with the speed's square.

    Attributes:
        setpoint: path of the soldering speed. speed: rpm. measured, height: rpm and mm as told.
    """

    def __init__(self, path: str, zone: Zone, rated_rpm: float, rated_mm: float) -> None:
        self.path = path
        self.zone = zone
        self.setpoint = f"{path}/pumpSpeedSetpoint"
        self.speed = self.measured = self.height = 0.0
        self.is_running = False
        self._rated = rated_mm / rated_rpm**2

    def advance(self, setpoint: float, is_free: bool, is_called: bool, random: Random) -> None:
        """Follow the pump's target by one time step: the soldering speed, the idle speed, or stop."""
        target = 0.0 if not is_free else setpoint if is_called else IDLE * setpoint
        self.speed += (target - self.speed) * STEP_S / PUMP_TAU_S
        is_turning = self.speed > 5
        self.measured = max(0.0, random.gauss(self.speed, RPM_SIGMA)) if is_turning else 0.0
        self.height = max(0.0, random.gauss(self._rated * self.speed**2, HEIGHT_SIGMA)) if is_turning else 0.0
        self.is_running = is_turning and self.speed >= RUNNING * setpoint


class Fluxer:
    """A spray head over one zone.

    Attributes:
        is_spraying: the valve is open. flow: ml/min. pressure: of the atomising air, mbar.
    """

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.is_spraying = False
        self.flow = self.pressure = 0.0
        self._flow = self._air = 0.0

    def advance(self, flow: float, pressure: float, is_called: bool, is_blocked: bool, random: Random) -> None:
        """Go on by one time step towards the setpoints of flow, while a board is here, and of the air."""
        self.is_spraying = is_called
        target = flow if is_called and not is_blocked else 0.0
        self._flow += (target - self._flow) * STEP_S / SPRAY_TAU_S
        self._air += (pressure - self._air) * STEP_S / AIR_TAU_S
        self.flow = max(0.0, random.gauss(self._flow, FLOW_SIGMA)) if self._flow > 0.1 else 0.0
        self.pressure = max(0.0, random.gauss(self._air, AIR_SIGMA)) if self._air > 50 else 0.0
