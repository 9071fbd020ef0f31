"""Samples → events: where each board is, what the machine does, what changed. Pure: no await in this room."""
