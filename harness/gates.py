"""Gates: questions to a scorecard whose answers decide an exit code."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError, did_you_mean
from .scorecard import GateResult, Row, Scorecard
from .yaml_lines import load_file

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_PARTS = ("value", "low", "high", "n", "n_unscored")
_FORM = re.compile(r"\s*(?P<path>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<number>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """``[MODEL/]ITEM.METRIC[.PART] OP NUMBER``, e.g. ``deepwordbug(sst2).robust_accuracy.low >= 0.30``.

    Without a part the whole interval decides: it passes when all of it is on the right side, fails when none is, and is inconclusive
    when the number lies inside. ``.value``, ``.low``, ``.high``, ``.n`` and ``.n_unscored`` compare that one number. ``inconclusive``
    says what an undecided gate means: ``fail``, ``warn`` or ``pass``. Without a model it holds for every model that has the item.
    """

    text: str
    model: str | None
    item: str
    metric: str
    part: str | None
    op: str
    number: float
    inconclusive: str = "fail"

    @classmethod
    def parse(cls, text: str, /, inconclusive: str = "fail") -> Gate:
        """Raises `ConfigError` that shows the form."""
        match = _FORM.fullmatch(text)
        if match is None or match["path"].count(".") == 0:
            raise ConfigError(
                f"{text!r} is no gate; write it as ITEM.METRIC >= NUMBER, e.g. sst2.accuracy >= 0.85 or sst2.accuracy.low >= 0.8"
            )
        path, part = match["path"], None
        head, _, last = path.rpartition(".")
        if last in _PARTS:
            path, part = head, last
        item, dot, metric = path.rpartition(".")
        if not dot or not item or not metric:
            raise ConfigError(f"{text!r} names no metric; write it as ITEM.METRIC >= NUMBER")
        model, slash, rest = item.rpartition("/") if "(" not in item else _before_bracket(item)
        try:
            number = float(match["number"]) / (100 if match["percent"] else 1)
        except ValueError as error:
            raise ConfigError(f"{text!r}: {match['number']!r} is not a number") from error
        return cls(text.strip(), model if slash else None, rest if slash else item, metric, part, match["op"], number, inconclusive)

    def check(self, scorecard: Scorecard, /) -> GateResult:
        rows = [r for r in scorecard.rows if r.item == self.item and r.metric == self.metric and self.model in (None, r.model)]
        if not rows:
            raise ConfigError(f"gate {self.text!r}: {self._nothing(scorecard.rows)}")
        results = [self._judge(row) for row in rows]
        worst = max(results, key=lambda r: ("pass", "inconclusive", "no_data", "fail").index(r[0]))
        outcome = worst[0]
        verdict = self.inconclusive if outcome == "inconclusive" else outcome
        return GateResult(self.text, outcome, verdict, "; ".join(detail for _, detail in results))

    def _judge(self, row: Row) -> tuple[str, str]:
        e = row.estimate
        where = f"{row.model}: " if self.model is None else ""
        if self.part in ("n", "n_unscored"):
            count = e.n if self.part == "n" else e.n_unscored
            return ("pass" if self._holds(count) else "fail"), f"{where}{self.part} is {count}"
        if e.value is None:
            return "no_data", f"{where}not scored: {e.reason or 'no samples'}"
        shown = (
            f"{where}{e.value:.4g}" + (f" [{e.low:.4g}, {e.high:.4g}]" if e.low is not None and e.high is not None else "") + f", n = {e.n}"
        )
        if self.part is not None or e.low is None or e.high is None:
            value = getattr(e, self.part or "value")
            if value is None:
                return "no_data", f"{shown}: there is no {self.part} bound"
            return ("pass" if self._holds(value) else "fail"), shown
        sides = {self._holds(e.low), self._holds(e.high)}
        if sides == {True}:
            return "pass", shown
        if sides == {False}:
            return "fail", shown
        from .stats import samples_to_decide

        more = samples_to_decide(e, self.number)
        return "inconclusive", f"{shown}: {self.number:g} lies inside the interval; " + (
            f"about {more} samples would decide it" if more else "no number of samples decides it while the value is just that"
        )

    def _holds(self, value: float) -> bool:
        return bool(_OPERATORS[self.op](value, self.number))

    def _nothing(self, rows: Iterable[Row]) -> str:
        rows = list(rows)
        items = sorted({r.item for r in rows})
        if self.item not in items:
            return f"the run has no item {self.item!r}.{did_you_mean(self.item, items)} Its items: {', '.join(items)}"
        models = sorted({r.model for r in rows if r.item == self.item})
        if self.model is not None and self.model not in models:
            return f"{self.item!r} was not run on a model {self.model!r}.{did_you_mean(self.model, models)} It was on {', '.join(models)}"
        metrics = sorted({r.metric for r in rows if r.item == self.item})
        return f"{self.item!r} has no metric {self.metric!r}.{did_you_mean(self.metric, metrics)} It has {', '.join(metrics)}"


def _before_bracket(item: str) -> tuple[str, str, str]:
    """``model/attack(task)``: the slash that counts stands before the bracket."""
    head, bracket, tail = item.partition("(")
    model, slash, name = head.rpartition("/")
    return model, slash, name + bracket + tail


def load_gates(path: Path) -> list[Gate]:
    """Gates of a YAML file: a list, or a mapping with ``gates``; each a check or ``{check: ..., inconclusive: fail | warn | pass}``.

    Raises `ConfigError` with the line.
    """
    value, lines = load_file(path)
    listed, where = (value.get("gates"), ("gates",)) if isinstance(value, dict) else (value, ())
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{path}: this file holds no gates; write a list such as '- sst2.accuracy >= 0.85'")
    gates = []
    for index, entry in enumerate(listed):
        place = f"{path}:{lines.get((*where, index), 1)}"
        given = {"check": entry} if isinstance(entry, str) else entry
        if not isinstance(given, dict) or set(given) - {"check", "inconclusive"} or not isinstance(given.get("check"), str):
            raise ConfigError(f"{place}: a gate is a check, or has the keys 'check' and 'inconclusive'; got {entry!r}")
        if given.get("inconclusive", "fail") not in ("fail", "warn", "pass"):
            raise ConfigError(f"{place}: inconclusive is fail, warn or pass, not {given['inconclusive']!r}")
        try:
            gates.append(Gate.parse(given["check"], inconclusive=given.get("inconclusive", "fail")))
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from error
    return gates


def check_gates(gates: Iterable[Gate], scorecard: Scorecard) -> tuple[GateResult, ...]:
    return tuple(gate.check(scorecard) for gate in gates)


def verdict_of(results: Iterable[GateResult]) -> str:
    """``none`` without gates; else the worst of fail, no_data, warn, pass."""
    verdicts = {r.verdict for r in results}
    return next((v for v in ("fail", "no_data", "warn", "pass") if v in verdicts), "none")


def exit_code(verdict: str, complete: bool) -> int:
    """0 pass, 1 a gate failed, 3 incomplete or no data."""
    if verdict == "fail":
        return 1
    return 3 if verdict == "no_data" or not complete else 0
