"""The one catalogue of functions: JSON-RPC, OpenRPC and the docs walk it; names are the OpenApps profile's."""

from __future__ import annotations

from typing import Any

from edgeagent.model.boards import BoardRecord, BoardTrace
from edgeagent.model.callers import NO_ROLE
from edgeagent.model.commands import Job
from edgeagent.model.functions.alarms import (
    AcknowledgeAlarm,
    ActiveAlarms,
    AlarmAcknowledged,
    AlarmHistory,
    AlarmsReset,
    GetAlarmHistory,
    ResetAlarm,
)
from edgeagent.model.functions.boards import (
    BoardsFound,
    BoardsInProcess,
    BookedOut,
    ConfirmEmpty,
    FindBoards,
    GetBoard,
    GetTrace,
    RemoveBoard,
)
from edgeagent.model.functions.commands import GetJob, JobsListed, ListJobs, StopJob
from edgeagent.model.functions.control import ControlStanding, ReleaseRemote, RequestRemote, SetObjectParameter
from edgeagent.model.functions.events import (
    Acknowledge,
    Acknowledged,
    ConsumersFound,
    EventsRead,
    OfConsumer,
    ReadEvents,
    Snapshot,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from edgeagent.model.functions.forms import CommandParameters, Function, Nothing, OfMachine
from edgeagent.model.functions.machines import (
    GetObjectParameters,
    GetValues,
    MachineDescription,
    Objects,
    SoftwareVersion,
    Status,
    Values,
)
from edgeagent.model.functions.power import PowerOff, PowerOn
from edgeagent.model.functions.production import Counters, GetCounters
from edgeagent.model.functions.recipes import (
    CheckRecipe,
    CreateRecipe,
    DeleteRecipe,
    GetRecipe,
    ListRecipes,
    RecipeChecked,
    RecipeKept,
    Recipes,
    StartRecipe,
    UpdateRecipe,
)
from edgeagent.model.functions.sessions import Authenticate, Authenticated
from edgeagent.model.recipes import Recipe, RunningRecipe

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        Function("rpc.discover", "viewer", False, Nothing, dict[str, Any],
                 "The OpenRPC document of this server."),
        Function("Session.Authenticate", NO_ROLE, False, Authenticate, Authenticated,
                 "Says who asks on this connection from now on (WebSocket or TCP); over HTTP it tells what a token is "
                 "good for."),
        Function("Event.Subscribe", "viewer", False, Subscribe, Subscribed,
                 "Pushes events on this connection (WebSocket or TCP)."),
        Function("Event.Unsubscribe", "viewer", False, Unsubscribe, Subscribed,
                 "Ends a subscription of this connection."),
        Function("Event.Acknowledge", "viewer", False, Acknowledge, Acknowledged,
                 "Moves a consumer's cursor beyond what is done."),
        Function("Event.Consumers", "viewer", False, Nothing, ConsumersFound,
                 "The caller's consumers, and how far each has come; all for an administrator."),
        Function("Event.DeleteConsumer", "viewer", False, OfConsumer, Acknowledged,
                 "Forgets a consumer; its subscription ends."),
        Function("Event.Read", "viewer", False, ReadEvents, EventsRead,
                 "Reads durable events from a place on, waiting for the first if asked."),
        Function("Event.Snapshot", "viewer", False, OfMachine, Snapshot,
                 "The whole current state, and the sequence it stands at."),
        Function("Configuration.GetSoftwareVersion", "viewer", False, Nothing, SoftwareVersion,
                 "Versions of agent, profile and firmware."),
        Function("Configuration.GetMachine", "viewer", False, OfMachine, MachineDescription,
                 "Manufacturer, model, lanes, zones and instruments."),
        Function("Configuration.GetObjects", "viewer", False, OfMachine, Objects,
                 "Every object with its parameters."),
        Function("Configuration.GetObjectParameters", "viewer", False, GetObjectParameters, Values,
                 "The values of one object."),
        Function("Alarm.GetActive", "viewer", False, OfMachine, ActiveAlarms,
                 "The alarms that stand now."),
        Function("Alarm.GetHistory", "viewer", False, GetAlarmHistory, AlarmHistory,
                 "Alarms that stand or stood, with their ends."),
        Function("Alarm.Acknowledge", "operator", False, AcknowledgeAlarm, AlarmAcknowledged,
                 "Takes notice of an alarm, whether it stands or ended; who was first stays."),
        Function("Alarm.Reset", "operator", True, ResetAlarm, AlarmsReset,
                 "Resets an alarm that may be reset from afar, and tells why it still stands where it does."),
        Function("Alarm.ResetAll", "operator", True, CommandParameters, AlarmsReset,
                 "Resets all alarms that may be reset from afar, where the machine has a command for that."),
        Function("Board.Get", "viewer", False, GetBoard, BoardRecord,
                 "The record of a board that left."),
        Function("Board.GetTrace", "viewer", False, GetTrace, BoardTrace,
                 "Zone values and estimated board temperature over a board's stay."),
        Function("Board.Find", "viewer", False, FindBoards, BoardsFound,
                 "Records of boards by barcode, recipe, verdict and time."),
        Function("Board.GetInProcess", "viewer", False, OfMachine, BoardsInProcess,
                 "The boards in the tunnel, with their positions."),
        Function("Board.Remove", "operator", False, RemoveBoard, BookedOut,
                 "Books out a board that somebody took out of the tunnel by hand."),
        Function("Board.ConfirmEmpty", "operator", False, ConfirmEmpty, BookedOut,
                 "Somebody looked into the tunnel and it is empty: books out every board and ends every doubt."),
        Function("Production.GetCounters", "viewer", False, GetCounters, Counters,
                 "Boards by verdict and recipe, and seconds in each state."),
        Function("Recipe.GetCurrentName", "viewer", False, OfMachine, RunningRecipe,
                 "The recipe that a machine runs."),
        Function("Recipe.Get", "viewer", False, GetRecipe, Recipe,
                 "A recipe as the machine that runs it has it, and as it is kept."),
        Function("Recipe.List", "viewer", False, ListRecipes, Recipes,
                 "The recipes known: what runs, and what is kept."),
        Function("Recipe.Check", "viewer", False, CheckRecipe, RecipeChecked,
                 "Says everything for which a machine cannot do a recipe; keeps nothing."),
        Function("Recipe.Create", "engineer", False, CreateRecipe, RecipeKept,
                 "Keeps a new recipe."),
        Function("Recipe.Update", "engineer", False, UpdateRecipe, RecipeKept,
                 "Keeps a changed recipe as a new version."),
        Function("Recipe.Delete", "administrator", False, DeleteRecipe, RecipeKept,
                 "Deletes a recipe; its versions stay readable."),
        Function("Recipe.Start", "operator", True, StartRecipe, Job,
                 "Writes a kept recipe to the machine, reads it back, and waits until the machine is ready for it."),
        Function("Command.Get", "viewer", False, GetJob, Job,
                 "What became of a command."),
        Function("Command.List", "viewer", False, ListJobs, JobsListed,
                 "Commands by state and time."),
        Function("Command.Stop", "operator", False, StopJob, Job,
                 "Brings a job to its nearest safe state and ends it; whoever may start it may stop it."),
        Function("Configuration.SetObjectParameter", "engineer", True, SetObjectParameter, Job,
                 "Sets one parameter of an object; read back, and put back where the machine does not take it."),
        Function("Status.RequestRemote", "operator", False, RequestRemote, ControlStanding,
                 "Asks for remote control; it is granted at the machine."),
        Function("Status.ReleaseRemote", "operator", False, ReleaseRemote, ControlStanding,
                 "Gives remote control back before its time."),
        Function("Status.Get", "viewer", False, OfMachine, Status,
                 "State, control, boards and alarms of each machine."),
        Function("Status.PowerOn", "engineer", True, PowerOn, Job,
                 "Switches a machine on after a warning; the job is done when it is ready."),
        Function("Status.PowerOff", "engineer", True, PowerOff, Job,
                 "Cools a machine down and switches it off; never with boards inside."),
        Function("Status.GetValues", "viewer", False, GetValues, Values,
                 "Measured values with quality and time."),
    )
}  # fmt: skip
"""Every function that this agent answers."""

PROFILE_VERSION = "1.0"
"""Version of the OpenApps profile served."""
