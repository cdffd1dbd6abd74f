"""Present a language model's task as classification to a probe: the classes of a sample are continuations of its prompt.

A probe requests class scores with `Classify(text, labels)`. Here each label is the text of a continuation, and its score
is the log-likelihood log p(continuation | prompt), with the prompt that the task builds from the text. So all methods
for classifiers, with their scores and controls, work on language models unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..api.errors import SampleError, describe_error, ends_run
from ..api.model import Differentiable, Encoded
from ..api.plugins import gives
from ..api.requests import Classify, Generate, LogLikelihood, Request
from ..api.responses import Completion, Failure, Logits, LogProb, Response
from ..api.samples import Sample
from ..api.task import Task
from ..modalities.chat import Chat, Message, as_chat, find_last_text, make_chat, with_last_text
from ..modalities.inputs import Input, list_texts
from ..modalities.words import MARK, clip_span
from .wrapped_port import WrappedGradients, WrappedPort

if TYPE_CHECKING:
    import torch

    from .engine import Engine


def has_continuations(task: Task, /) -> bool:
    """Whether a task requests generated text or log-likelihoods from a language model."""
    return bool({"loglikelihood", "generate"} & task.requires) and "classify" not in task.requires and gives(task, Task.requests)


@dataclass(frozen=True, slots=True)
class Likelihoods(Logits):
    """Log-likelihoods [num_continuations] in nats. ``num_tokens``: length of each continuation in tokens."""

    num_tokens: tuple[int, ...] = ()

    def probability(self, index: int, /) -> float:
        """Return the probability among several continuations; for a single one, the geometric mean over its tokens.

        The probability of a whole long answer would be close to 0 for any input.
        """
        if len(self.values) > 1:
            return Logits.probability(self, index)
        return math.exp(self.values[0] / self.num_tokens[0])


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts of a prompt around a sample's text.

    head, tail: text before and after the sample's text.
    chat: the messages if the prompt is a chat. The last message, which has the text, is empty here, so that samples of
        a task share a frame.
    is_templated: the model treats a plain text prompt as a user message.
    """

    head: str = ""
    tail: str = ""
    chat: Chat | None = None
    is_templated: bool = False

    @classmethod
    def of(cls, text: str, prompt: Input, /, *, is_templated: bool = False, marked: Input = "") -> Frame:
        """Find the sample's text in its prompt, and build the frame.

        marked: prompt of a sample with `MARK` instead of the text, for a prompt that contains the text more than once;
            without it, the last occurrence is used.

        Raises `SampleError` if the prompt does not contain the unchanged text.
        """
        shown = find_last_text(prompt) or ""
        start = shown.rfind(text)
        if start < 0 or not shown:
            raise SampleError("the task's prompt does not contain the sample's text unchanged, so nothing can be attributed to it")
        head, mark, tail = (find_last_text(marked) or "").partition(MARK)
        if not mark or f"{head}{text}{tail}" != shown:
            head, tail = shown[:start], shown[start + len(text) :]
        return cls(head, tail, as_chat(with_last_text(prompt, "")), is_templated)

    @property
    def answers_apart(self) -> bool:
        """Whether the model's answer is a separate message, not a continuation of the text."""
        return self.is_templated if self.chat is None else not self.goes_on

    @property
    def goes_on(self) -> bool:
        """Whether the text is the start of the assistant's answer."""
        return self.chat is not None and self.chat.messages[-1].role == "assistant"

    @property
    def start(self) -> int:
        """Start of the text in the prompt: in the last message, plus the answer that the assistant has begun."""
        before = self.chat.messages[-2:-1] if self.chat is not None and self.goes_on else ()
        return sum(len(message.text) + 1 for message in before) + len(self.head)

    def prompt(self, value: Input, /) -> str | Chat:
        """Build the prompt. ``value``: the sample's text, or a pair of it and the text generated after the prompt."""
        text, written = _split_pair(value)
        shown = f"{self.head}{text}{self.tail}"
        if not self.answers_apart:
            shown, written = shown + written, ""
        if self.chat is None and not written:
            return shown
        chat = make_chat(shown if self.chat is None else with_last_text(self.chat, shown))
        return Chat((*chat.messages, Message("assistant", written))) if written else chat


def _split_pair(value: Input) -> tuple[str, str]:
    """Return the sample's text, and the generated text of a pair."""
    text, *written = list_texts(value)
    return text, "".join(written)


def frame_samples(port: Engine, task: Task, samples: Sequence[Sample], target: str | None, /) -> list[tuple[Frame, Sample]]:
    """Return the frame of each sample, and the sample with its continuations as labels.

    target: for a task that requests text, which continuation to explain: the generated text (``predicted``) or the
        expected text (``gold``). For a task that requests log-likelihoods, the continuations are those of its requests,
        and the sample's target stays.

    A sample that cannot be explained has the reason in ``metadata["error"]``.
    """
    requests = [_list_requests(task, sample) for sample in samples]
    generates = [target == "predicted" and isinstance(request, Generate) for request in requests]
    completions = iter(port.try_run([request for request in requests if target == "predicted" and isinstance(request, Generate)]))
    return [
        _frame_sample(port, task, sample, request, next(completions) if generated else None)
        for sample, request, generated in zip(samples, requests, generates, strict=True)
    ]


def pose_continuation(port: Engine, task: Task, sample: Sample, continuation: str | int, /) -> tuple[Frame, Sample]:
    """Return the frame of a sample, and the sample with one continuation as its only label.

    continuation: its text, or an index among those of the task's requests.

    Raises `SampleError` if the sample cannot be explained.
    """
    requests = _list_requests(task, sample)
    frame, text = _find_frame(port, task, sample, requests)
    if isinstance(continuation, int):
        if not isinstance(requests, list) or not 0 <= continuation < len(requests):
            raise SampleError("the task's prediction is not among the continuations of its requests")
        continuation = requests[continuation].written(is_answer=port.model.has_templated_prompts)
    return frame, replace(sample, input=text, target=0, labels=(continuation,))


def _list_requests(task: Task, sample: Sample) -> list[LogLikelihood] | Generate | str:
    """Return the task's requests about a sample, or the reason why they cannot be explained."""
    try:
        requests = list(task.requests(sample))
    except BaseException as error:
        if ends_run(error):
            raise
        # The error of a bad row goes into the sample's record.
        return describe_error(error)
    if len(requests) == 1 and isinstance(requests[0], Generate):
        return requests[0]
    likelihoods = [request for request in requests if isinstance(request, LogLikelihood)]
    if likelihoods and len(likelihoods) == len(requests) and len({r.context for r in likelihoods}) == 1:
        return likelihoods
    return "a probe explains continuations of one prompt, but this sample's requests are of another form"


def _frame_sample(
    port: Engine, task: Task, sample: Sample, requests: list[LogLikelihood] | Generate | str, written: Completion | Failure | None
) -> tuple[Frame, Sample]:  # fmt: skip
    try:
        frame, text = _find_frame(port, task, sample, requests)
        shown = replace(sample, input=text)
        if not isinstance(requests, list):
            return frame, replace(shown, target=0, labels=(_get_continuation(shown, frame, written),))
        labels = tuple(request.written(is_answer=port.model.has_templated_prompts) for request in requests)
        return frame, replace(shown, target=0 if len(labels) == 1 else sample.target, labels=labels)
    except SampleError as error:
        return Frame(), replace(sample, metadata={**sample.metadata, "error": str(error)})


def _find_frame(port: Engine, task: Task, sample: Sample, requests: list[LogLikelihood] | Generate | str) -> tuple[Frame, str]:
    """Return the frame of the sample's text, and the text."""
    if isinstance(requests, str):
        raise SampleError(requests)
    text, prompt = _get_text(sample), _get_prompt(requests)
    marked: Input = ""
    if (find_last_text(prompt) or "").count(text) > 1:
        other = _list_requests(
            task, replace(sample, input=with_last_text(sample.input, MARK + (find_last_text(sample.input) or "")[len(text) :]))
        )
        marked = "" if isinstance(other, str) else _get_prompt(other)
    return Frame.of(text, prompt, is_templated=port.model.has_templated_prompts, marked=marked), text


def _get_prompt(requests: list[LogLikelihood] | Generate) -> Input:
    return requests.prompt if isinstance(requests, Generate) else requests[0].context


def _get_text(sample: Sample) -> str:
    """Return the text whose parts are explained: the text, or the last message of a chat."""
    shown = find_last_text(sample.input)
    if shown is None:
        raise SampleError("continuations are explained by the words of a text, but this sample is not text")
    return shown.rstrip()


def _get_continuation(sample: Sample, frame: Frame, written: Completion | Failure | None) -> str:
    if isinstance(written, Failure):
        raise SampleError(written.error)
    if written is not None:
        if not written.text.strip():
            raise SampleError("the model generated no text, so there is nothing to explain")
        return written.text
    wanted = sample.target if sample.target is not None else sample.metadata.get("target")
    if not isinstance(wanted, str) or not wanted.strip():
        raise SampleError("target: gold needs the expected text, but the sample has none")
    apart = frame.answers_apart or wanted[0].isspace() or f"{frame.head}{sample.input}{frame.tail}"[-1:].isspace()
    return wanted if apart else f" {wanted}"


class ContinuationPort(WrappedPort):
    """Wraps a language model's engine to answer `Classify` requests about continuations, for prompts with one frame."""

    def __init__(self, inner: Engine, frame: Frame) -> None:
        super().__init__(inner)
        self._engine, self._frame = inner, frame
        self.model = inner.model
        self.info = replace(inner.info, answers={**inner.info.answers, "classify": {"text"}})

    def try_run(self, requests: Sequence[Request[Response]], /) -> list[Any]:
        inner = [self._translate(request) for request in requests]
        responses = iter(self._engine.try_run([one for several in inner for one in several]))
        grouped = [[next(responses) for _ in several] for several in inner]
        return [_join_likelihoods(g) if isinstance(r, Classify) else g[0] for r, g in zip(requests, grouped, strict=True)]

    def _translate(self, request: Request[Response]) -> Sequence[Request[Response]]:
        """Return the requests to the language model for a request of a probe."""
        if not isinstance(request, Classify):
            return (request,)
        return [LogLikelihood(self._frame.prompt(request.input), label) for label in request.labels]

    def alike(self, request: Request[Response], /) -> Hashable:
        return super().alike(self._translate(request)[0])

    def readings(self, requests: Sequence[Request[Response]], /) -> list[Hashable]:
        return list(requests)

    def randomised(self, seed: int, share: float = 1.0, /) -> ContinuationPort | None:
        other = self._engine.randomised(seed, share)
        return None if other is None else ContinuationPort(other, self._frame)

    def wrap_gradients(self, net: Differentiable, /) -> ContinuationGradients:
        return ContinuationGradients(net, self._frame)


def _join_likelihoods(answers: Sequence[Response | Failure]) -> Likelihoods | Failure:
    failure = next((answer for answer in answers if isinstance(answer, Failure)), None)
    if failure is not None:
        return failure
    known = [answer for answer in answers if isinstance(answer, LogProb)]
    num_truncated = max((answer.num_truncated for answer in known), default=0)
    return Likelihoods(tuple(a.value for a in known), num_truncated, num_tokens=tuple(a.num_tokens for a in known))


class ContinuationGradients(WrappedGradients):
    """A `Differentiable` for `Classify` requests with one continuation each.

    Only the tokens of the sample's text have a different baseline, and spans in the text. The frame and the continuation
    stay unchanged.
    """

    def __init__(self, inner: Differentiable, frame: Frame) -> None:
        super().__init__(inner)
        self._frame = frame

    def encode(self, requests: Sequence[Any], /) -> Encoded:
        import torch

        if any(len(request.labels) != 1 for request in requests):
            raise SampleError("gradients need requests with exactly one continuation each")
        encoded = self._inner.encode([LogLikelihood(self._frame.prompt(r.input), r.labels[0]) for r in requests])
        spans = [[self._place(request.input, span) for span in row] for request, row in zip(requests, encoded.spans, strict=True)]
        outside_BL = torch.tensor([[span == (0, 0) for span in row] for row in spans], device=encoded.features.device)
        baseline = torch.where(outside_BL[:, :, None], encoded.features, encoded.baseline)
        return replace(encoded, baseline=baseline, spans=spans)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        return super().logits(features, encoded, rows).sum(1, keepdim=True)

    def _place(self, value: Input, span: tuple[int, int]) -> tuple[int, int]:
        """Map a span in the prompt to a span in the sample's text and the generated text; (0, 0) for any other span."""
        text, written = _split_pair(value)
        start = self._frame.start
        after = start + len(text) + len(self._frame.tail) + (1 if self._frame.answers_apart else 0)
        in_text, in_written = clip_span(span, start, len(text)), clip_span(span, after, len(written))
        if in_text == (0, 0) != in_written:
            return in_written[0] + len(text) + 1, in_written[1] + len(text) + 1
        return in_text
