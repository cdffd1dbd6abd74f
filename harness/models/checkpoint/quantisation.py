"""Quantised weights: the packages that they need, and quantising weights while they load."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from ...api.errors import ConfigError, ModelError
from ..common.extras import is_installed

Method = Literal["bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-8bit", "torchao-4bit"]
"""Methods that need no calibration, by name."""

_NAMED: dict[str, dict[str, Any]] = {
    "bitsandbytes-8bit": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "bitsandbytes-4bit": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "torchao-8bit": {"quant_method": "torchao", "bits": 8},
    "torchao-4bit": {"quant_method": "torchao", "bits": 4},
}
_MODULES = {
    "bitsandbytes": "bitsandbytes", "gptq": "optimum", "awq": "gptqmodel", "aqlm": "aqlm", "quanto": "optimum.quanto",
    "eetq": "eetq", "hqq": "hqq", "compressed-tensors": "compressed_tensors", "torchao": "torchao", "vptq": "vptq",
    "spqr": "spqr_quant", "auto-round": "auto_round", "quark": "quark", "fbgemm_fp8": "fbgemm_gpu", "mxfp4": "kernels",
}  # fmt: skip
"""Module that each quantisation method of transformers needs."""
_DISTRIBUTIONS = {"optimum.quanto": "optimum-quanto", "quark": "amd-quark"}
"""What pip installs, where it is not the name of the module with hyphens."""
_GROUP = 32
"""Weights that share a scale, in torchao's 4 bits."""


def read_method(setting: Method | Mapping[str, Any] | None, /) -> Mapping[str, Any] | None:
    """Return the settings of a method: its own, or those of a name. Raises `ConfigError` for unknown names."""
    if not isinstance(setting, str):
        return setting
    if setting not in _NAMED:
        raise ConfigError(f"quantization must be one of {', '.join(_NAMED)}, or settings as in config.json, not {setting!r}")
    return _NAMED[setting]


def check_quantisation(given: Mapping[str, Any] | None, target: str, /) -> tuple[str, ...]:
    """Return a note about quantised weights. Raises `ModelError` if a package that they need is not installed.

    given: ``quantization_config`` of config.json, or the settings of `read_method`.
    """
    if not given:
        return ()
    kind = name_method(given)
    module = _MODULES.get(kind)
    # Release 4 of transformers reads AWQ with its own package.
    if module is not None and not is_installed(module) and not (kind == "awq" and is_installed("awq")):
        package = _DISTRIBUTIONS.get(module, module.replace("_", "-"))
        raise ModelError(
            f"the weights of {target!r} are quantised by {kind}, which needs another package (and usually a GPU): pip "
            f"install {package}, or give the original checkpoint"
        )
    if not is_installed("accelerate"):
        raise ModelError(f"the weights of {target!r} are quantised by {kind}, which needs accelerate: pip install accelerate")
    bits = _count_bits(given)
    return (f"its weights are quantised ({kind}{f', {bits} bits' if bits else ''}), so its answers differ from the original's",)


def name_method(given: Mapping[str, Any], /) -> str:
    """Return the name of a method, such as ``gptq``."""
    is_unnamed = given.get("load_in_4bit") or given.get("load_in_8bit")
    return str(given.get("quant_method") or ("bitsandbytes" if is_unnamed else "unnamed"))


def _count_bits(given: Mapping[str, Any]) -> int | None:
    if given.get("load_in_4bit") or given.get("load_in_8bit"):
        return 4 if given.get("load_in_4bit") else 8
    bits = given.get("bits")
    return bits if isinstance(bits, int) else None


def build_quantisation(given: Mapping[str, Any], target: str, /) -> Any:
    """Build transformers' configuration for quantising weights while they load. Raises `ModelError`."""
    from transformers.quantizers.auto import AutoQuantizationConfig

    try:
        if name_method(given) == "torchao" and "bits" in given:
            from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig
            from torchao.quantization.granularity import PerGroup
            from transformers import TorchAoConfig

            if given["bits"] == 8:
                return TorchAoConfig(Int8WeightOnlyConfig())
            from torch import int4  # type: ignore[attr-defined]  # torch does not list it

            return TorchAoConfig(IntxWeightOnlyConfig(weight_dtype=int4, granularity=PerGroup(_GROUP)))
        return AutoQuantizationConfig.from_dict(dict(given))
    except Exception as error:  # the libraries may raise anything for wrong settings
        raise ModelError(f"{target!r} cannot be quantised by {name_method(given)}: {error}") from error


def check_groups(given: Mapping[str, Any], blank: Any, target: str, /) -> None:
    """Raise `ModelError` if weights cannot be cut into torchao's groups. blank: the module without weights."""
    from torch.nn import Linear

    if given != _NAMED["torchao-4bit"]:
        return
    odd = [name for name, layer in blank.named_modules() if isinstance(layer, Linear) and layer.in_features % _GROUP]
    if odd:
        raise ModelError(
            f"{target!r} cannot be quantised by torchao-4bit: {odd[0]} has a number of inputs that is no multiple of {_GROUP}; use "
            "another quantization, such as bitsandbytes-4bit"
        )


def silence_casts() -> None:
    """Silence a line that bitsandbytes logs for each layer of each pass: that it casts inputs to float16."""
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
