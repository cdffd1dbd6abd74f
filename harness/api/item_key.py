"""The identity of an item of a run, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ItemKey:
    """Identifies one item: a task, an attack or a probe on a task, or an item derived from these.

    ``kind``: the kind of item, e.g. ``attack``.
    ``task``: the task's name.
    ``program``: the name of the attack or probe, or the operation of a derived item (``transfer``); empty for the task itself.
    ``seed``: the number of the repetition, from 1.
    ``about``: the items that a derived item depends on and is named for.
    ``source_model``: the model that the twins of a transfer were made for.
    ``threat``: the threat of a worst case, if its task is attacked under several threats.

    ``str(key)`` is the item's name for people, gates and reports: ``sst2``, ``pgd#2(cifar10)``, ``transfer(pgd(cifar10), A)``.
    No code parses it.
    """

    kind: str
    task: str
    program: str = ""
    seed: int = 1
    about: tuple[ItemKey, ...] = ()
    source_model: str = ""
    threat: str = ""

    @property
    def is_task(self) -> bool:
        """Whether the item is the task itself, whose records hold the model's plain answers."""
        return not self.program

    @property
    def first(self) -> ItemKey:
        """The key of the item's first repetition."""
        return replace(self, seed=1)

    @property
    def title(self) -> str:
        """The name without the task: ``pgd#2``; the whole name for a task and for an item that depends on other items."""
        return str(self) if self.is_task or self.about else self._program

    @property
    def _program(self) -> str:
        return self.program if self.seed == 1 else f"{self.program}#{self.seed}"

    def __str__(self) -> str:
        if self.is_task:
            return self.task
        about = [str(key) for key in self.about] or [self.task]
        return f"{self._program}({', '.join([*about, *filter(None, [self.source_model, self.threat])])})"

    def to_json(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, as JSON values."""
        facts: dict[str, Any] = {"kind": self.kind, "task": self.task}
        others: dict[str, Any] = {
            "program": self.program, "seed": self.seed if self.seed != 1 else None, "about": [key.to_json() for key in self.about],
            "source_model": self.source_model, "threat": self.threat,
        }  # fmt: skip
        return facts | {name: value for name, value in others.items() if value}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any], /) -> ItemKey:
        """Read the key that `to_json` wrote. Raises `KeyError` or `TypeError` for any other mapping."""
        about = tuple(cls.from_json(other) for other in facts.get("about", ()))
        return cls(**{**facts, "about": about})
