"""``callable``: any model, as a Python function over a list of inputs."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...api.errors import ConfigError, ModelError, SampleError, suggest_name
from ...api.import_target import resolve
from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from ...api.requests import Classify, Embed, Generate, LogLikelihood
from ...api.responses import Completion, Embedding, Logits, LogProb
from ...identity.programs import fingerprint_program
from ...modalities.base import list_modalities, require_modality
from ...modalities.chat import list_modalities_in, make_chat
from ...modalities.inputs import Input
from ..common.labels import find_columns
from ..common.outputs import Outputs, check_outputs
from ..common.stop_strings import cut

Function = collections.abc.Callable[[list[Any]], Any]
_ANSWERS = ("classify", "generate", "loglikelihood", "embed")


class Callable(ModelSource):
    """A Python function that maps a list of inputs to a list (or array) of answers, one per input, in order.

    target: ``module:function`` or ``file.py:function``, or the function itself.
    answers: what it returns: ``classify`` (class scores [B, C]), ``generate`` (texts), ``loglikelihood`` (nats, for
        (context, continuation) pairs) or ``embed`` (vectors [B, D]).
    input: the modality that it takes: ``text``, ``chat`` (lists of {"role", "content"}; a text is one user message),
        ``pair`` ((first, second) tuples), ``image`` (arrays [H, W, C], uint8 or float32 in [0, 1]), or any other by
        its name; values of a plugin's modality are given as its ``bare`` returns them.
    parts: for ``input: chat``, the modalities besides text that messages may contain, e.g. ``[image]``; the content of such
        a message is a list of its parts.
    outputs: scores of a classifier: ``logits``, ``probabilities``, or ``auto``: probabilities if rows are between 0 and
        1 and sum to 1.
    multi_label: classes do not exclude each other.
    labels: class names in the order of the outputs; with two classes, it may return only the second one's score.
    version: version of all that the fingerprint cannot include (a server, internal state); change it when that changes.
        Without it, responses of such a function are not cached.
    """

    def __init__(
        self,
        target: str | Function,
        *,
        answers: str = "classify",
        input: str = "text",
        outputs: str = "auto",
        multi_label: bool = False,
        labels: list[str] | None = None,
        parts: list[str] | None = None,
        version: str = "",
    ) -> None:
        if answers not in _ANSWERS:
            raise ConfigError(f"callable takes answers: {' | '.join(_ANSWERS)}; got answers: {answers}")
        for name in (input, *(parts or ())):
            _require_known(name)
        check_outputs(outputs, multi_label)
        if parts and input != "chat":
            raise ConfigError(f"callable takes parts only with input: chat, not with input: {input}")
        self.answers, self.input, self.parts, self.version = answers, input, tuple(parts or ()), version
        self.outputs, self.multi_label = outputs, multi_label
        self.labels = tuple(str(label) for label in labels or ())
        self.target = target if isinstance(target, str) else getattr(target, "__qualname__", type(target).__qualname__)
        self.own_notes: tuple[str, ...] = ()
        self.function = resolve(target) if isinstance(target, str) else target
        if not callable(self.function):
            raise ConfigError(f"{target} is a {type(self.function).__name__}, not a function")

    def inspect(self) -> ModelInfo:
        # A function that takes a chat also takes a text, as one message.
        takes = {self.input, *(["text", *self.parts] if self.input == "chat" else [])}
        return ModelInfo({self.answers: takes}, labels=self.labels, is_multi_label=self.multi_label)

    def load(self, device: str, dtype: str, /) -> Model:
        return _MODELS[self.answers](self)


class _CallableModel(Model):
    def __init__(self, source: Callable) -> None:
        self.name = source.target
        self._source = source
        settings = (source.answers, source.input, source.outputs, source.multi_label, source.labels)
        self.fingerprint, self._unknown = fingerprint_program(source.target, [source.function], settings, source.version)
        self.notes = self._unknown

    def _call(self, inputs: list[Any]) -> list[Any]:
        """Call the function, and check the number of answers."""
        result = self._source.function(inputs)
        result = result.tolist() if hasattr(result, "tolist") else result
        if isinstance(result, str | bytes | dict) or not isinstance(result, Iterable):
            raise ModelError(f"{self.name} returned a {type(result).__name__}; it must return a list or array, one answer per input")
        answers = list(result)
        if len(answers) != len(inputs):
            raise ModelError(f"{self.name} got {len(inputs)} inputs and returned {len(answers):,} answers; it must return one per input")
        return answers

    def _to_plain(self, value: Input) -> Any:
        """Convert an input to plain Python or numpy."""
        source = self._source
        if source.input == "chat":
            chat = make_chat(value)
            refused = sorted(list_modalities_in(chat) - set(source.parts))
            if refused:
                raise SampleError(f"{self.name} takes no {refused[0]} in a message; its setting 'parts' names the modalities that it takes")
            return require_modality(chat).bare(chat)
        known = require_modality(value)
        if known.name != source.input:
            raise SampleError(f"{self.name} takes input: {source.input}, not {known.name}")
        return known.bare(value)

    def _call_for_rows(self, inputs: Sequence[Input], what: str) -> list[list[float]]:
        answers = self._call([self._to_plain(value) for value in inputs])
        try:
            return [[float(v) for v in row] for row in answers]
        except TypeError as error:
            raise ModelError(f"{self.name} must return {what} for each input, not a {type(answers[0]).__name__}") from error


class _Classifier(_CallableModel):
    def __init__(self, source: Callable) -> None:
        super().__init__(source)
        self._outputs = Outputs(self.name, source.outputs, source.multi_label)

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        rows = self._call_for_rows([request.input for request in batch], "a list of class scores")
        names, requested = self._source.labels, batch[0].labels
        num_classes = len(names or requested or rows[0])
        wrong = next((row for row in rows if len(row) != len(rows[0]) or (names and len(row) not in (len(names), 1))), None)
        if wrong is not None or (names and len(rows[0]) < len(names) != 2):
            raise ModelError(
                f"{self.name} returned {len(wrong or rows[0])} class scores; its labels are {len(names or rows[0])} ({', '.join(names)})"
            )
        logits_BC = self._outputs.of_rows(np.array(rows), num_classes)
        self.notes = (*self._unknown, *self._outputs.notes, *self._source.own_notes)
        columns = find_columns(names or tuple(map(str, range(logits_BC.shape[1]))), requested)
        return [Logits(tuple(row), is_multi_label=self._source.multi_label) for row in logits_BC[:, columns].tolist()]


class _Generator(_CallableModel):
    def generate(self, batch: Sequence[Generate]) -> list[Completion]:
        completions = []
        for request, text in zip(batch, self._call([self._to_plain(request.prompt) for request in batch]), strict=True):
            if not isinstance(text, str):
                raise SampleError(f"{self.name} returned a {type(text).__name__} for this prompt, not a text")
            before_stop = cut(text, request.stop)
            completions.append(Completion(before_stop, len(before_stop.split()), "stop"))
        return completions


class _Scorer(_CallableModel):
    def loglikelihood(self, batch: Sequence[LogLikelihood]) -> list[LogProb]:
        is_chat = self._source.input == "chat"
        pairs = [(self._to_plain(request.context), request.written(is_answer=is_chat)) for request in batch]
        return [LogProb(float(v), len(continuation.split())) for v, (_, continuation) in zip(self._call(pairs), pairs, strict=True)]


class _Embedder(_CallableModel):
    def embed(self, batch: Sequence[Embed]) -> list[Embedding]:
        return [Embedding(tuple(row)) for row in self._call_for_rows([request.input for request in batch], "a vector")]


def _require_known(name: str) -> None:
    """Raise `ConfigError` if there is no modality with this name."""
    known = [modality.name for modality in list_modalities()]
    if name not in known:
        raise ConfigError(f"callable: there is no modality {name!r}.{suggest_name(name, known)} The modalities: {', '.join(known)}")


_MODELS = {"classify": _Classifier, "generate": _Generator, "loglikelihood": _Scorer, "embed": _Embedder}
