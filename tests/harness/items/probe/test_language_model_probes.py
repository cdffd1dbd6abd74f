"""Probes on a language model's tasks: against Captum and plain loops on a tiny Llama, one sample at a time, and in closed form."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import CapabilityError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.requests import Classify, Generate, LogLikelihood, Request
from windtunnel.harness.api.responses import Completion, LogProb
from windtunnel.harness.api.samples import Record, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.continuations import ContinuationPort, Frame, frame_samples, has_continuations
from windtunnel.harness.items.kinds import list_kinds
from windtunnel.harness.items.probe.language_records import OneContinuation, make_language_records
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.removal import keep_parts
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import cut_out, gather, word_spans
from windtunnel.harness.models.torch.randomised import randomise
from windtunnel.harness.results.views import make_sample_views
from windtunnel.harness.scorecard.names import DEFAULT_SCORES
from windtunnel.probes.attention import Attention
from windtunnel.probes.attention_rollout import AttentionRollout
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.gradient_shap import GradientShap
from windtunnel.probes.input_x_gradient import InputXGradient
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.kernel_shap import KernelShap
from windtunnel.probes.lime import Lime
from windtunnel.probes.occlusion import Occlusion
from windtunnel.probes.saliency import Saliency
from windtunnel.probes.shapley_value_sampling import ShapleyValueSampling
from windtunnel.probes.smoothgrad import SmoothGrad
from windtunnel.tests import tiny, toys

RNG = SampleRng(0)
PROMPT = 'Read "'


class Asks:
    """A task whose requests are what a function makes of a sample."""

    primary = "acc"

    def __init__(self, make: Callable[[Sample], Sequence[Request[Any]]], kind: str = "loglikelihood") -> None:
        self.requests = make
        self.requires = frozenset({kind, "text"})


CLOZE = Asks(lambda s: [LogLikelihood(f"{PROMPT}{s.input}", f" {s.target}")])
CHOICES = Asks(lambda s: [LogLikelihood(f"{PROMPT}{s.input}", f" {label}") for label in s.labels])
WRITES = Asks(lambda s: [Generate(f"{PROMPT}{s.input}", 5)], "generate")
CHATS = Asks(lambda s: [Generate(Chat((Message("system", "Go"), Message("user", str(s.input)))), 5)], "generate")

TEXTS = ("the cat sat on a table, and was able", "unable to read the good films", "a dog")
ANSWERS = ("great films in Paris.", "awful", "with her young cat: 1 2")
ASKED = tuple(Sample(f"s{i}", text, answer) for i, (text, answer) in enumerate(zip(TEXTS, ANSWERS, strict=True)))
CHOSEN = tuple(Sample(s.id, s.input, i % 2, (str(s.target), "bad dog", "stop")) for i, s in enumerate(ASKED))


def records(probe: Any, task: Asks = CLOZE, samples: Sequence[Sample] = ASKED, engine: Any = None, **more: Any) -> list[Record]:
    made = make_language_records(engine or tiny.engine("llama"), "p(t)", task, probe, RNG, samples, **{"scores": (), **more})
    assert [r.sample_id for r in made] == [s.id for s in samples]
    return made


@functools.cache
def in_float64() -> Any:
    """The model in float64, where rounding is out of the way: float32 misses sums of thousands of terms that cancel by 2e-5."""
    model = tiny.load("llama")
    model.module.double()
    return model


def values(record: Record) -> np.ndarray:
    assert record.error is None
    found: np.ndarray = record.artifacts["attribution"]["values"]
    return found


def exact(probe: Any, task: Asks = CLOZE, samples: Sequence[Sample] = ASKED, engine: Any = None) -> list[np.ndarray]:
    """Attributions before they are recorded, which rounds them to 11 bits."""
    port, one = engine or tiny.engine("llama"), OneContinuation(probe)
    found = frame_samples(port, task, samples, one.target)
    (frame,) = {frame for frame, _ in found}
    return [a.values for a in one.attribute(ContinuationPort(port, frame), [sample for _, sample in found])]


def loglikelihood(context: str, continuation: str) -> float:
    """In plain torch: the context's own tokens, and those of the continuation after them."""
    model = tiny.shared("llama")
    before, after = ids_of(context), model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        log_probs = model.module(torch.tensor([before + after])).logits[0].log_softmax(-1)
    return sum(float(log_probs[len(before) + i - 1, token]) for i, token in enumerate(after))


def said_in(before: str, begun: str, continuation: str) -> float:
    """log p of what the assistant says next in the tiny chat template, in plain torch."""
    model = tiny.shared("llama")
    head, start, whole = (
        model.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (f"{before}\n[assistant]", begun, begun + continuation)
    )
    with torch.no_grad():
        log_probs = model.module(torch.tensor([head + whole])).logits[0].log_softmax(-1)
    return sum(float(log_probs[len(head) + i - 1, whole[i]]) for i in range(len(start), len(whole)))


def _in_turn(orders: Sequence[list[int]]) -> Callable[[int], torch.Tensor]:
    left = iter(orders)
    return lambda n: torch.tensor(next(left))


def close(found: np.ndarray, expected: Any, tolerance: float = 1e-5) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, atol=tolerance * float(np.abs(expected).max()), rtol=0)


def ids_of(text: str) -> list[int]:
    found: list[int] = tiny.shared("llama").tokenizer(text)["input_ids"]
    return found


def tokens_of_text(text: str) -> list[tuple[int, int]]:
    """Places in the text of the tokens of prompt and text; (0, 0) for those of the prompt and special ones."""
    found = tiny.shared("llama").tokenizer(PROMPT + text, return_offsets_mapping=True)["offset_mapping"]
    spans = [(max(a - len(PROMPT), 0), max(b - len(PROMPT), 0)) for a, b in found]
    return [(a, b) if a < b else (0, 0) for a, b in spans]


class TestAgainstCaptum:
    """``use_cached_outputs=False``: with cached outputs Captum 0.9 is silently wrong on transformers 5."""

    @pytest.mark.parametrize(
        ("probe", "method"),
        [
            (FeatureAblation(), captum.attr.FeatureAblation),
            (ShapleyValueSampling(permutations=3), captum.attr.ShapleyValueSampling),
        ],
    )
    def test_words_that_are_cut(self, probe: Any, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tiny.shared("llama")
        for sample, found_P in zip(ASKED, exact(probe), strict=True):
            text, spans = str(sample.input), word_spans(str(sample.input))

            def preview_input(*words: str, text: str = text, spans: Any = spans) -> str:
                return PROMPT + cut_out(text, [span for span, word in zip(spans, words, strict=True) if not word])

            inp = captum.attr.TextTemplateInput(preview_input, values=[text[a:b] for a, b in spans], baselines=[""] * len(spans))
            if isinstance(probe, ShapleyValueSampling):
                orders = list(probe.orders(probe.parts(text), probe.rng(sample.id)))
                monkeypatch.setattr(torch, "randperm", _in_turn(orders))
            peer = captum.attr.LLMAttribution(method(model.module), model.tokenizer)
            more = {"n_samples": 3} if isinstance(probe, ShapleyValueSampling) else {}
            target = torch.tensor(model.tokenizer(f" {sample.target}", add_special_tokens=False)["input_ids"])
            found = peer.attribute(inp, target=target, use_cached_outputs=False, **more)
            close(found_P, found.seq_attr.reshape(-1).numpy())

    def test_integrated_gradients(self) -> None:
        model = in_float64()
        probe = IntegratedGradients(steps=32, max_steps=32)
        for sample, found_P in zip(ASKED, exact(probe, engine=tiny.engine(in_float64())), strict=True):
            text = str(sample.input)
            spans = tokens_of_text(text)
            inp = captum.attr.TextTokenInput(PROMPT + text, model.tokenizer, baselines=model.neutral)
            layer = captum.attr.LayerIntegratedGradients(model.module, model.module.get_input_embeddings())
            peer = captum.attr.LLMGradientAttribution(layer, model.tokenizer)
            # Captum has a baseline for each token of a prompt: here, as the probe has it, for those of the sample's text.
            plain, own = inp.to_model_input, torch.tensor([span != (0, 0) for span in spans])

            def kept(shown: Any = None, plain: Any = plain, own: Any = own, inp: Any = inp) -> torch.Tensor:
                ids: torch.Tensor = plain(shown)
                return torch.where(own, ids, inp.inp_tensor)

            inp.to_model_input = kept
            target = torch.tensor(model.tokenizer(f" {sample.target}", add_special_tokens=False)["input_ids"])
            found = peer.attribute(inp, target=target, n_steps=32)
            close(found_P, gather(found.seq_attr.reshape(-1).numpy(), spans, word_spans(text)))

    @pytest.mark.parametrize(
        ("probe", "method", "more"),
        [
            (Saliency(), captum.attr.Saliency, {}),
            (InputXGradient(), captum.attr.InputXGradient, {}),
            (IntegratedGradients(steps=16, max_steps=16), captum.attr.IntegratedGradients, {"n_steps": 16}),
        ],
    )
    def test_gradients_by_a_forward_function_of_embeddings(self, probe: Any, method: Any, more: dict[str, Any]) -> None:
        """The log-likelihood written out, of one sample, without padding, mask or engine."""
        module = in_float64().module
        for sample, found_P in zip(ASKED, exact(probe, engine=tiny.engine(in_float64())), strict=True):
            text = str(sample.input)
            before, spans = ids_of(PROMPT + text), tokens_of_text(text)
            after = tiny.shared("llama").tokenizer(f" {sample.target}", add_special_tokens=False)["input_ids"]
            embed = module.get_input_embeddings()
            x = embed(torch.tensor([before + after])).detach().requires_grad_()
            neutral = [tiny.shared("llama").neutral if span != (0, 0) else i for i, span in zip(before, spans, strict=True)]
            base = embed(torch.tensor([neutral + after])).detach()

            def forward(e: torch.Tensor, start: int = len(before), after: Any = tuple(after)) -> torch.Tensor:
                log_probs = module(inputs_embeds=e).logits.log_softmax(-1)
                return torch.stack([log_probs[:, start + i - 1, token] for i, token in enumerate(after)]).sum(0)

            if more:
                more = {**more, "baselines": base}
            found = method(forward).attribute(x, **more)[0, : len(before)].detach().double().sum(-1).numpy()
            close(found_P, gather(found, spans, word_spans(text)))


class TestAgainstPlainLoops:
    @pytest.mark.parametrize("window", [1, 2])
    def test_occlusion(self, window: int) -> None:
        for sample, found_P in zip(ASKED, exact(Occlusion(words=window)), strict=True):
            text, answer = str(sample.input), f" {sample.target}"
            spans = word_spans(text)
            full, falls, times = loglikelihood(PROMPT + text, answer), np.zeros(len(spans)), np.zeros(len(spans))
            for start in range(len(spans) - min(window, len(spans)) + 1):
                gone = slice(start, start + window)
                falls[gone] += full - loglikelihood(PROMPT + cut_out(text, spans[gone]), answer)
                times[gone] += 1
            close(found_P, falls / times)

    def test_shapley_values_sum_to_what_the_text_does(self) -> None:
        probe = ShapleyValueSampling(permutations=2)
        for sample, record, found_P in zip(ASKED, records(probe), exact(probe), strict=True):
            answer = f" {sample.target}"
            moved = loglikelihood(PROMPT + str(sample.input), answer) - loglikelihood(PROMPT, answer)
            assert found_P.sum() == pytest.approx(moved, abs=1e-4)
            assert record.scores["completeness_error"] == pytest.approx(0, abs=1e-4)

    def test_integrated_gradients_are_complete_or_flagged(self) -> None:
        """The change from the neutral prompt, by token ids."""
        model = tiny.shared("llama")
        probe = IntegratedGradients(tolerance=0.01, max_steps=256)
        for sample, record, found_P in zip(ASKED, records(probe), exact(probe), strict=True):
            text = PROMPT + str(sample.input)
            after = model.tokenizer(f" {sample.target}", add_special_tokens=False)["input_ids"]
            spans = tokens_of_text(str(sample.input))
            likely = []
            for neutral in (False, True):
                ids = [model.neutral if neutral and span != (0, 0) else i for i, span in zip(ids_of(text), spans, strict=True)]
                with torch.no_grad():
                    log_probs = model.module(torch.tensor([ids + after])).logits[0].log_softmax(-1)
                likely.append(sum(float(log_probs[len(ids) + i - 1, token]) for i, token in enumerate(after)))
            change, error = likely[0] - likely[1], record.scores["completeness_error"]
            assert error == pytest.approx(abs(float(found_P.sum()) - change), abs=1e-3)
            assert record.artifacts["converged"] == (error <= max(0.01, 0.01 * abs(change)))  # type: ignore[operator]

    @pytest.mark.parametrize("task", [CLOZE, CHOICES, WRITES])
    def test_scores_of_erasure(self, task: Asks) -> None:
        """p(x) - p(without the first) and p(x) - p(the first alone), p by the definition of each kind of task."""
        samples = CHOSEN if task is CHOICES else ASKED
        for sample, record in zip(samples, records(FeatureAblation(), task, samples, scores=("erasure",)), strict=True):
            text = str(sample.input)
            spans, target = word_spans(text), record.artifacts["attribution"]["target"]
            labels = [f" {label}" for label in sample.labels] or [record.artifacts["continuation"]]

            def p(shown: str, labels: Sequence[str] = labels, target: int = target) -> float:
                found = [loglikelihood(PROMPT + shown, label) for label in labels]
                if len(found) > 1:
                    return math.exp(found[target]) / sum(map(math.exp, found))
                return math.exp(found[0] / len(tiny.shared("llama").tokenizer(labels[0], add_special_tokens=False)["input_ids"]))

            order = np.argsort(-values(record), kind="stable")
            falls = []
            for share in (0.1, 0.2, 0.3, 0.5):
                hidden = np.zeros(len(spans), bool)
                hidden[order[: max(1, math.ceil(share * len(spans)))]] = True
                rest = cut_out(text, [s for s, gone in zip(spans, hidden, strict=True) if gone])
                falls.append((p(text) - p(rest), p(text) - p(str(keep_parts(text, spans, hidden, "cut")))))
            expected = np.mean(falls, axis=0)
            assert [record.scores["comprehensiveness"], record.scores["sufficiency"]] == pytest.approx(expected.tolist(), abs=1e-5)


class TestEachWord:
    """A word of the answer is a continuation after the prompt and the words before it."""

    def test_rows_are_what_the_words_lose(self) -> None:
        for sample, record in zip(ASKED, records(FeatureAblation(), each_word=True), strict=True):
            text, answer = str(sample.input), f" {sample.target}"
            prompt, words = word_spans(text), word_spans(answer)
            rows = record.artifacts["each_word"]
            assert rows["spans"] == words
            expected = np.zeros((len(words), len(prompt) + len(words)))
            start = 0
            for i, (_, end) in enumerate(words):
                end = len(answer) if i == len(words) - 1 else end
                full = loglikelihood(PROMPT + text + answer[:start], answer[start:end])
                for j, span in enumerate(prompt):
                    expected[i, j] = full - loglikelihood(PROMPT + cut_out(text, [span]) + answer[:start], answer[start:end])
                for j in range(i):
                    rest = cut_out(answer[:start], [words[j]])
                    expected[i, len(prompt) + j] = full - loglikelihood(PROMPT + text + rest, answer[start:end])
                start = end
            close(rows["values"].astype(float), expected, 1e-3)  # kept to 11 bits
            # The chain rule: what the whole answer loses without a word of the prompt is the sum of what its words lose.
            close(rows["values"][:, : len(prompt)].astype(float).sum(0), values(record), 5e-3)

    def test_gradients_see_the_words_before(self) -> None:
        for sample, record in zip(ASKED, records(InputXGradient(), each_word=True), strict=True):
            answer = f" {sample.target}"
            words, rows = word_spans(answer), record.artifacts["each_word"]["values"].astype(float)
            num = len(word_spans(str(sample.input)))
            for i, (start, end) in enumerate(words):
                begin = words[i - 1][1] if i else 0
                end = len(answer) if i == len(words) - 1 else end
                given = Sample("x", f"{sample.input}{answer[:begin]}", answer[begin:end])
                (whole,) = records(InputXGradient(), Asks(lambda s: [LogLikelihood(f"{PROMPT}{s.input}", s.target)]), [given])
                close(rows[i, : num + i], values(whole), 1e-3)
                assert not rows[i, num + i :].any()
                assert start >= begin

    @pytest.mark.parametrize("is_set", [False, True], ids=["a chat", "a text, and the model is set to use its template"])
    def test_the_words_of_a_chats_answer(self, is_set: bool) -> None:
        """The words before are the beginning of the assistant's message, tokenised with what follows and apart from the template."""
        engine = tiny.engine(tiny.load("llama", chat_template=True) if is_set else "llama")
        task = WRITES if is_set else CHATS
        head = f"<s>[user]{PROMPT}" if is_set else "<s>[system]Go\n[user]"
        for sample, record in zip(ASKED, records(FeatureAblation(target="gold"), task, engine=engine, each_word=True), strict=True):
            text, answer = str(sample.input), str(sample.target)
            prompt, words = word_spans(text), word_spans(answer)
            rows = record.artifacts["each_word"]["values"].astype(float)
            start = 0
            for i, (_, end) in enumerate(words):
                end = len(answer) if i == len(words) - 1 else end
                full = said_in(f"{head}{text}", answer[:start], answer[start:end])
                expected = [full - said_in(f"{head}{cut_out(text, [s])}", answer[:start], answer[start:end]) for s in prompt]
                expected += [
                    full - said_in(f"{head}{text}", cut_out(answer[:start], [words[j]]), answer[start:end]) if j < i else 0
                    for j in range(len(words))
                ]
                close(rows[i], expected, 1e-3)  # kept to 11 bits
                start = end
            close(rows[:, : len(prompt)].sum(0), values(record), 5e-3)

    def test_gradients_see_the_words_before_in_a_chat(self) -> None:
        model = tiny.shared("llama")
        embed = model.module.get_input_embeddings()
        for sample, record in zip(ASKED, records(InputXGradient(target="gold"), CHATS, each_word=True), strict=True):
            text, answer = str(sample.input), str(sample.target)
            words, rows = word_spans(answer), record.artifacts["each_word"]["values"].astype(float)
            template = f"<s>[system]Go\n[user]{text}\n[assistant]"
            at = template.index(text)
            before, ids = (model.tokenizer(t, add_special_tokens=False, return_offsets_mapping=True) for t in (template, answer))
            for i, (_, end) in enumerate(words):
                start = words[i - 1][1] if i else 0
                read = [n for n, (a, _) in enumerate(ids["offset_mapping"]) if a < end or i == len(words) - 1]
                asked = [n for n in read if ids["offset_mapping"][n][1] > start]
                whole = torch.tensor([*before["input_ids"], *(ids["input_ids"][n] for n in read)])
                features = embed(whole[None]).detach().requires_grad_()
                log_probs = model.module(inputs_embeds=features).logits[0].log_softmax(-1)
                first = len(before["input_ids"])
                sum(log_probs[first + n - 1, ids["input_ids"][n]] for n in asked).backward()  # type: ignore[union-attr]
                each = (features.grad * features).sum(-1)[0].detach().numpy()
                own = [(max(a - at, 0), b - at) if at < b and a < at + len(text) and b > a else (0, 0) for a, b in before["offset_mapping"]]
                wanted = gather(each[:first], own, word_spans(text))
                earlier = [span if n not in asked else (0, 0) for n, span in enumerate(ids["offset_mapping"][: len(read)])]
                wanted = np.concatenate([wanted, gather(each[first:], earlier, words)])
                close(rows[i], wanted, 1e-3)

    def test_an_answer_that_is_begun_goes_on(self) -> None:
        engine = tiny.engine("llama")
        asked = Chat((Message("user", "the cat"), Message("assistant", "a dog sat")))
        (found,), (plain,) = engine.run([Generate(asked, 6)]), engine.run([Generate("[user]the cat\n[assistant]a dog sat", 6)])
        assert found.text == plain.text

    def test_what_stands_after_the_text_is_kept(self) -> None:
        task = Asks(lambda s: [LogLikelihood(f"{PROMPT}{s.input} and so:", f" {s.target}")])
        for sample, record in zip(ASKED, records(FeatureAblation(), task, each_word=True), strict=True):
            text, answer = str(sample.input), f" {sample.target}"
            (_, end), *_ = word_spans(answer)
            rows = record.artifacts["each_word"]["values"].astype(float)
            last = cut_out(text, [word_spans(text)[-1]])
            first = answer if len(rows) == 1 else answer[:end]
            expected = loglikelihood(f"{PROMPT}{text} and so:", first) - loglikelihood(f"{PROMPT}{last} and so:", first)
            assert rows[0, len(word_spans(text)) - 1] == pytest.approx(expected, rel=2e-3, abs=1e-3)


class TestWhatIsExplained:
    def test_the_likeliest_choice_or_the_right_one(self) -> None:
        for sample, predicted, gold in zip(
            CHOSEN, records(FeatureAblation(), CHOICES, CHOSEN), records(FeatureAblation(target="gold"), CHOICES, CHOSEN), strict=True
        ):
            likely = [loglikelihood(PROMPT + str(sample.input), f" {label}") for label in sample.labels]
            assert predicted.artifacts["attribution"]["target"] == int(np.argmax(likely))
            assert gold.artifacts["attribution"]["target"] == sample.target
            assert gold.artifacts["continuation"] == f" {sample.labels[sample.target]}"
            (alone_,) = records(FeatureAblation(), samples=[Sample("x", sample.input, sample.labels[sample.target])])
            close(values(gold), values(alone_))

    def test_what_the_model_writes_or_should_write(self) -> None:
        engine = tiny.engine("llama")
        said = [c.text for c in engine.run([Generate(f"{PROMPT}{s.input}", 5) for s in ASKED])]
        assert [r.artifacts["continuation"] for r in records(FeatureAblation(), WRITES)] == said
        for right, gold in zip(records(FeatureAblation()), records(FeatureAblation(target="gold"), WRITES), strict=True):
            assert gold.artifacts["continuation"] == right.artifacts["continuation"]
            np.testing.assert_array_equal(values(gold), values(right))

    def test_a_chat(self) -> None:
        model = tiny.shared("llama")
        for sample, found_P in zip(ASKED, exact(FeatureAblation(target="gold"), CHATS), strict=True):

            def asked(text: str, answer: str = str(sample.target)) -> float:
                shown = f"<s>[system]Go\n[user]{text}\n[assistant]"
                before = model.tokenizer(shown, add_special_tokens=False)["input_ids"]
                after = model.tokenizer(answer, add_special_tokens=False)["input_ids"]
                with torch.no_grad():
                    log_probs = model.module(torch.tensor([before + after])).logits[0].log_softmax(-1)
                return sum(float(log_probs[len(before) + i - 1, token]) for i, token in enumerate(after))

            text = str(sample.input)
            close(found_P, [asked(text) - asked(cut_out(text, [span])) for span in word_spans(text)])
        for record in records(IntegratedGradients(max_steps=256), CHATS):
            assert record.artifacts["converged"] or record.artifacts["num_steps"] == 256

    def test_what_cannot_be_explained_says_why_and_loses_no_other(self) -> None:
        given = (*ASKED, Sample("none", "a dog", None), Sample("number", "a dog", 3))
        found = records(FeatureAblation(target="gold"), WRITES, given)
        assert [r.error is None for r in found] == [True] * 3 + [False] * 2
        assert "expected text" in str(found[3].error)

        def make(sample: Sample) -> list[Request[Any]]:
            if sample.id == "s1":
                return [LogLikelihood("elsewhere", " x")]
            if sample.id == "s2":
                return [LogLikelihood(f"{sample.input}", " x"), LogLikelihood(f"{sample.input}!", " x")]
            return [LogLikelihood(f"{sample.input}", " x")]

        fine, elsewhere, two = records(FeatureAblation(), Asks(make))
        assert fine.error is None
        assert "does not contain" in str(elsewhere.error)
        assert "of one prompt" in str(two.error)

    def test_a_text_that_should_be_written_stands_apart(self) -> None:
        def answer(prompt: str | Chat, wanted: str) -> str:
            task = Asks(lambda s: [Generate(prompt, 5)], "generate")
            ((_, made),) = frame_samples(tiny.engine("llama"), task, [Sample("x", "a dog", wanted)], "gold")
            return made.labels[0]

        assert answer("a dog", "sat") == " sat"
        assert answer("a dog ", "sat") == answer("a dog:\n", "sat") == "sat"
        assert answer("a dog", "\nsat") == "\nsat"
        assert answer(Chat((Message("user", "a dog"),)), "sat") == "sat"


class TestControls:
    def test_every_score_and_its_controls(self) -> None:
        every = ("erasure", "curves", "infidelity", "max_sensitivity", "complexity", "randomised")
        for probe in (FeatureAblation(), IntegratedGradients(steps=8, max_steps=8), Saliency()):
            engine = tiny.engine("llama")
            engine.info = ModelInfo({}, {"gradients"})
            for record in records(probe, scores=every, engine=engine):
                names = {"comprehensiveness", "sufficiency", "aopc", "deletion_auc_cut", "infidelity", "complexity"}
                wanted = {f"{name}{control}" for name in names for control in ("", "_random", "_randomised")} - {"complexity_random"}
                assert wanted | {"max_sensitivity", "randomised_rank_correlation"} <= {k for k, v in record.scores.items() if v is not None}
                assert "note" not in record.artifacts

    def test_the_randomised_model_runs_as_the_model_does(self) -> None:
        """The engine's answers, from packs and from batches, are those of the new weights."""
        model = tiny.load("llama")
        twin = model.randomised(3)
        assert twin.fingerprint != model.fingerprint
        request = LogLikelihood("the cat sat", " on a table")
        for pack in (0, 1024):
            (found,) = tiny.engine(twin, pack=pack).run([request])
            ids = twin.scored(request).ids
            plain = randomise(tiny.load("llama"), 3).module
            with torch.no_grad():
                log_probs = plain(torch.tensor([ids])).logits[0].log_softmax(-1)
            after = ids[-found.num_tokens :]
            expected = sum(float(log_probs[len(ids) - len(after) + i - 1, t]) for i, t in enumerate(after))
            assert found.value == pytest.approx(expected, abs=1e-4)
            (own,) = tiny.engine(model, pack=pack).run([request])
            assert abs(own.value - found.value) > 1

    @pytest.mark.parametrize(
        "make", [FeatureAblation, lambda: SmoothGrad(points=3), lambda: IntegratedGradients(steps=8, max_steps=8), lambda: Lime(subsets=30)]
    )
    def test_neighbours_change_nothing(self, make: Callable[[], Any]) -> None:
        together = records(make(), scores=("erasure", "randomised"), each_word=True)
        for sample, one in zip(ASKED, together, strict=True):
            engine = tiny.engine("llama", rows=3, tokens=64, pack=32)
            (alone_,) = records(make(), samples=[sample], scores=("erasure", "randomised"), each_word=True, engine=engine)
            close(values(alone_), values(one))
            assert alone_.scores == pytest.approx(one.scores, abs=1e-4, nan_ok=False)
            close(alone_.artifacts["each_word"]["values"].astype(float), one.artifacts["each_word"]["values"].astype(float), 2e-3)

    @pytest.mark.parametrize("probe", [KernelShap(subsets=30), GradientShap(points=3), Lime(subsets=30)])
    def test_other_methods_run_as_they_are(self, probe: Any) -> None:
        assert all(np.isfinite(values(record)).any() for record in records(probe))


class Counts:
    """Closed form: the log-likelihood of a continuation is the number of ``key`` in the prompt, minus 5, times its words."""

    name = fingerprint = "counts"
    info = ModelInfo({"loglikelihood": {"text"}, "generate": {"text"}})

    def loglikelihood(self, batch: Sequence[LogLikelihood]) -> list[LogProb]:
        words = [len(request.continuation.split()) for request in batch]
        keys = [str(request.context).split().count("key") for request in batch]
        return [LogProb((k - 5.0) * n, n) for k, n in zip(keys, words, strict=True)]

    def generate(self, batch: Sequence[Generate]) -> list[Completion]:
        return [Completion(" two words", 2, "length", 1) for _ in batch]


class TestAClosedForm:
    GIVEN = (Sample("a", "here is a key and a key", "x"), Sample("b", "no more", "x"))

    def test_black_boxes_are_explained(self) -> None:
        engine = Engine(Counts(), Counts.info)
        task = Asks(lambda s: [Generate(str(s.input), 2)], "generate")
        first, second = records(FeatureAblation(), task, self.GIVEN, engine, scores=DEFAULT_SCORES)
        np.testing.assert_array_equal(values(first), [0, 0, 0, 2, 0, 0, 2])
        np.testing.assert_array_equal(values(second), [0, 0])
        # p is e^(keys - 5), whatever the answer's length. Of 7 words the two keys come first.
        assert first.scores["comprehensiveness"] == pytest.approx(math.exp(-3) - (math.exp(-4) + 3 * math.exp(-5)) / 4)
        assert first.scores["sufficiency"] == pytest.approx(math.exp(-3) - (math.exp(-4) + 3 * math.exp(-3)) / 4)
        assert first.scores["infidelity"] == pytest.approx(0, abs=1e-12)
        assert "comprehensiveness_randomised" not in first.scores

    def test_a_port_answers_what_is_no_classification_as_ever(self) -> None:
        port = ContinuationPort(Engine(Counts(), Counts.info), Frame("a key ", " key"))
        generated, likely, several = port.try_run([Generate("x", 2), LogLikelihood("key", "a"), Classify("key", ("a", "a b"))])
        assert generated.text == " two words"
        assert likely.value == -4
        assert several.values == (-2, -4)
        assert several.probability(0) == pytest.approx(1 / (1 + math.exp(-2)))

    def test_a_frame_is_found_from_the_end(self) -> None:
        frame = Frame.of("a dog", "a dog sat. a dog!")
        assert frame.prompt("x") == "a dog sat. x!"
        assert frame.prompt(TextPair("x", " y")) == "a dog sat. x! y"


TASK = """
family: generation
data: {python: "rows.py:rows"}
prompt: "{{ text }}"
target: "{{ answer }}"
max_tokens: 4
"""
ROWS = """
def rows():
    for text in ("the cat sat on a table", "a dog in Paris", "unable to read"):
        yield {"text": text, "answer": "films"}
"""


class TestASuite:
    def suite(self, folder: Path, **keys: Any) -> dict[str, Any]:
        (folder / "asks.yaml").write_text(TASK)
        (folder / "rows.py").write_text(ROWS)
        return {"models": [{"model": f"hf:{tiny.checkpoint('llama')}", "name": "llama"}], "tasks": [{"task": "asks.yaml"}], **keys}

    def test_a_run(self, tmp_path: Path) -> None:
        probes = [
            {"probe": "integrated_gradients", "settings": {"max_steps": 32}}, {"probe": "feature_ablation", "each_word": True},
            {"probe": "feature_ablation", "name": "gold", "settings": {"target": "gold"}},
        ]  # fmt: skip
        card = toys.run(tmp_path, **self.suite(tmp_path, probes=probes))
        for name in ("comprehensiveness", "comprehensiveness_random", "comprehensiveness_randomised", "aopc", "completeness_error"):
            assert toys.row(card, "integrated_gradients(asks)", name).estimate.n == 3
        assert toys.row(card, "integrated_gradients(asks)", "rank_correlation_with_feature_ablation").estimate.n == 3
        # Another continuation is another question.
        assert not any(row.name == "rank_correlation_with_gold" for row in card.rows)
        with toys.opened(tmp_path / "run") as store:
            for view in make_sample_views(store, store.items(), list_kinds(Registry())):
                gradients, ablation, gold = view.heats
                assert gradients.target == ablation.target == str(view.prediction)
                assert gold.target == "films"
                assert len(gradients.values) == len(word_spans(str(view.input.text)))
        found = toys.records_of(tmp_path / "run")["llama/feature_ablation(asks)"]
        assert all(record.artifacts["each_word"]["values"].dtype == np.float32 for record in found)

    def test_a_plan_knows_who_can(self, tmp_path: Path) -> None:
        probes = [{"probe": "integrated_gradients"}]
        with pytest.raises(CapabilityError, match="gradients"):
            toys.planned(tmp_path, **self.suite(tmp_path, probes=probes) | {"models": [{"model": "toy:bytes"}]}).require_possible()
        planned = toys.planned(tmp_path, **self.suite(tmp_path, probes=[{"probe": "occlusion"}]) | {"models": [{"model": "toy:bytes"}]})
        assert [item.item for item in planned.items if item.kind.name == "probe"] == ["occlusion(asks)"]

    def test_attacks_on_classes_stay_with_classifiers(self, tmp_path: Path) -> None:
        with pytest.raises(CapabilityError, match="classify"):
            toys.planned(tmp_path, **self.suite(tmp_path, attacks=[{"attack": "swap"}])).require_possible()

    def test_which_tasks_have_continuations(self) -> None:
        assert has_continuations(CLOZE)
        assert not has_continuations(Asks(lambda s: [], "classify"))
        assert not has_continuations(Asks(lambda s: [], "rolling_loglikelihood"))


class TestAttention:
    """The words' rows of a plain eager pass, read at the places before the continuation's tokens."""

    @pytest.mark.parametrize("probe", [Attention(layer=0), Attention(), AttentionRollout()])
    def test_as_a_loop_has_it(self, probe: Any) -> None:
        model = tiny.shared("llama")
        plain = copy.deepcopy(model.module)
        plain.config._attn_implementation = "eager"
        for sample, found_P in zip(ASKED, exact(probe), strict=True):
            text = str(sample.input)
            before, spans = ids_of(PROMPT + text), tokens_of_text(text)
            after = model.tokenizer(f" {sample.target}", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                maps = [a[0].double().mean(0).numpy() for a in plain(torch.tensor([before + after]), output_attentions=True).attentions]
            whole = np.eye(len(maps[0]))
            for one in maps:
                whole = 0.5 * whole + 0.5 * one @ whole
            shown = whole if isinstance(probe, AttentionRollout) else maps[probe.layer]
            row = np.mean([shown[len(before) + i - 1] for i in range(len(after))], axis=0)
            close(found_P, gather(row[: len(before)], spans, word_spans(text)))

    def test_it_is_flagged_as_weak(self) -> None:
        assert "weak baseline" in Attention.caution
        for record in records(Attention(), scores=("erasure", "randomised")):
            assert record.scores["comprehensiveness_randomised"] is not None
