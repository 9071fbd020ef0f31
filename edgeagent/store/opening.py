"""How the writer comes to the file at a start: with the room of the reserve, without any, or not yet."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from edgeagent.errors import StoreError
from edgeagent.store import healing
from edgeagent.store.room import Room
from edgeagent.store.stand_in import StandIn

_log = logging.getLogger(__name__)


def connect(path: Path, room: Room) -> sqlite3.Connection:
    """Connect the writer to the file, healed and of today's layout, with the room of the reserve if need be.

    Raises:
        StoreError, OSError, sqlite3.Error: it cannot be done; where `room` says of it that the disk is full, see
            `connect_without_room`.
    """
    try:
        return healing.connect(path)
    except (OSError, sqlite3.Error, StoreError) as error:
        if not room.eases(error) and not room.is_full(error):
            raise
    return healing.connect(path)


def connect_without_room(path: Path, room: Room) -> sqlite3.Connection | StandIn:
    """Connect the writer for this process alone; where that takes room as well, let something in memory stand in.

    Raises:
        StoreError, OSError, sqlite3.Error: it cannot be done for another reason.
    """
    try:
        writer = healing.connect(path, is_alone=True)
    except (OSError, sqlite3.Error, StoreError) as error:
        if not room.is_full(error):
            raise
        stand_in = StandIn(path, room, error)
        _log.error("%s: %s", path, stand_in.reason)
        return stand_in
    _log.error("%s: the disk is full: it is opened without room, and nothing is written until there is", path)
    return writer
