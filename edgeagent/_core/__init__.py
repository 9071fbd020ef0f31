"""The compiled core, built from ext/: decode, ring, capture, profile, moves, kernel. Nothing slower is in its place."""

try:
    from edgeagent._core import kernel  # one that all need: the OPC UA process spares the others, 1.1 MB
except ImportError as error:
    raise ImportError(
        f"{error}: the compiled core is not built here. `pip install .` builds it; a checkout as the working folder "
        "hides an installed one from `python -m edgeagent`, so use the command `edgeagent`"
    ) from error

__all__ = ["kernel"]
