"""What is called on the oven PC only, over the console's socket: never over the network, whatever the caller may."""

from __future__ import annotations

from edgeagent.model.functions.control import ControlStanding, GrantRemote, ReleaseRemote
from edgeagent.model.functions.forms import Function, Nothing, OfMachine
from edgeagent.model.functions.push import OfPush, PushesStanding, RetryPush, SkipPush

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
"""What the console answers about machines and the agent."""

PUSH: dict[str, Function] = {
    function.name: function
    for function in (
        Function("Push.Status", "viewer", False, OfPush, PushesStanding,
                 "How each push target stands, and what is set aside."),
        Function("Push.Retry", "administrator", False, RetryPush, PushesStanding,
                 "Tries at once, or sends events once more that are set aside."),
        Function("Push.Skip", "administrator", False, SkipPush, PushesStanding,
                 "Sets the event aside at which a stopped target stands."),
    )
}  # fmt: skip
"""What the console answers about push targets."""
