"""What a record keeps of an answer beside its text: that it reached its maximum length, reasoning, tool calls, and a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from windtunnel.harness.api.responses import Completion, Reply
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


def test_a_record_keeps_what_an_endpoint_gives_beside_the_answer() -> None:
    replies = [
        Reply("one", 3, "stop", reasoning="first"), Reply("", 3, "tool_calls", tool_calls=('{"name": "add"}', "{}")),
        Reply("No.", 3, "refusal", reasoning="then"),
    ]  # fmt: skip
    assert _score_sample(Echo(), Sample("s", "Say something."), replies).artifacts == {
        "output": "one", "reasoning": "first\n\nthen", "tool_calls": ['{"name": "add"}', "{}"], "is_refused_by_provider": True,
    }  # fmt: skip
    assert _score_sample(Echo(), Sample("s", "Say something."), [Reply("one", 3, "stop")]).artifacts == {"output": "one"}
