"""``jax``: a classifier that is a JAX function or a flax module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.errors import ConfigError, ModelError
from ...api.import_target import resolve
from ..common.encoding import Encode
from ..common.extras import require_extra
from ..common.vocabulary import Words
from ..torch.module_source import ModuleSource

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .bridged_module import Weights


class JaxFunction(ModuleSource):
    """A JAX classifier: a function that maps pixels in [0, 1], or encoded texts, to class scores [B, K]. It has gradients.

    target: ``module:function`` or ``file.py:function`` of a function without arguments. It returns ``(apply, parameters)`` with
        ``apply(parameters, *inputs)``, where ``apply`` may be a flax linen module; or a flax nnx module; or a function of the inputs alone.
    params: a safetensors file with the parameters; the dots of their names separate the keys of nested dicts.
    channels_last: pixels are [B, H, W, C], as flax takes them; false: [B, C, H, W].
    embedding: name of the parameter with the token embeddings [V, D]. The function then gets embeddings [B, L, D] in place of token ids, so
        that texts have gradients.
    labels, outputs, multi_label, input, encode, vocabulary, channels, size, version: as for ``torch``.
    """

    libraries = ("jax", "flax")
    has_own_dtype = True

    def __init__(
        self,
        target: str,
        *,
        params: str | None = None,
        channels_last: bool = True,
        embedding: str | None = None,
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
        require_extra("jax", f"jax:{target}", "jax")
        if embedding is not None and input != "text":
            raise ConfigError("embedding is for texts; set input to text, or remove embedding")
        super().__init__(
            target, labels=labels, outputs=outputs, multi_label=multi_label, input=input, encode=encode, vocabulary=vocabulary,
            channels=channels, size=size, version=version,
        )  # fmt: skip
        self._make = resolve(target)
        self._params, self._channels_last, self._embedding = params, channels_last, embedding

    @property
    def has_gradients(self) -> bool:
        return self.input == "image" or (self._embedding is not None and self.gives_spans)

    @property
    def instead(self) -> str:
        if self.input == "text" and self._embedding is None:
            return "name the parameter with the token embeddings with the model setting 'embedding'"
        return super().instead

    def settings(self) -> tuple[object, ...]:
        return (*super().settings(), self._channels_last, self._embedding)

    def build(self) -> nn.Module:
        from .bridged_module import BridgedModule, ChannelsLast, EmbeddingFirst
        from .jax_program import make_jax_program, read_parameters

        given = read_parameters(Path(self._params)) if self._params is not None else None
        module = BridgedModule(make_jax_program(self._make(), given, self.target))
        if self._embedding is not None:
            return EmbeddingFirst(module, self._find_table(module.read_weights(), self._embedding))
        return ChannelsLast(module) if self.input == "image" and self._channels_last else module

    def _find_table(self, weights: Weights, path: str) -> torch.Tensor:
        """Return the token embeddings [V, D]. Raises `ModelError` if no parameter of that path holds them."""
        import torch

        if path not in weights or weights[path].ndim != 2:
            known = ", ".join(sorted(name for name, each in weights.items() if each.ndim == 2))
            raise ModelError(
                f"embedding: no parameter {path!r} of {self.target!r} holds token embeddings [V, D]; of two axes: {known or 'none'}"
            )
        return torch.tensor(weights[path])

    def parts(self, module: nn.Module, /) -> list[Any]:
        return [self._make, module]
