"""``torch``: any torch classifier of images, texts or sounds, built by a Python function."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ...api.errors import ConfigError, ModelError, suggest_name
from ...api.import_target import resolve
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ..common.encoding import OFFSETS, Encode, try_encode
from ..common.outputs import check_outputs

if TYPE_CHECKING:
    from torch import nn


_EXAMPLES: dict[str, object] = {"image": None, "text": "a word", "pair": ("a word", "another"), "audio": None}
"""The modalities, and an input of each that is encoded before the run."""


class TorchModule(ModelSource):
    """A torch classifier: an ``nn.Module`` that maps pixels [B, C, H, W] in [0, 1] to class scores [B, K].

    The module includes the normalisation. For texts, pairs and sounds, a second function encodes the inputs.

    target: ``module:function`` or ``file.py:function`` of a function without arguments that returns the module, or the
        module itself.
    labels: class names in the order of the scores; with two classes, it may return only the second one's score. Without
        names, the scores are in the order of the task's classes.
    outputs: kind of the scores: ``logits``, ``probabilities``, or ``auto``: probabilities if rows are between 0 and 1
        and sum to 1.
    multi_label: classes do not exclude each other.
    input: ``image``, ``text``, ``pair`` (tuples of two texts) or ``audio``.
    encode: for all but images, ``module:function`` or ``file.py:function`` of a function from a list of inputs to what the module takes: a
        tensor, a tuple, or tensors by name, with one row per input. If it also returns ``offset_mapping``, the (start, end) of each token
        in the text as tokenizers of transformers give it, the model has gradients with respect to its token embeddings.
    channels: 1 or 3.
    size: [height, width] to which images are resized (bilinear, antialiased); None for no resizing.
    version: version of all that the fingerprint cannot include; change it when that changes.
    """

    def __init__(
        self,
        target: str | nn.Module,
        *,
        labels: list[str] | None = None,
        outputs: str = "auto",
        multi_label: bool = False,
        input: str = "image",
        encode: str | Encode | None = None,
        channels: int = 3,
        size: list[int] | None = None,
        version: str = "",
    ) -> None:
        check_outputs(outputs, multi_label)
        if size is not None and len(size) != 2:
            raise ModelError(f"size must be [height, width], not {size}")
        self.target = target if isinstance(target, str) else type(target).__qualname__
        self.labels, self.channels, self.size = tuple(map(str, labels or ())), channels, size
        self.outputs, self.multi_label, self.version = outputs, multi_label, version
        self.make = resolve(target) if isinstance(target, str) else target
        if input not in _EXAMPLES:
            raise ConfigError(f"input must be {', '.join(_EXAMPLES)}, not {input!r}.{suggest_name(input, _EXAMPLES)}")
        if (encode is None) != (input == "image"):
            raise ConfigError(
                f"input: {input} needs encode: FILE.py:function, which turns a list of inputs into what the module takes"
                if encode is None
                else "encode is for texts, pairs and sounds; set input to text, pair or audio, or remove encode"
            )
        self.input, self.encode = input, resolve(encode) if isinstance(encode, str) else encode

    def inspect(self) -> ModelInfo:
        has_gradients = self.input == "image" or self.gives_spans
        instead = {} if has_gradients else {"gradients": self.instead}
        features = {"gradients"} if has_gradients else set[str]()
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

    @cached_property
    def gives_spans(self) -> bool:
        """Whether the encode function returns the span of each token in a text. It encodes an example, so that its errors show early."""
        example = _EXAMPLES[self.input]
        if self.encode is None or example is None:
            return False
        return OFFSETS in try_encode(self.encode, example, f"the encode function of {self.target}") and self.input == "text"

    @property
    def instead(self) -> str:
        """What to do for gradients."""
        if self.input == "text":
            return f"let its encode function also return {OFFSETS!r}, the (start, end) of each token in the text"
        return "attacks that only ask for answers and probes that remove parts need none"
