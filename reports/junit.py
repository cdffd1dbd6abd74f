"""``junit.xml``: gates and sample errors as test cases, for CI systems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from ..harness.api.report import Report
from ..harness.api.scorecard import GateResult, Scorecard
from ..harness.api.visible_text import make_visible
from .display import clip, format_count, list_items

_LIMIT = 2_000
_MOST_ERRORS = 10
_ID_LIMIT = 80


class JUnit(Report):
    """Write one test case per gate and per item.

    A gate with verdict fail is a failure, one without data an error, one that warns is skipped. An item is an
    error if one of its samples could not run. All text passes through `make_visible`, so no character is illegal
    in XML.
    """

    suffix = "junit.xml"

    def render(self, scorecard: Scorecard, /) -> str:
        root = ET.Element("testsuites", name=_clean_text(str(scorecard.manifest.get("name", "windtunnel"))))
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
    tag: ``failure``, ``error`` or ``skipped``; empty for a passed case.
    kind: type of the failure.
    message: message of the failure.
    body: details of the failure; empty repeats the message.
    """
    case = ET.Element("testcase", classname=_clean_text(group), name=_clean_text(name))
    if tag:
        ET.SubElement(case, tag, type=_clean_text(kind), message=_clean_text(message)).text = _clean_text(body or message)
    return case


def _make_gate_case(gate: GateResult) -> ET.Element:
    """Create the test case of a gate."""
    tag = {"pass": "", "warn": "skipped", "fail": "failure"}.get(gate.verdict, "error")
    case = _make_case("gates", gate.gate, tag, gate.outcome, f"{gate.outcome}: {gate.detail}")
    if not tag:
        ET.SubElement(case, "system-out").text = _clean_text(f"{gate.outcome}: {gate.detail}")
    return case


def _sample_cases(scorecard: Scorecard) -> list[ET.Element]:
    """Create a test case per item, and one each for failed samples without a view and for an incomplete run."""
    errors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sample in scorecard.samples:
        if sample.error is not None:
            # A very long id must leave room for the error.
            errors[sample.model, sample.task].append(f"{clip(sample.id, _ID_LIMIT)}: {sample.error}")
    cases = [_make_item_case(model, item, errors[model, item]) for model, item in list_items(scorecard)]
    named = sum(map(len, errors.values()))
    if scorecard.num_failed > named:
        cases.append(_make_case("run", "failed samples", "error", "SampleError", f"{scorecard.num_failed:,} failed, {named:,} named above"))
    if not scorecard.complete:
        cases.append(_make_case("run", "complete", "error", "incomplete", "not every planned sample has a record"))
    return cases


def _make_item_case(model: str, item: str, errors: list[str]) -> ET.Element:
    """Create the test case of an item, an error if there are errors of samples."""
    if not errors:
        return _make_case(model, item)
    more = [f"and {len(errors) - _MOST_ERRORS:,} more"] if len(errors) > _MOST_ERRORS else []
    body = "\n".join([*(clip(error, _LIMIT // _MOST_ERRORS) for error in errors[:_MOST_ERRORS]), *more])
    return _make_case(model, item, "error", "SampleError", f"{format_count(len(errors), 'sample')} failed", body)


def _clean_text(text: str) -> str:
    """Return a text made visible, so that it is legal in XML, and clipped."""
    return clip(make_visible(text), _LIMIT)
