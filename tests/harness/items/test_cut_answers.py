"""Answers that reached their maximum length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from windtunnel.harness.api.requests import Completion
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.api.task import Task
from windtunnel.harness.items.task.records import _score_sample


class Echo(Task):
    def score(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, float | None]:
        return {"correct": 1.0}

    def predict(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, Any]:
        return {"output": responses[0].text}


@pytest.mark.parametrize(("finish", "kept"), [("length", {"cut_at_tokens": 32}), ("stop", {})])
def test_a_record_says_that_the_answer_was_cut(finish: str, kept: dict[str, int]) -> None:
    judged = _score_sample(Echo(), Sample("s", "Say something."), [Completion("Well,", 32, finish), {"phrases": 1.0}])
    assert judged.artifacts == {"output": "Well,", **kept}
