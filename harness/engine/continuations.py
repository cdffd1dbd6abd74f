"""A language model's task as a probe sees it: the classes of a sample are continuations of its prompt.

A probe asks for class scores, `Classify(text, labels)`. Here each label is the text of a continuation, and its score the log-likelihood
log p(continuation | prompt), where the prompt is what the task makes of the text. So every method for classifiers, its scores and its
controls work on a language model as they are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..api.errors import SampleError, ends_run, sentence
from ..api.model import Differentiable, Encoded
from ..api.plugins import gives
from ..api.requests import Classify, Completion, Failure, Generate, Logits, LogLikelihood, LogProb, Request
from ..api.samples import Sample
from ..api.task import Task
from ..modalities.chat import Chat, Message, chat_of, last_text, user_chat, with_last_text
from ..modalities.inputs import Input, texts_of
from ..modalities.words import MARK, within
from .wrapped_port import WrappedGradients, WrappedPort

if TYPE_CHECKING:
    import torch

    from .engine import Engine


def has_continuations(task: Task, /) -> bool:
    """Whether a task asks a language model for text, or for how likely text is."""
    return bool({"loglikelihood", "generate"} & task.requires) and "classify" not in task.requires and gives(task, Task.requests)


@dataclass(frozen=True, slots=True)
class Likelihoods(Logits):
    """Log-likelihoods [num_continuations] in nats. ``num_tokens``: of each continuation."""

    num_tokens: tuple[int, ...] = ()

    def probability(self, index: int, /) -> float:
        """Among several continuations, as a task of choices has it. Of one alone, the geometric mean of its tokens' probabilities: the
        probability of all of a long answer is nothing, whatever it is shown."""
        if len(self.values) > 1:
            return Logits.probability(self, index)
        return math.exp(self.values[0] / self.num_tokens[0])


@dataclass(frozen=True, slots=True)
class Frame:
    """What a task puts around a sample's text to make a prompt. ``chat``: the messages, where it is one; the last holds the
    text, and is empty here, so that samples of one task have one frame. ``is_templated``: a prompt of plain text is a user's message to
    this model."""

    head: str = ""
    tail: str = ""
    chat: Chat | None = None
    is_templated: bool = False

    @classmethod
    def of(cls, text: str, prompt: Input, /, *, is_templated: bool = False, marked: Input = "") -> Frame:
        """``marked``: the prompt of a sample that has `MARK` in the text's place, where the prompt holds the text more than once; without
        it the last place is taken. Raises `SampleError` where the prompt does not hold the text as it is."""
        shown = last_text(prompt) or ""
        start = shown.rfind(text)
        if start < 0 or not shown:
            raise SampleError("the task's prompt does not hold the sample's text as it is, so that there is nothing to attribute to")
        head, mark, tail = (last_text(marked) or "").partition(MARK)
        if not mark or f"{head}{text}{tail}" != shown:
            head, tail = shown[:start], shown[start + len(text) :]
        return cls(head, tail, chat_of(with_last_text(prompt, "")), is_templated)

    @property
    def answers_apart(self) -> bool:
        """Whether what the model writes is a message of its own, rather than the text going on."""
        return self.is_templated if self.chat is None else not self.goes_on

    @property
    def goes_on(self) -> bool:
        """Whether the text is an answer that the assistant has begun."""
        return self.chat is not None and self.chat.messages[-1].role == "assistant"

    @property
    def start(self) -> int:
        """Where the text begins in what the model reads as its prompt: the last message, and behind it an answer that is begun."""
        asked = self.chat.messages[-2:-1] if self.chat is not None and self.goes_on else ()
        return sum(len(message.text) + 1 for message in asked) + len(self.head)

    def prompt(self, value: Input, /) -> str | Chat:
        """``value``: the sample's text, or a pair of it and of what the model has written after the prompt."""
        text, written = _text_and_written(value)
        shown = f"{self.head}{text}{self.tail}"
        if not self.answers_apart:
            shown, written = shown + written, ""
        if self.chat is None and not written:
            return shown
        chat = user_chat(shown if self.chat is None else with_last_text(self.chat, shown))
        return Chat((*chat.messages, Message("assistant", written))) if written else chat


def _text_and_written(value: Input) -> tuple[str, str]:
    """The sample's text, and of a pair what the model has written after the prompt."""
    text, *written = texts_of(value)
    return text, "".join(written)


def framed(port: Engine, task: Task, samples: Sequence[Sample], target: str | None, /) -> list[tuple[Frame, Sample]]:
    """Each sample with its continuations as labels, and its frame. One that cannot be explained says why in ``metadata["error"]``.

    Of a task that asks for log-likelihoods, the continuations are those that it asks about, and the sample's target stays where it is an
    index. Of one that asks for text there is one: what the model writes (``predicted``) or the text that it should write (``gold``).
    """
    asked = [_asked(task, sample) for sample in samples]
    writes = [target == "predicted" and isinstance(request, Generate) for request in asked]
    written = iter(port.try_run([request for request in asked if target == "predicted" and isinstance(request, Generate)]))
    return [
        _framed(port, task, sample, request, next(written) if is_written else None)
        for sample, request, is_written in zip(samples, asked, writes, strict=True)
    ]


def posed(port: Engine, task: Task, sample: Sample, continuation: str | int, /) -> tuple[Frame, Sample]:
    """The sample with this continuation of its prompt as the only label, and its frame. An index is of those that the task asks about.

    Raises `SampleError` where it cannot be explained."""
    asked = _asked(task, sample)
    frame, text = _frame(port, task, sample, asked)
    if isinstance(continuation, int):
        if not isinstance(asked, list) or not 0 <= continuation < len(asked):
            raise SampleError("what the task predicts is none of the continuations that it asks about")
        continuation = asked[continuation].written(is_answer=port.model.has_templated_prompts)
    return frame, replace(sample, input=text, target=0, labels=(continuation,))


def _asked(task: Task, sample: Sample) -> list[LogLikelihood] | Generate | str:
    """What the task asks of a sample, or why that cannot be explained."""
    try:
        requests = list(task.requests(sample))
    except BaseException as error:
        if ends_run(error):
            raise
        # A bad row: the sample's record says so.
        return sentence(error)
    if len(requests) == 1 and isinstance(requests[0], Generate):
        return requests[0]
    likelihoods = [request for request in requests if isinstance(request, LogLikelihood)]
    if likelihoods and len(likelihoods) == len(requests) and len({r.context for r in likelihoods}) == 1:
        return likelihoods
    return "a probe explains continuations of one prompt, and this sample's requests are of another kind"


def _framed(
    port: Engine, task: Task, sample: Sample, asked: list[LogLikelihood] | Generate | str, written: Completion | Failure | None
) -> tuple[Frame, Sample]:  # fmt: skip
    try:
        frame, text = _frame(port, task, sample, asked)
        shown = replace(sample, input=text)
        if not isinstance(asked, list):
            return frame, replace(shown, target=0, labels=(_answer(shown, frame, written),))
        labels = tuple(request.written(is_answer=port.model.has_templated_prompts) for request in asked)
        return frame, replace(shown, target=0 if len(labels) == 1 else sample.target, labels=labels)
    except SampleError as error:
        return Frame(), replace(sample, metadata={**sample.metadata, "error": str(error)})


def _frame(port: Engine, task: Task, sample: Sample, asked: list[LogLikelihood] | Generate | str) -> tuple[Frame, str]:
    """What the task puts around the sample's text, and that text."""
    if isinstance(asked, str):
        raise SampleError(asked)
    text, prompt = _text_of(sample), _prompt_of(asked)
    marked: Input = ""
    if (last_text(prompt) or "").count(text) > 1:
        other = _asked(task, replace(sample, input=with_last_text(sample.input, MARK + (last_text(sample.input) or "")[len(text) :])))
        marked = "" if isinstance(other, str) else _prompt_of(other)
    return Frame.of(text, prompt, is_templated=port.model.has_templated_prompts, marked=marked), text


def _prompt_of(asked: list[LogLikelihood] | Generate) -> Input:
    return asked.prompt if isinstance(asked, Generate) else asked[0].context


def _text_of(sample: Sample) -> str:
    """What the parts are taken from: the text, or a chat's last message."""
    shown = last_text(sample.input)
    if shown is None:
        raise SampleError("continuations are explained by the words of a text, and this sample is none")
    return shown.rstrip()


def _answer(sample: Sample, frame: Frame, written: Completion | Failure | None) -> str:
    if isinstance(written, Failure):
        raise SampleError(written.error)
    if written is not None:
        if not written.text.strip():
            raise SampleError("the model wrote nothing, so there is nothing to explain")
        return written.text
    wanted = sample.target if sample.target is not None else sample.metadata.get("target")
    if not isinstance(wanted, str) or not wanted.strip():
        raise SampleError("target: gold needs the text that the model should write, and the sample has none")
    apart = frame.answers_apart or wanted[0].isspace() or f"{frame.head}{sample.input}{frame.tail}"[-1:].isspace()
    return wanted if apart else f" {wanted}"


class ContinuationPort(WrappedPort):
    """A language model's engine, which answers `Classify` about continuations of prompts that have one frame."""

    def __init__(self, inner: Engine, frame: Frame) -> None:
        super().__init__(inner)
        self._engine, self._frame = inner, frame
        self.model = inner.model
        self.info = replace(inner.info, answers={**inner.info.answers, "classify": {"text"}})

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        asked = [self._asked(request) for request in requests]
        answers = iter(self._engine.try_run([one for several in asked for one in several]))
        found = [[next(answers) for _ in several] for several in asked]
        return [_joined(f) if isinstance(r, Classify) else f[0] for r, f in zip(requests, found, strict=True)]

    def _asked(self, request: Request[Any]) -> Sequence[Request[Any]]:
        if not isinstance(request, Classify):
            return (request,)
        return [LogLikelihood(self._frame.prompt(request.input), label) for label in request.labels]

    def alike(self, request: Request[Any], /) -> Hashable:
        return super().alike(self._asked(request)[0])

    def readings(self, requests: Sequence[Request[Any]], /) -> list[Hashable]:
        return list(requests)

    def randomised(self, seed: int, share: float = 1.0, /) -> ContinuationPort | None:
        other = self._engine.randomised(seed, share)
        return None if other is None else ContinuationPort(other, self._frame)

    def seen(self, net: Differentiable, /) -> ContinuationGradients:
        return ContinuationGradients(net, self._frame)


def _joined(answers: Sequence[LogProb | Failure]) -> Likelihoods | Failure:
    failed = next((answer for answer in answers if isinstance(answer, Failure)), None)
    if failed is not None:
        return failed
    known = [answer for answer in answers if isinstance(answer, LogProb)]
    num_truncated = max((answer.num_truncated for answer in known), default=0)
    return Likelihoods(tuple(a.value for a in known), num_truncated, num_tokens=tuple(a.num_tokens for a in known))


class ContinuationGradients(WrappedGradients):
    """A `Differentiable` over `Classify` requests of one continuation each. Only the tokens of the sample's own text have another baseline,
    and places in it; what the task puts around it and the continuation stay as they are."""

    def __init__(self, inner: Differentiable, frame: Frame) -> None:
        super().__init__(inner)
        self._frame = frame

    def encode(self, requests: Sequence[Any], /) -> Encoded:
        import torch

        if any(len(request.labels) != 1 for request in requests):
            raise SampleError("gradients are of one continuation at a time")
        encoded = self._inner.encode([LogLikelihood(self._frame.prompt(r.input), r.labels[0]) for r in requests])
        spans = [[self._place(request.input, span) for span in row] for request, row in zip(requests, encoded.spans, strict=True)]
        outside_BL = torch.tensor([[span == (0, 0) for span in row] for row in spans], device=encoded.features.device)
        baseline = torch.where(outside_BL[:, :, None], encoded.features, encoded.baseline)
        return replace(encoded, baseline=baseline, spans=spans)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        return super().logits(features, encoded, rows).sum(1, keepdim=True)

    def _place(self, value: Input, span: tuple[int, int]) -> tuple[int, int]:
        """A place in the prompt as a place in what the sample shows; (0, 0) for what stands in neither."""
        text, written = _text_and_written(value)
        start = self._frame.start
        after = start + len(text) + len(self._frame.tail) + (1 if self._frame.answers_apart else 0)
        found, beyond = within(span, start, len(text)), within(span, after, len(written))
        if found == (0, 0) != beyond:
            return beyond[0] + len(text) + 1, beyond[1] + len(text) + 1
        return found
