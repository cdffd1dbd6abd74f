"""Causal language models against hand-written loops over transformers: scoring, rolling windows, generation, chat."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ModelError, SampleError
from windtunnel.harness.api.requests import Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.api.responses import Completion, Failure, LogProb
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.models.causal import packed_attention
from windtunnel.harness.models.causal.rolling_windows import split_windows
from windtunnel.harness.models.common.stop_strings import cut
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

CAUSAL = ("gpt2", "llama")
START = {"gpt2": 0, "llama": 0}


def ids_of(name: str, text: str) -> list[int]:
    ids: list[int] = tiny.shared(name).tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def reference(name: str, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
    """Unpadded, alone, log_softmax in float64, left-truncated to what the model reads."""
    whole = [*context, *continuation][-(tiny.MAX_LENGTH + 1) :]
    with torch.no_grad():
        logits = tiny.shared(name).module(torch.tensor([whole[:-1]])).logits[0].double()
    logprobs = torch.log_softmax(logits, -1)[-len(continuation) :]
    targets = torch.tensor(whole[-len(continuation) :])
    return float(logprobs.gather(1, targets[:, None]).sum()), bool((logprobs.argmax(-1) == targets).all())


def close(answer: LogProb, wanted: tuple[float, bool], num_tokens: int) -> None:
    assert answer.num_tokens == num_tokens
    assert answer.value == pytest.approx(wanted[0], abs=1e-5 * num_tokens + 1e-6)
    assert answer.is_greedy == wanted[1]


# ── log-likelihood ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize(
    ("context", "continuation"),
    [
        ("the cat", " sat on a table"),
        ("a", " dog"),
        ("The end.", "\nStop here!"),
        ("", "the young dog"),
        ("", " dog"),
        ("שלום", " 😀\u200b"),
    ],
)
def test_loglikelihood(name: str, context: str, continuation: str) -> None:
    before = ([START[name]] if name == "llama" or not context else []) + ids_of(name, context)
    after = ids_of(name, context + continuation)[len(ids_of(name, context)) :]
    (answer,) = tiny.engine(name).run([LogLikelihood(context, continuation)])
    close(answer, reference(name, before, after), len(after))
    assert answer.num_truncated == 0


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize(("context", "continuation"), [("the t", "able"), ("Par", "is"), ("t", "he"), ("an a", "ble dog")])
def test_a_token_across_the_seam_is_scored_whole(name: str, context: str, continuation: str) -> None:
    whole, alone = ids_of(name, context + continuation), ids_of(name, context)
    assert whole[: len(alone)] != alone, "the case must merge"
    common = next(i for i, (a, b) in enumerate(zip([*alone, -1], [*whole, -2], strict=False)) if a != b)
    prefix = [START[name]] if name == "llama" or not common else []
    (answer,) = tiny.engine(name).run([LogLikelihood(context, continuation)])
    close(answer, reference(name, prefix + whole[:common], whole[common:]), len(whole) - common)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_long_context_is_cut_at_its_left(name: str) -> None:
    context = "the cat sat on a table " * 20
    bare, after = ids_of(name, context.rstrip()), ids_of(name, " and was able")
    prefix = [START[name]] if name == "llama" else []
    (answer,) = tiny.engine(name).run([LogLikelihood(context.rstrip(), " and was able")])
    close(answer, reference(name, bare, after), len(after))
    assert answer.num_truncated == len(prefix + bare + after) - tiny.MAX_LENGTH - 1


@pytest.mark.parametrize("name", CAUSAL)
def test_a_continuation_longer_than_the_model_is_an_error_and_not_a_part_of_it(name: str) -> None:
    fits, too_long = " the" * tiny.MAX_LENGTH, " the" * (tiny.MAX_LENGTH + 1)
    good, bad = tiny.engine(name).try_run([LogLikelihood("a", fits), LogLikelihood("a", too_long)])
    assert good.num_tokens == tiny.MAX_LENGTH
    assert "RollingLogLikelihood" in bad.error


@pytest.mark.parametrize("name", CAUSAL)
def test_is_greedy(name: str) -> None:
    engine = tiny.engine(name)
    tokenizer = tiny.shared(name).tokenizer
    for prompt in ("the cat", "a young dog", "Paris", "The end."):
        ids = ([START[name]] if name == "llama" else []) + ids_of(name, prompt)
        with torch.no_grad():
            best = int(tiny.shared(name).module(torch.tensor([ids])).logits[0, -1].argmax())
        text = tokenizer.decode([best])
        if ids_of(name, prompt + text) == [*ids_of(name, prompt), best]:
            assert engine.run([LogLikelihood(prompt, text)])[0].is_greedy
            return
    pytest.skip("no greedy token makes a text of its own")


@pytest.mark.parametrize("name", CAUSAL)
def test_what_cannot_be_scored_fails_alone(name: str) -> None:
    requests = [LogLikelihood("the", ""), LogLikelihood("a \ud800", " b"), LogLikelihood("a", "\udfff"), LogLikelihood("the", " cat")]
    answers = tiny.engine(name).try_run(requests)
    assert [isinstance(a, Failure) for a in answers] == [True, True, True, False]
    assert "nothing to score" in answers[0].error
    assert "lone surrogate" in answers[1].error
    (blank,) = tiny.engine(name).try_run([LogLikelihood("the ", "")])
    assert isinstance(blank, Failure), "the space at the end is not a continuation"


# ── rolling log-likelihood ────────────────────────────────────────────────────────────────────────────────────────────


def harness_windows(tokens: list[int], prefix: int, longest: int, context: int) -> Iterator[tuple[list[int], list[int]]]:
    """lm-evaluation-harness' rolling windows, from its description: (what is read before, what is predicted), then made disjoint."""
    first = min(longest, len(tokens))
    yield [prefix], tokens[:first]
    done = first
    while done < len(tokens):
        size = min(len(tokens) - done, longest - context + 1)
        end = done + size
        yield tokens[end - longest - 1 : end - size], tokens[end - size : end]
        done = end


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_every_token_is_scored_once_with_its_context(length: int, longest: int, data: st.DataObject) -> None:
    min_context = data.draw(st.integers(1, longest))
    ids = list(range(100, 100 + length))
    scored: list[int] = []
    for window, num_scored in split_windows([7], ids, longest, min_context):
        assert num_scored >= 1
        assert len(window) <= longest + 1
        assert len(window) - num_scored >= (min_context if scored else 1)
        # A window is a piece of the text itself.
        start = window[-1] - len(window) + 1
        assert window[1:] == list(range(start + 1, window[-1] + 1))
        assert window[0] == (7 if start == 99 else start)
        if scored:
            assert len(window) == longest + 1, "later windows use the whole model"
        scored += window[-num_scored:]
    assert scored == ids
    wanted = [(before + new, len(new)) for before, new in harness_windows(ids, 7, longest, min_context)]
    assert list(split_windows([7], ids, longest, min_context)) == wanted


@pytest.mark.parametrize("min_context", [0, 5])
def test_windows_need_a_context_that_fits(min_context: int) -> None:
    with pytest.raises(ValueError, match="min_context must be between 1 and"):
        list(split_windows([0], [1, 2], 4, min_context))


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("min_context", [1, 20, tiny.MAX_LENGTH])
@pytest.mark.parametrize("num_tokens", [1, 10, tiny.MAX_LENGTH - 1, tiny.MAX_LENGTH, tiny.MAX_LENGTH + 1, 2 * tiny.MAX_LENGTH, 130])
def test_rolling(name: str, min_context: int, num_tokens: int) -> None:
    text = tiny.shared(name).tokenizer.decode(ids_of(name, "the young dog was able to read with a cat " * 20)[:num_tokens])
    ids = ids_of(name, text)
    assert len(ids) == num_tokens
    total, greedy = 0.0, True
    for before, new in harness_windows(ids, START[name], tiny.MAX_LENGTH, min_context):
        value, best = reference(name, before, new)
        total, greedy = total + value, greedy and best
    (answer,) = tiny.engine(name).run([RollingLogLikelihood(text, min_context)])
    close(answer, (total, greedy), num_tokens)


def test_a_short_text_is_its_loglikelihood_from_the_start() -> None:
    for name in CAUSAL:
        rolling, whole = tiny.engine(name).run([RollingLogLikelihood("the cat sat"), LogLikelihood("", "the cat sat")])
        assert rolling.value == pytest.approx(whole.value, abs=1e-5)


def test_rolling_over_nothing_or_too_much_context_is_an_error() -> None:
    answers = tiny.engine("gpt2").try_run([RollingLogLikelihood(""), RollingLogLikelihood("the", 49), RollingLogLikelihood("\ud800")])
    assert "no tokens to score" in answers[0].error
    assert "min_context must be between 1 and the model's 48 positions" in answers[1].error
    assert "lone surrogate" in answers[2].error


@pytest.mark.parametrize("name", CAUSAL)
def test_a_context_of_a_hundred_thousand_words_is_cut(name: str) -> None:
    text = "the cat sat on a table " * 17_000
    scored, said = tiny.engine(name).run([LogLikelihood(text, " dog"), Generate(text, 2)])
    assert scored.num_truncated > 100_000
    assert said.num_truncated > 100_000


# ── generation ────────────────────────────────────────────────────────────────────────────────────────────────────────

PROMPTS = ["the", "the cat sat on", "a young dog was able to read with her", "Paris", "", "3 4 unable"]


def greedy(name: str, prompt: str, most: int, ends: Sequence[int] = ()) -> list[int]:
    """model.generate, alone."""
    model = tiny.shared(name)
    ids = torch.tensor([([START[name]] if name == "llama" or not prompt else []) + ids_of(name, prompt)])
    ends = ends or [model.tokenizer.eos_token_id]
    out = model.module.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=most, eos_token_id=list(ends), pad_token_id=ends[0]
    )
    new: list[int] = out[0, ids.shape[1] :].tolist()
    return new


@pytest.mark.parametrize("name", CAUSAL)
def test_greedy_is_generate_alone(name: str) -> None:
    lengths = [3, 12, 1, 20, 7, 2]
    answers = tiny.engine(name).run([Generate(p, n) for p, n in zip(PROMPTS, lengths, strict=True)])
    for prompt, most, answer in zip(PROMPTS, lengths, answers, strict=True):
        new = greedy(name, prompt, most)
        ended = tiny.shared(name).tokenizer.eos_token_id in new
        assert answer.text == tiny.shared(name).tokenizer.decode(new, skip_special_tokens=True)
        assert answer.num_tokens == len(new)
        assert answer.finish == ("stop" if ended else "length")
        assert answer.num_prompt_tokens == max(1, len(ids_of(name, prompt)) + (name == "llama"))


@pytest.mark.parametrize("name", CAUSAL)
def test_an_end_token_ends_the_row_and_is_not_text(name: str) -> None:
    model = tiny.load(name)
    new = greedy(name, "the cat sat on", 12)
    at = next(i for i, token in enumerate(new) if i > 1 and token not in new[:i])
    model.ends[:] = [new[at]]
    ended, other = tiny.engine(model).run([Generate("the cat sat on", 12), Generate("a", 12)])
    assert ended == Completion(
        model.tokenizer.decode(new[:at], skip_special_tokens=True), at + 1, "stop", len(ids_of(name, "the cat sat on")) + (name == "llama")
    )
    alone = greedy(name, "a", 12, [new[at]])
    assert other.num_tokens == len(alone)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("prompt", PROMPTS[:4])
def test_stop_strings(name: str, prompt: str) -> None:
    """Every substring of what is said, as a stop string: across tokens, at once, and among others."""
    tokenizer = tiny.shared(name).tokenizer
    ids = greedy(name, prompt, 16)
    free = tokenizer.decode(ids, skip_special_tokens=True)
    stops = {free[i : i + n] for i in range(0, len(free), 3) for n in (1, 2, 5, 9) if free[i : i + n]}
    stops = {stop for stop in stops if "\ufffd" not in stop}
    requests = [Generate(prompt, 16, (stop,)) for stop in sorted(stops)] + [Generate(prompt, 16, ("nowhere", s, "")) for s in sorted(stops)]
    # Beside a row that goes on to the end, so that a row that is done gets padding.
    answers = tiny.engine(name).run([*requests, Generate("a", 16)])[:-1]
    for request, answer in zip(requests, answers, strict=True):
        assert answer.text == cut(free, request.stop)
        assert answer.finish == "stop"
        said = next(n for n in range(1, 17) if any(s and s in tokenizer.decode(ids[:n], skip_special_tokens=True) for s in request.stop))
        assert answer.num_tokens == said, "generation goes on to the stop string and no further"
    (unstopped,) = tiny.engine(name).run([Generate(prompt, 16, ("nowhere", ""))])
    assert unstopped.text == free


def test_a_stop_string_of_many_tokens_a_character_is_seen() -> None:
    """Ten emoji are ten characters and forty byte tokens."""
    model = tiny.load("gpt2")
    stop = "😀🙃" * 5
    wanted = ids_of("gpt2", stop)
    assert len(wanted) > 30
    script = iter([*wanted, *[5] * 50])

    def say(module: Any, args: Any, output: Any) -> Any:
        output = torch.full_like(output, -100.0)
        output[..., next(script)] = 100.0
        return output

    model.module.lm_head.register_forward_hook(say)
    (answer,) = tiny.engine(model).run([Generate("a", 45, (stop,))])
    assert (answer.text, answer.finish, answer.num_tokens) == ("", "stop", len(wanted))


@pytest.mark.parametrize("name", CAUSAL)
def test_sampling_depends_on_the_seed_alone(name: str) -> None:
    requests = [Generate(p, 8, temperature=1.0, seed=s) for p in PROMPTS[:3] for s in range(4)]
    together = tiny.engine(name).run(requests)
    alone = tiny.engine(name, rows=1, pack=0).run(requests[::-1])[::-1]
    assert together == alone
    assert len({a.text for a in together[:4]}) > 1
    cold = tiny.engine(name).run([Generate(p, 8, temperature=1e-6, seed=1) for p in PROMPTS[:3]])
    assert [a.text for a in cold] == [a.text for a in tiny.engine(name).run([Generate(p, 8) for p in PROMPTS[:3]])]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sampling_is_the_softmax(temperature: float) -> None:
    """Chi-square over a vocabulary of 8, 4000 seeds; the statistic's 0.9999 quantile at 7 degrees of freedom is 29.9."""
    model = tiny.load("gpt2")
    logits = torch.tensor([1.0, 0.5, 0.0, -0.5, -1.0, 2.0, 1.5, 0.2])
    tokens = [ids_of("gpt2", c)[0] for c in "abcdefgh"]

    def say(module: Any, args: Any, output: Any) -> Any:
        output = torch.full_like(output, -1e9)
        output[..., tokens] = logits
        return output

    model.module.lm_head.register_forward_hook(say)
    num = 4000
    answers = tiny.engine(model, rows=1000, tokens=100_000).run([Generate("x", 1, temperature=temperature, seed=s) for s in range(num)])
    seen = Counter(a.text for a in answers)
    expected = torch.softmax(logits / temperature, 0).tolist()
    assert sum((seen["abcdefgh"[i]] - num * p) ** 2 / (num * p) for i, p in enumerate(expected)) < 29.9


def test_requests_that_cannot_be_answered_fail_alone() -> None:
    answers = tiny.engine("gpt2").try_run(
        [
            Generate("a", 0), Generate("a", -3), Generate("a", 1, temperature=-1.0), Generate("a", 1, temperature=math.nan),
            Generate("a", 48), Generate("\ud800", 1), Generate(Chat((Message("user", "hi"),)), 1), Generate("a", 47),
        ]
    )  # fmt: skip
    assert [isinstance(a, Failure) for a in answers] == [True] * 7 + [False]
    assert "max_tokens must be at least 1" in answers[0].error
    assert "leaves no room" in answers[4].error
    assert "has no chat template" in answers[6].error


def test_a_long_prompt_is_cut_at_its_left() -> None:
    prompt = "the cat sat on a table " * 20 + "and was"
    (answer,) = tiny.engine("gpt2").run([Generate(prompt, 4)])
    ids = ids_of("gpt2", prompt)
    assert (answer.num_prompt_tokens, answer.num_truncated) == (44, len(ids) - 44)
    with torch.no_grad():
        kept = torch.tensor([ids[-44:]])
        wanted = tiny.shared("gpt2").module.generate(
            kept, attention_mask=torch.ones_like(kept), do_sample=False, max_new_tokens=4, pad_token_id=0
        )
    assert answer.text == tiny.shared("gpt2").tokenizer.decode(wanted[0, 44:])


def test_nan_while_generating_is_a_failure_of_that_row() -> None:
    model = tiny.load("gpt2")
    word = ids_of("gpt2", " awful")[0]
    with torch.no_grad():
        model.module.transformer.wte.weight[word] = float("nan")
    model.module.lm_head.weight = torch.nn.Parameter(tiny.shared("gpt2").module.lm_head.weight.detach().clone())
    good, bad, scored = tiny.engine(model).try_run([Generate("the", 3), Generate("an awful", 3), LogLikelihood("an awful", " cat")])
    assert isinstance(good, Completion)
    for failure in (bad, scored):
        assert "NonFiniteError" in failure.error
        assert "set dtype to float32" in failure.error


def test_a_checkpoints_own_sampling_settings_do_not_mix_in(tmp_path: Path) -> None:
    folder = tiny.save("gpt2", tmp_path)
    own = {"do_sample": True, "temperature": 0.3, "top_k": 2, "repetition_penalty": 5.0, "max_new_tokens": 2, "eos_token_id": [0, 9]}
    (folder / "generation_config.json").write_text(json.dumps(own))
    model: Any = HuggingFace(str(folder)).load("cpu", "float32")
    assert model.ends == [0, 9], "what ends a text is the checkpoint's to say"
    model.ends[:] = [0]
    requests = [Generate(p, 12) for p in PROMPTS] + [Generate(p, 6, temperature=1.0, seed=3) for p in PROMPTS]
    assert tiny.engine(model).run(requests) == tiny.engine("gpt2").run(requests)


# ── chat ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_chat_template_that_refuses_is_told_with_what_to_do() -> None:
    """Some know no system message: those chats fail, with the reason, and the others go on."""
    model = tiny.load("llama")
    own = model.tokenizer.chat_template
    model.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + own
    )
    plain, guided = Chat((Message("user", "a cat"),)), Chat((Message("system", "be kind"), Message("user", "a cat")))
    answer, failure = tiny.engine(model).try_run([Generate(plain, 2), Generate(guided, 2)])
    assert answer.num_tokens > 0
    assert "(system, user): System role not supported" in failure.error
    assert "move its text into the prompt" in failure.error


def test_a_chat_is_what_the_template_makes_of_it() -> None:
    chat = Chat((Message("system", "be good"), Message("user", "the cat")))
    text = "[system]be good\n[user]the cat\n[assistant]"
    a, b = tiny.engine("llama").run([Generate(chat, 6), Generate(text, 6)])
    assert a == b, "one beginning-of-text token, whether the template writes it or the tokenizer"
    templated = tiny.engine(tiny.load("llama", chat_template=True)).run([Generate("hello ", 6), LogLikelihood("hello ", "cat")])
    plain = tiny.engine("llama").run([Generate("[user]hello \n[assistant]", 6)])
    assert templated[0] == plain[0]
    wanted = reference("llama", [0, *ids_of("llama", "[user]hello \n[assistant]")], ids_of("llama", "cat"))
    close(templated[1], wanted, len(ids_of("llama", "cat")))
    with pytest.raises(SampleError, match="no chat template"):
        tiny.engine(tiny.load("gpt2", chat_template=True)).run([Generate("hello", 6)])


def test_max_length_is_a_setting_within_the_position_table() -> None:
    assert tiny.load("llama", max_length=10_000).max_length == 10_000, "rotary positions have no table"
    assert tiny.shared("gpt2").max_length == tiny.MAX_LENGTH
    with pytest.raises(ModelError, match="positions for 48"):
        tiny.load("gpt2", max_length=49)
    (answer,) = tiny.engine(tiny.load("gpt2", max_length=8)).run([LogLikelihood("the cat sat on a table and was able to read", " with")])
    assert answer.num_truncated > 0


def test_a_length_under_another_name_is_read(tmp_path: Path) -> None:
    """MPT's attention bias is as long as ``max_seq_len``, and a longer text an error inside of the model."""
    config = transformers.MptConfig(vocab_size=360, d_model=32, n_layers=2, n_heads=4, max_seq_len=32)
    model: Any = saved(config, tmp_path).load("cpu", "float32")
    assert model.max_length == 32
    (answer,) = tiny.engine(model).run([LogLikelihood("the cat sat on a table " * 9, " and")])
    assert answer.num_truncated > 0


# ── architectures that are not what their signature says ──────────────────────────────────────────────────────────────

_SMALL = {"vocab_size": 360, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


_OPT = {
    "vocab_size": 360, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64, "word_embed_proj_dim": 32,
    "max_position_embeddings": 64,
}  # fmt: skip


def saved(config: Any, folder: Path) -> HuggingFace:
    """A model of that configuration, with GPT-2's tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in module.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    module.save_pretrained(folder)
    tiny.shared("gpt2").tokenizer.save_pretrained(folder)
    return HuggingFace(str(folder))


def test_causal_and_masked_padding_is_measured_not_believed() -> None:
    assert all(tiny.shared(name)._shares == "any" for name in CAUSAL)
    assert tiny.load("llama", dtype="bfloat16")._shares == "any", "rounding is not a difference"


@pytest.mark.parametrize(("kind", "shares"), [("bart", "length"), ("rwkv", "none"), ("opt", "any")])
def test_a_prompt_goes_on_the_same_beside_others(kind: str, shares: str, tmp_path: Path) -> None:
    configs: dict[str, Any] = {
        "bart": lambda: transformers.BartConfig(
            vocab_size=360, d_model=32, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=64, max_position_embeddings=64,
        ),
        "rwkv": lambda: transformers.RwkvConfig(vocab_size=360, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2),
        "opt": lambda: transformers.OPTConfig(**_OPT),
    }  # fmt: skip
    model: Any = saved(configs[kind](), tmp_path).load("cpu", "float32")
    assert model._shares == shares
    requests = [Generate(p, 8) for p in ("a", "b", "the cat", "the cat sat on a table", "a dog", "bad films that were great awful")]
    engine = tiny.engine(model)
    assert engine.run(requests) == tiny.engine(model, rows=1, pack=0).run(requests)


_GROUPED = {**_SMALL, "num_key_value_heads": 2, "max_position_embeddings": 64}
_ALTERNATING = ["sliding_attention", "full_attention"]
_PACKS: dict[str, tuple[Any, str]] = {
    "llama": (lambda: transformers.LlamaConfig(**_GROUPED), ""),
    "qwen3": (lambda: transformers.Qwen3Config(**_GROUPED, head_dim=8), ""),
    "granite": (lambda: transformers.GraniteConfig(**_GROUPED, logits_scaling=3.0), ""),
    "cohere": (lambda: transformers.CohereConfig(**_GROUPED, logit_scale=0.2, pad_token_id=0, bos_token_id=0, eos_token_id=0), ""),
    # OPT counts its positions from the mask before transformers 5.
    "opt": (lambda: transformers.OPTConfig(**_OPT), "" if transformers.__version__ >= "5" else " "),
    "mistral": (lambda: transformers.MistralConfig(**_GROUPED, sliding_window=24), ""),
    "gemma2": (lambda: transformers.Gemma2Config(**_GROUPED, head_dim=8, sliding_window=8, bos_token_id=0, eos_token_id=0), ""),
    "gemma3": (
        lambda: transformers.Gemma3TextConfig(
            **_GROUPED, head_dim=8, sliding_window=5, layer_types=_ALTERNATING, bos_token_id=0, eos_token_id=0,
        ), "",
    ),
    "gpt_oss": (
        lambda: transformers.GptOssConfig(
            **_GROUPED, head_dim=8, sliding_window=6, layer_types=_ALTERNATING, num_local_experts=2, num_experts_per_tok=1,
            rope_scaling=None, pad_token_id=0, bos_token_id=0, eos_token_id=0,
        ), "",
    ),
    "cohere2": (
        lambda: transformers.Cohere2Config(
            **_GROUPED, sliding_window=7, layer_types=_ALTERNATING, pad_token_id=0, bos_token_id=0, eos_token_id=0,
        ), "",
    ),
    "dynamic": (
        lambda: transformers.LlamaConfig(**_GROUPED, rope_scaling={"rope_type": "dynamic", "factor": 2.0}), "",
    ),
    "bloom": (lambda: transformers.BloomConfig(vocab_size=360, hidden_size=32, n_layer=2, n_head=4), " "),
    "mamba": (lambda: transformers.MambaConfig(vocab_size=360, hidden_size=32, num_hidden_layers=2, state_size=4), " "),
}  # fmt: skip


def test_a_pass_begins_anew_whatever_was_read_before(tmp_path: Path) -> None:
    """RecurrentGemma keeps its states from one pass to the next; each text is as a model that has read nothing else answers it."""
    config = transformers.RecurrentGemmaConfig(
        vocab_size=360, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1,
        lru_width=32, attention_window_size=32, pad_token_id=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model: Any = saved(config, tmp_path).load("cpu", "float32")
    contexts = ("the cat", "a dog sat on the", "the young dog was able to read good films")
    requests = [LogLikelihood(context, choice) for context in contexts for choice in (" good", " bad films")]
    wanted = []
    for request in requests:
        unit = model.split(request)[0]
        fresh = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
        with torch.inference_mode():
            logits_LV = fresh(input_ids=torch.tensor([unit.ids[:-1]]), use_cache=False).logits[0].double().log_softmax(1)
        places = range(len(unit.ids) - 1 - unit.num_scored, len(unit.ids) - 1)
        wanted.append(sum(float(logits_LV[at, unit.ids[at + 1]]) for at in places))
    for rows in (64, 2, 1, 64):
        engine = tiny.engine(model, rows=rows)
        assert [answer.value for answer in engine.run(requests)] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("kind", _PACKS)
def test_packs_are_for_those_whose_logits_stay(kind: str, tmp_path: Path) -> None:
    """Whether a model may run in packs is measured at load; what may not runs in batches, says why, and gives the same answers."""
    config, why = _PACKS[kind]
    model: Any = saved(config(), tmp_path).load("cpu", "float32")
    assert why in model.no_packs if why else not model.no_packs
    assert (model.flat is None) == bool(why)
    assert bool(model.notes) == bool(why)
    long = "the cat sat on the table and was able to read the good films that were great for the young dog"
    requests: list[Any] = [LogLikelihood(a, " " + b) for a in ("the cat", "the cat sat on", long) for b in ("good", "bad films")]
    requests += [RollingLogLikelihood(long), RollingLogLikelihood("a table"), Generate("the cat sat", 7), Generate("the cat", 9)]
    alone = tiny.engine(model, rows=1, pack=0).run(requests)
    for pack in (1024, 9):
        engine = tiny.engine(model, pack=pack)
        for a, b in zip(alone, engine.run(requests), strict=True):
            assert a == b if isinstance(a, Completion) else b.value == pytest.approx(a.value, rel=1e-5), kind
        assert engine.counters.tokens_shared > 0
        assert engine.counters.pack_failures == 0


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_choices_of_one_context_are_read_off_one_row(kind: str, tmp_path: Path) -> None:
    """Single tokens behind one context, and what goes on from it by a few, are one row of a padded batch; the answers stay."""
    config, _ = _PACKS[kind]
    model: Any = saved(config(), tmp_path).load("cpu", "float32")
    contexts = ["the cat sat on the", "a dog", "the cat sat on the table and was able to"]
    requests = [LogLikelihood(context, choice) for context in contexts for choice in (" a", " b", " c", " good", " the cat sat")]
    requests += [LogLikelihood("the cat sat on", " the"), RollingLogLikelihood("a dog a b")]
    alone = tiny.engine(model, rows=1, pack=0)
    wanted = [alone.run([request])[0] for request in requests]
    for rows in (1, 2, 64):
        engine = tiny.engine(model, rows=rows, pack=0)
        for order in (requests, requests[::-1]):
            answers = tiny.engine(model, rows=rows, pack=0).run(order) if order is not requests else engine.run(order)
            for request, answer in zip(order, answers, strict=True):
                expected = wanted[requests.index(request)]
                assert answer.value == pytest.approx(expected.value, abs=1e-4)
                assert (answer.num_tokens, answer.is_greedy) == (expected.num_tokens, expected.is_greedy)
        read = {tuple(model.split(request)[0].ids[:-1]) for request in requests}
        longest = [ids for ids in read if not any(other[: len(ids)] == ids and other != ids for other in read)]
        assert engine.counters.tokens_computed == sum(map(len, longest))
        whole = sum(len(model.split(request)[0].ids) - 1 for request in requests)
        assert engine.counters.tokens_shared == whole - sum(map(len, longest))


def test_a_row_that_fails_is_tried_choice_by_choice(tmp_path: Path) -> None:
    model: Any = saved(_PACKS["bloom"][0](), tmp_path).load("cpu", "float32")
    inner, asked = model.padded.score, []

    def score(batch: Sequence[Any]) -> list[LogProb]:
        asked.append(len(batch))
        if len(batch) > 1:
            raise RuntimeError("too many")
        return inner(batch)

    model.padded.score = score
    answers = tiny.engine(model, pack=0).run([LogLikelihood("the cat", choice) for choice in (" a", " b", " c")])
    assert all(isinstance(answer, LogProb) for answer in answers)
    assert asked[0] == 3
    assert max(asked[-3:]) <= 2


def test_texts_beyond_a_window_that_packs_do_not_reproduce_are_batched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that only the mask of a plain pass knows, as if the layers did not hand it on to their attention."""
    inner = packed_attention._attend
    monkeypatch.setattr(packed_attention, "_attend", lambda *args, sliding_window=None, **options: inner(*args, **options))
    model: Any = saved(_PACKS["mistral"][0](), tmp_path).load("cpu", "float32")
    assert model.flat.max_length == 24
    assert "texts of more than 24 tokens, its attention window, run in padded batches" in model.notes
    short, long = (model.split(RollingLogLikelihood("a " * n))[0] for n in (20, 40))
    assert (model.streams(short), model.streams(long)) == (True, False)


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "gemma3", "gpt_oss", "cohere2"])
def test_windows_caps_and_sinks_are_those_of_the_plain_model(kind: str, tmp_path: Path) -> None:
    """Log-likelihoods equal a plain loop, and greedy texts the model's own; several texts begin the same, within and beyond a window."""
    model: Any = saved(_PACKS[kind][0](), tmp_path).load("cpu", "float32")
    assert (model.no_packs, model.notes, model.flat.max_length) == ("", (), 64)
    start = "the cat sat on the table and was able to read the good films"
    prompts = [start, start + " that were great", start + " that were bad for the young dog", "a dog", "a dog sat"]
    requests = [LogLikelihood(prompt, choice) for prompt in prompts for choice in (" a", " and was able to sit", " great")]
    plain = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    expected = []
    for request in requests:
        unit = model.split(request)[0]
        with torch.inference_mode():
            logits_LV = plain(input_ids=torch.tensor([unit.ids[:-1]]), use_cache=False).logits[0].double().log_softmax(1)
        places = range(len(unit.ids) - 1 - unit.num_scored, len(unit.ids) - 1)
        expected.append(sum(float(logits_LV[at, unit.ids[at + 1]]) for at in places))
    texts: list[Any] = [Generate(prompt, 16) for prompt in prompts]
    written = []
    for request in texts:
        ids = list(model.split(request)[0].ids)
        for _ in range(16):
            with torch.inference_mode():
                ids.append(int(plain(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        written.append(ids[-16:])
    for pack, rows in ((1024, 64), (17, 64), (5, 2)):
        engine = tiny.engine(model, pack=pack, rows=rows)
        assert [answer.value for answer in engine.run(requests)] == pytest.approx(expected, abs=1e-4)
        for answer, ids in zip(engine.run(texts), written, strict=True):
            assert model.tokenizer.decode(ids[: answer.num_tokens]) == answer.text
        assert engine.counters.pack_failures == 0


def test_an_encoder_with_a_language_model_head_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no causal language model: .* is_decoder=True"):
        saved(transformers.BertConfig(**_SMALL, is_decoder=False), tmp_path / "e").load("cpu", "float32")
    # from_config builds BertLMHeadModel either way; only this one looks to the left alone.
    saved(transformers.BertConfig(**_SMALL, is_decoder=True), tmp_path / "d").load("cpu", "float32")


def test_a_model_that_does_not_run_says_so_at_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("expected scalar type Float")

    monkeypatch.setattr(transformers.GPT2Model, "forward", broken)
    with pytest.raises(ModelError, match=r"does not run in torch\.float32 on cpu: expected scalar type Float"):
        tiny.load("gpt2")


def test_a_model_that_cannot_generate_still_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("no generation here")

    monkeypatch.setattr(transformers.GPT2LMHeadModel, "generate", broken)
    generated, scored = tiny.engine(tiny.load("gpt2"), pack=0).try_run([Generate("a", 2), LogLikelihood("the cat", " sat")])
    assert "no generation here" in generated.error
    assert isinstance(scored, LogProb)


@pytest.mark.parametrize(
    ("settings", "is_read"),
    [
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, False),
        ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "rope_theta": 5e5}, True),
        ({"rope_parameters": {"rope_theta": 1e4, "rope_type": "linear", "factor": 2.0}, "rope_theta": 1e4}, False),
    ],
)
def test_rotary_settings_are_read_or_refused(tmp_path: Path, settings: dict[str, Any], is_read: bool) -> None:
    """transformers 4 passes over those that transformers 5 writes, without a word, and every number would be wrong."""
    tiny.save("llama", tmp_path)
    path = tmp_path / "config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if not k.startswith("rope_")}
    path.write_text(json.dumps({**config, **settings}))
    source = HuggingFace(str(tmp_path))
    if is_read or int(transformers.__version__.partition(".")[0]) >= 5:
        source.inspect()
    else:
        with pytest.raises(ModelError, match="set 'rope_theta'"):
            source.inspect()
