"""``keras``: image classifiers in Keras files and TensorFlow SavedModels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...api.errors import ConfigError, ModelError
from ..common.extras import require_extra
from ..torch.source import TorchModule

if TYPE_CHECKING:
    pass

BACKENDS = ("torch", "tensorflow", "jax")


class KerasFile(TorchModule):
    """A Keras image classifier from a file (.keras, .h5), loaded in safe mode: layers with Python code are refused. It has gradients.

    target: the file; or the folder of a TensorFlow SavedModel, whose function ``serving_default`` maps pixels to class scores.
    backend: ``torch``, ``tensorflow`` or ``jax``. Keras has one backend in a process. A SavedModel needs ``tensorflow``.
    trust_graph: load a SavedModel, whose graph may read and write files.
    channels_last: pixels are [B, H, W, C]; false: [B, C, H, W].
    scale: number by which pixels in [0, 1] are multiplied; 255 for models that rescale them themselves.
    labels, outputs, multi_label, channels, size, version: as for ``torch``.
    """

    libraries = ("keras", *BACKENDS)

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
        channels: int = 3,
        size: list[int] | None = None,
        version: str = "",
    ) -> None:
        if backend not in BACKENDS:
            raise ConfigError(f"backend must be {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}, not {backend!r}")
        self.path = Path(target)
        if not self.path.exists():
            raise ModelError(
                f"there is no Keras file or SavedModel at {target}; give a .keras or .h5 file, or a folder with saved_model.pb"
            )
        self.is_graph = self.path.is_dir()
        if self.is_graph and not (backend == "tensorflow" and trust_graph):
            raise ModelError(
                f"{target} is a folder: a TensorFlow SavedModel is loaded with 'backend: tensorflow' and 'trust_graph: true', because its "
                "graph may read and write files. A .keras file needs neither"
            )
        for package in ("keras", backend) if not self.is_graph else ("tensorflow",):
            require_extra(package, f"keras:{target}", package)
        super().__init__(
            target, make=self.build, labels=labels, outputs=outputs, multi_label=multi_label, channels=channels, size=size, version=version,
        )  # fmt: skip
        self.backend, self.channels_last, self.scale = backend, channels_last, scale
