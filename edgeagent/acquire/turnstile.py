"""Who is next on a wire that carries one question at a time: what is urgent goes before all that is not."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Turnstile:
    """Lets one in at a time; those who are urgent before the others, otherwise in the order in which they came."""

    def __init__(self) -> None:
        self._is_taken = False
        self._urgent = deque[asyncio.Future[None]]()
        self._others = deque[asyncio.Future[None]]()

    async def enter(self, is_urgent: bool = False) -> None:
        """Wait for the turn; it lasts until `leave` is called."""
        if not self._is_taken:
            self._is_taken = True
            return
        queue = self._urgent if is_urgent else self._others
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            with suppress(ValueError):
                queue.remove(turn)
            raise

    def leave(self) -> None:
        """End the turn; whoever is next has it at once, so that nobody comes in between."""
        for queue in (self._urgent, self._others):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._is_taken = False

    def turn(self, is_urgent: bool = False) -> Turn:
        """Have the turn inside of a block: `async with turnstile.turn():`."""
        return Turn(self, is_urgent)


class Turn:
    """The turn inside of a block."""

    __slots__ = ("_is_urgent", "_turnstile")

    def __init__(self, turnstile: Turnstile, is_urgent: bool) -> None:
        self._turnstile = turnstile
        self._is_urgent = is_urgent

    async def __aenter__(self) -> None:
        await self._turnstile.enter(self._is_urgent)

    async def __aexit__(self, *_: object) -> None:
        self._turnstile.leave()
