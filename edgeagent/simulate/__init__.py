"""Simulated devices on sockets and serial lines, their time on the agent's clock."""

from edgeagent.simulate.devices import LONGEST_STEP_S, Running
from edgeagent.simulate.port import PortRefused
from edgeagent.simulate.serial_bus import SerialBus
from edgeagent.simulate.serve import Serial, Tcp, serve
from edgeagent.simulate.tcp import MAX_CONNECTIONS, PortTaken, SimulatedOven, TcpServer
from edgeagent.simulate.text_line import speak

__all__ = ["LONGEST_STEP_S", "MAX_CONNECTIONS", "PortRefused", "PortTaken", "Running", "Serial", "SerialBus",
           "SimulatedOven", "Tcp", "TcpServer", "serve", "speak"]  # fmt: skip
