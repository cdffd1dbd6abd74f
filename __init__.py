"""Windtunnel: benchmark tasks, adversarial attacks and attribution probes over any model, joined into one scorecard.

Here stands all that the author of a plugin needs, `evaluate` for a run from Python, and `load` for one that is there:
``import windtunnel as wt``. A name is imported when it is first used, so that importing the package itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .harness.api.attack import Attack as Attack
    from .harness.api.errors import CapabilityError as CapabilityError
    from .harness.api.errors import ConfigError as ConfigError
    from .harness.api.errors import DataError as DataError
    from .harness.api.errors import ModelError as ModelError
    from .harness.api.errors import SampleError as SampleError
    from .harness.api.item_key import ItemKey as ItemKey
    from .harness.api.lexicon import Lexicon as Lexicon
    from .harness.api.model import Differentiable as Differentiable
    from .harness.api.model import Encoded as Encoded
    from .harness.api.model import Model as Model
    from .harness.api.model import ModelInfo as ModelInfo
    from .harness.api.model_port import ModelPort as ModelPort
    from .harness.api.model_source import ModelSource as ModelSource
    from .harness.api.probe import Probe as Probe
    from .harness.api.registry import plugin as plugin
    from .harness.api.report import Report as Report
    from .harness.api.report import RunFrames as RunFrames
    from .harness.api.report import make_file_name as make_file_name
    from .harness.api.requests import Answer as Answer
    from .harness.api.requests import Classify as Classify
    from .harness.api.requests import Embed as Embed
    from .harness.api.requests import FillMask as FillMask
    from .harness.api.requests import Generate as Generate
    from .harness.api.requests import LogLikelihood as LogLikelihood
    from .harness.api.requests import PseudoLogLikelihood as PseudoLogLikelihood
    from .harness.api.requests import Request as Request
    from .harness.api.requests import RollingLogLikelihood as RollingLogLikelihood
    from .harness.api.requests import Tag as Tag
    from .harness.api.responses import Completion as Completion
    from .harness.api.responses import Embedding as Embedding
    from .harness.api.responses import Failure as Failure
    from .harness.api.responses import Fillings as Fillings
    from .harness.api.responses import Logits as Logits
    from .harness.api.responses import LogProb as LogProb
    from .harness.api.responses import Response as Response
    from .harness.api.responses import Span as Span
    from .harness.api.responses import Tags as Tags
    from .harness.api.samples import Attribution as Attribution
    from .harness.api.samples import Record as Record
    from .harness.api.samples import Sample as Sample
    from .harness.api.samples import SampleRng as SampleRng
    from .harness.api.scorecard import Estimate as Estimate
    from .harness.api.scorecard import Heat as Heat
    from .harness.api.scorecard import Row as Row
    from .harness.api.scorecard import Scorecard as Scorecard
    from .harness.api.scorecard import Twin as Twin
    from .harness.api.task import Task as Task
    from .harness.api.threat import Threat as Threat
    from .harness.items.base.item_run import ItemRun as ItemRun
    from .harness.items.base.kind import ItemKind as ItemKind
    from .harness.items.base.kind import Planned as Planned
    from .harness.items.base.planned_item import PlannedItem as PlannedItem
    from .harness.items.base.results import RunResults as RunResults
    from .harness.metrics.base import Metric as Metric
    from .harness.metrics.evaluate_module import EvaluateModule as EvaluateModule
    from .harness.metrics.scores import ColumnMean as ColumnMean
    from .harness.modalities.audio import Audio as Audio
    from .harness.modalities.base import Modality as Modality
    from .harness.modalities.base import Shown as Shown
    from .harness.modalities.chat import Chat as Chat
    from .harness.modalities.chat import Message as Message
    from .harness.modalities.image import Image as Image
    from .harness.modalities.text import TextPair as TextPair
    from .harness.modalities.words import word_spans as word_spans
    from .harness.results.frames import Run as Run
    from .harness.results.frames import load as load
    from .harness.run.evaluate import evaluate as evaluate
    from .harness.run.progress import Progress as Progress
    from .harness.threats.edit_budget import EditBudget as EditBudget
    from .harness.threats.lp_ball import LpBall as LpBall
    from .harness.threats.prompts import AnyPrompt as AnyPrompt
    from .harness.threats.prompts import SuffixBudget as SuffixBudget

__version__ = "0.1.0"

_NAMES = {
    "api.attack": "Attack",
    "api.errors": "CapabilityError ConfigError DataError ModelError SampleError",
    "api.item_key": "ItemKey",
    "api.lexicon": "Lexicon",
    "api.model": "Differentiable Encoded Model ModelInfo",
    "api.model_source": "ModelSource",
    "api.model_port": "ModelPort",
    "api.probe": "Probe",
    "api.registry": "plugin",
    "api.report": "Report RunFrames make_file_name",
    "api.requests": "Answer Classify Embed FillMask Generate LogLikelihood PseudoLogLikelihood Request RollingLogLikelihood Tag",
    "api.responses": "Completion Embedding Failure Fillings LogProb Logits Response Span Tags",
    "api.samples": "Attribution Record Sample SampleRng",
    "api.scorecard": "Estimate Heat Row Scorecard Twin",
    "api.task": "Task",
    "api.threat": "Threat",
    "items.base.item_run": "ItemRun",
    "items.base.kind": "ItemKind Planned",
    "items.base.planned_item": "PlannedItem",
    "items.base.results": "RunResults",
    "metrics.base": "Metric",
    "metrics.evaluate_module": "EvaluateModule",
    "metrics.scores": "ColumnMean",
    "modalities.audio": "Audio",
    "modalities.base": "Modality Shown",
    "modalities.chat": "Chat Message",
    "modalities.image": "Image",
    "modalities.text": "TextPair",
    "modalities.words": "word_spans",
    "results.frames": "Run load",
    "run.evaluate": "evaluate",
    "run.progress": "Progress",
    "threats.edit_budget": "EditBudget",
    "threats.lp_ball": "LpBall",
    "threats.prompts": "AnyPrompt SuffixBudget",
}
_HOME = {name: f"{__name__}.harness.{home}" for home, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
