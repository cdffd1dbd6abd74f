"""Loads planned models, and measures what their engines need to know."""

from __future__ import annotations

from dataclasses import replace

from ..api.bases import with_defaults
from ..api.errors import ModelError, WindtunnelError
from ..api.model import Model
from ..engine.packing import Budget
from ..engine.saved_budgets import load_saved_budget
from ..items.base.planned_item import PlannedModel
from ..plan.types import Plan
from ..suite.specs import Suite
from ..system.interrupts import is_interrupt
from .progress import Progress


def load_model(plan: Plan, model: PlannedModel, shown: Progress) -> Model:
    """Load a planned model. Raises `ModelError` if its plugin raises."""
    shown.loading(model.name)
    try:
        return with_defaults(model.source.load(plan.suite.device, plan.suite.dtype), Model)
    except WindtunnelError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ModelError(f"model {model.name!r} cannot be loaded: {type(error).__name__}: {error}") from error


def choose_budget(suite: Suite, model: Model) -> Budget:
    """Return a model's budget: the suite's ``batch:``, then the tuned budget of this machine, then the device's default."""
    settings = {name: value for name, value in suite.batch.model_dump().items() if value is not None}
    return replace(load_saved_budget(model) or Budget.of(str(model.device)), **settings)


def measure_matmul(model: Model, /) -> float:
    """Measure the matrix-product speed of the model's device, in FLOP/s; 0 if the model does not count its operations."""
    if not model.flops_per_token or model.device is None or model.dtype is None:
        return 0.0
    from ..models.torch.flops import measure_flops_per_s

    return measure_flops_per_s(model.device, model.dtype)
