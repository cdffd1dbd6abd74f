"""``jax``: an image classifier that is a JAX function or a flax module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...api.import_target import resolve
from ..common.extras import require_extra
from ..torch.source import TorchModule

if TYPE_CHECKING:
    from torch import nn


class JaxFunction(TorchModule):
    """A JAX image classifier: a function that maps pixels in [0, 1] to class scores [B, K]. It has gradients.

    target: ``module:function`` or ``file.py:function`` of a function without arguments. It returns ``(apply, parameters)`` with
        ``apply(parameters, pixels)``, where ``apply`` may be a flax linen module; or a flax nnx module; or a function of the pixels alone.
    params: a safetensors file with the parameters; the dots of their names separate the keys of nested dicts.
    channels_last: pixels are [B, H, W, C], as flax takes them; false: [B, C, H, W].
    labels, outputs, multi_label, channels, size, version: as for ``torch``.
    """

    libraries = ("jax", "flax")

    def __init__(
        self,
        target: str,
        *,
        params: str | None = None,
        channels_last: bool = True,
        labels: list[str] | None = None,
        outputs: str = "auto",
        multi_label: bool = False,
        channels: int = 3,
        size: list[int] | None = None,
        version: str = "",
    ) -> None:
        require_extra("jax", f"jax:{target}", "jax")
        super().__init__(target, labels=labels, outputs=outputs, multi_label=multi_label, channels=channels, size=size, version=version)
        self.params, self.channels_last = params, channels_last

    def build(self) -> nn.Module:
        from .bridged_module import BridgedModule, put_channels_last
        from .jax_program import make_jax_program, read_parameters

        given = read_parameters(Path(self.params)) if self.params is not None else None
        module = BridgedModule(make_jax_program(resolve(self.target)(), given, self.target))
        return put_channels_last(module) if self.channels_last else module
