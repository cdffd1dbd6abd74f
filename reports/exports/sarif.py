"""``findings.sarif``: gates that do not hold, and samples that are unsafe or flipped by an attack, as SARIF 2.1.0 for code scanning.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0 Plus Errata 01, and GitHub's documentation of the properties it reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...harness.api.report import Report, RunFrames
from ...harness.api.scorecard import GateResult, Measure, Scorecard
from ...harness.api.visible_text import make_visible
from ..display import clip
from .findings import Finding, list_findings
from .plain_files import write_json

SUITE = "suite.yaml"
MOST_PER_ITEM = 25
"""The maximum number of samples listed per item and measure; a notification gives the number of all."""
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LIMIT = 1_000
_QUOTE = 200
_LEVELS = {"fail": "error", "no_data": "error", "warn": "warning"}
"""The level of a gate by its verdict; a gate that passes has no result."""


class Sarif(Report):
    """Write one rule per gate and per measure of single samples, and a result for each gate that does not hold and each such sample.

    Fingerprints depend on the rule, model, item and sample, not on values, so that a finding stays one alert over many runs. A result is
    located at the line of the suite that names its gate, attack or task. Text of data cannot form links or placeholders.
    """

    suffix = "findings.sarif"

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        suite_file = run.path / SUITE
        lines = suite_file.read_text(encoding="utf-8", errors="replace").splitlines() if suite_file.is_file() else []
        rules: dict[str, dict[str, Any]] = {}
        results, notes = [], []
        for gate in scorecard.gates:
            if gate.verdict in _LEVELS:
                results.append(_make_gate_result(gate, rules, lines))
        for finding, listed in _cap(list_findings(run)):
            if listed is None:
                results.append(_make_sample_result(finding, rules, lines, scorecard.measures))
            else:
                notes.append(f"{finding.model}/{finding.item}: {MOST_PER_ITEM} of {listed:,} samples of {finding.measure} are listed")
        write_json(folder / self.suffix, {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_make_run(scorecard, rules, results, notes)]})


def _cap(findings: Iterator[Finding]) -> Iterator[tuple[Finding, int | None]]:
    """Yield the first findings of each item and measure with None, then one of those cut short with the number of all."""
    counts: dict[tuple[str, str, str], int] = {}
    more: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        group = finding.model, finding.item, finding.measure
        counts[group] = counts.get(group, 0) + 1
        if counts[group] <= MOST_PER_ITEM:
            yield finding, None
        else:
            more[group] = finding
    for group, finding in more.items():
        yield finding, counts[group]


def _make_run(scorecard: Scorecard, rules: Mapping[str, Any], results: list[dict[str, Any]], notes: list[str]) -> dict[str, Any]:
    name = _clean(str(scorecard.manifest.get("name", "windtunnel")))
    driver = {"name": "Windtunnel", "version": str(scorecard.manifest.get("version", "")) or "unknown", "rules": list(rules.values())}
    numbers = {rule: index for index, rule in enumerate(rules)}
    for result in results:
        result["ruleIndex"] = numbers[result["ruleId"]]
    invocation = {
        "executionSuccessful": scorecard.complete,
        "toolExecutionNotifications": [{"level": "note", "message": {"text": _escape(note)}} for note in notes],
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"windtunnel/{name}"},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"verdict": _clean(scorecard.verdict)},
    }


def _make_gate_result(gate: GateResult, rules: dict[str, dict[str, Any]], lines: list[str]) -> dict[str, Any]:
    """Make the result of a gate that does not hold, and its rule."""
    check = _clean(gate.gate)
    rule = f"gate: {check}"
    rules.setdefault(rule, _make_rule(rule, "ReleaseGate", f"Gate {check}", f"The gate {check} must hold.", "gate"))
    text = f"{_escape(gate.gate)}: {_escape(gate.outcome)}. {_escape(gate.detail)}"
    return {
        "ruleId": rule,
        "level": _LEVELS[gate.verdict],
        "message": {"text": text},
        "locations": [_make_location(_find_line(lines, gate.gate), check, check)],
        "partialFingerprints": _make_fingerprints(rule),
    }


def _make_sample_result(
    finding: Finding, rules: dict[str, dict[str, Any]], lines: list[str], measures: Mapping[str, Measure]
) -> dict[str, Any]:  # fmt: skip
    """Make the result of a sample, and the rule of its measure."""
    rule, measure = finding.measure, measures.get(finding.measure, Measure(finding.measure.replace("_", " ").capitalize(), ""))
    pascal = "".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", rule))
    rules.setdefault(rule, _make_rule(rule, pascal, measure.title, measure.explanation or measure.title, finding.dimension))
    where = f"{finding.model}/{finding.item}"
    texts = {"input": finding.input, "under attack": finding.twin, "answer": finding.answer}
    quotes = [f"{name}: “{_escape(clip(text, _QUOTE))}”" for name, text in texts.items() if text]
    return {
        "ruleId": rule,
        "level": finding.level,
        "message": {"text": f"{finding.sentence} {_escape(where)}, sample {_escape(finding.sample_id)}. {', '.join(quotes)}".rstrip()},
        "locations": [_make_location(_find_line(lines, *finding.names), finding.sample_id, f"{where}/{finding.sample_id}")],
        "partialFingerprints": _make_fingerprints(rule, finding.model, finding.item, finding.sample_id),
        "properties": {"model": _clean(finding.model), "item": _clean(finding.item), "sample": _clean(finding.sample_id)},
    }


def _make_rule(rule: str, name: str, title: str, sentence: str, tag: str) -> dict[str, Any]:
    """Describe a rule. ``name``: an identifier. ``tag``: the dimension, or ``gate``."""
    short, full = ({"text": _escape(text)} for text in (title, sentence))
    return {"id": rule, "name": name, "shortDescription": short, "fullDescription": full, "help": full, "properties": {"tags": [tag]}}


def _make_location(line: int, name: str, path: str) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": SUITE}, "region": {"startLine": line}}
    return {"physicalLocation": place, "logicalLocations": [{"name": _clean(name), "fullyQualifiedName": _clean(path), "kind": "member"}]}


def _find_line(lines: list[str], *wanted: str) -> int:
    """Return the number of the first line with one of the texts, in their order; 1 if there is none."""
    return next((number for text in wanted for number, line in enumerate(lines, 1) if text and text in line), 1)


def _make_fingerprints(*parts: str) -> dict[str, str]:
    """Return fingerprints that depend on nothing but the parts. GitHub reads the second, which ends in a count."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
    return {"windtunnelFinding/v1": digest, "primaryLocationLineHash": f"{digest[:16]}:1"}


def _clean(text: str) -> str:
    return clip(make_visible(text), _LIMIT)


def _escape(text: str) -> str:
    """Return a text for a message, in which brackets would form a link and braces a placeholder."""
    return re.sub(r"([\\\[\]])", r"\\\1", _clean(text)).replace("{", "{{").replace("}", "}}")
