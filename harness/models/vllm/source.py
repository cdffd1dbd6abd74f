"""``vllm``: checkpoints of causal language models on vLLM's offline engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...api.errors import ConfigError, ModelError
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ..common.extras import require_extra
from ..hf.kinds import choose_kind
from ..hf.source import HuggingFace

_INSTEAD = dict.fromkeys(("gradients", "attention"), "vLLM gives its answers alone: use hf:FOLDER")
_OWN = frozenset({"model", "revision", "tokenizer", "dtype", "max_model_len", "trust_remote_code", "generation_config", "runner"})
"""Arguments of vLLM's engine that other settings determine."""
UNTRIED = "the backend vllm was tested with a stand-in for vLLM 0.32, and has not been run on a GPU"


class VLLM(ModelSource):
    """A causal language model on vLLM's offline engine, for GPUs: fast generation, with cached prefixes.

    Requests are read as by ``hf``: the same tokens, chat templates and ends. This backend has not been run on a GPU yet.

    target: a folder or a hub name.
    revision: revision of a hub name.
    max_length: maximum number of tokens of a prompt and its answer, instead of the checkpoint's.
    chat_template: format every prompt with the model's chat template.
    trust_remote_code: run code from the checkpoint; noted on the scorecard.
    engine: further arguments of ``vllm.LLM``: ``{tensor_parallel_size: 2, gpu_memory_utilization: 0.8, quantization: fp8}``.
    """

    def __init__(
        self,
        target: str,
        *,
        revision: str | None = None,
        max_length: int | None = None,
        chat_template: bool = False,
        trust_remote_code: bool = False,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        self.checkpoint = HuggingFace(
            target, revision=revision, max_length=max_length, chat_template=chat_template, trust_remote_code=trust_remote_code
        )
        if engine is not None and not isinstance(engine, Mapping):
            raise ConfigError(f"vllm:{target}: engine is a mapping of arguments of vllm.LLM, not {engine!r}")
        if taken := sorted(_OWN & set(engine or {})):
            raise ConfigError(f"vllm:{target}: engine may not hold {taken[0]!r}, which other settings determine")
        self.engine: dict[str, Any] = {"enable_prefix_caching": True, **(engine or {})}

    def inspect(self) -> ModelInfo:
        require_extra("vllm", f"vllm:{self.checkpoint.name}", "vllm")
        if self.checkpoint.adapter is not None:
            raise ModelError(f"vllm:{self.checkpoint.name} is an adapter, which this backend does not merge; merge it, or use hf")
        config = self.checkpoint.config()
        kind = choose_kind(config, self.checkpoint.target)
        if not {"generate", "loglikelihood", "rolling_loglikelihood"} <= set(kind.answers):
            raise ModelError(f"vllm:{self.checkpoint.name} is no causal language model, which this backend runs alone; use hf")
        return ModelInfo(kind.answers, notes=(UNTRIED, *self.checkpoint.inspect().notes), instead=_INSTEAD)

    def load(self, device: str, dtype: str, /) -> Model:
        if device not in ("auto", "cuda"):
            raise ModelError(f"vLLM runs on the GPUs that CUDA_VISIBLE_DEVICES names, not on {device!r}; set device to auto")
        require_extra("vllm", f"vllm:{self.checkpoint.name}", "vllm")
        from .model import VLLMModel

        return VLLMModel(self.checkpoint, self.engine, dtype)
