"""Which procedure does which function."""

from __future__ import annotations

from edgeagent.control import handing_over
from edgeagent.control.alarms import Acknowledge, Reset, ResetAll
from edgeagent.control.boards import Empty, Remove
from edgeagent.control.power import PowerOff, PowerOn
from edgeagent.control.procedure import Factory
from edgeagent.control.recipe_start import Start
from edgeagent.control.recipes import Create, Delete, Update
from edgeagent.control.setting import SetParameter

PROCEDURES: dict[str, Factory] = {
    "Configuration.SetObjectParameter": SetParameter,
    "Recipe.Create": Create,
    "Recipe.Update": Update,
    "Recipe.Delete": Delete,
    "Recipe.Start": Start,
    "Status.RequestRemote": handing_over.Request,
    "Status.ReleaseRemote": handing_over.Release,
    "Status.GrantRemote": handing_over.Grant,
    "Alarm.Acknowledge": Acknowledge,
    "Alarm.Reset": Reset,
    "Alarm.ResetAll": ResetAll,
    "Board.Remove": Remove,
    "Board.ConfirmEmpty": Empty,
    "Status.PowerOn": PowerOn,
    "Status.PowerOff": PowerOff,
}
"""Function → what makes its procedure; the executor answers each of them."""
