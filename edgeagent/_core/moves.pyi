from array import array
from collections.abc import Iterable
from typing import final

@final
class Moves:
    def __init__(
        self, values: array[float], quality: bytearray, points: Iterable[tuple[int, float, float]]
    ) -> None: ...
    def forget(self, column: int) -> None: ...
    def due(self, now_ns: int) -> list[int]: ...
