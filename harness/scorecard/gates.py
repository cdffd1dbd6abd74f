"""Gates: conditions on the rows of a scorecard that decide the exit code."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..api.errors import ConfigError, suggest_name
from ..api.item_key import ItemKey
from ..api.scorecard import Estimate, GateResult, Row, Scorecard
from ..data.yaml_lines import load_file
from .names import COSTS, EXACT, RATE, Bounds

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_VERDICTS = ("pass", "warn", "no_data", "fail")
_CLOSING = {"(": ")", "[": "]"}
_PARTS = ("value", "low", "high", "n", "n_unscored")
_FORM = re.compile(r"\s*(?P<path>.+?)\s*(?P<op>>=|<=|>|<)\s*(?P<number>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition ``[MODEL/]ITEM.METRIC[.PART] OP NUMBER``, e.g. ``deepwordbug(sst2).robust_accuracy.low >= 0.30``.

    Without a part, the gate passes if the whole interval satisfies the condition, fails if none of it does, and is
    inconclusive if the number is inside the interval. The parts ``.value``, ``.low``, ``.high``, ``.n`` and
    ``.n_unscored`` compare a single number. Without a model, the gate applies to every model that has the item.

    ``text``: the condition as written.
    ``op``: ``>=``, ``<=``, ``>`` or ``<``.
    ``inconclusive``: the verdict of an inconclusive gate, ``fail``, ``warn`` or ``pass``.
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
        """Parse a condition. Raises `ConfigError`, which shows the syntax, if it is invalid."""
        match = _FORM.fullmatch(text)
        path = match["path"] if match else ""
        if match is None or "." not in path or path[-1] in "=!<>":
            raise ConfigError(
                f"{text!r} is no gate; write it as ITEM.METRIC >= NUMBER, e.g. sst2.accuracy >= 0.85 or sst2.accuracy.low >= 0.8"
            )
        pieces = _split_outside_brackets(path, ".")
        part = pieces.pop() if pieces[-1] in _PARTS else None
        if len(pieces) < 2 or not all(pieces[-2:]):
            raise ConfigError(f"{text!r} names no metric; write it as ITEM.METRIC >= NUMBER")
        *names, metric = pieces
        *model, item = _split_outside_brackets(".".join(names), "/")
        if not item:
            raise ConfigError(f"{text!r} names no item; write it as [MODEL/]ITEM.METRIC >= NUMBER")
        try:
            number = float(match["number"]) / (100 if match["percent"] else 1)
        except ValueError as error:
            raise ConfigError(f"{text!r}: {match['number']!r} is not a number") from error
        return cls(text.strip(), "/".join(model) or None, item, metric, part, match["op"], number, inconclusive)

    def concerns(self, model: str, item: str, /) -> bool:
        """Tell whether the gate applies to an item of a model. The name of a task may contain a slash."""
        path = self.item if self.model is None else f"{self.model}/{self.item}"
        return path in (item, f"{model}/{item}")

    def check(self, scorecard: Scorecard, /) -> GateResult:
        """Check the gate on all of its rows; the worst verdict decides.

        Raises `ConfigError` if the scorecard has no such row, or if it cannot have the gate's number.
        """
        rows = [r for r in scorecard.rows if r.name == self.metric and self.concerns(r.model, r.item)]
        rows += self._make_absent_rows(scorecard, {(r.model, r.item) for r in rows})
        if not rows:
            raise ConfigError(f"gate {self.text!r}: {self.nothing((r.model, r.item, r.name) for r in scorecard.rows)}")
        for measure in (scorecard.measures[row.metric] for row in rows if row.metric in scorecard.measures and not row.control):
            self.require_possible((measure.low, measure.high))
        results = [self._judge(row, scorecard.max_unscored) for row in rows]
        meant = [self.inconclusive if outcome == "inconclusive" else outcome for outcome, _ in results]
        worst = max(range(len(rows)), key=lambda i: (_VERDICTS.index(meant[i]), results[i][0] == meant[i]))
        details = [*(detail for _, detail in results), *list_cautions(scorecard, rows)]
        return GateResult(self.text, results[worst][0], meant[worst], "; ".join(details))

    def require_possible(self, bounds: Bounds, /) -> None:
        """Raise `ConfigError` if the gate's number is none that its row can have: every run would pass, or none.

        ``bounds``: the smallest and the largest value of the row; None for no bound.
        """
        low, high = bounds
        is_below, is_above = low is not None and self.number < low, high is not None and self.number > high
        if self.part in ("n", "n_unscored") or not (is_below or is_above):
            return
        passing = "every run passes" if is_below == self.op.startswith(">") else "no run passes"
        possible = " and ".join(f"{name} {bound:g}" for name, bound in (("at least", low), ("at most", high)) if bound is not None)
        fix = "write a number that it can have"
        if bounds == RATE and is_above and self.number <= 100 and "%" not in self.text:
            fix = f"for {self.number:g} percent write {self.number / 100:g} or {self.number:g}%"
        raise ConfigError(f"gate {self.text!r}: {passing}, because {self.metric} is {possible}; {fix}")

    def _make_absent_rows(self, scorecard: Scorecard, present: set[tuple[str, str]]) -> list[Row]:
        """Return rows for items whose kind can have the row but that do not have it.

        A missing count is 0. Any other missing number has no value.
        """
        estimate = Estimate(0.0) if self.metric in COSTS else Estimate(None, reason="no sample of this item has this number")
        stem = self.metric.partition("[")[0]
        return [
            Row(i["model"], ItemKey.from_json(i["key"]), stem, "efficiency",
                replace(estimate, n=i["num_samples"] if self.metric in COSTS else 0))
            for i in scorecard.manifest.get("items", ())
            if self.concerns(i["model"], i["item"])
            and (i["model"], i["item"]) not in present
            and stem in scorecard.row_names.get(i["kind"], (stem,))
        ]  # fmt: skip

    def _judge(self, row: Row, max_unscored: float) -> tuple[str, str]:
        """Return the outcome of the gate on one row, and a sentence with the numbers.

        Too many samples without a score leave the gate open, unless the interval fails whatever they are.
        """
        outcome, detail = self._compare(row)
        is_sure = outcome == "fail" and self.part is None
        if self.part in ("n", "n_unscored") or outcome == "no_data" or is_sure or not lacks_scores(row, max_unscored):
            return outcome, detail
        return "inconclusive", f"{detail}: more than 'max_unscored' allows, {max_unscored:.3g} of the samples"

    def _compare(self, row: Row) -> tuple[str, str]:
        """Compare one row with the gate's number, as `_judge` without ``max_unscored``."""
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
        if e.n_unscored:
            shown += f", {e.n_unscored} not scored"
        if self.part is not None or row.name in EXACT:
            value = getattr(e, self.part or "value")
            if value is None:
                return "no_data", f"{shown}: there is no {self.part} bound" + (f", {e.reason}" if e.reason else "")
            return ("pass" if self._holds(value) else "fail"), shown
        if e.low is None or e.high is None:
            return "inconclusive", f"{shown}: {e.reason or 'there is no interval'}; .value compares the number alone"
        sides = {self._holds(e.low), self._holds(e.high)}
        if len(sides) == 1 and len(sides | {self._holds(bound) for bound in _with_unscored(e, row.unit)}) == 2:
            return "inconclusive", f"{shown}, and these could change it: samples that fail are seldom like the others"
        if sides == {True}:
            return "pass", shown
        if sides == {False}:
            return "fail", shown
        from ..statistics import samples_to_decide

        more = samples_to_decide(e, self.number)
        return "inconclusive", f"{shown}: {self.number:g} lies inside the interval; " + (
            f"about {more} samples would decide it" if more else "no number of samples decides it while the value is just that"
        )

    def _holds(self, value: float) -> bool:
        return bool(_OPERATORS[self.op](value, self.number))

    def nothing(self, found: Iterable[tuple[str, str, str]], /) -> str:
        """Explain why no row matches the gate, and suggest similar names. ``found``: (model, item, metric) of rows."""
        rows = list(found)
        items = sorted({item for _, item, _ in rows})
        if self.item not in items:
            return f"the run has no item {self.item!r}.{suggest_name(self.item, items)} Its items: {', '.join(items)}"
        models = sorted({model for model, item, _ in rows if item == self.item})
        if self.model is not None and self.model not in models:
            return f"{self.item!r} was not run on a model {self.model!r}.{suggest_name(self.model, models)} It was on {', '.join(models)}"
        metrics = sorted({metric for model, item, metric in rows if self.concerns(model, item)})
        return f"{self.item!r} has no metric {self.metric!r}.{suggest_name(self.metric, metrics)} It has {', '.join(metrics)}"


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


def lacks_scores(row: Row, max_unscored: float, /) -> bool:
    """Tell whether a row has too many unscored samples to pass a gate: a larger share than ``max_unscored``.

    Exact counts are what they are, whatever they omit.
    """
    e = row.estimate
    return row.name not in EXACT and e.n_unscored > max_unscored * (e.n + e.n_unscored)


def _with_unscored(e: Estimate, unit: str) -> tuple[float, ...]:
    """Return the bounds of a share if all unscored samples counted 0, and if all counted 1; empty for other numbers."""
    if not e.n_unscored or unit or e.low is None or e.high is None or e.low < 0 or e.high > 1:
        return ()
    total = e.n + e.n_unscored
    return e.low * e.n / total, (e.high * e.n + e.n_unscored) / total


def load_gates(path: Path) -> list[Gate]:
    """Load the gates of a YAML file.

    The file has a list, or a mapping with the key ``gates``. Each entry is a condition, or
    ``{check: ..., inconclusive: fail | warn | pass}``. Raises `ConfigError` with the line of an invalid entry.
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


def list_cautions(scorecard: Scorecard, rows: Iterable[Row], /) -> list[str]:
    """Return the sentences about limits of the data behind rows, such as a part of a data set without one of its classes."""
    data = scorecard.manifest.get("data", {})
    tasks = dict.fromkeys(row.key.task for row in rows)
    return list(dict.fromkeys(caution for task in tasks for caution in data.get(task, {}).get("cautions", ())))


def check_gates(gates: Iterable[Gate], scorecard: Scorecard) -> tuple[GateResult, ...]:
    """Check all gates on a scorecard. Raises `ConfigError` if it has no row for a gate."""
    return tuple(gate.check(scorecard) for gate in gates)


def decide_verdict(results: Iterable[GateResult]) -> str:
    """Return the worst verdict, in the order fail, no_data, warn, pass; ``none`` if there are no gates."""
    verdicts = {r.verdict for r in results}
    return next((v for v in reversed(_VERDICTS) if v in verdicts), "none")


def exit_code(verdict: str, complete: bool) -> int:
    """Return the exit code: 0 for pass, 1 if a gate failed, 3 if the run is incomplete or a gate has no data."""
    if verdict == "fail":
        return 1
    return 3 if verdict == "no_data" or not complete else 0
