"""``hf``: transformers checkpoints, from a folder or the hub. The architecture in the configuration selects the adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...api.errors import ModelError
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ...identity.code import collect_local_code
from ...identity.digests import digest_parts
from ...identity.libraries import answer_code, list_versions
from ...system.offline import is_offline
from ..checkpoint.adapter import merge_adapter, read_adapter
from ..checkpoint.files import ADAPTER, INDEX, WEIGHTS, check_files, describe_file, read_json
from ..checkpoint.head import Head, read_head
from ..checkpoint.settings import check_config, settle_config
from ..checkpoint.tokens import settle_tokenizer
from ..checkpoint.weights import check_loaded, load_state, prepare_state, read_names
from ..common.fingerprint import PATTERNS, list_checkpoint_parts

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("torch", "torchvision", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "peft", "jinja2")


@dataclass(frozen=True, slots=True)
class _Adapter:
    """An adapter, by name, so that planning does not import torch. file: module in this folder. answers: as in `ModelInfo`."""

    file: str
    name: str
    answers: Mapping[str, Set[str]]
    is_differentiable: bool = False


_CLASSIFIER = _Adapter("text_classifier", "HFTextClassifier", {"classify": {"text", "pair"}}, True)
_CAUSAL = _Adapter(
    "causal_lm", "HFCausalLM", {"loglikelihood": {"text", "chat"}, "rolling_loglikelihood": {"text"}, "generate": {"text", "chat"}}, True
)
_MASKED = _Adapter("masked_lm", "HFMaskedLM", {"pseudo_loglikelihood": {"text"}, "fill_mask": {"text"}})
_IMAGES = _Adapter("image_classifier", "HFImageClassifier", {"classify": {"image"}}, True)
_ENCODER = _Adapter("text_encoder", "HFEncoder", {"embed": {"text"}})
_ENDINGS = {
    "SequenceClassification": _CLASSIFIER, "CausalLM": _CAUSAL, "MaskedLM": _MASKED, "LMHeadModel": _CAUSAL, "ImageClassification": _IMAGES,
    "Model": _ENCODER,
}  # fmt: skip
"""Adapter by suffix of the architecture's name; the first match counts."""
_NO_GRADIENTS = frozenset({"canine", "xlnet"})
"""Models without exactly one lookup of token embeddings per pass (XLNet: transposed), so that features cannot replace its
result. The same holds for encoder-decoders, which have two."""


class HuggingFace(ModelSource):
    """A transformers checkpoint: text or image classifier, causal or masked language model, or a text encoder without a head.

    Only safetensors are read, never pickles. A folder with a PEFT adapter is merged into its base model.

    target: a folder or a hub name.
    base: folder or hub name of an adapter's base model, instead of the one that its files name.
    labels: class names in the order of the outputs, if the config has none; for a single output (log-odds): no, yes.
    problem_type: ``single_label_classification`` or ``multi_label_classification``, if missing or wrong in the config.
    positive_label: for labels that do not exclude each other, the one to classify.
    revision: revision of a hub name.
    max_length: maximum number of tokens, instead of the tokenizer's limit.
    pad_token: padding token, for tokenizers without one.
    attention: transformers' ``attn_implementation``.
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
        chat_template: bool = False,
        trust_remote_code: bool = False,
        log_softmax: Literal["exact", "float32"] = "exact",
    ) -> None:
        self.name, self.revision = str(Path(target).expanduser()) if target.startswith("~") else target, revision
        self.adapter = read_adapter(self.name, base)
        if base is not None and self.adapter is None:
            raise ModelError(f"base is for PEFT adapters, and {self.name!r} is none: a folder with {ADAPTER} and without a whole model")
        self.target = self.adapter.base if self.adapter is not None else self.name
        self.labels, self.problem_type, self.positive_label = labels, problem_type, positive_label
        self.max_length, self.pad_token = max_length, pad_token
        self.attention, self.chat_template, self.trust_remote_code = attention, chat_template, trust_remote_code
        if log_softmax not in ("exact", "float32"):
            raise ModelError(f"log_softmax must be 'exact' or 'float32', not {log_softmax!r}")
        self.rounded = log_softmax == "float32"

    def inspect(self) -> ModelInfo:
        config = self.config()
        adapter = self._choose_adapter(config)
        head = self.head(config) if "classify" in adapter.answers else Head(())
        ran = ("code from the checkpoint was run (trust_remote_code)",) if self.trust_remote_code else ()
        notes = (*ran, *check_config(self._read_config(), self.target), *head.notes)
        return ModelInfo(adapter.answers, _list_features(config, adapter), head.labels, notes, head.is_multi_label)

    def load(self, device: str, dtype: str, /) -> Model:
        from importlib import import_module

        adapter = self._choose_adapter(self.config())
        model: Model = getattr(import_module(f".{adapter.file}", __package__), adapter.name)(self, device, dtype)
        return model

    def config(self) -> Any:
        """Load the configuration, without weights. Raises `ModelError`."""
        from transformers import AutoConfig

        self._check_target()
        raw = self._read_config()
        check_config(raw, self.target)
        try:
            config = AutoConfig.from_pretrained(
                self.target, revision=self.revision, trust_remote_code=self.trust_remote_code, local_files_only=is_offline()
            )
        except Exception as error:  # the libraries may raise anything for a broken checkpoint
            raise ModelError(self._explain(error)) from error
        settle_config(config, raw)
        if self.adapter is not None:
            self.adapter.settle(config)
        if _loses_positions(config):
            raise ModelError(
                f"{self.target!r} was saved by transformers 5, whose 'rope_parameters' the installed version ignores, so positions "
                "would be wrong. Install transformers 5, or set 'rope_theta' (and 'rope_scaling') in its config.json"
            )
        return config

    def head(self, config: Any) -> Head:
        """Read the head of a classifier. Raises `UserError` for a head without classes, or settings that do not fit."""
        return read_head(config, self.target, labels=self.labels, problem_type=self.problem_type, positive_label=self.positive_label)

    def pretrained(self, auto: Any, place: str = "", **options: Any) -> Any:
        """Call ``auto.from_pretrained`` for this checkpoint, or for the folder ``place``. Raises `ModelError`."""
        try:
            return auto.from_pretrained(
                place or self.target,
                revision=self.revision,
                trust_remote_code=self.trust_remote_code,
                local_files_only=is_offline(),
                **options,
            )
        except Exception as error:  # the libraries may raise anything for a broken checkpoint
            raise ModelError(self._explain(error)) from error

    def load_tokenizer(self) -> tuple[Any, tuple[str, ...]]:
        """Load the checkpoint's fast tokenizer, and notes for the scorecard.

        Raises `ModelError` for one without words, which transformers 5 creates if the files are missing.
        """
        from transformers import AutoTokenizer

        # An adapter may bring the tokenizer that it was trained with.
        own = self.adapter is not None and (self.adapter.folder / "tokenizer.json").is_file()
        tokenizer = self.pretrained(AutoTokenizer, self.name if own else self.target, use_fast=True)
        return tokenizer, settle_tokenizer(tokenizer, self.name)

    def longest(self, module: Any, config: Any, tokenizer_limit: int | None = None) -> int:
        """Return the maximum number of tokens: the setting, else the smallest limit of tokenizer, config and positions."""
        table = _count_positions(module)
        if self.max_length is not None:
            if self.max_length < 1 or (table is not None and self.max_length > table):
                raise ModelError(f"max_length {self.max_length} is not possible: {self.target!r} has positions for {table} tokens")
            return self.max_length
        # MPT limits its attention bias by `max_seq_len`.
        positions = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None) or 0
        # Tokenizers without a limit have 10^30, relative positions have -1.
        limits = (table, tokenizer_limit if tokenizer_limit and tokenizer_limit < 10**9 else None, positions if positions > 0 else None)
        return min((limit for limit in limits if limit is not None), default=2048)

    def load_weights(
        self, auto: Any, device: torch.device, dtype: torch.dtype, optional: Sequence[str] = ()
    ) -> tuple[Any, tuple[str, ...]]:
        """Load the module with its weights, in evaluation mode on the device, and notes for the scorecard.

        auto: class of transformers that builds the module. optional: prefixes of weights that may be missing.

        Raises `ModelError` if the checkpoint lacks other weights.
        """
        config = self.config()
        # Before transformers 5, the default attention leaves out the cap of Gemma 2's scores.
        attention = self.attention or ("eager" if getattr(config.get_text_config(), "attn_logit_softcapping", None) else "")
        options: dict[str, Any] = {"attn_implementation": attention} if attention else {}
        folder = self.folder()
        blank = _build_blank(auto, config, self.trust_remote_code)
        state, notes = None, tuple[str, ...]()
        if folder is not None and blank is not None:
            state, notes = prepare_state(read_names(folder, self.target), blank, self.target)
        options |= {"config": config, "use_safetensors": True, "dtype": dtype, "output_loading_info": True}
        with _hide_bars():
            if state is None or folder is None:
                module, loading = self.pretrained(auto, **options)
            else:
                module, loading = load_state(type(blank), state, folder, self.target, **options)
        saved = tuple(self.adapter.read_saved()) if self.adapter is not None else ()
        notes += check_loaded(module, loading["missing_keys"], loading["unexpected_keys"], self.target, (*optional, *saved))
        if self.adapter is not None:
            module = merge_adapter(module, self.adapter)
            notes += (f"its {self.adapter.kind} adapter is merged into the weights of {self.target}",)
        from ..torch.packed_linear import pack_linears

        module.eval().to(device)
        pack_linears(module)
        return module, notes

    def fingerprint(self, module: Any, *facts: object) -> str:
        """Return a fingerprint of all that affects responses.

        These are the content of the checkpoint's files, all settings, defaults chosen by transformers (attention), code
        of the checkpoint, and versions of libraries; not the checkpoint's location, name or revision.

        module: the loaded module. facts: further ingredients, such as the dtype.
        """
        settings = sorted(
            (name, repr(value)) for name, value in vars(self).items() if name not in ("target", "revision", "name", "adapter", "base")
        )
        code = collect_local_code(type(module))
        chosen = (str(getattr(module.config, "_attn_implementation", "")), code.digest if code is not None else "")
        folder = Path(self.target)
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            folder = Path(snapshot_download(self.target, revision=self.revision, allow_patterns=list(PATTERNS), local_files_only=True))
        libraries = sorted(list_versions(_LIBRARIES).items())
        parts = [*list_checkpoint_parts(folder)]
        if self.adapter is not None:
            parts += [f"adapter {part}" for part in list_checkpoint_parts(self.adapter.folder)]
        return digest_parts(parts, (*facts, *chosen, settings, libraries, answer_code()))

    def _choose_adapter(self, config: Any) -> _Adapter:
        architectures = config.architectures or []
        for architecture in architectures:
            for ending, adapter in _ENDINGS.items():
                if architecture.endswith(ending):
                    if adapter is _ENCODER:
                        self._check_encoder(config, architecture)
                    return adapter
        named = ", ".join(architectures) or "checkpoint without an architecture"
        raise ModelError(
            f"{self.target!r} is a {named}; this adapter supports architectures that end in {', '.join(_ENDINGS)}. "
            "Wrap others in a Python function: callable:module:function"
        )

    def _check_encoder(self, config: Any, architecture: str) -> None:
        """Raise `ModelError` for a headless model that is not a text encoder: for images or audio, or with a decoder."""
        reads_text = getattr(config, "vocab_size", None) and not getattr(config, "vision_config", None)
        if not reads_text or (getattr(config, "is_encoder_decoder", False) and not architecture.endswith("EncoderModel")):
            why = "has a decoder besides its encoder" if reads_text else "does not read plain text"
            raise ModelError(
                f"{self.target!r} is a {architecture}, which {why}, so it is not a text encoder. Wrap it in a Python function: "
                "callable:module:function"
            )

    def _check_target(self) -> None:
        path = Path(self.target)
        looks_local = self.target.startswith((".", "/", "~")) or self.target.count("/") > 1
        if self.adapter is not None:
            self.adapter.check_files()
            if not path.is_dir() and (looks_local or (is_offline() and self.folder() is None)):
                where = "which is not there" if looks_local else "which is not in the local cache, and the network is off"
                raise ModelError(
                    f"{self.name!r} is a {self.adapter.kind} adapter for the model {self.target!r}, {where}; name the base model's "
                    f"folder with the model setting base{'' if looks_local else f', or download it first: hf download {self.target}'}"
                )
        if path.is_file():
            raise ModelError(describe_file(self.target))
        if looks_local and not path.is_dir():
            raise ModelError(f"there is no model folder {self.target!r}")
        if path.is_dir():
            check_files(self.target, path)

    def folder(self) -> Path | None:
        """Return the folder of the checkpoint; None if the hub's cache does not have its weights yet."""
        if Path(self.target).is_dir():
            return Path(self.target)
        from huggingface_hub import try_to_load_from_cache

        places = (try_to_load_from_cache(self.target, name, revision=self.revision) for name in (WEIGHTS, INDEX))
        return next((Path(place).parent for place in places if isinstance(place, str)), None)

    def find_file(self, name: str, /) -> Path | None:
        """Return the path of a file of the checkpoint, fetched if need be; None if the checkpoint has no such file."""
        if Path(self.target).is_dir():
            path = Path(self.target, name)
        else:
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

            try:
                path = Path(hf_hub_download(self.target, name, revision=self.revision, local_files_only=is_offline()))
            except (EntryNotFoundError, LocalEntryNotFoundError):
                return None
        return path if path.is_file() else None

    def _read_config(self) -> dict[str, Any]:
        """Read config.json without processing by transformers."""
        folder = self.folder()
        return (read_json(folder / "config.json") if folder else None) or {}

    def _explain(self, error: Exception) -> str:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not Path(self.target).is_dir() and is_offline() and isinstance(error, OSError):
            return f"model {self.target!r} is not in the local cache, and the network is off; download it first: hf download {self.target}"
        return f"model {self.target!r} cannot be loaded: {first}"


def _list_features(config: Any, adapter: _Adapter) -> frozenset[str]:
    if not adapter.is_differentiable:
        return frozenset()
    if adapter is _CLASSIFIER and (getattr(config, "is_encoder_decoder", False) or config.model_type in _NO_GRADIENTS):
        return frozenset()
    # Models with windowed attention, which list heads by stage, do not attend to all positions.
    attends = isinstance(getattr(config, "num_attention_heads", None), int)
    return frozenset({"gradients", "attention"} if attends else {"gradients"})


def _build_blank(auto: Any, config: Any, trust_remote_code: bool) -> Any:
    """Build the module without weights, for the names of its tensors; None if impossible, or for quantised weights."""
    import torch

    if getattr(config, "quantization_config", None):
        return None
    try:
        with torch.device("meta"):
            return auto.from_config(config, trust_remote_code=trust_remote_code)
    except Exception:  # noqa: BLE001 - custom code may not support meta tensors; loading raises real errors
        return None


def _loses_positions(config: Any) -> bool:
    """Whether transformers 4 would silently ignore the rotary settings, because they are stored in the format of version 5."""
    import transformers

    settings = getattr(config, "rope_parameters", None)
    if not settings or int(transformers.__version__.partition(".")[0]) >= 5:
        return False
    scaled = settings.get("rope_type", "default") != "default"
    return settings.get("rope_theta") != getattr(config, "rope_theta", None) or (scaled and not getattr(config, "rope_scaling", None))


def _count_positions(module: Any) -> int | None:
    """Return the number of usable rows of a learned position table: RoBERTa's starts after the padding index, OPT's after
    an offset."""
    sizes = [
        part.num_embeddings - (part.padding_idx + 1 if part.padding_idx is not None else int(getattr(part, "offset", 0)))
        for name, part in module.named_modules()
        if name.rpartition(".")[2] in ("position_embeddings", "wpe", "embed_positions") and hasattr(part, "num_embeddings")
    ]
    return min(sizes, default=None)


@contextmanager
def _hide_bars() -> Iterator[None]:
    """Disable transformers' progress bars while weights load, because the run shows its own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
