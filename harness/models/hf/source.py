"""``hf``: transformers checkpoints, from a folder or the hub. The architecture in the configuration selects the adapter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...api.errors import ModelError
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ...identity.code import collect_local_code
from ...identity.digests import digest_parts
from ...identity.libraries import answer_code, list_versions
from ...system.offline import is_offline
from ..checkpoint.adapter import read_adapter
from ..checkpoint.files import ADAPTER, TIMM
from ..checkpoint.gguf_file import TOKENIZER, describe_gguf, find_gguf, name_architecture
from ..checkpoint.head import Head, read_head
from ..checkpoint.quantisation import Method, check_quantisation, name_method, read_method
from ..checkpoint.settings import check_config, check_rotary, settle_config, settle_timm
from ..checkpoint.tokens import check_tokenizer_files, settle_tokenizer
from ..common.extras import require_extra
from ..common.fingerprint import list_checkpoint_parts
from .kinds import SEQ2SEQ, choose_kind, list_features
from .lengths import choose_max_length
from .loading import load_module
from .place import Place

if TYPE_CHECKING:
    import torch

_LIBRARIES = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
    "peft",
    "jinja2",
    "sentencepiece",
    "sacremoses",
)
_FORM_LIBRARIES = {"gguf": "gguf", "bitsandbytes": "bitsandbytes", "torchao": "torchao", TIMM: "timm"}
"""Libraries that compute responses of one form of checkpoint only."""
_ELSEWHERE = frozenset({"target", "revision", "name", "adapter", "base", "place", "dtype", "device_map"})
"""Attributes that do not change responses by themselves: where files are, where weights go. The dtype is a fact."""


class HuggingFace(ModelSource):
    """A transformers checkpoint: text or image classifier, causal or masked language model, or a text encoder without a head.

    Safetensors and GGUF files are read, never pickles. A folder with a PEFT adapter is merged into its base model.

    target: a folder, a GGUF file or a hub name.
    base: folder or hub name of an adapter's base model, instead of the one that its files name.
    labels: class names in the order of the outputs, if the config has none; for a single output (log-odds): no, yes.
    problem_type: ``single_label_classification`` or ``multi_label_classification``, if missing or wrong in the config.
    positive_label: for labels that do not exclude each other, the one to classify.
    revision: revision of a hub name.
    max_length: maximum number of tokens, instead of the tokenizer's limit.
    pad_token: padding token, for tokenizers without one.
    attention: transformers' ``attn_implementation``.
    prefix: text before every source of an encoder-decoder ("translate English to German: ").
    source_language, target_language: codes of a translator between languages, as its tokenizer names them.
    beams: number of beams of an encoder-decoder, instead of the checkpoint's; 1 is greedy.
    dtype: number format of this model, instead of the suite's.
    device_map: devices of its parts, as in transformers: ``auto``, ``balanced``, or a device by the name of a module.
    quantization: quantise the weights while they load: a name, or settings as ``quantization_config`` of config.json.
    chat_template: format every prompt with the model's chat template.
    trust_remote_code: run code from the checkpoint; noted on the scorecard.
    log_softmax: "float32" rounds each token's log-probability as lm-evaluation-harness does (about 8e-6 on a CPU), for
        comparisons with it.
    """

    def __init__(
        self,
        target: str,
        *,
        base: str | None = None,
        labels: list[str] | None = None,
        problem_type: str | None = None,
        positive_label: str | None = None,
        revision: str | None = None,
        max_length: int | None = None,
        pad_token: str | None = None,
        attention: str | None = None,
        prefix: str = "",
        source_language: str | None = None,
        target_language: str | None = None,
        beams: int | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None,
        device_map: str | dict[str, int | str] | None = None,
        quantization: Method | dict[str, Any] | None = None,
        chat_template: bool = False,
        trust_remote_code: bool = False,
        log_softmax: Literal["exact", "float32"] = "exact",
    ) -> None:
        self.name, self.revision = str(Path(target).expanduser()) if target.startswith("~") else target, revision
        self.adapter = read_adapter(self.name, base)
        if base is not None and self.adapter is None:
            raise ModelError(f"base is for PEFT adapters, and {self.name!r} is none: a folder with {ADAPTER} and without a whole model")
        self.target = find_gguf(self.adapter.base if self.adapter is not None else self.name)
        self.place = Place(self.target, revision, trust_remote_code)
        self.labels, self.problem_type, self.positive_label = labels, problem_type, positive_label
        self.max_length, self.pad_token = max_length, pad_token
        self.attention, self.chat_template, self.trust_remote_code = attention, chat_template, trust_remote_code
        self.prefix, self.source_language, self.target_language, self.beams = prefix, source_language, target_language, beams
        if beams is not None and beams < 1:
            raise ModelError(f"beams must be at least 1, not {beams}")
        self.dtype, self.device_map, self.quantization = dtype, device_map, read_method(quantization)
        if device_map is not None:
            require_extra("accelerate", f"device_map of {self.name}", "accelerate")
        if log_softmax not in ("exact", "float32"):
            raise ModelError(f"log_softmax must be 'exact' or 'float32', not {log_softmax!r}")
        self.rounded = log_softmax == "float32"

    @property
    def method(self) -> Mapping[str, Any] | None:
        """How the weights are quantised, in their files or by the setting; None if they are not."""
        return self.quantization or self.place.read_config().get("quantization_config")

    def inspect(self) -> ModelInfo:
        config = self.config()
        kind = choose_kind(config, self.target)
        if kind.reads_text and kind is not SEQ2SEQ:  # ByT5 has none
            check_tokenizer_files(self._tokenizer_folder(), self.name)
        head = self.head(config) if "classify" in kind.answers else Head(())
        ran = ("code from the checkpoint was run (trust_remote_code)",) if self.trust_remote_code else ()
        notes = (*ran, *self._check_config(), *head.notes)
        return ModelInfo(kind.answers, list_features(config, kind), head.labels, notes, head.is_multi_label)

    def load(self, device: str, dtype: str, /) -> Model:
        from importlib import import_module

        kind = choose_kind(self.config(), self.target)
        model: Model = getattr(import_module(f".{kind.file}", __package__), kind.adapter)(self, device, dtype)
        return model

    def config(self) -> Any:
        """Load the configuration, without weights. Raises `ModelError`."""
        from transformers import AutoConfig

        self._check_files()
        self._check_config()
        config = self.place.pretrained(AutoConfig)
        settle_config(config, self.place.read_config())
        if self.place.gguf is not None:
            name_architecture(config, self.place.gguf)
        if config.model_type == TIMM:
            settle_timm(config)
        if self.adapter is not None:
            self.adapter.settle(config)
        check_rotary(config, self.target)
        return config

    def head(self, config: Any) -> Head:
        """Read the head of a classifier. Raises `UserError` for a head without classes, or settings that do not fit."""
        return read_head(config, self.target, labels=self.labels, problem_type=self.problem_type, positive_label=self.positive_label)

    def load_tokenizer(self, *, needs_offsets: bool = True) -> tuple[Any, tuple[str, ...]]:
        """Load the checkpoint's tokenizer, and notes for the scorecard.

        needs_offsets: whether it must be fast, as only such tokenizers tell the place of each token in its text.

        Raises `ModelError` for one without words, which transformers 5 creates if the files are missing.
        """
        from transformers import AutoTokenizer

        folder = self._tokenizer_folder()
        with warnings.catch_warnings():
            # Marian's models without it have a note on the scorecard.
            warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
            tokenizer = self.place.pretrained(AutoTokenizer, str(folder) if folder is not None else "", use_fast=True)
        return tokenizer, settle_tokenizer(tokenizer, self.name, needs_offsets=needs_offsets)

    def longest(self, module: Any, config: Any, tokenizer_limit: int | None = None) -> int:
        """Return the maximum number of tokens (`choose_max_length`)."""
        return choose_max_length(self.max_length, module, config, self.target, tokenizer_limit)

    def load_weights(
        self, auto: Any, device: torch.device, dtype: torch.dtype, optional: Sequence[str] = ()
    ) -> tuple[Any, tuple[str, ...]]:
        """Load the module with its weights (`load_module`)."""
        return load_module(self, auto, device, dtype, optional)

    def fingerprint(self, module: Any, *facts: object) -> str:
        """Return a fingerprint of all that affects responses.

        These are the content of the checkpoint's files, all settings, defaults chosen by transformers (attention), code
        of the checkpoint, and versions of libraries; not the checkpoint's location, name or revision.

        module: the loaded module. facts: further ingredients, such as the dtype.
        """
        settings = sorted((name, repr(value)) for name, value in vars(self).items() if name not in _ELSEWHERE)
        code = collect_local_code(type(module))
        chosen = (str(getattr(module.config, "_attn_implementation", "")), code.digest if code is not None else "")
        forms = {name_method(self.method or {}), module.config.model_type, "gguf" if self.place.gguf else ""}
        own = [library for form, library in _FORM_LIBRARIES.items() if form in forms]
        libraries = sorted(list_versions((*_LIBRARIES, *own)).items())
        parts = [*self.place.list_parts()]
        if self.adapter is not None:
            parts += [f"adapter {part}" for part in list_checkpoint_parts(self.adapter.folder)]
        return digest_parts(parts, (*facts, *chosen, settings, libraries, answer_code()))

    def _tokenizer_folder(self) -> Path | None:
        """Return the folder of the tokenizer; None if it is on the hub or within a GGUF file.

        An adapter may bring the tokenizer that it was trained with, and a GGUF file the original one beside it.
        """
        if self.adapter is not None and (self.adapter.folder / TOKENIZER).is_file():
            return self.adapter.folder
        folder = self.place.folder() if self.place.is_local else None
        return folder if folder is not None and (self.place.gguf is None or (folder / TOKENIZER).is_file()) else None

    def _check_config(self) -> tuple[str, ...]:
        """Return notes about the configuration and the form of the weights. Raises `ModelError` if they cannot be used."""
        raw = self.place.read_config()
        notes = check_config(raw, self.target)
        if self.quantization is not None:
            if self.place.gguf is not None or raw.get("quantization_config"):
                raise ModelError(f"the weights of {self.target!r} are quantised already; remove the model setting quantization")
            notes += check_quantisation(self.quantization, self.target)
        return notes if self.place.gguf is None else (*notes, describe_gguf(self.place.gguf))

    def _check_files(self) -> None:
        """Raise `ModelError` if files are missing, of the checkpoint or of the base of an adapter."""
        if self.adapter is not None:
            self.adapter.check_files()
            is_local, is_there = self.place.is_local, self.place.folder() is not None
            if not is_there and (is_local or is_offline()):
                where = "which is not there" if is_local else "which is not in the local cache, and the network is off"
                download = "" if is_local else f", or download it first: hf download {self.target}"
                raise ModelError(
                    f"{self.name!r} is a {self.adapter.kind} adapter for the model {self.target!r}, {where}; name the base "
                    f"model's folder with the model setting base{download}"
                )
        self.place.check()
