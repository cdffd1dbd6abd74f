"""Find the token ids among a module's inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch


def find_token_ids(inputs: Mapping[str, torch.Tensor], /) -> str | None:
    """Return the name of the input with token ids: ``input_ids``, or else the first one of integers; None if there is none."""
    if "input_ids" in inputs:
        return "input_ids"
    return next((name for name, tensor in inputs.items() if not tensor.is_floating_point()), None)
