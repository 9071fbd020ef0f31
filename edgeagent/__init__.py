"""The edge agent of a soldering machine: what the oven did to every board, told to the MES."""

__all__ = ["__version__"]

__version__ = "0.1.0"
