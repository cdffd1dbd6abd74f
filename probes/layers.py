"""A layer of the model by its name, and its output in a pass: read, detached, or replaced.

Shape legend: N rows of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..harness.api.errors import ConfigError, did_you_mean
from ..harness.api.model import EMBEDDINGS

if TYPE_CHECKING:
    import torch

    from .gradients import Rows


class Layer:
    """The layer ``name`` of a module. Raises `ConfigError` with similar names if it does not exist."""

    def __init__(self, module: torch.nn.Module, name: str, method: str, hint: str = "") -> None:
        layers = {key: layer for key, layer in module.named_modules() if key}
        if name not in layers:
            raise ConfigError(f"{method}: the model has no layer {name!r}.{did_you_mean(name, layers)}{hint and f' {hint}'}")
        self._layer, self._name, self._method = layers[name], name, method

    @contextmanager
    def giving(self, change: Callable[[torch.Tensor], torch.Tensor], /) -> Iterator[list[torch.Tensor]]:
        """Replace the layer's first output tensor by ``change`` of it during a pass; the list receives the
        new tensor."""
        import torch

        seen: list[torch.Tensor] = []

        def hook(module: Any, args: Any, output: Any) -> Any:
            given = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(given, torch.Tensor) or not given.is_floating_point() or seen:
                raise self.refusal("does not give one tensor of numbers once in a pass")
            seen.append(change(given))
            # A copy, for what follows may write into it.
            return (seen[0].clone(), *output[1:]) if isinstance(output, tuple) else seen[0].clone()

        handle = self._layer.register_forward_hook(hook)
        try:
            yield seen
        finally:
            handle.remove()
        if not seen:
            raise self.refusal("takes no part in the model's pass")

    def gradients(self, explained: torch.Tensor, given: torch.Tensor, /, *, keep: bool = False) -> torch.Tensor:
        """Of each row's explained logit [N] with respect to what the layer gave. ``keep``: further gradients follow."""
        import torch

        could = explained.requires_grad and given.requires_grad
        (found,) = torch.autograd.grad(explained.sum(), given, retain_graph=keep, allow_unused=True) if could else (None,)
        if found is None:
            raise self.refusal("gives what the logit does not depend on, or stands where the input's features come in")
        return found

    def refusal(self, why: str, /) -> ConfigError:
        return ConfigError(f"{self._method}: the layer {self._name!r} {why}; name another layer")

    def of(self, rows: Rows, features: torch.Tensor, /) -> torch.Tensor:
        """What the layer gives for each row's sample, whose features [B, ...] are given in the place of `Encoded.features`."""
        import torch

        with torch.no_grad(), self.giving(as_it_is) as seen:
            rows.net.logits(features, rows.encoded)
        return self.placed(seen[0], rows)[rows.places]

    def placed(self, given: torch.Tensor, rows: Rows, /) -> torch.Tensor:
        """The same tensor, checked to have values for each position: maps or tokens of images, tokens of texts."""
        is_text = rows.encoded.domain == EMBEDDINGS
        if given.ndim not in ((3,) if is_text else (3, 4)) or (is_text and given.shape[1] != rows.features.shape[1]):
            what = "token: [N, L, D]" if is_text else "place: maps [N, C, H, W] or tokens [N, L, D]"
            raise self.refusal(f"gives {list(given.shape)}, which is not values for each {what}")
        return given


def cut_off(given: torch.Tensor, /) -> torch.Tensor:
    """Return the tensor as a leaf: gradients end here."""
    return given.detach().requires_grad_()


def as_it_is(given: torch.Tensor, /) -> torch.Tensor:
    return given
