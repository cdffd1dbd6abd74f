"""Call a Keras model, also with given token embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...api.errors import ModelError
from ..common.encoding import split_arguments

EMBEDDED = "token embeddings"
"""The name of the input that replaces the output of the embedding layer."""


class KerasCall:
    """Calls a Keras model on any backend.

    model: the model. embedding: name of the layer that embeds tokens; None: its output is never given. target: the model, for errors.
    """

    def __init__(self, model: Any, embedding: str | None, target: str) -> None:
        self.model, self._embedding, self._target = model, embedding, target

    def __call__(self, inputs: Mapping[str, Any], forward: Callable[..., Any] | None = None) -> Any:
        """Return the scores of tensors. forward: calls the model in place of itself."""
        others = {name: each for name, each in inputs.items() if name != EMBEDDED}
        places, named = split_arguments(others)
        given = named or (places[0] if len(places) == 1 else places)
        with self._embed_with(inputs.get(EMBEDDED)):
            return (forward or self.model)(given, training=False)

    def read_embeddings(self) -> Any:
        """Return the embeddings [V, D] as an array. Raises `ModelError` if the model has no such layer."""
        import keras

        return keras.ops.convert_to_numpy(self._find_layer().embeddings)

    @contextmanager
    def _embed_with(self, vectors: Any) -> Iterator[None]:
        """Let the embedding layer return these vectors; None: its own. Its mask is still computed from the tokens."""
        if vectors is None:
            yield
            return
        layer = self._find_layer()
        own = layer.call

        def call(inputs: Any, reverse: bool = False) -> Any:
            import keras

            return own(inputs, reverse=True) if reverse else keras.ops.cast(vectors, layer.compute_dtype)

        layer.call = call
        try:
            yield
        finally:
            layer.call = own

    def _find_layer(self) -> Any:
        import keras

        layers = [layer for layer in self.model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
        found = [layer for layer in layers if layer.name == self._embedding]
        if len(found) != 1:
            raise ModelError(
                f"embedding: {self._target} has {len(found)} layers Embedding of the name {self._embedding!r}; its own are "
                f"{', '.join(layer.name for layer in layers) or 'none'}"
            )
        return found[0]
