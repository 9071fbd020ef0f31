"""Messages taken apart, with a bound on what that costs.

Needed for asyncua 2.1.0 because it takes messages apart whatever that costs.
"""

from __future__ import annotations

import logging
import struct
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData, ServiceError
from asyncua.ua.ua_binary import struct_from_binary

UNDECODABLE = (
    NotEnoughData, ua.UaError, ValueError, TypeError, LookupError, AttributeError, RecursionError, ArithmeticError,
    struct.error,
)  # fmt: skip
"""What asyncua raises for bytes that are no request."""

_log = logging.getLogger(__name__)


class Measured(Buffer):
    """A message that may only be read so many times: taking it apart costs no more than this, however it is nested."""

    def __init__(self, data: bytes, left: list[int], start: int = 0, size: int = -1) -> None:
        super().__init__(data, start, size)
        self._left = left

    def read(self, size: int) -> bytes:
        """Read bytes; raises BadEncodingLimitsExceeded after too many."""
        self._left[0] -= 1
        if self._left[0] < 0:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadEncodingLimitsExceeded)
        if size < 0:  # asyncua would read what it has read before
            raise NotEnoughData(f"there is no length of {size}")
        return super().read(size)

    def copy(self, size: int = -1) -> Measured:
        """A part of it, of the same measure."""
        return Measured(self._data, self._left, self._cur_pos, min(size, self._size) if size >= 0 else self._size)


def decoded(kind: type[Any] | None, body: Measured) -> Any:
    """The parameters of a request; None for one whose parameters change nothing."""
    if kind is None:
        return None
    try:
        return struct_from_binary(kind, body)
    except ua.UaStatusCodeError:
        raise
    except UNDECODABLE as error:
        _log.debug("%s cannot be decoded (%s: %s)", kind.__name__, type(error).__name__, error)
        raise ServiceError(ua.StatusCodes.BadDecodingError) from None
