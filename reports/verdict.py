"""``verdict.json``: the verdict as a statement about models and data that other tools can sign and check (in-toto)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ..harness.api.report import Report
from ..harness.api.scorecard import Scorecard
from ..harness.scorecard.gates import exit_code, rate_gate
from ..harness.scorecard.gates.readings import explain_verdict, read_gates
from .exports.plain_files import to_plain
from .results_json import convert_row

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
COMPLETE, SCORED = "every planned sample has a record", "most samples of every item have a score"
"""The names of the tests beside the gates."""

_SHA_256 = re.compile(r"[0-9a-f]{64}")


class Verdict(Report):
    """Write the verdict as an in-toto statement with a test result: hashes of models, data and suite, the gates, and how each ended.

    Sources: in-toto Statement 1.1 and the predicate Test Result 0.1 (github.com/in-toto/attestation). The key ``windtunnel`` of the
    predicate holds what a test result has no words for: outcomes, tiers, exit code and numbers, and the head of the hash chain of the
    records that they were computed from.
    """

    suffix = "verdict.json"

    def render(self, scorecard: Scorecard, /) -> str:
        subjects = list(_list_subjects(scorecard))
        own = {
            **_tell_verdict(scorecard),
            "not_hashed": [{"name": name, "fingerprint": digest} for name, digest, _ in subjects if not _is_hash(digest)],
        }
        statement = {
            "_type": STATEMENT_TYPE,
            "subject": [_describe(name, digest, facts) for name, digest, facts in subjects if _is_hash(digest)],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "result": _name_result(scorecard.verdict),
                "configuration": list(_list_configuration(scorecard)),
                **_sort_tests(scorecard),
                "windtunnel": own,
            },
        }
        return json.dumps(to_plain(statement), indent=2, allow_nan=False) + "\n"


def _name_result(verdict: str) -> str:
    """Return the result of the predicate: not FAILED if and only if the exit code is 0. A run without gates is WARNED."""
    if exit_code(verdict):
        return "FAILED"
    return "PASSED" if verdict == "pass" else "WARNED"


def _sort_tests(card: Scorecard) -> dict[str, Any]:
    """Return the names of the tests by how they ended: the gates, and the facts without which a run decides nothing."""
    ends = [(gate.gate, rate_gate(gate)) for gate in card.gates]
    ends += [(name, "passed" if holds else "failed") for name, holds in ((COMPLETE, card.complete), (SCORED, not card.mostly_failed))]
    return {f"{end}Tests": [name for name, own in ends if own == end] for end in ("passed", "warned", "failed")}


def _tell_verdict(card: Scorecard) -> dict[str, Any]:
    """Return the verdict in Windtunnel's own words, with each gate and the numbers that were computed from the records."""
    rows = [convert_row(row) for row in card.rows]
    return {
        "verdict": card.verdict, "exit_code": exit_code(card.verdict), "reason": explain_verdict(card, read_gates(card)),
        "complete": card.complete, "mostly_failed": card.mostly_failed, "gates": [asdict(gate) for gate in card.gates],
        "computed": {
            "from": {"name": "run.db", "chain": card.manifest.get("digest", "")},
            "rows": {"sha256": _hash(rows)},
            "numbers": {f"{row['model']}/{row['item']}.{row['metric']}": row["estimate"]["value"] for row in rows},
        },
    }  # fmt: skip


def _list_subjects(card: Scorecard) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, fingerprint and facts of each model, also those in roles, of each task's data, and of the suite."""
    for name, model in _get_mapping(card.manifest, "models").items():
        yield f"model {name}", str(_get(model, "fingerprint")), {"address": _get(model, "model"), "dtype": _get(model, "dtype")}
    items = [item for item in card.manifest.get("items", ()) if isinstance(item, Mapping)]
    players = {_get(player, "model"): _get(player, "fingerprint") for item in items for player in _get_mapping(item, "roles").values()}
    for name, fingerprint in players.items():
        if name not in _get_mapping(card.manifest, "models"):
            yield f"model {name}", str(fingerprint), {}
    for task, fingerprint in {_get(item, "task"): _get(item, "data_fingerprint") for item in items}.items():
        yield f"data {task}", str(fingerprint), {}
    yield "suite", str(card.manifest.get("suite", "")), {"name": card.manifest.get("name", "")}


def _list_configuration(card: Scorecard) -> Iterator[dict[str, Any]]:
    """Yield the gates, with a hash of their canonical JSON, and the baseline that they compare with."""
    gates = [dict(gate.entry) for gate in card.gates]
    yield _describe("gates", _hash(gates), {"gates": gates})
    baseline = _get_mapping(card.manifest, "baseline")
    if _is_hash(str(_get(baseline, "digest"))):
        yield _describe("baseline", str(_get(baseline, "digest")), {"name": _get(baseline, "name")})


def _describe(name: str, digest: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource descriptor."""
    annotations = {key: value for key, value in facts.items() if value not in ("", None)}
    return {"name": name, "digest": {"sha256": digest}, **({"annotations": annotations} if annotations else {})}


def _is_hash(text: str) -> bool:
    return _SHA_256.fullmatch(text) is not None


def _hash(value: Any) -> str:
    """Return the SHA-256 of a value as JSON with sorted keys, without spaces, in ASCII."""
    return hashlib.sha256(json.dumps(to_plain(value), sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def _get(facts: Any, key: str) -> Any:
    return facts.get(key, "") if isinstance(facts, Mapping) else ""


def _get_mapping(facts: Mapping[str, Any], key: str) -> Mapping[Any, Any]:
    found = _get(facts, key)
    return found if isinstance(found, Mapping) else {}
