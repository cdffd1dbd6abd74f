"""Scorecards to test reports with: one that has everything, one that is out to do harm, one that has nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from windtunnel.harness.api.comparison import BASELINE, WORSE, Comparison, RowChange, name_side
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import (
    BaselineAnswer,
    EachWord,
    Estimate,
    GateResult,
    Heat,
    JudgedRow,
    Measure,
    Row,
    SampleView,
    Scorecard,
    Shown,
    Twin,
)
from windtunnel.harness.modalities.image import Image

BERT, LINEAR, CNN = "distilbert-sst2", "bag-of-words", "digits-cnn"

PHRASES = (
    "a gripping, quietly devastating film that earns every one of its tears",
    "the plot is thin, the jokes are thinner and the ending never arrives",
    "it is not a bad film, only one that has forgotten why it was made",
    "an unbelievably warm and funny portrait of a family 👩‍👩‍👧 under siege",
    "two hours of expensive noise in search of a single idea",
    "sharp, humane and wonderfully acted from the first frame to the last",
)
TYPOS = {
    "gripping,": "griping,",
    "thin,": "thni,",
    "bad": "bda",
    "unbelievably": "unbeleivably",
    "expensive": "expnesive",
    "humane": "hmuane",
}


def draw(grey: Callable[[int, int], float]) -> Image:
    """A grey image of 28 x 28 pixels; ``grey`` gives a value in [0, 1]."""
    return Image(np.array([[min(max(grey(y, x), 0.0), 1.0) for x in range(28)] for y in range(28)]))


def rich(num_reviews: int = 60) -> Scorecard:
    """Two text models and an image model, two attacks, two probes, every kind of row and of gate, samples of every modality."""
    samples = (*(review(i) for i in range(num_reviews)), *(digit(i) for i in range(10)), pair(), chat(), answered(), audio(), failed())
    return Scorecard(
        manifest={
            "name": "sentiment-release",
            "version": "0.1.0",
            "seed": 17,
            "suite": "sha256:0f6b2a77",
            "models": {
                BERT: {"fingerprint": "sha256:5d1e6a90c3", "dtype": "float32", "notes": ["truncates at 512 tokens"]},
                LINEAR: {"fingerprint": "sha256:b7740cfa11", "dtype": "float32", "notes": []},
                CNN: {"fingerprint": "sha256:9921dd03aa", "dtype": "bfloat16", "notes": []},
            },
            "items": [
                {"item": "sst2", "data": "sha256:77aa", "plugin": "windtunnel 0.1.0", "limit": 872},
                {"item": "deepwordbug(sst2)", "plugin": "windtunnel 0.1.0", "threat": {"max_words": 3, "max_share": None}},
            ],
            "skipped": [{"model": LINEAR, "item": "pgd(sst2)", "reason": "the model gives no gradients"}],
            "flags": [
                {"model": CNN, "item": "pgd(digits)", "flag": "zero_gradients", "sentence": "Gradients vanish on 12 of 100 samples, so the "
                 "attack may be blind there and the robust accuracy too high."},
                {"model": BERT, "item": "sst2", "flag": "drift", "sentence": "Batch 1 and batch 32 differ by at most 2e-6."},
            ],
        },
        rows=rows(),
        gates=gates(),
        verdict="fail",
        num_failed=1,
        num_samples=1_744,
        samples=samples,
        timing={f"{BERT}/sst2": {"seconds": 83.214, "samples_per_s": 20.96}, f"{CNN}/digits": {"seconds": 3.1, "samples_per_s": 32.3}},
        measures=MEASURES,
    )  # fmt: skip


MEASURES = {
    "accuracy": Measure("Accuracy", "Share of samples whose predicted class is the target.", True, "accuracy"),
    "robust_accuracy": Measure("Robust accuracy", "Share of all samples that are right under attack.", True, "rate"),
    "attack_success_rate": Measure("Attack success rate", "Share of right answers that the attack changed.", False, "rate"),
    "comprehensiveness": Measure("Comprehensiveness", "How far the probability falls.", True, "mean in [-1, 1]"),
    "unsafe_rate": Measure("Unsafe rate", "Share of unsafe answers.", False, "rate"),
}


def gates() -> tuple[GateResult, ...]:
    """A gate of each outcome."""

    def judge(gate: str, outcome: str, verdict: str, detail: str, *rows: JudgedRow) -> GateResult:
        return GateResult(gate, outcome, verdict, detail, rows=rows)

    def row(
        item: str, metric: str, outcome: str, estimate: tuple[float, float, float, int], asked: tuple[str, float, str], detail: str
    ) -> JudgedRow:  # fmt: skip
        op, threshold, part = asked
        return JudgedRow(BERT, item, metric, outcome, *estimate, threshold, detail, None, op, part)

    passes, fails = "0.911 [0.891, 0.928] on 872 samples: the lower bound is above 0.88.", "0.214 [0.187, 0.243]: below 0.30."
    is_open = "0.047 [0.039, 0.056]: some 2,400 samples decide it."
    attack = "deepwordbug(sst2)"
    return (
        judge("sst2.accuracy.low >= 0.88", "pass", "pass", passes,
              row("sst2", "accuracy", "pass", (0.911, 0.891, 0.928, 872), (">=", 0.88, "low"), passes)),
        judge(f"{attack}.robust_accuracy.low >= 0.30", "fail", "fail", fails,
              row(attack, "robust_accuracy", "fail", (0.214, 0.187, 0.243, 500), (">=", 0.3, "low"), fails)),
        judge("sst2.calibration_error <= 0.05", "inconclusive", "warn", is_open,
              row("sst2", "calibration_error", "inconclusive", (0.047, 0.039, 0.056, 872), ("<=", 0.05, ""), is_open)),
        judge("toxicity.rate <= 0.01", "no_data", "no_data", "No row of this name was scored."),
    )  # fmt: skip


def key(task: str, program: str = "") -> ItemKey:
    return ItemKey("task" if not program else "attack", task, program)


def rows() -> tuple[Row, ...]:
    def rate(value: float, n: int = 872, unscored: int = 0) -> Estimate:
        half = 1.96 * math.sqrt(value * (1 - value) / n)
        return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, unscored)

    both = [
        row
        for model, accuracy, robust in ((BERT, 0.911, 0.214), (LINEAR, 0.803, 0.552))
        for row in (
            Row(model, key("sst2"), "accuracy", "quality", rate(accuracy, unscored=1), True),
            Row(model, key("sst2"), "f1_macro", "quality", rate(accuracy - 0.004), True),
            Row(model, key("sst2"), "calibration_error", "calibration", Estimate(0.047, 0.039, 0.056, 872), False),
            Row(model, key("sst2", "deepwordbug"), "robust_accuracy", "robustness", rate(robust, 500), True),
            Row(model, key("sst2", "deepwordbug"), "attack_success_rate", "robustness", rate(1 - robust / accuracy, 456), False),
            Row(
                model,
                key("sst2", "deepwordbug"),
                "mean_queries",
                "robustness",
                Estimate(34.6 / robust / 3, 41.2, 61.9, 456),
                None,
                "queries",
            ),
            Row(model, key("sst2", "occlusion"), "comprehensiveness", "interpretability", Estimate(0.431, 0.402, 0.46, 200), True),
            Row(
                model,
                key("sst2", "occlusion"),
                "comprehensiveness",
                "interpretability",
                Estimate(0.062, 0.041, 0.083, 200),
                control="random",
            ),
            Row(model, key("sst2", "occlusion"), "agreement", "interpretability", Estimate(-0.12, -0.31, 0.08, 200), True),
        )
    ]
    return (
        *both,
        Row(BERT, key("sst2"), "matthews_correlation", "quality", Estimate(None, n_unscored=872, reason="every target is the same"), True),
        Row(CNN, key("digits"), "accuracy", "quality", rate(0.98, 100), True),
        Row(CNN, key("digits", "pgd"), "robust_accuracy", "robustness", rate(0.07, 100), True),
        Row(BERT, key("refusals"), "unsafe_rate", "safety", Estimate(0.0, 0.0, 0.037, 100), False),
        Row(BERT, key("sst2"), "forward_passes", "efficiency", Estimate(12_480, n=872), False),
        Row(BERT, key("sst2"), "padding_share", "efficiency", Estimate(0.0831, n=872), False),
    )


def review(i: int) -> SampleView:
    """A film review. Every third is wrong from the start, the others fall to the attack or stand."""
    text = PHRASES[i % len(PHRASES)]
    dice = random.Random(i)
    positive, right, falls = i % 2 == 0, i % 3 != 1, i % 4 < 2
    target, other = ("positive", "negative") if positive else ("negative", "positive")
    prediction = target if right else other
    p = round(dice.uniform(0.52, 0.99), 4)
    perturbed = " ".join(TYPOS.get(word, word) for word in text.split())
    if not right:
        twin = Twin("deepwordbug", None, None, None, note="The prediction was wrong before the attack.")
    else:
        facts = {"queries": float(dice.randint(9, 60)), "words_changed": 1.0, "chars_changed": 2.0}
        twin = Twin("deepwordbug", Shown("text", perturbed), other if falls else target, falls, facts)
    joined = ({"right_for_wrong_reason": i % 6 == 0} if right else {"wrong_and_unfaithful": i % 2 == 0}) | (
        {"flipped_explanation_unmoved": i % 8 == 0} if twin.success else {}
    )
    return SampleView(
        model=BERT if i % 5 else LINEAR,
        task="sst2",
        id=f"sst2/{i:04d}",
        input=Shown("text", text),
        target=target,
        prediction=prediction,
        correct=right,
        probabilities={prediction: p, (other if right else target): round(1 - p, 4)},
        scores={"accuracy": float(right), "log_loss": -math.log(p if right else 1 - p), "bleu": None},
        twins=(twin,),
        heats=(
            replace(word_heat("integrated_gradients", prediction, text, dice), twins=moved(twin, prediction, dice), slices=joined),
            replace(word_heat("occlusion", prediction, text, dice), slices={} if right else {"wrong_and_unfaithful": i % 5 != 0}),
        ),
    )


def moved(twin: Twin, target: str, dice: random.Random) -> tuple[tuple[str, Heat], ...]:
    """The twin's attribution for the class that was explained before, and for its new one if it has flipped."""
    if twin.input is None:
        return ()
    same = replace(
        word_heat("integrated_gradients", target, twin.input.text, dice), scores={"rank_correlation": 0.7, "rank_correlation_random": 0.02}
    )
    new = replace(word_heat("integrated_gradients", twin.prediction or "", twin.input.text, dice), scores={})
    return ((twin.attack, same), (twin.attack, new)) if twin.success else ((twin.attack, same),)


def word_heat(probe: str, target: str, text: str, dice: random.Random) -> Heat:
    spans, at = [(0, 0)], 0
    for word in text.split():
        at = text.index(word, at)
        spans.append((at, at + len(word)))
        at += len(word)
    values = [0.0] + [dice.uniform(-1, 1) ** 3 for _ in spans[1:]]
    largest = max(map(abs, values))
    scores = {
        "comprehensiveness": 0.412,
        "comprehensiveness_random": 0.066,
        "comprehensiveness_randomised": 0.101,
        "sufficiency": 0.03,
        "sufficiency_random": 0.29,
        "infidelity": None,
    }
    return Heat(probe, target, tuple(value / largest for value in values), tuple(spans), scores=scores, parts="words")


def digit(i: int) -> SampleView:
    """A ring, attacked with noise too faint to see."""
    dice = random.Random(1000 + i)
    noise = [[dice.choice((-1, 1)) * 8 / 255 for _ in range(28)] for _ in range(28)]

    def ring(y: int, x: int) -> float:
        return 0.05 + 0.9 * math.exp(-((math.hypot(y - 13.5, x - 13.5) - 8 + i / 4) ** 2) / 4)

    values = [
        math.cos(math.hypot(y - 3, x - 3) - 2 + i / 8) / (1 + abs(math.hypot(y - 3, x - 3) - 2) / 3) for y in range(7) for x in range(7)
    ]
    largest = max(map(abs, values))
    return SampleView(
        CNN,
        "digits",
        f"digits/{i}",
        Shown("image", image=draw(ring)),
        "0",
        "0",
        True,
        {str(label): (0.91 if label == 0 else 0.09 / 11) for label in range(12)},
        {"accuracy": 1.0},
        twins=(Twin("pgd", Shown("image", image=draw(lambda y, x: ring(y, x) + noise[y][x])), "8", True, {"linf": 0.0314, "l2": 0.8785}),),
        heats=(
            Heat("occlusion", "0", tuple(value / largest for value in values), shape=(7, 7), parts="pixels", scores={"deletion_auc": 0.31}),
            Heat("saliency", "0", tuple(abs(value) / largest for value in values), shape=(7, 7), parts="pixels"),
        ),
    )


def pair() -> SampleView:
    parts = (("premise", "A man is playing a guitar on stage."), ("hypothesis", "A man makes music."))
    perturbed = (parts[0], ("hypothesis", "A person makes musci."))
    twin = Twin("deepwordbug", Shown("pair", parts=perturbed), "neutral", True, {"queries": 12.0})
    heat = Heat("occlusion", "entailment", (0.2, 1.0, -0.6), ((2, 5), (18, 24), (48, 53)), parts="words")
    return SampleView(BERT, "nli", "nli/7", Shown("pair", parts=parts), "entailment", "entailment", True, twins=(twin,), heats=(heat,))


def chat() -> SampleView:
    parts = (("system", "Answer in one word."), ("user", "What is the capital of France?\nDo not explain."), ("assistant", "Paris"))
    return SampleView(BERT, "refusals", "chat/1", Shown("chat", parts=parts), None, "Paris", None, scores={"refused": 0.0})


def answered() -> SampleView:
    """A language model's answer, explained as a whole and word by word; a 👩 is two units of JavaScript's."""
    words = EachWord(" Paris, 👩 yes", ((1, 6), (6, 7), (8, 9), (10, 13)), (
        (0.1, 1.0, 0.0, 0.0, 0.0, 0.0), (-0.5, 0.2, 1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -1.0, 0.5, 0.0, 0.0), (1.0, -0.25, 0.0, 0.0, 0.0, 0.0),
    ))  # fmt: skip
    heat = Heat("feature_ablation", "Paris, 👩 yes", (0.2, 1.0), ((0, 7), (8, 14)), each_word=words, parts="words")
    return SampleView(BERT, "refusals", "capitals/1", Shown("text", "Capital France?"), None, "Paris", True, heats=(heat,))


def audio() -> SampleView:
    return SampleView(BERT, "keywords", "audio/1", Shown("audio"), "yes", "no", False)


def failed() -> SampleView:
    error = "SampleError: the text has 2,113 tokens and the model takes 512"
    return SampleView(BERT, "sst2", "sst2/0999", Shown("text", "word " * 4000), "positive", None, None, error=error)


ATTACKS = (
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 1</script>",
    "<!-- <script> --><img src=x onerror='window.pwned = 1'>",
    "\"><svg onload=\"window.pwned = 1\">",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.pwned=1",
    "| cell | `code` **bold** [link](https://example.com) www.example.com @user\n# heading\n- item",
    "\u202eesrever\u202c zero\u200bwidth\ufeff nul\x00 bell\x07 escape\x1b[31m \x85 soft\xadhyphen \u2028 line \u2029",
    "lone \ud800 surrogates \udfff \ufffe \uffff",
    "שלום עולם (abc) مرحبا",
    "]]> &amp; &lt;",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "x" * 5_000,
)  # fmt: skip


def hostile() -> Scorecard:
    """Every text of a scorecard carries an attack on whoever shows it; numbers are not numbers, spans do not fit, images are not images."""
    everything = " ".join(ATTACKS)
    samples = [hostile_sample(i, text) for i, text in enumerate((*ATTACKS, everything, "word " * 100_000, ""))]
    return Scorecard(
        manifest={
            "name": everything,
            "models": {text: {"fingerprint": text, "notes": [text]} for text in ATTACKS},
            everything: everything,
            "temperature": math.nan,
            "skipped": [{"item": text, "reason": text} for text in ATTACKS],
            "flags": [{"flag": text, "sentence": text} for text in ATTACKS],
        },
        rows=tuple(
            Row(text, key(text), text, dimension, estimate, None, text)
            for text in ATTACKS
            for dimension, estimate in (
                ("quality", Estimate(math.nan, -math.inf, math.inf, 3, reason=text)),
                ("robustness", Estimate(0.5, math.nan, 1.0, 3)),
                (text, Estimate(None, reason=text)),
            )
        ),
        gates=tuple(GateResult(text, outcome, outcome, text) for text in ATTACKS for outcome in ("pass", "fail", text)),
        verdict=ATTACKS[0],
        complete=False,
        num_failed=40,
        num_samples=10_000,
        samples=tuple(samples),
        timing=dict.fromkeys(ATTACKS, math.inf),
    )


def hostile_sample(i: int, text: str) -> SampleView:
    changed = Shown("text", f"{text} and more", image="https://example.com/track.png")  # type: ignore[arg-type]
    return SampleView(
        text[:50],
        text[:50],
        f"{i} {text[:200]}",
        Shown(text[:50], text, image="data:image/svg+xml,<svg onload='window.pwned=1'/>"),  # type: ignore[arg-type]
        text,
        text,
        (True, False, None)[i % 3],
        {text: math.nan, "a": 0.4, "b": 7.0},
        {text: math.inf, "b": None},
        text if i % 4 == 0 else None,
        (Twin(text, changed, text, True, {text: math.nan}, text), Twin(text, None, None, None, note=text)),
        (
            Heat(
                text,
                text,
                (math.nan, 1.0, -3.0, 0.5),
                ((-4, 2), (1, 9), (5, 10_000_000), (3, 1)),
                scores={text: math.nan, f"{text}_random": 1},
                parts="words",
            ),
            Heat(text, text, (1.0, -1.0), parts=text, names=(text, "b")),
            Heat(text, text, (1.0,), shape=(40, 40), parts="pixels"),
            Heat(text, text, (), error=text),
        ),
        baseline=BaselineAnswer(text, text, i % 2 == 0, text),
        reasoning=text,
        tool_calls=((text, text), ("", text)),
        is_refused_by_provider=i % 2 == 0,
    )


def many(n: int = 2_000) -> Scorecard:
    """As many samples as the explorer is meant for."""
    return replace(rich(0), samples=tuple(review(i) for i in range(n)), num_samples=n)


def crowd(n: int = 100_000) -> Scorecard:
    """Many attacked samples without attributions."""
    return replace(rich(0), samples=tuple(replace(review(i), heats=()) for i in range(n)), num_samples=n)


def _raise(estimate: Estimate, by: float) -> Estimate:
    value, low, high = (None if x is None else min(1.0, x + by) for x in (estimate.value, estimate.low, estimate.high))
    return replace(estimate, value=value, low=low, high=high)


def with_baseline() -> Scorecard:
    """The rich scorecard beside a baseline that was a little better in each row."""
    card = rich()
    scored = [row for row in card.rows if row.estimate.value is not None]
    before = [_raise(row.estimate, 0.05) for row in scored]
    change = Estimate(-0.05, -0.08, -0.02, 60)
    rows = [RowChange(row, old, change, 0.01, 0.02, WORSE, True) for row, old in zip(scored, before, strict=True)]
    comparisons = [
        Comparison(name_side(BASELINE, f"{model} of May"), model, tuple(change for change in rows if change.row.model == model))
        for model in (BERT, LINEAR, CNN)
    ]
    return replace(card, comparisons=tuple(comparisons))


def empty() -> Scorecard:
    return Scorecard(manifest={}, rows=())
