"""A gate as it is written: which rows it reads, and what it requires of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from ...api.errors import ConfigError, suggest_name
from ...api.scorecard import Row, Scorecard
from ..names import RATE, Bounds
from .judgement import Drop, Threshold

TIERS = ("critical", "supporting", "advisory")
"""Who decides: a critical gate the exit code; a supporting one warns; an advisory one is only reported."""

EVERY = "every"
"""The value of ``slices`` that reads the row of each slice."""

_CLOSING = {"(": ")", "[": "]"}
_PARTS = ("value", "low", "high", "n", "n_unscored")
_FORM = re.compile(r"\s*(?P<path>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<number>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition ``[MODEL/]ITEM.METRIC[.PART] OP NUMBER``, e.g. ``deepwordbug(sst2).robust_accuracy.low >= 0.30``.

    Without a part, the gate passes if the whole interval satisfies the condition, fails if none of it does, and is
    inconclusive if the number is inside the interval. The parts ``.value``, ``.low``, ``.high``, ``.n`` and
    ``.n_unscored`` compare a single number. Without a model, the gate applies to every model that has the item. A ``*``
    in the path stands for any text.

    ``text``: the condition as written. ``threshold``, ``drop``: what is required, one of them.
    ``inconclusive``: the verdict of an inconclusive gate, ``fail``, ``warn`` or ``pass``.
    ``missing``: the verdict of a gate whose rows are missing; also ``missing``, with an exit code of its own.
    ``tier``: one of `TIERS`. ``slice``: the slice that it reads. ``slices``: `EVERY` for the row of each slice.
    ``min_n``: the number of scored samples below which it is inconclusive.
    ``allow_mismatch``: whether it compares with a baseline of other data, prompts, tasks or settings, on the samples of both.
    """

    text: str
    model: str | None
    item: str
    metric: str
    threshold: Threshold | None = None
    drop: Drop | None = None
    inconclusive: str = "fail"
    missing: str = "missing"
    tier: str = "critical"
    slice: str = ""
    slices: str = ""
    min_n: int = 0
    allow_mismatch: bool = False

    @classmethod
    def parse(cls, text: str, /, inconclusive: str = "fail") -> Gate:
        """Parse a condition with a threshold. Raises `ConfigError`, which shows the syntax, if it is invalid."""
        match = _FORM.fullmatch(text)
        path = match["path"] if match else ""
        if match is None or "." not in path or path[-1] in "=!<>":
            raise ConfigError(
                f"{text!r} is no gate; write it as ITEM.METRIC >= NUMBER, e.g. sst2.accuracy >= 0.85 or sst2.accuracy.low >= 0.8"
            )
        model, item, metric, part = _split_path(path, text)
        try:
            number = float(match["number"]) / (100 if match["percent"] else 1)
        except ValueError as error:
            raise ConfigError(f"{text!r}: {match['number']!r} is not a number") from error
        return cls(text.strip(), model, item, metric, Threshold(part, match["op"], number), inconclusive=inconclusive)

    @classmethod
    def parse_path(cls, text: str, drop: Drop, /) -> Gate:
        """Parse the path of a gate against a baseline, ``[MODEL/]ITEM.METRIC``. Raises `ConfigError` if it is invalid."""
        if _FORM.fullmatch(text):
            raise ConfigError(f"{text!r} has a threshold; write the threshold and the 'drop' as two gates")
        model, item, metric, part = _split_path(text.strip(), text)
        if part is not None:
            raise ConfigError(f"{text!r}: a gate against a baseline compares the number, not its {part!r}")
        return cls(text.strip(), model, item, metric, drop=drop)

    @property
    def is_family(self) -> bool:
        """Whether the gate is about several rows of an item or several items, and corrects for their number."""
        return bool(self.slices) or "*" in f"{self.item}{self.metric}"

    @property
    def title(self) -> str:
        """The gate in words, for people."""
        words = [self.text]
        if self.drop is not None:
            amounts = [f"{self.drop.most:g}"] if self.drop.most is not None else []
            amounts += [f"{self.drop.relative:.4g} of the baseline"] if self.drop.relative is not None else []
            words.append(f"worse by at most {' and '.join(amounts)}")
        if self.slice or self.slices:
            words.append(f"on the slice {self.slice}" if self.slice else "on every slice")
        return " ".join(words)

    def to_entry(self) -> dict[str, str | float]:
        """Return the entry of a suite that is this gate (`parse_entry`), without keys that have their defaults."""
        drops = {"drop": self.drop.most, "relative": self.drop.relative} if self.drop is not None else {}
        others: dict[str, str | float] = {
            "inconclusive": self.inconclusive, "missing": self.missing, "tier": self.tier, "slice": self.slice, "slices": self.slices,
            "min_n": self.min_n, "allow_mismatch": self.allow_mismatch,
        }  # fmt: skip
        defaults = {known.name: known.default for known in fields(self)}
        return {
            "check": self.text,
            **{key: value for key, value in drops.items() if value is not None},
            **{key: value for key, value in others.items() if value != defaults[key]},
        }

    def concerns(self, model: str, item: str, /) -> bool:
        """Tell whether the gate applies to an item of a model. The name of a task may contain a slash."""
        path = self.item if self.model is None else f"{self.model}/{self.item}"
        return any(match_pattern(path, name) for name in (item, f"{model}/{item}"))

    def find_rows(self, card: Scorecard, /) -> list[Row]:
        """Return the rows that the gate reads. A pattern for the metric leaves out times, which are not about answers."""
        rows = card.rows if "*" in self.metric else (*card.rows, *card.times)
        return [row for row in rows if self.names(row.name, row.slice) and self.concerns(row.model, row.item)]

    def names(self, name: str, slice: str = "", /) -> bool:
        """Tell whether the gate reads a row. ``name``: the row's name. ``slice``: the row's slice."""
        if not self.slice and not self.slices:
            return match_pattern(self.metric, name)
        wanted = slice if self.slices else self.slice
        return bool(slice) and slice == wanted and match_pattern(self.metric, name.removesuffix(f"[{slice}]"))

    def require_possible(self, bounds: Bounds, /) -> None:
        """Raise `ConfigError` if the gate's number is none that its row can have: every run would pass, or none.

        ``bounds``: the smallest and the largest value of the row; None for no bound.
        """
        low, high = bounds
        asks = self.threshold
        if asks is None or asks.part in ("n", "n_unscored"):
            return
        is_below, is_above = low is not None and asks.number < low, high is not None and asks.number > high
        if not (is_below or is_above):
            return
        passing = "every run passes" if is_below == asks.op.startswith(">") else "no run passes"
        possible = " and ".join(f"{name} {bound:g}" for name, bound in (("at least", low), ("at most", high)) if bound is not None)
        fix = "write a number that it can have"
        if bounds == RATE and is_above and asks.number <= 100 and "%" not in self.text:
            fix = f"for {asks.number:g} percent write {asks.number / 100:g} or {asks.number:g}%"
        raise ConfigError(f"gate {self.text!r}: {passing}, because {self.metric} is {possible}; {fix}")

    def nothing(self, found: Iterable[tuple[str, str, str]], /) -> str:
        """Explain why no row matches the gate, and suggest similar names. ``found``: (model, item, metric) of rows."""
        rows = list(found)
        items = sorted({item for _, item, _ in rows})
        if not any(match_pattern(self.item, item) for item in items):
            return f"the run has no item {self.item!r}.{suggest_name(self.item, items)} Its items: {', '.join(items)}"
        models = sorted({model for model, item, _ in rows if match_pattern(self.item, item)})
        if self.model is not None and not any(match_pattern(self.model, model) for model in models):
            near = suggest_name(self.model, models)
            return f"{self.item!r} was not run on a model {self.model!r}.{near} It was on {', '.join(models)}"
        metrics = sorted({metric for model, item, metric in rows if self.concerns(model, item)})
        if (self.slice or self.slices) and any(match_pattern(self.metric, metric) for metric in metrics):
            slices = sorted({metric.partition("[")[2].removesuffix("]") for metric in metrics if metric.startswith(f"{self.metric}[")})
            told = f"It has {', '.join(slices)}" if slices else "Its data has none; name their column with the task's key 'slice'"
            which = f"no slice {self.slice!r}.{suggest_name(self.slice, slices)}" if self.slice else "no slices."
            return f"{self.item!r} has {which} {told}"
        near, who = suggest_name(self.metric, metrics), f"{self.item!r} has no" if "*" not in self.item else f"no item {self.item!r} has a"
        return f"{who} metric {self.metric!r}.{near} {'They have' if '*' in self.item else 'It has'} {', '.join(metrics)}"


def match_pattern(pattern: str, name: str, /) -> bool:
    """Tell whether a name equals a pattern, in which ``*`` stands for any text."""
    if "*" not in pattern:
        return pattern == name
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _split_path(path: str, text: str) -> tuple[str | None, str, str, str | None]:
    """Split ``[MODEL/]ITEM.METRIC[.PART]`` into model, item, metric and part. ``text``: the gate, for errors."""
    pieces = _split_outside_brackets(path, ".")
    part = pieces.pop() if pieces[-1] in _PARTS else None
    if len(pieces) < 2 or not all(pieces[-2:]):
        raise ConfigError(f"{text!r} names no metric; write it as ITEM.METRIC >= NUMBER")
    *names, metric = pieces
    *model, item = _split_outside_brackets(".".join(names), "/")
    if not item:
        raise ConfigError(f"{text!r} names no item; write it as [MODEL/]ITEM.METRIC >= NUMBER")
    return "/".join(model) or None, item, metric, part


def _split_outside_brackets(path: str, mark: str) -> list[str]:
    """Split at the marks outside of brackets: ``f1[v1.5]`` and ``pgd(a/b)`` are one piece each."""
    pieces, opened, depth = [""], "", 0
    for char in path:
        if not depth and char in "([":
            opened, depth = char, 1
        elif depth and char in opened + _CLOSING[opened]:
            depth += 1 if char == opened else -1
        if char == mark and not depth:
            pieces.append("")
        else:
            pieces[-1] += char
    return pieces
