"""What answers cost: the price of a token, and a limit on what is spent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...api.errors import ConfigError, IncompleteRun


@dataclass(frozen=True, slots=True)
class Price:
    """A price in US dollars per million tokens. ``input``: of a request. ``output``: of an answer."""

    input: float = 0.0
    output: float = 0.0

    @classmethod
    def read(cls, value: Mapping[str, Any] | None, where: str) -> Price:
        """Read the setting ``price``. ``where``: the model, for messages. Raises `ConfigError`."""
        if value is None:
            return cls()
        if not isinstance(value, Mapping) or set(value) - {"input", "output"}:
            raise ConfigError(f"{where}: price is {{input: ..., output: ...}}, in US dollars per million tokens, not {value!r}")
        for part in value.values():
            if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part < float("inf"):
                raise ConfigError(f"{where}: a price is a number of US dollars per million tokens, at least 0, not {part!r}")
        return cls(**value)

    def __bool__(self) -> bool:
        return bool(self.input or self.output)

    def cost(self, num_prompt_tokens: float, num_tokens: float) -> float:
        """Return the cost in US dollars."""
        return (num_prompt_tokens * self.input + num_tokens * self.output) / 1e6


class Spending:
    """What a process has spent on an endpoint, and the most that it may. Threads share it.

    most: the limit in US dollars; None: there is none. name: the model, for messages.
    """

    def __init__(self, most: float | None, name: str) -> None:
        self._most, self._name = most, name
        self._lock = threading.Lock()
        self._reserved = 0.0
        self.spent = 0.0

    def reserve(self, expected: float) -> None:
        """Set aside the expected cost of a request. Raises `IncompleteRun` if it could pass the limit."""
        with self._lock:
            if self._most is not None and self.spent + self._reserved + expected > self._most:
                raise IncompleteRun(
                    f"{self._name} may spend {self._most:g} US dollars per start of the run (max_cost), has spent {self.spent:.6g}, "
                    "and the next requests could pass the limit. All answers are kept; run it again to continue with the same limit, or "
                    "set a larger max_cost"
                )
            self._reserved += expected

    def settle(self, expected: float, cost: float) -> None:
        """Replace an expected cost by the actual one."""
        with self._lock:
            self._reserved -= expected
            self.spent += cost
