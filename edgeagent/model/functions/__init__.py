"""The functions that a caller may call: the catalogue, and the types of what each takes and answers."""

from edgeagent.model.functions.catalogue import FUNCTIONS, PROFILE_VERSION
from edgeagent.model.functions.forms import Function, Nothing, OfMachine

__all__ = ["FUNCTIONS", "PROFILE_VERSION", "Function", "Nothing", "OfMachine"]
