"""Recordings of the wires: one stream of MessagePack entries, written beside the agent's work, read by replay."""
