"""Folders of timm: its own evaluation transforms, with the normalisation as a separate step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import Normalize

from ...api.errors import ModelError


class TimmProcessor:
    """timm's evaluation transforms in the interface of transformers' image processors, without normalising.

    processor: transformers' wrapper of the transforms.
    """

    do_normalize = True

    def __init__(self, processor: Any, target: str) -> None:
        steps = processor.val_transforms.transforms
        last = [step for step in steps if isinstance(step, Normalize)]
        if len(last) != 1:
            found = f"{len(last)} normalisations, not one"
            raise ModelError(f"the transforms of {target!r} have {found}; wrap the model with torch:FILE.py:function")
        self.image_mean, self.image_std = (torch.as_tensor(value).tolist() for value in (last[0].mean, last[0].std))
        self._steps = [step for step in steps if step is not last[0]]

    def __call__(self, images: Sequence[np.ndarray], **options: Any) -> Mapping[str, list[torch.Tensor]]:
        return {"pixel_values": [self._prepare(image) for image in images]}

    def _prepare(self, pixels_HWC: np.ndarray) -> torch.Tensor:
        value: Any = Image.fromarray(pixels_HWC if pixels_HWC.shape[2] > 1 else pixels_HWC[:, :, 0])
        for step in self._steps:
            value = step(value)
        return torch.as_tensor(value)
