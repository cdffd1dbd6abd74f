"""The backend on vLLM's offline engine, over a stand-in: the signatures and outputs of vLLM 0.32, computed by a plain loop."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from windtunnel.harness.api.errors import ConfigError, ModelError
from windtunnel.harness.api.requests import Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.models.vllm.source import UNTRIED, VLLM
from windtunnel.tests import tiny

NAMES = ("gpt2", "llama")
PROMPTS = ("the cat", "a young dog sat", "The end.", "שלום", "")
SCORED = (
    LogLikelihood("the cat", " sat on a table"),
    LogLikelihood("the cat", "sat", " "),
    LogLikelihood("the cat", " read"),
    LogLikelihood("שלום", " 😀\u200b"),
    LogLikelihood("", "the young dog"),
)


@dataclass
class SamplingParams:
    """Of ``vllm/sampling_params.py``: the fields that this backend sets, and their defaults."""

    n: int = 1
    temperature: float = 1.0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    prompt_logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True


@dataclass
class Logprob:
    """Of ``vllm/logprobs.py``."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


class LLM:
    """Of ``vllm/entrypoints/llm.py``. Prefixes that it has seen count as cached, but not where it gives log-probabilities."""

    made: list[LLM]

    def __init__(
        self,
        model: str,
        *,
        runner: str = "auto",
        tokenizer: str | None = None,
        trust_remote_code: bool = False,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        quantization: str | None = None,
        revision: str | None = None,
        seed: int = 0,
        gpu_memory_utilization: float = 0.92,
        enforce_eager: bool = False,
        **kwargs: Any,
    ) -> None:
        assert set(kwargs) <= {"enable_prefix_caching", "max_model_len", "generation_config", "max_num_seqs"}
        self.arguments = {"dtype": dtype, "tensor_parallel_size": tensor_parallel_size, **kwargs}
        own = tiny.load(next(name for name in NAMES if model == str(tiny.checkpoint(name))))
        self._module, self._tokenizer = own.module, own.tokenizer
        length = kwargs["max_model_len"] or own.config.max_position_embeddings
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=length))
        self._seen: list[list[int]] = []
        LLM.made.append(self)

    def generate(
        self,
        prompts: Sequence[dict[str, Any]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool | Callable[..., Any] = True,
        lora_request: Any = None,
        priority: int | Sequence[int] | None = None,
        tokenization_kwargs: dict[str, Any] | None = None,
    ) -> list[Any]:
        assert isinstance(sampling_params, Sequence)
        return [self._answer(prompt["prompt_token_ids"], params) for prompt, params in zip(prompts, sampling_params, strict=True)]

    @torch.inference_mode()
    def _answer(self, ids: list[int], params: SamplingParams) -> Any:
        if len(ids) + 1 > self.llm_engine.model_config.max_model_len:
            raise ValueError(f"the prompt (length {len(ids)}) plus the number of requested output tokens (at least 1) is too long")
        assert params.stop is None or "" not in params.stop
        new: list[int] = []
        finish, reason = "length", None
        assert params.max_tokens is not None
        while len(new) < params.max_tokens and finish == "length":
            logits_V = self._module(torch.tensor([ids + new])).logits[0, -1]
            if params.temperature > 0:
                generator = torch.Generator().manual_seed((params.seed or 0) + len(new))
                new.append(int((logits_V / params.temperature).softmax(-1).multinomial(1, generator=generator)))
            else:
                new.append(int(logits_V.argmax()))
            text = self._tokenizer.decode(new)
            reason = next((stop for stop in params.stop or () if stop in text), None)
            finish = "stop" if new[-1] in (params.stop_token_ids or ()) or reason is not None else "length"
        cached = max((_count_common(ids, seen) for seen in self._seen), default=0) if params.prompt_logprobs is None else 0
        self._seen.append(ids)
        written = SimpleNamespace(index=0, text="", token_ids=tuple(new), finish_reason=finish, stop_reason=reason)
        return SimpleNamespace(
            prompt_token_ids=ids, prompt_logprobs=self._score(ids) if params.prompt_logprobs is not None else None, outputs=[written],
            num_cached_tokens=min(cached, len(ids) - 1), finished=True,
        )  # fmt: skip

    def _score(self, ids: list[int]) -> list[dict[int, Logprob] | None]:
        values_LV = self._module(torch.tensor([ids])).logits[0].log_softmax(-1)
        known: list[dict[int, Logprob] | None] = [None]
        for i, token in enumerate(ids[1:]):
            best = int(values_LV[i].argmax())
            known.append({t: Logprob(float(values_LV[i, t]), 1 + int((values_LV[i] > values_LV[i, t]).sum())) for t in (token, best)})
        return known


def _count_common(one: list[int], other: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    LLM.made = []
    module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name in ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "")


def open_engine(name: str, **settings: Any) -> Engine:
    source = VLLM(str(tiny.checkpoint(name)), **settings)
    return Engine(source.load("auto", "float32"), source.inspect())


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_the_checkpoint(name: str) -> None:
    engine, own = open_engine(name), tiny.engine(name)
    requests = [*(Generate(prompt, 12) for prompt in PROMPTS), Generate(PROMPTS[0], 12, (" ", "")), Generate(PROMPTS[0], 12, ("e",))]
    assert engine.run(requests) == own.run(requests)
    scored = [*SCORED, RollingLogLikelihood("the young dog sat on a table. 😀")]
    for mine, its in zip(engine.run(scored), own.run(scored), strict=True):
        assert mine.value == pytest.approx(its.value, abs=1e-4)
        assert (mine.num_tokens, mine.is_greedy, mine.num_truncated) == (its.num_tokens, its.is_greedy, its.num_truncated)


def test_chats_and_begun_answers_are_read_by_the_template() -> None:
    engine, own = open_engine("llama"), tiny.engine("llama")
    chat = Chat((Message("user", "the cat"),))
    begun = Chat((Message("user", "the cat"), Message("assistant", "sat on")))
    requests = [Generate(chat, 8), Generate(begun, 8)]
    assert engine.run(requests) == own.run(requests)
    (mine,), (its,) = (one.run([LogLikelihood(begun, " a", "")]) for one in (engine, own))
    assert mine.value == pytest.approx(its.value, abs=1e-4)
    templated = open_engine("llama", chat_template=True)
    assert templated.run([Generate("the cat", 8)]) == own.run([Generate(chat, 8)])


def test_samples_depend_on_their_seed_alone() -> None:
    engine = open_engine("llama")
    one, two, same = engine.run([Generate("the cat", 12, temperature=2.0, seed=seed) for seed in (1, 2, 1)])
    assert one == same != two
    assert open_engine("llama").run([Generate("the cat", 12, temperature=2.0, seed=1)]) == [one]


def test_the_longest_texts_fit_and_longer_ones_are_cut_or_refused() -> None:
    engine = open_engine("llama", max_length=20)
    long = " the cat sat" * 12
    written, scored, rolling, refused = engine.try_run(
        [Generate(long, 6), LogLikelihood(long, " on a table"), RollingLogLikelihood(long), LogLikelihood("", long)]
    )
    assert not isinstance(written, Failure)
    assert (written.num_prompt_tokens, written.num_truncated > 0) == (12, True)
    assert not isinstance(scored, Failure)
    assert scored.num_truncated > 0
    assert not isinstance(rolling, Failure)
    own = tiny.engine(tiny.load("llama", max_length=18)).run([RollingLogLikelihood(long)])[0]
    assert rolling.value == pytest.approx(own.value, abs=1e-4)
    assert isinstance(refused, Failure)
    assert "use RollingLogLikelihood" in refused.error


def test_tokens_and_cached_prefixes_are_counted() -> None:
    engine = open_engine("llama")
    first = engine.run([Generate("the cat sat on", 4)])[0]
    counted = engine.counters.take()
    assert counted["tokens_computed"] == first.num_prompt_tokens + first.num_tokens - 1
    second = engine.run([Generate("the cat sat on a table", 4)])[0]
    counted = engine.counters.take()
    assert counted["tokens_computed"] + counted["tokens_shared"] == second.num_prompt_tokens + second.num_tokens - 1
    assert counted["tokens_shared"] >= first.num_prompt_tokens - 1


def test_the_engine_gets_the_settings_and_reports_nothing() -> None:
    open_engine("gpt2", engine={"tensor_parallel_size": 2, "max_num_seqs": 8})
    assert LLM.made[0].arguments == {
        "dtype": "float32", "tensor_parallel_size": 2, "enable_prefix_caching": True, "max_num_seqs": 8, "max_model_len": None,
        "generation_config": "vllm",
    }  # fmt: skip
    assert os.environ["VLLM_NO_USAGE_STATS"] == os.environ["DO_NOT_TRACK"] == "1"
    assert UNTRIED in VLLM(str(tiny.checkpoint("gpt2"))).inspect().notes


def test_what_decides_answers_is_in_the_fingerprint() -> None:
    prints = [open_engine("gpt2", **settings).fingerprint for settings in ({}, {}, {"max_length": 30}, {"engine": {"max_num_seqs": 8}})]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_missing_package_is_told_before_anything_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vllm")
    monkeypatch.setattr("windtunnel.harness.models.common.extras.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs the package 'vllm', which is not installed: pip install 'windtunnel\[vllm\]'"):
        VLLM(str(tiny.checkpoint("gpt2"))).inspect()


def test_what_cannot_run_is_told() -> None:
    with pytest.raises(ModelError, match="is no causal language model, which this backend runs alone; use hf"):
        VLLM(str(tiny.checkpoint("bert"))).inspect()
    with pytest.raises(ConfigError, match="engine may not hold 'dtype', which other settings determine"):
        VLLM("any", engine={"dtype": "float16"})
    with pytest.raises(ModelError, match="CUDA_VISIBLE_DEVICES"):
        VLLM(str(tiny.checkpoint("gpt2"))).load("cpu", "auto")
    lack = VLLM(str(tiny.checkpoint("gpt2"))).inspect().describe_lack({"gradients"})
    assert "use hf:FOLDER" in lack


def test_an_answer_that_the_engine_broke_off_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine("gpt2")
    answer = LLM._answer

    def abort(self: LLM, ids: list[int], params: SamplingParams) -> Any:
        output = answer(self, ids, params)
        output.outputs[0].finish_reason = "abort"
        return output

    monkeypatch.setattr(LLM, "_answer", abort)
    (failed,) = engine.try_run([Generate("the cat", 4)])
    assert isinstance(failed, Failure)
    assert "broke off the answer" in failed.error


def test_the_stand_in_has_the_signatures_of_vllm() -> None:
    """If vLLM is installed, its signatures are compared with the stand-in's."""
    sys.modules.pop("vllm")
    vllm = pytest.importorskip("vllm")
    for stand_in, real in ((LLM.__init__, vllm.LLM.__init__), (LLM.generate, vllm.LLM.generate), (SamplingParams, vllm.SamplingParams)):
        assert set(inspect.signature(stand_in).parameters) <= set(inspect.signature(real).parameters)  # type: ignore[arg-type]
