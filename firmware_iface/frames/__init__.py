"""Serial protocols: bytes in, frames out; no port, no clock."""
