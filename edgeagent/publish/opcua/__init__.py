"""OPC UA: a process of its own, fed and answered by the agent through one port; only this package imports asyncua."""
