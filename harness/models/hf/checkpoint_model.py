"""Base classes of the adapters for transformers: load a module onto a device, and turn texts into rows of tokens."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...api.model import Model, Unit
from ..checkpoint.tokens import choose_padding_id
from ..torch.devices import pick_device, pick_dtype
from ..torch.flops import count_flops_per_token
from ..torch.padding import mask_right, pad_right
from ..torch.randomised import randomise
from ..torch.rotary_positions import TurningPositions
from ..torch.signature import accepts
from .source import HuggingFace

if TYPE_CHECKING:
    import torch


class HFModel(Model):
    """Base of the adapters. A subclass sets ``fingerprint`` at the end of its constructor.

    module, config: transformers' own, whose types differ between its releases.
    is_quantised: whether weights are quantised, so that they cannot be drawn at random.
    """

    optional_weights: ClassVar[tuple[str, ...]] = ()
    """Prefixes of weights that nothing reads, and that the checkpoint may lack."""
    device: torch.device
    dtype: torch.dtype
    module: Any
    config: Any
    is_quantised: bool

    def __init__(self, source: HuggingFace, device: str, dtype: str, auto: Any) -> None:
        """Load the checkpoint. auto: class of transformers that builds the module."""
        self.name = source.name
        self.device = pick_device(device)
        self.config = source.config()
        chosen = pick_dtype(source.dtype or dtype, self.device, self.config.dtype)
        self.module, self.notes = source.load_weights(auto, self.device, chosen, self.optional_weights)
        self.dtype = self.module.dtype
        self.is_quantised = source.method is not None

    def randomised(self, seed: int, share: float = 1.0, /) -> Self | None:
        """Return the model with random weights in a share of its layers, from the last; None if they are quantised."""
        return None if self.is_quantised else randomise(self, seed, share)


class HFTextModel(HFModel):
    """Base of the adapters that read text. A subclass makes units that have ``ids``.

    tokenizer: transformers' tokenizer.
    max_length: maximum length of a text, in tokens.
    pad: token for padding; any token will do if padding is masked.
    needs_offsets: whether it needs the place of each token in its text, which only fast tokenizers tell.
    takes_mask: whether the module takes an attention mask.
    takes_padding: whether texts of different lengths may share a batch.
    turning: rotary embeddings that depend on the length of a pass.
    """

    needs_offsets: ClassVar[bool] = True
    tokenizer: Any

    def __init__(self, source: HuggingFace, device: str, dtype: str, auto: Any) -> None:
        super().__init__(source, device, dtype, auto)
        self.tokenizer, notes = source.load_tokenizer(needs_offsets=self.needs_offsets)
        self.notes += notes
        self.max_length = source.longest(self.module, self.config, self.tokenizer.model_max_length)
        self.pad = choose_padding_id(self.tokenizer, self.module)
        self.takes_mask = self.takes_padding = accepts(self.module, "attention_mask")
        self.turning = TurningPositions(self.module)
        self.flops_per_token = count_flops_per_token(self.module)

    def length(self, unit: Unit, /) -> int:
        return len(unit.ids)

    def batch_key(self, unit: Unit, /) -> Hashable:
        """Group texts by length if the model is affected by padding."""
        return self.turning.alike(len(unit.ids)) if self.takes_padding else len(unit.ids)

    def arguments(self, rows: Sequence[Sequence[int]], /) -> dict[str, torch.Tensor]:
        """Return the module's arguments for a batch: ids [B, L], padded on the right, and the mask if it takes one."""
        ids_BL = pad_right(rows, self.pad, self.device)
        return {"input_ids": ids_BL, "attention_mask": mask_right(rows, self.device)} if self.takes_mask else {"input_ids": ids_BL}
