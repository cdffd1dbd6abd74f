"""``junit.xml``: the verdict, gates and items as test cases, for CI systems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from ..harness.api.report import Report
from ..harness.api.scorecard import GateResult, Scorecard
from ..harness.api.visible_text import make_visible
from ..harness.scorecard.gates import exit_code, rate_gate
from ..harness.scorecard.gates.readings import explain_verdict, read_gates
from .display import clip, format_count, list_items

_FAILED = {1: "failure", 3: "error"}
"""The tag of a case by the exit code that it stands for."""
_LIMIT = 2_000
_MOST_ERRORS = 10
_ID_LIMIT = 80


class JUnit(Report):
    """Write a test case for the verdict, and one per gate and per item.

    A case fails only if it stops the release: the verdict and the gates with the exit code 1 are failures, those with 3 are
    errors. A gate that warns, and an item of which samples failed, are skipped. All text passes through `make_visible`, so
    no character is illegal in XML.
    """

    suffix = "junit.xml"

    def render(self, scorecard: Scorecard, /) -> str:
        root = ET.Element("testsuites", name=_clean_text(str(scorecard.manifest.get("name", "windtunnel"))))
        _append_suite(root, "run", [_make_verdict_case(scorecard)])
        _append_suite(root, "gates", map(_make_gate_case, scorecard.gates))
        _append_suite(root, "samples", _sample_cases(scorecard))
        for count in ("tests", "failures", "errors", "skipped"):
            root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
        ET.indent(root)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _append_suite(root: ET.Element, name: str, cases: Iterable[ET.Element]) -> None:
    """Append a test suite with its counts to the root."""
    suite = ET.SubElement(root, "testsuite", name=name)
    suite.extend(cases)
    suite.set("tests", str(len(suite)))
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))


def _make_case(group: str, name: str, tag: str = "", kind: str = "", message: str = "", body: str = "") -> ET.Element:
    """Create a test case.

    group: class name of the case.
    name: name of the case.
    tag: ``failure``, ``error`` or ``skipped``; empty for a passed case, whose message is its output.
    kind: type of the failure.
    message: message of the failure.
    body: details of the failure; empty repeats the message.
    """
    case = ET.Element("testcase", classname=_clean_text(group), name=_clean_text(name))
    if tag:
        ET.SubElement(case, tag, type=_clean_text(kind), message=_clean_text(message)).text = _clean_text(body or message)
    elif message:
        ET.SubElement(case, "system-out").text = _clean_text(message)
    return case


def _make_verdict_case(scorecard: Scorecard) -> ET.Element:
    """Create the test case of the run's verdict, which fails if and only if the exit code is not 0."""
    reason = explain_verdict(scorecard, read_gates(scorecard))
    return _make_case("run", "verdict", _FAILED.get(exit_code(scorecard.verdict), ""), scorecard.verdict, f"{scorecard.verdict}: {reason}")


def _make_gate_case(gate: GateResult) -> ET.Element:
    """Create the test case of a gate."""
    tag = {"passed": "", "warned": "skipped"}.get(rate_gate(gate), _FAILED.get(exit_code(gate.verdict), ""))
    return _make_case("gates", gate.gate, tag, gate.outcome, f"{gate.outcome}: {gate.detail}")


def _sample_cases(scorecard: Scorecard) -> list[ET.Element]:
    """Create a test case per item, and one for failed samples without a view."""
    errors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sample in scorecard.samples if scorecard.num_failed else ():
        if sample.error is not None:
            # A very long id must leave room for the error.
            errors[sample.model, sample.task].append(f"{clip(sample.id, _ID_LIMIT)}: {sample.error}")
    cases = [_make_item_case(model, item, errors[model, item]) for model, item in list_items(scorecard)]
    named = sum(map(len, errors.values()))
    if scorecard.num_failed > named:
        cases.append(
            _make_case("run", "failed samples", "skipped", "SampleError", f"{scorecard.num_failed:,} failed, {named:,} named above")
        )
    return cases


def _make_item_case(model: str, item: str, errors: list[str]) -> ET.Element:
    """Create the test case of an item, skipped if there are errors of samples."""
    if not errors:
        return _make_case(model, item)
    more = [f"and {len(errors) - _MOST_ERRORS:,} more"] if len(errors) > _MOST_ERRORS else []
    body = "\n".join([*(clip(error, _LIMIT // _MOST_ERRORS) for error in errors[:_MOST_ERRORS]), *more])
    return _make_case(model, item, "skipped", "SampleError", f"{format_count(len(errors), 'sample')} failed", body)


def _clean_text(text: str) -> str:
    """Return a text made visible, so that it is legal in XML, and clipped."""
    return clip(make_visible(text), _LIMIT)
