"""What is called on the oven PC only, over the console's socket: never over the network, whatever the caller may."""

from __future__ import annotations

from edgeagent.model.functions.control import ControlStanding, GrantRemote, ReleaseRemote
from edgeagent.model.functions.forms import Function, Nothing, OfMachine

CONSOLE: dict[str, Function] = {
    function.name: function
    for function in (
        Function("Status.GetRemote", "viewer", False, OfMachine, ControlStanding,
                 "Who has control of a machine, and who asks for it."),
        Function("Status.GrantRemote", "administrator", False, GrantRemote, ControlStanding,
                 "Grants remote control for a while."),
        Function("Status.ReleaseRemote", "operator", False, ReleaseRemote, ControlStanding,
                 "Gives remote control back before its time."),
        Function("Support.Get", "administrator", False, Nothing, dict,
                 "All that helps to find a fault: what the page /support shows."),
    )
}  # fmt: skip
"""Every function of the console."""
