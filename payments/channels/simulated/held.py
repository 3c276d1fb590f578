"""Answers that are known and leave later: all that are due in one millisecond leave together."""

import asyncio
import math
from collections.abc import Callable
from typing import TypeAlias

from payments.channels.base import Outcome

Held: TypeAlias = tuple[Callable[[Outcome], None], Outcome]
"""Whom to tell, and what."""


class HeldAnswers:
    """One timer a millisecond, however many answers it lets go; `leave` gets them in order."""

    def __init__(self, leave: Callable[[list[Held]], None]) -> None:
        self._leave = leave
        self._due: dict[int, list[Held]] = {}

    def hold(self, wait_s: float, answer: Callable[[Outcome], None], outcome: Outcome) -> None:
        """Have this answer leave `wait_s` seconds from now, at most a millisecond later."""
        loop = asyncio.get_running_loop()
        due_ms = math.ceil(round((loop.time() + wait_s) * 1000, 3))
        held = self._due.get(due_ms)
        if held is None:
            held = self._due[due_ms] = []
            loop.call_at(due_ms / 1000, self._let_go, due_ms)
        held.append((answer, outcome))

    def _let_go(self, due_ms: int) -> None:
        self._leave(self._due.pop(due_ms))
