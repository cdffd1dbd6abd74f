"""Runs a stock TextAttack recipe over many samples at once, its searches pooled so that the model sees full batches.

TextAttack (Morris et al. 2020, https://arxiv.org/abs/2005.05909) attacks one sample at a time, a handful of texts a query. Here each sample
has a recipe of its own in a greenlet; where the recipe would call a model it falls asleep, and the engine answers all sleepers at once.
The text a search begins with makes its edits by splicing (`splicing.py`). The recipe is not touched: text, status and number of queries are
those of TextAttack run one by one.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

from ...harness.errors import SampleError
from ...harness.plugins import ModelPort
from ...harness.requests import Classify, Failure, Logits
from ...harness.samples import Sample, SampleRng
from ...harness.threats import EditBudget
from .pool import Ask, Search, pooled
from .splicing import spliced_text
from .stop_words import stop_words
from .textattack_import import import_textattack, require_textattack, served

Question: TypeAlias = Ask[Classify, "Logits | Failure"]


class TextAttackRecipe:
    """Base of the recipes. A subclass says in `build` which one, and gives the ``threat`` the recipe itself keeps to.

    ``stop_words``: the words left alone, ``nltk`` (TextAttack's own choice), ``builtin`` (needs no data) or ``auto`` (the first that is
    there). ``num_pooled``: samples searched at once; changes the speed and the memory, not the result.

    The twin's metadata: ``status`` (``success``, ``failed``, or ``skipped`` where the model is wrong already), ``num_queries`` as
    TextAttack counts them (texts it had asked before included), ``num_texts`` that reached the engine, and ``stop_words``; or, where the
    search broke, ``error`` beside an unchanged input.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"classify", "text"})

    def __init__(self, threat: EditBudget, *, stop_words: str = "auto", num_pooled: int = 256) -> None:
        require_textattack()
        self.threat = threat
        self.stop_words = stop_words
        self.num_pooled = num_pooled

    def build(self, textattack: Any, model: Any, threat: EditBudget, /) -> Any:
        """The recipe's ``textattack.Attack`` on a model wrapper, its own constraints set to the threat where they speak of the same."""
        raise NotImplementedError

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> list[Sample]:
        words = stop_words(self.stop_words)
        textattack = import_textattack(words.words)

        def search(sample: Sample, ask: Question) -> Sample:
            label, text = _label(sample), _text(sample)
            model = _Model(ask, sample.labels)
            with served(words.words), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TextAttack reports a model class it does not know by a deprecated method
                attack = self.build(textattack, model, threat)
            attack.goal_function.batch_size = sys.maxsize
            if threat.max_words is not None or threat.max_share is not None:
                attack.constraints.append(_Within(threat, sample))
            result = attack.attack(spliced_text(textattack)(text), label)
            found = {
                "status": _status(result),
                "num_queries": int(result.num_queries),
                "num_texts": model.num_texts,
                "stop_words": str(words),
            }
            return replace(sample, input=result.perturbed_result.attacked_text.text, metadata={**sample.metadata, **found})

        searches = [Search(partial(search, sample), rng.seed(sample.id), _weight(sample)) for sample in samples]
        outcomes = pooled(searches, engine.try_run, num_pooled=self.num_pooled)
        return [_twin(sample, outcome) for sample, outcome in zip(samples, outcomes, strict=True)]


class _Model:
    """Stands where TextAttack expects its model wrapper, and asks the pool. Logits, as TextAttack's own wrapper of transformers gives."""

    def __init__(self, ask: Question, labels: tuple[str, ...]) -> None:
        self.model = self  # TextAttack looks at the class of a wrapper's model
        self.num_texts = 0
        self._ask = ask
        self._labels = labels

    def __call__(self, texts: Sequence[str]) -> Any:
        import torch

        self.num_texts += len(texts)
        answers = self._ask([Classify(text, self._labels) for text in texts])
        return torch.tensor([_values(answer) for answer in answers], dtype=torch.float32)


def _values(answer: Logits | Failure) -> tuple[float, ...]:
    if isinstance(answer, Failure):
        raise SampleError(answer.error)
    return answer.values


@dataclass(frozen=True, slots=True)
class _Within:
    """A TextAttack constraint: what the threat admits."""

    threat: EditBudget
    sample: Sample
    compare_against_original: ClassVar[bool] = True

    def call_many(self, texts: Sequence[Any], original: Any) -> list[Any]:
        clean = replace(self.sample, input=original.text)
        return [text for text in texts if self.threat.admits(clean, replace(self.sample, input=text.text))]


def _weight(sample: Sample) -> float:
    """In texts of 200 words. To rank its n words TextAttack holds n texts of n words: 3.5 MiB at 200 words, 85 MiB at 1,000."""
    num_words = len(sample.input.split()) if isinstance(sample.input, str) else 0
    return max(1.0, (num_words / 200) ** 2)


def _text(sample: Sample) -> str:
    if not isinstance(sample.input, str):
        raise SampleError(f"this attack changes one text, and the input is a {type(sample.input).__name__}")
    return sample.input


def _label(sample: Sample) -> int:
    """A plain int: TextAttack rejects NumPy's."""
    try:
        label = operator.index(sample.target)
    except TypeError:
        label = -1
    if label < 0:
        raise SampleError(f"this attack needs the index of a class as target, not {sample.target!r}")
    return label


def _status(result: Any) -> str:
    return {"SuccessfulAttackResult": "success", "SkippedAttackResult": "skipped"}.get(type(result).__name__, "failed")


def _twin(sample: Sample, outcome: Sample | Exception) -> Sample:
    if isinstance(outcome, Sample):
        return outcome
    error = str(outcome) if isinstance(outcome, SampleError) else f"{type(outcome).__name__}: {outcome}"
    return replace(sample, metadata={**sample.metadata, "error": error})
