"""What the contract says in words: parameters, kinds of refusal, roles."""

from __future__ import annotations

PARAMETERS = {
    "topics": 'names of events; "Board.*" for all of one area, "*" for all',
    "machines": "machine ids; all machines when left out",
    "from": 'where to begin: "now", "beginning", or the first wanted sequence of a stream',
    "limit": "the most that one answer may hold",
    "waitMs": "how long to wait for the first event, in milliseconds; 0 answers at once",
    "consumer": "names a place in the stream that the agent keeps on disk",
    "maxInFlight": "events of a consumer that may be told and not acknowledged; 100 when left out",
    "stream": "as Event.Subscribe answered it",
    "sequence": "of the last event that is done; all before it count as done too",
    "subscription": "as Event.Subscribe named it on this connection",
    "token": "as `edgeagent users add` or `edgeagent users token` showed it once",
    "object": "name of an object as Configuration.GetObjects lists it",
    "objects": "names of objects as Configuration.GetObjects lists them; all when left out",
    "id": "as an event or a list told it",
    "maxPoints": "the most points in time; a longer trace is thinned",
    "barcode": "a code on the board, in full",
    "recipe": "name of the recipe; where one is kept, the recipe itself",
    "name": "name of a recipe as Recipe.List tells it",
    "version": "of the recipe; when left out the one that runs, else the newest; of a start the newest",
    "basedOn": "the version that the changed recipe was made from; refused where another is the newest meanwhile",
    "lane": "number of a lane; all lanes when left out",
    "now": "without the cool-down, where the machine's map allows it; never with boards inside",
    "reason": "why, in words, for whoever reads it later",
    "requestId": "your own key: a command with the same one within 24 hours is not done again, and answered alike",
    "notAfter": "RFC 3339; the command is refused when the agent comes to it later",
    "job": "id of a job, as the function that began it answered",
    "state": "how far the command is",
    "verdict": "the verdict on the process",
    "since": "RFC 3339, with its offset from UTC; what is at this time is included",
    "until": "RFC 3339, with its offset from UTC; what is at this time is left out",
}
"""What a parameter means, by its name; a description in the parameter's type goes before."""

REFUSALS = {
    "parse": "What was sent is not JSON.",
    "invalidRequest": "It is JSON, but no request; or it cannot be asked over this transport.",
    "methodNotFound": "There is no function of this name.",
    "invalidParameters": "A parameter is missing, unknown, or of a wrong type; or the machine must be named.",
    "internal": "The agent failed; its log tells more under the incident in the reason.",
    "unauthenticated": "The caller has not said who it is; or its token is not known, has expired or was revoked.",
    "forbidden": "The user's role or list of functions does not include this; or the consumer belongs to another user.",
    "notRemote": "The machine is not under remote control.",
    "interlocked": "The machine's state forbids it, for example boards inside.",
    "outOfRange": "A value is outside of its limits.",
    "notFound": "What a parameter names does not exist.",
    "unreachable": "The machine does not answer.",
    "notConfirmed": "The machine did not take over what was written to it.",
    "tooMany": "A bound on what may wait or stand at the same time is reached.",
    "busy": "It cannot be done at this moment, for example while the disk cannot be read.",
    "tooLarge": "The parameters or the answers of a batch are too large.",
    "expired": "It came after its time.",
}
"""What a kind of refusal means."""

ROLES = {
    "viewer": "reads everything and subscribes to events",
    "operator": "acknowledges and resets alarms, starts a recipe, books out a board",
    "engineer": "creates and changes recipes, sets parameters, switches power",
    "administrator": "deletes, and sees to what belongs to others",
}
"""What each role may do, beside all of the one before it."""
