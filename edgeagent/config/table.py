"""What every table of the configuration file is: read once, and without keys that nobody knows."""

from __future__ import annotations

import msgspec


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table; a key that it does not have is an error."""
