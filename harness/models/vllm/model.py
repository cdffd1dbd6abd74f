"""A causal language model on vLLM's offline engine.

Source of the interface: vLLM 0.32, ``vllm/entrypoints/llm.py``, ``sampling_params.py`` and ``outputs.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...api.errors import ModelError
from ...api.model import Pass
from ...api.responses import Completion, Failure, LogProb
from ...identity.digests import digest_parts
from ...identity.libraries import answer_code, list_versions
from ...system.quiet_import import silence_imports
from ..causal.generation_state import Prompt, make_completion
from ..causal.prefix_trie import Scored
from ..causal.texts import CausalTexts
from ..checkpoint.files import read_json
from ..checkpoint.tokens import list_ends
from ..hf.source import HuggingFace

_LIBRARIES = ("vllm", "torch", "transformers", "tokenizers", "safetensors", "jinja2")
_WINDOW = 1024
"""Units per call of the engine, which schedules them itself; after each call, their answers are handed over."""
_DTYPES = ("float32", "bfloat16", "float16")

Unit = Scored | Prompt


class VLLMModel(CausalTexts):
    """Answers `LogLikelihood`, `RollingLogLikelihood` and `Generate` by token ids, so that vLLM tokenises nothing.

    checkpoint: the files. engine: further arguments of ``vllm.LLM``. dtype: of the weights; ``auto``: as they are stored.
    """

    def __init__(self, checkpoint: HuggingFace, engine: Mapping[str, Any], dtype: str) -> None:
        self.name = checkpoint.name
        config = checkpoint.config()
        self.tokenizer, notes = checkpoint.load_tokenizer()
        self.notes = tuple(notes)
        self.has_templated_prompts = checkpoint.chat_template
        self._read_with(self.tokenizer)
        path = checkpoint.place.find_file("generation_config.json")
        named = (read_json(path) or {}).get("eos_token_id") if path is not None else None
        self.ends = list_ends(named if named is not None else config.eos_token_id, self.tokenizer.eos_token_id)
        # vLLM would round float32 weights to float16.
        stored = str(config.dtype).removeprefix("torch.")
        chosen = dtype if dtype != "auto" else stored if stored in _DTYPES else "auto"
        # It reports how it is used to its makers, unless it is told not to, before it is imported.
        os.environ["VLLM_NO_USAGE_STATS"] = os.environ["DO_NOT_TRACK"] = "1"
        try:
            with silence_imports():
                import vllm

            self._params = vllm.SamplingParams
            self._llm: Any = vllm.LLM(
                model=checkpoint.target,
                revision=checkpoint.revision,
                dtype=chosen,
                max_model_len=checkpoint.max_length,
                trust_remote_code=checkpoint.trust_remote_code,
                generation_config="vllm",  # the checkpoint's sampling settings must not affect requests
                **engine,
            )
        except Exception as error:  # the engine starts processes, and may raise anything
            raise ModelError(f"vLLM cannot load {self.name!r}: {type(error).__name__}: {error}") from error
        # The engine generates a token after each text that it scores, and a scored text has a token that is only predicted.
        self.max_length = int(self._llm.llm_engine.model_config.max_model_len) - 2
        settings = (sorted((name, repr(value)) for name, value in engine.items()), checkpoint.chat_template, self.max_length, chosen)
        libraries = sorted(list_versions(_LIBRARIES).items())
        self.fingerprint = digest_parts([*checkpoint.place.list_parts()], (*settings, libraries, answer_code()))

    def close(self) -> None:
        self._llm = None

    def streams(self, unit: Unit, /) -> bool:
        return True

    def stream(self, units: Sequence[Unit], tokens: int, rows: int, /) -> Iterator[Pass]:
        for start in range(0, len(units), _WINDOW):
            outputs = self._run(units[start : start + _WINDOW])
            answers = [self._read(unit, output) for unit, output in zip(units[start : start + _WINDOW], outputs, strict=True)]
            yield Pass(sum(map(_count_tokens, outputs)), list(enumerate(answers, start)))

    def loglikelihood(self, batch: Sequence[Scored]) -> list[LogProb | Completion | Failure]:
        return [self._read(unit, output) for unit, output in zip(batch, self._run(batch), strict=True)]

    rolling_loglikelihood = loglikelihood

    def generate(self, batch: Sequence[Prompt]) -> list[LogProb | Completion | Failure]:
        return [self._read(unit, output) for unit, output in zip(batch, self._run(batch), strict=True)]

    def _run(self, units: Sequence[Unit]) -> list[Any]:
        prompts = [{"prompt_token_ids": unit.ids} for unit in units]
        outputs: list[Any] = self._llm.generate(prompts, [self._write(unit) for unit in units], use_tqdm=False)
        return outputs

    def _write(self, unit: Unit) -> Any:
        """Return the sampling parameters of a unit."""
        if isinstance(unit, Scored):
            # One token is generated and dropped: the engine refuses to generate none.
            return self._params(max_tokens=1, temperature=0.0, prompt_logprobs=1, detokenize=False)
        request = unit.request
        seed = request.seed if request.temperature > 0 else None
        return self._params(
            max_tokens=request.max_tokens, temperature=request.temperature, seed=seed, stop=[stop for stop in request.stop if stop],
            stop_token_ids=self.ends,
        )  # fmt: skip

    def _read(self, unit: Unit, output: Any) -> LogProb | Completion | Failure:
        if isinstance(unit, Scored):
            return _add_up(unit, output.prompt_logprobs)
        (written,) = output.outputs
        ids = list(written.token_ids)
        if not ids or written.finish_reason not in ("stop", "length"):
            return Failure(f"SampleError: vLLM broke off the answer (finish reason: {written.finish_reason})")
        has_stopped = written.finish_reason == "stop" and ids[-1] not in self.ends
        return make_completion(unit, ids, self.tokenizer, self.ends, has_stopped=has_stopped)


def _add_up(unit: Scored, given: Sequence[Mapping[int, Any] | None]) -> LogProb | Failure:
    """Return the log-likelihood of the scored tokens. ``given``: per token, the log-probabilities of it and of the most likely one."""
    first = len(unit.ids) - unit.num_scored
    values, is_greedy = [], True
    for token, known in zip(unit.ids[first:], given[first:], strict=True):
        if known is None:
            return Failure("SampleError: vLLM gave no log-probability for a scored token")
        values.append(known[token].logprob)
        is_greedy &= all(other.logprob <= known[token].logprob for other in known.values())
    return LogProb(math.fsum(values), unit.num_scored, is_greedy, unit.num_truncated)


def _count_tokens(output: Any) -> int:
    """Return the number of computed positions: those of the prompt without cached ones, and all new tokens but the last."""
    return len(output.prompt_token_ids) - (output.num_cached_tokens or 0) + len(output.outputs[0].token_ids) - 1
