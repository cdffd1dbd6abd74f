"""``verdict.json`` is a statement of in-toto about a test result, and loses nothing of the verdict."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, GateResult, Row, Scorecard
from windtunnel.harness.scorecard.gates import Gate, check_gates, decide_verdict, exit_code, parse_entry
from windtunnel.reports.verdict import COMPLETE, SCORED, Verdict
from windtunnel.tests.scorecards import empty, hostile, rich

HASH = "ab" * 32
MANIFEST: dict[str, Any] = {
    "name": "release", "digest": "cd" * 32, "suite": HASH,
    "models": {"m": {"fingerprint": "12" * 32, "model": "hf:m", "dtype": "float32"}, "own": {"fingerprint": "unknown: a closure"}},
    "items": [{"model": "m", "item": "t", "task": "t", "data_fingerprint": "34" * 32,
               "roles": {"judge": {"model": "j", "fingerprint": "56" * 32}}}],
    "baseline": {"name": "before", "digest": "78" * 32},
}  # fmt: skip
DESCRIPTOR = {"name": str, "uri": str, "digest": dict, "content": str, "downloadLocation": str, "mediaType": str, "annotations": dict}
TESTS = ("passedTests", "warnedTests", "failedTests")


def make_card(entries: Sequence[Any], **facts: Any) -> Scorecard:
    key = ItemKey("task", "t", "")
    rows = (
        Row("m", key, "accuracy", "quality", Estimate(0.8, 0.7, 0.9, 100)),
        Row("m", key, "auc", "quality", Estimate(None, reason="one")),
    )
    card = Scorecard(MANIFEST, rows, **facts)
    results = check_gates([parse_entry(entry) for entry in entries], card)
    verdict = decide_verdict(results, complete=card.complete, mostly_failed=card.mostly_failed)
    return replace(card, gates=results, verdict=verdict)


def read(card: Scorecard) -> dict[str, Any]:
    """Return the statement, checked field by field against Statement 1.1, ResourceDescriptor, DigestSet and Test Result 0.1."""
    statement: dict[str, Any] = json.loads(Verdict().render(card))
    assert statement.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = statement["predicate"]
    assert predicate["result"] in ("PASSED", "WARNED", "FAILED")
    assert all(isinstance(name, str) for tests in TESTS for name in predicate[tests])
    assert predicate.keys() - {"result", "configuration", "url", *TESTS} == {"windtunnel"}, "one key of our own"
    names = [subject["name"] for subject in statement["subject"]]
    assert len(set(names)) == len(names)
    for descriptor in (*statement["subject"], *predicate["configuration"]):
        assert all(isinstance(value, DESCRIPTOR[key]) for key, value in descriptor.items())
        assert re.fullmatch("[0-9a-f]{64}", descriptor["digest"]["sha256"])
    return statement


@pytest.mark.parametrize(
    ("entry", "ends", "result"),
    [
        ("t.accuracy >= 0.6", "passed", "PASSED"),
        ("t.accuracy >= 0.95", "failed", "FAILED"),
        ("t.accuracy >= 0.75", "failed", "FAILED"),
        ({"check": "t.accuracy >= 0.75", "inconclusive": "warn"}, "warned", "WARNED"),
        ("t.auc >= 0.75", "failed", "FAILED"),
        ("other.accuracy >= 0.75", "failed", "FAILED"),
        ({"check": "other.accuracy >= 0.75", "missing": "pass"}, "warned", "PASSED"),
        ({"check": "t.accuracy >= 0.95", "tier": "supporting"}, "warned", "WARNED"),
        ({"check": "t.accuracy >= 0.95", "tier": "advisory"}, "warned", "PASSED"),
        ({"check": "t.accuracy", "drop": 0.1}, "failed", "FAILED"),
    ],
)
def test_every_outcome_has_its_place_and_is_kept(entry: Any, ends: str, result: str) -> None:
    card = make_card([entry])
    predicate = read(card)["predicate"]
    (gate,) = card.gates
    assert {tests: gate.gate in predicate[tests] for tests in TESTS} == {tests: tests == f"{ends}Tests" for tests in TESTS}
    assert predicate["result"] == result
    own = predicate["windtunnel"]
    (kept,) = own["gates"]
    assert (kept["outcome"], kept["verdict"], kept["tier"]) == (gate.outcome, gate.verdict, gate.tier)
    assert (own["verdict"], own["exit_code"]) == (card.verdict, exit_code(card.verdict))
    assert check_gates([parse_entry(kept["entry"])], card) == card.gates, "the gate can be checked again"


@pytest.mark.parametrize(("facts", "failed"), [({"complete": False}, COMPLETE), ({"mostly_failed": True}, SCORED)])
def test_a_run_that_decides_nothing_fails_whatever_its_gates_say(facts: dict[str, Any], failed: str) -> None:
    predicate = read(make_card(["t.accuracy >= 0.6"], **facts))["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == ("FAILED", [failed])


def test_a_run_without_gates_is_no_pass() -> None:
    assert read(make_card([]))["predicate"]["result"] == "WARNED"


def test_subjects_are_what_has_a_hash() -> None:
    statement = read(make_card(["t.accuracy >= 0.6"]))
    digests = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    assert digests == {"model m": "12" * 32, "model j": "56" * 32, "data t": "34" * 32, "suite": HASH}
    own = statement["predicate"]["windtunnel"]
    assert own["not_hashed"] == [{"name": "model own", "fingerprint": "unknown: a closure"}]
    assert own["computed"]["from"] == {"name": "run.db", "chain": "cd" * 32}
    assert own["computed"]["numbers"] == {"m/t.accuracy": 0.8, "m/t.auc": None}


def test_the_configuration_is_the_gates_with_their_hash() -> None:
    entries = [{"check": "t.accuracy >= 0.6", "tier": "supporting"}, {"check": "t.accuracy", "drop": 0.1, "relative": 0.2}]
    gates, baseline = read(make_card(entries))["predicate"]["configuration"]
    assert gates["annotations"]["gates"] == entries
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    assert gates["digest"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (baseline["name"], baseline["digest"]["sha256"]) == ("baseline", "78" * 32)


@pytest.mark.parametrize("card", [rich(), hostile(), empty()], ids=["rich", "hostile", "empty"])
def test_any_scorecard_makes_a_statement(card: Scorecard) -> None:
    named = replace(card, manifest={**card.manifest, "suite": HASH})
    assert read(named)["predicate"]["windtunnel"]["verdict"] == json.loads(json.dumps(card.verdict))


@pytest.mark.parametrize(
    "entry",
    [
        "t.accuracy >= 0.5", "m/t.accuracy.low > 75%", {"check": "t.accuracy", "drop": 0.01}, {"check": "t.*", "relative": 0.5},
        {"check": "t.accuracy >= 0.5", "inconclusive": "warn", "missing": "pass", "tier": "advisory", "slice": "night", "min_n": 50},
        {"check": "*.accuracy >= 0.5", "slices": "every"},
    ],
)  # fmt: skip
def test_a_gate_is_written_as_it_was_read(entry: Any) -> None:
    gate = parse_entry(entry)
    assert gate.to_entry() == ({"check": entry} if isinstance(entry, str) else entry)
    assert parse_entry(gate.to_entry()) == gate


def test_a_gate_of_code_is_kept_too() -> None:
    result = check_gates([Gate.parse("t.accuracy >= 0.6", "warn")], make_card([]))[0]
    assert isinstance(result, GateResult)
    assert result.entry == {"check": "t.accuracy >= 0.6", "inconclusive": "warn"}
