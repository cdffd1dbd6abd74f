"""``keras``: classifiers in Keras files and TensorFlow SavedModels."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.errors import ConfigError, ModelError, suggest_name
from ...identity.digests import digest_file
from ..common.encoding import Encode
from ..common.extras import require_extra
from ..common.vocabulary import Words
from ..torch.module_source import ModuleSource
from .keras_config import list_embeddings

if TYPE_CHECKING:
    from torch import nn

BACKENDS = ("torch", "tensorflow", "jax")


class KerasFile(ModuleSource):
    """A Keras classifier from a file (.keras, .h5), loaded in safe mode: layers with Python code are refused. It has gradients.

    target: the file; or the folder of a TensorFlow SavedModel, whose function ``serving_default`` returns class scores.
    backend: ``torch``, ``tensorflow`` or ``jax``. Keras has one backend in a process. A SavedModel needs ``tensorflow``.
    trust_graph: load a SavedModel, whose graph may read and write files.
    channels_last: pixels are [B, H, W, C]; false: [B, C, H, W].
    scale: number by which pixels in [0, 1] are multiplied; 255 for models that rescale them themselves.
    embedding: name of the layer Embedding that embeds the tokens, if the file has several, so that texts have gradients.
    labels, outputs, multi_label, input, encode, vocabulary, channels, size, version: as for ``torch``.
    """

    has_own_dtype = True

    def __init__(
        self,
        target: str,
        *,
        backend: str = "torch",
        trust_graph: bool = False,
        channels_last: bool = True,
        scale: float = 1.0,
        labels: list[str] | None = None,
        outputs: str = "auto",
        multi_label: bool = False,
        input: str = "image",
        encode: str | Encode | None = None,
        embedding: str | None = None,
        vocabulary: Words | None = None,
        channels: int = 3,
        size: list[int] | None = None,
        version: str = "",
    ) -> None:
        if backend not in BACKENDS:
            raise ConfigError(f"backend must be {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}, not {backend!r}")
        self._path = Path(target)
        if not self._path.exists():
            raise ModelError(f"there is no Keras model at {target}; give a file .keras or .h5, or a folder with saved_model.pb")
        self._is_graph = self._path.is_dir()
        if self._is_graph and not (backend == "tensorflow" and trust_graph):
            raise ModelError(
                f"{target} is a folder: a TensorFlow SavedModel is loaded with 'backend: tensorflow' and 'trust_graph: true', because its "
                "graph may read and write files. A .keras file needs neither"
            )
        self.libraries = (backend,) if self._is_graph else ("keras", backend)
        for package in self.libraries:
            require_extra(package, f"keras:{target}", package)
        super().__init__(
            target, labels=labels, outputs=outputs, multi_label=multi_label, input=input, encode=encode, vocabulary=vocabulary,
            channels=channels, size=size, version=version,
        )  # fmt: skip
        self._backend, self._channels_last, self._scale = backend, channels_last, scale
        if embedding is not None and input != "text":
            raise ConfigError("embedding is for texts; set input to text, or remove embedding")
        if embedding is not None and embedding not in self._embeddings:
            raise ConfigError(
                f"embedding: {target} has no layer Embedding of the name {embedding!r}.{suggest_name(embedding, self._embeddings)} "
                f"Its own: {', '.join(self._embeddings) or 'none'}"
            )
        self._given_embedding = embedding

    @cached_property
    def _embeddings(self) -> list[str]:
        """The names of the layers that embed tokens."""
        return [] if self._is_graph else list_embeddings(self._path)

    @property
    def _embedding(self) -> str | None:
        """The layer by whose output texts have gradients; None if they have none."""
        if self.input != "text":
            return None
        return self._given_embedding or (self._embeddings[0] if len(self._embeddings) == 1 else None)

    @property
    def has_gradients(self) -> bool:
        return self.input == "image" or (self._embedding is not None and self.gives_spans)

    @property
    def instead(self) -> str:
        if self.input == "text" and not self._embeddings:
            kind = "a SavedModel" if self._is_graph else "a file without a layer Embedding"
            return f"{kind} gives none for texts; use attacks that only ask for answers and probes that remove parts"
        if self.input == "text" and self._embedding is None:
            return f"name the layer that embeds the tokens with the model setting 'embedding': {' or '.join(self._embeddings)}"
        return super().instead

    def settings(self) -> tuple[object, ...]:
        return (*super().settings(), self._backend, self._channels_last, self._scale, self._embedding)

    def build(self) -> nn.Module:
        from .bridged_module import ChannelsLast
        from .keras_program import load_saved_model

        module = load_saved_model(self._path) if self._is_graph else self._load_file()
        return ChannelsLast(module, self._scale) if self.input == "image" and self._channels_last else module

    def _load_file(self) -> nn.Module:
        from .keras_program import load_keras

        return load_keras(self._path, self._backend, self._embedding if self.has_gradients else None)

    def parts(self, module: nn.Module, /) -> list[Any]:
        files = sorted(self._path.rglob("*")) if self._is_graph else [self._path]
        return [[(str(file.relative_to(self._path)), digest_file(file)) for file in files if file.is_file()]]
