"""``torch``: any torch classifier of images, texts or sounds, built by a Python function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...api.import_target import resolve
from ..common.encoding import Encode
from ..common.vocabulary import Words
from .module_source import ModuleSource

if TYPE_CHECKING:
    from torch import nn


class TorchModule(ModuleSource):
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
    vocabulary: words that attacks may insert (``hotflip``): a text file with a word a line, ``file.py:function`` of a function that returns
        them, or a list.
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
        vocabulary: Words | None = None,
        channels: int = 3,
        size: list[int] | None = None,
        version: str = "",
    ) -> None:
        super().__init__(
            target if isinstance(target, str) else type(target).__qualname__, labels=labels, outputs=outputs, multi_label=multi_label,
            input=input, encode=encode, vocabulary=vocabulary, channels=channels, size=size, version=version,
        )  # fmt: skip
        self._made: Any = resolve(target) if isinstance(target, str) else target

    def build(self) -> nn.Module:
        from torch import nn

        module: nn.Module = self._made if isinstance(self._made, nn.Module) else self._made()
        return module

    def parts(self, module: nn.Module, /) -> list[Any]:
        return [self._made, module]
