"""``keras``: classifiers in Keras files and TensorFlow SavedModels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.errors import ConfigError, ModelError
from ...identity.digests import digest_file
from ..common.encoding import Encode
from ..common.extras import require_extra
from ..torch.module_source import ModuleSource

if TYPE_CHECKING:
    from torch import nn

BACKENDS = ("torch", "tensorflow", "jax")


class KerasFile(ModuleSource):
    """A Keras classifier from a file (.keras, .h5), loaded in safe mode: layers with Python code are refused. Images have gradients.

    target: the file; or the folder of a TensorFlow SavedModel, whose function ``serving_default`` returns class scores.
    backend: ``torch``, ``tensorflow`` or ``jax``. Keras has one backend in a process. A SavedModel needs ``tensorflow``.
    trust_graph: load a SavedModel, whose graph may read and write files.
    channels_last: pixels are [B, H, W, C]; false: [B, C, H, W].
    scale: number by which pixels in [0, 1] are multiplied; 255 for models that rescale them themselves.
    labels, outputs, multi_label, input, encode, channels, size, version: as for ``torch``; ``encode`` returns a tuple.
    """

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
            target, labels=labels, outputs=outputs, multi_label=multi_label, input=input, encode=encode, channels=channels, size=size,
            version=version,
        )  # fmt: skip
        self._backend, self._channels_last, self._scale = backend, channels_last, scale

    @property
    def has_gradients(self) -> bool:
        return self.input == "image"

    @property
    def instead(self) -> str:
        return "attacks that only ask for answers and probes that remove parts need none"

    def settings(self) -> tuple[object, ...]:
        return (*super().settings(), self._backend, self._channels_last, self._scale)

    def build(self) -> nn.Module:
        from .bridged_module import ChannelsLast
        from .keras_program import load_keras, load_saved_model

        module = load_saved_model(self._path) if self._is_graph else load_keras(self._path, self._backend)
        return ChannelsLast(module, self._scale) if self.input == "image" and self._channels_last else module

    def parts(self, module: nn.Module, /) -> list[Any]:
        files = sorted(self._path.rglob("*")) if self._is_graph else [self._path]
        return [[(str(file.relative_to(self._path)), digest_file(file)) for file in files if file.is_file()]]
