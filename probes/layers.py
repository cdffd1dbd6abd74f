"""Read, detach or replace the output of a model's layer, chosen by its name.

Shape legend: N rows of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..harness.api.errors import ConfigError, suggest_name
from ..harness.api.model import EMBEDDINGS

if TYPE_CHECKING:
    import torch

    from .gradients import Rows


class Layer:
    """A layer of a module.

    module: the model.
    name: name of the layer in ``module.named_modules()``.
    method: name of the probe, for error messages.
    hint: sentence appended to the error message if the layer does not exist.
    Raises `ConfigError` with similar names if the layer does not exist.
    """

    def __init__(self, module: torch.nn.Module, name: str, method: str, hint: str = "") -> None:
        layers = {key: layer for key, layer in module.named_modules() if key}
        if name not in layers:
            raise ConfigError(f"{method}: the model has no layer {name!r}.{suggest_name(name, layers)}{hint and f' {hint}'}")
        self._layer, self._name, self._method = layers[name], name, method

    @contextmanager
    def giving(self, change: Callable[[torch.Tensor], torch.Tensor], /) -> Iterator[list[torch.Tensor]]:
        """Replace the layer's first output tensor during a pass.

        change: maps the output tensor to its replacement.
        Yields a list that receives the replacement.
        Raises `ConfigError` unless the layer runs exactly once and returns a tensor of floats.
        """
        import torch

        seen: list[torch.Tensor] = []

        def hook(module: Any, args: Any, output: Any) -> Any:
            given = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(given, torch.Tensor) or not given.is_floating_point() or seen:
                raise self.refusal("does not give one tensor of numbers once in a pass")
            seen.append(change(given))
            # A copy, because later layers may modify it in place.
            return (seen[0].clone(), *output[1:]) if isinstance(output, tuple) else seen[0].clone()

        handle = self._layer.register_forward_hook(hook)
        try:
            yield seen
        finally:
            handle.remove()
        if not seen:
            raise self.refusal("takes no part in the model's pass")

    def gradients(self, explained: torch.Tensor, given: torch.Tensor, /, *, keep: bool = False) -> torch.Tensor:
        """Return the gradient of the explained logits with respect to the layer's output, in the shape of the output.

        explained: explained logit of each row [N].
        given: the layer's output.
        keep: whether to keep the graph for further gradients.
        Raises `ConfigError` if the logits do not depend on the output.
        """
        import torch

        could = explained.requires_grad and given.requires_grad
        (found,) = torch.autograd.grad(explained.sum(), given, retain_graph=keep, allow_unused=True) if could else (None,)
        if found is None:
            raise self.refusal("gives what the logit does not depend on, or stands where the input's features come in")
        return found

    def refusal(self, why: str, /) -> ConfigError:
        """Return an error about the layer with a reason."""
        return ConfigError(f"{self._method}: the layer {self._name!r} {why}; name another layer")

    def of(self, rows: Rows, features: torch.Tensor, /) -> torch.Tensor:
        """Return the layer's output for each row [N, ...], without gradients.

        rows: rows of a pass.
        features: features of the B samples of the pass [B, ...], in place of `Encoded.features`.
        Raises `ConfigError` if the output has no positions.
        """
        import torch

        with torch.no_grad(), self.giving(as_it_is) as seen:
            rows.net.logits(features, rows.encoded)
        return self.placed(seen[0], rows)[rows.places]

    def placed(self, given: torch.Tensor, rows: Rows, /) -> torch.Tensor:
        """Return the layer's output unchanged if it has values per position.

        Outputs of texts are tokens [N, L, D]; outputs of images are maps [N, C, H, W] or tokens.
        Raises `ConfigError` for any other shape.
        """
        is_text = rows.encoded.domain == EMBEDDINGS
        if given.ndim not in ((3,) if is_text else (3, 4)) or (is_text and given.shape[1] != rows.features.shape[1]):
            what = "token: [N, L, D]" if is_text else "place: maps [N, C, H, W] or tokens [N, L, D]"
            raise self.refusal(f"gives {list(given.shape)}, which is not values for each {what}")
        return given


def cut_off(given: torch.Tensor, /) -> torch.Tensor:
    """Return the tensor detached, as a leaf of a new graph."""
    return given.detach().requires_grad_()


def as_it_is(given: torch.Tensor, /) -> torch.Tensor:
    """Return the tensor unchanged."""
    return given
