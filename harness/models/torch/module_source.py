"""Settings that all classifiers with a torch module share, however the module is built."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...api.errors import ConfigError, ModelError, suggest_name
from ...api.import_target import resolve
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ..common.encoding import OFFSETS, Encode, try_encode
from ..common.outputs import check_outputs
from ..common.vocabulary import Words, read_vocabulary

if TYPE_CHECKING:
    from torch import nn

_EXAMPLES: dict[str, object] = {"image": None, "text": "a word", "pair": ("a word", "another"), "audio": None}
"""The modalities, and an input of each that is encoded before the run."""


class ModuleSource(ModelSource):
    """Base of sources of classifiers with a torch module. A subclass defines `build`, and `parts` if the module does not tell all.

    libraries: the libraries that compute its answers.
    has_own_dtype: whether it computes in the number format of its weights, whatever is asked for.
    target: the model's name in messages. The other parameters are those of `TorchModule`.
    """

    libraries: tuple[str, ...] = ("torch",)
    has_own_dtype = False

    def __init__(
        self,
        target: str,
        *,
        labels: list[str] | None,
        outputs: str,
        multi_label: bool,
        input: str,
        encode: str | Encode | None,
        vocabulary: Words | None,
        channels: int,
        size: list[int] | None,
        version: str,
    ) -> None:
        check_outputs(outputs, multi_label)
        if size is not None and len(size) != 2:
            raise ModelError(f"size must be [height, width], not {size}")
        self.target = target
        self.labels, self.channels, self.size = tuple(map(str, labels or ())), channels, size
        self.outputs, self.multi_label, self.version = outputs, multi_label, version
        if input not in _EXAMPLES:
            raise ConfigError(f"input must be {', '.join(_EXAMPLES)}, not {input!r}.{suggest_name(input, _EXAMPLES)}")
        if (encode is None) != (input == "image"):
            raise ConfigError(
                f"input: {input} needs encode: FILE.py:function, which turns a list of inputs into what the module takes"
                if encode is None
                else "encode is for texts, pairs and sounds; set input to text, pair or audio, or remove encode"
            )
        self.input, self.encode = input, resolve(encode) if isinstance(encode, str) else encode
        if vocabulary is not None and input != "text":
            raise ConfigError("vocabulary is for texts; set input to text, or remove vocabulary")
        self.vocabulary = read_vocabulary(vocabulary)

    @abstractmethod
    def build(self) -> nn.Module:
        """Return a new module, or the user's own. Its errors become errors of the model."""
        raise NotImplementedError

    def parts(self, module: nn.Module, /) -> list[Any]:
        """Return the objects that identify the model, first the one that is called. module: the result of `build`."""
        return [module]

    def inspect(self) -> ModelInfo:
        instead = {"gradients": self.instead, "vocabulary": self.unnamed_words}
        features = {"gradients"} if self.has_gradients else set[str]()
        features |= {"vocabulary"} if self.has_gradients and self.vocabulary else set()
        return ModelInfo({"classify": {self.input}}, features, self.labels, is_multi_label=self.multi_label, instead=instead)

    def load(self, device: str, dtype: str, /) -> Model:
        if self.input == "image":
            from .image_classifier import TorchClassifier

            return TorchClassifier(self, device, dtype)
        from .encoded_classifier import EncodedClassifier

        return EncodedClassifier(self, device, dtype)

    def settings(self) -> tuple[object, ...]:
        """Return all settings that affect a response."""
        return (self.labels, self.outputs, self.multi_label, self.input, self.channels, self.size)

    @property
    def has_gradients(self) -> bool:
        """Whether the scores can be differentiated by pixels, or by the embeddings of a text."""
        return self.input == "image" or self.gives_spans

    @cached_property
    def gives_spans(self) -> bool:
        """Whether the encode function returns the span of each token in a text. It encodes an example, so that its errors show early."""
        example = _EXAMPLES[self.input]
        if self.encode is None or example is None:
            return False
        return OFFSETS in try_encode(self.encode, example, f"the encode function of {self.target}") and self.input == "text"

    @property
    def unnamed_words(self) -> str:
        """What to do for attacks that insert words."""
        if self.input != "text":
            return "it takes no texts"
        return "name words that attacks may insert with the model setting 'vocabulary', or use an attack that needs none: deepwordbug"

    @property
    def instead(self) -> str:
        """What to do for gradients."""
        if self.input == "text":
            return f"let its encode function also return {OFFSETS!r}, the (start, end) of each token in the text"
        return "attacks that only ask for answers and probes that remove parts need none"
