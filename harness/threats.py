"""Threat models: what an attacker may change. Each answers for itself, on the two inputs alone, whatever the attack claims."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from .errors import ConfigError, did_you_mean
from .inputs import Chat, Image, Input, TextPair
from .language import listed_stop_words, part_of_speech, same_parts_of_speech, stop_words_resource, tagger_resources
from .plugins import ModelPort
from .registry import parameters
from .requests import Embed, LogLikelihood, RollingLogLikelihood
from .resources import Resource
from .samples import Sample
from .stop_words import ENGLISH

_ROUNDING = 1e-6
"""Slack for float32 projection: a point put on the ball's surface may land this far outside of it (pixels are in [0, 1])."""


@dataclass(frozen=True, slots=True)
class LpBall:
    """Every perturbed image within ``epsilon`` of the clean one, in [0, 1] pixel space. ``norm``: ``linf`` or ``l2``.

    ``epsilon`` None: any image of the clean one's shape, for attacks that look for the nearest twin.
    """

    epsilon: float | None
    norm: str = "linf"

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ConfigError(f"an L-p ball has norm 'linf' or 'l2', not {self.norm!r}")
        if self.epsilon is not None and (not _is_number(self.epsilon) or not 0 <= self.epsilon < math.inf):
            raise ConfigError(f"epsilon is a number of at least 0, not {self.epsilon!r} (pixels are in [0, 1]: write 0.0314 for 8/255)")

    def admits(self, clean: Sample, perturbed: Sample, /) -> bool:
        before = _pixels(clean)
        if not isinstance(perturbed.input, Image):
            return False
        after = _pixels(perturbed)
        # NaN is in no interval: these comparisons are false for it.
        if after.shape != before.shape or not bool(np.all((after >= 0) & (after <= 1))):
            return False
        return self.epsilon is None or bool(is_within(self.distance(clean, perturbed)[self.norm], self.epsilon))

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Raises `ConfigError` where one is no image, `ValueError` where their shapes differ."""
        before, after = _pixels(clean), _pixels(perturbed)
        if before.shape != after.shape:
            raise ValueError(f"images of shapes {before.shape} and {after.shape} have no distance")
        delta = after.astype(np.float64) - before.astype(np.float64)
        return {"linf": float(np.abs(delta).max(initial=0.0)), "l2": float(np.sqrt((delta**2).sum()))}


def is_within(distance: Any, epsilon: float, /) -> Any:
    """``distance <= epsilon``, but for rounding; of a number or of an array."""
    return distance <= epsilon + _ROUNDING * max(1.0, epsilon)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pixels(sample: Sample) -> np.ndarray:
    if not isinstance(sample.input, Image):
        raise ConfigError(f"an L-p ball is about images; sample {sample.id!r} is a {type(sample.input).__name__}")
    pixels = sample.input.pixels
    scale = np.float32(255) if pixels.dtype == np.uint8 else np.float32(1)
    return np.asarray(pixels, dtype=np.float32) / scale


@dataclass(frozen=True, slots=True)
class EditBudget:
    """At most this many words, and this share of the words, of a text may change. None: no bound.

    Words are runs of non-space characters. How many changed is their Levenshtein distance: the fewest that must be replaced, inserted or
    deleted to make one text's words the other's. Characters are counted in the same way, spaces among them. Of a text pair, each text is
    compared with its own counterpart and the counts are added.

    ``min_similarity``: the least angular similarity (1 - angle / pi) of the two texts' vectors by the model in the role ``encoder``.
    ``protected_words``: of these (negations, names) none may be lost, added or moved past another; case does not matter.
    ``stop_words``: those of a list are protected, too: ``builtin`` (English), ``nltk`` (from word data) or ``none``.
    ``same_part_of_speech``: each word stands for one word of the clean text and is tagged as that was, each in its own text; words that
    are added or lost stand for none. ``tagger``: ``nltk`` (universal tags, from word data) or a JSON file of words and tags.
    ``folder``: of the word data, else where NLTK looks; in a suite, its ``resources``.
    """

    max_words: int | None = None
    max_share: float | None = None
    max_chars: int | None = None
    min_similarity: float | None = None
    protected_words: Sequence[str] = ()
    stop_words: str = "none"
    same_part_of_speech: bool = False
    tagger: str = "nltk"
    # What the word data holds is part of a threat, where it lies is not.
    folder: str | None = field(default=None, compare=False)

    @property
    def roles(self) -> Mapping[str, frozenset[str]]:
        return {} if self.min_similarity is None else {"encoder": frozenset({"embed"})}

    @property
    def optional_roles(self) -> Mapping[str, frozenset[str]]:
        return {"encoder": frozenset({"embed"}), "language_model": frozenset({"rolling_loglikelihood"})}

    def __post_init__(self) -> None:
        for name in ("max_words", "max_share", "max_chars", "min_similarity"):
            bound = getattr(self, name)
            if bound is not None and (not _is_number(bound) or not bound >= 0):
                raise ConfigError(f"{name} is a number of at least 0, or nothing for no bound, not {bound!r}")
        if isinstance(self.protected_words, str) or not all(isinstance(w, str) and w for w in self.protected_words):
            raise ConfigError(f"protected_words is a list of words, not {self.protected_words!r}")
        if self.stop_words not in ("none", "builtin", "nltk"):
            raise ConfigError(f"stop_words of a threat is 'none', 'builtin' or 'nltk', not {self.stop_words!r}")
        if not isinstance(self.same_part_of_speech, bool):
            raise ConfigError(f"same_part_of_speech is true or false, not {self.same_part_of_speech!r}")

    def resources(self) -> list[Resource]:
        """The word data that it reads."""
        words = [stop_words_resource(self.folder)] if self.stop_words == "nltk" else []
        return [*words, *(tagger_resources(self.tagger, self.folder) if self.same_part_of_speech else ())]

    @property
    def spared(self) -> frozenset[str]:
        """The words that must stay as they are, in small letters."""
        return _spared(tuple(self.protected_words), self.stop_words, self.folder)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """``measured``: what `measure` says of the two. Without it the words and characters alone decide."""
        _texts(clean)
        if type(clean.input) is not type(perturbed.input):
            return False
        if self.min_similarity is not None and measured is not None and not measured["similarity"] >= self.min_similarity - _ROUNDING:
            return False
        if self.spared and [self._kept(t) for t in _texts(clean)] != [self._kept(t) for t in _texts(perturbed)]:
            return False
        bounds = {"words_changed": self.max_words, "share_changed": self.max_share, "chars_changed": self.max_chars}
        if any(bound is not None for bound in bounds.values()):
            moved = self.distance(clean, perturbed)
            if not all(bound is None or moved[name] <= bound for name, bound in bounds.items()):
                return False
        tag = part_of_speech(self.tagger, self.folder) if self.same_part_of_speech else None
        pairs = zip(_texts(clean), _texts(perturbed), strict=True)
        return tag is None or all(same_parts_of_speech(tag, before, after) for before, after in pairs)

    def _kept(self, text: str) -> list[str]:
        """The protected words of a text, in order."""
        return [word for word in re.findall(r"\w+(?:['’-]\w+)*", text.casefold()) if word in self.spared]

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Raises `ConfigError` where one is no text, `ValueError` where only one is a pair."""
        words = changed = chars = 0
        for before, after in zip(_texts(clean), _texts(perturbed), strict=True):
            words_before = re.findall(r"\S+", before)
            words += len(words_before)
            changed += levenshtein(words_before, re.findall(r"\S+", after))
            chars += levenshtein(before, after)
        share = changed / words if words else float(changed > 0)
        return {"words_changed": float(changed), "share_changed": share, "chars_changed": float(chars)}

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> list[dict[str, float]]:
        """What the models of the roles say of each clean sample and its twin: ``similarity``; the twin's ``perplexity`` a token, and
        ``perplexity_ratio``, how many times the clean text's it is. Of a text pair, its two texts one after the other."""
        found: list[dict[str, float]] = [{} for _ in pairs]
        texts = [" ".join(_texts(sample)) for pair in pairs for sample in pair]
        if "encoder" in engine.roles:
            vectors = engine.roles["encoder"].run([Embed(text) for text in texts])
            for i, numbers in enumerate(found):
                numbers["similarity"] = _angular(vectors[2 * i].values, vectors[2 * i + 1].values)
        if "language_model" in engine.roles:
            scored = engine.roles["language_model"].run([RollingLogLikelihood(text) for text in texts])
            nats = [-answer.value / max(1, answer.num_tokens) for answer in scored]
            for i, numbers in enumerate(found):
                numbers["perplexity"] = math.exp(nats[2 * i + 1])
                numbers["perplexity_ratio"] = math.exp(nats[2 * i + 1] - nats[2 * i])
        return found


@cache
def _spared(protected: tuple[str, ...], listed: str, folder: str | None) -> frozenset[str]:
    words = ENGLISH if listed == "builtin" else listed_stop_words(folder) if listed == "nltk" else ()
    return frozenset(word.casefold() for word in (*protected, *words))


def _angular(a: Sequence[float], b: Sequence[float]) -> float:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    # Not by the arc cosine, which loses half of the digits where the two are near.
    return float(1 - 2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second)) / math.pi)


def _texts(sample: Sample) -> tuple[str, ...]:
    if isinstance(sample.input, str):
        return (sample.input,)
    if isinstance(sample.input, TextPair):
        return (sample.input.first, sample.input.second)
    raise ConfigError(f"an edit budget is about text; sample {sample.id!r} is a {type(sample.input).__name__}")


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable], /) -> int:
    """Insertions, deletions and substitutions (Levenshtein 1966) of characters or words, on what differs between the common ends."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    stop = 0
    while stop < min(len(a), len(b)) - start and a[-1 - stop] == b[-1 - stop]:
        stop += 1
    a, b = a[start : len(a) - stop], b[start : len(b) - stop]
    codes = {item: code for code, item in enumerate(dict.fromkeys(b))}
    codes_b = np.fromiter((codes[item] for item in b), dtype=np.int64, count=len(b))
    columns = np.arange(len(b) + 1)
    row = columns.copy()
    for i, item in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes_b != codes.get(item, -1)))
        # best[j] may still be reached from the left: min over k <= j of best[k] + (j - k), a running minimum.
        row = np.minimum.accumulate(np.concatenate(([i], best)) - columns) + columns
    return int(row[-1])


@dataclass(frozen=True, slots=True)
class SuffixBudget:
    """The clean prompt, character for character, and behind it at most ``max_chars`` characters, ``max_words`` words and ``max_tokens``
    tokens of the model under attack. None: no bound.

    Of a chat the last message is the prompt, and the others may not change. Tokens are counted by the model itself, in the log-likelihood
    of the suffix behind the prompt.
    """

    max_chars: int | None = None
    max_words: int | None = None
    max_tokens: int | None = None
    instead: ClassVar[str] = "bound the suffix by max_chars or max_words in place of max_tokens"

    @property
    def requires(self) -> frozenset[str]:
        """What the model under attack has to answer."""
        return frozenset({"loglikelihood"}) if self.max_tokens is not None else frozenset()

    def __post_init__(self) -> None:
        for name in ("max_chars", "max_words", "max_tokens"):
            bound = getattr(self, name)
            if bound is not None and (not _is_number(bound) or not bound >= 0):
                raise ConfigError(f"{name} is a number of at least 0, or nothing for no bound, not {bound!r}")

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """``measured``: what `measure` says of the two. Without it the characters and words alone decide."""
        if self.max_tokens is not None and measured and not measured["tokens_added"] <= self.max_tokens:
            return False
        before, after = _turns(clean.input), _turns(perturbed.input)
        if type(clean.input) is not type(perturbed.input) or before[:-1] != after[:-1] or before[-1][0] != after[-1][0]:
            return False
        prompt, text = before[-1][1], after[-1][1]
        suffix = text[len(prompt) :]
        bounds = ((len(suffix), self.max_chars), (len(suffix.split()), self.max_words))
        return text.startswith(prompt) and all(bound is None or size <= bound for size, bound in bounds)

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> list[dict[str, float]]:
        """``tokens_added``, of the model under attack, where they are bounded and something was added."""
        found: list[dict[str, float]] = [{} for _ in pairs]
        if self.max_tokens is None:
            return found
        ends = [(_turns(clean.input)[-1][1], _turns(twin.input)[-1][1]) for clean, twin in pairs]
        grown = [i for i, (prompt, text) in enumerate(ends) if text.startswith(prompt) and text != prompt]
        answers = engine.run([LogLikelihood(ends[i][0], ends[i][1][len(ends[i][0]) :]) for i in grown])
        for i, answer in zip(grown, answers, strict=True):
            found[i]["tokens_added"] = float(answer.num_tokens)
        return found

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        return _grown(clean, perturbed)


@dataclass(frozen=True, slots=True)
class AnyPrompt:
    """Any text or chat that asks for the same thing. ``keep_prompt``: the clean prompt must stand in it, character for character.

    Whether a rewording still asks for the same is nothing that two texts alone can tell; the task's scoring of the answer has to.
    """

    keep_prompt: bool = False
    max_chars: int | None = None

    def admits(self, clean: Sample, perturbed: Sample, /) -> bool:
        if not isinstance(perturbed.input, str | Chat):
            return False
        texts = [text for _, text in _turns(perturbed.input)]
        small = self.max_chars is None or sum(map(len, texts)) <= self.max_chars
        return small and (not self.keep_prompt or any(_turns(clean.input)[-1][1] in text for text in texts))

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        return _grown(clean, perturbed)


def _turns(value: Input) -> list[tuple[str, str]]:
    """A prompt's messages as (role, text). Raises `ConfigError` for what is neither text nor a chat."""
    if isinstance(value, str):
        return [("user", value)]
    if isinstance(value, Chat) and value.messages:
        return [(m.role, m.content) for m in value.messages]
    raise ConfigError(f"a budget of a prompt is about text or a chat, not {type(value).__name__}")


def _grown(clean: Sample, perturbed: Sample) -> dict[str, float]:
    before, after = (sum(len(text) for _, text in _turns(s.input)) for s in (clean, perturbed))
    return {"chars_added": float(after - before)}


Threats = {"lp": LpBall, "edits": EditBudget, "suffix": SuffixBudget, "prompt": AnyPrompt}


def described(threat: Any, /) -> dict[str, Any]:
    """A threat as a record keeps it: its class, and what its equality is made of; of one that is no dataclass, what it holds."""
    name = {"type": type(threat).__name__}
    if not is_dataclass(threat):
        return name | {key: value if isinstance(value, str | int | float) else str(value) for key, value in sorted(_held(threat).items())}
    given = asdict(threat)  # type: ignore[arg-type]
    return {**name, **{f.name: given[f.name] for f in fields(threat) if f.compare}}


def _held(threat: Any) -> dict[str, Any]:
    return {key: value for key, value in getattr(threat, "__dict__", {}).items() if not key.startswith("_")}


def title_of(threat: Mapping[str, Any] | None, /) -> str:
    """A described threat in few words, the same for two that only rounding tells apart: ``linf 0.0313725``, ``edits max_words 2``."""
    if not threat:
        return "no threat"
    if threat["type"] == LpBall.__name__:
        return f"{threat['norm']} {_shown(threat['epsilon'])}"
    kind, plain = next(
        ((kind, described(made())) for kind, made in Threats.items() if made.__name__ == threat["type"] and made is not LpBall),
        (threat["type"], {}),
    )
    said = [
        f"{key} {_shown(value)}"
        for key, value in threat.items()
        if key != "type" and (key not in plain or _shown(value) != _shown(plain[key]))
    ]
    return " ".join([kind, *said])


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_bounded(threat: Mapping[str, Any] | None, /) -> bool:
    """False of an L-p ball without a radius, in which every image is."""
    return not threat or threat["type"] != LpBall.__name__ or threat["epsilon"] is not None


def threat_of(given: Mapping[str, Any] | None, attack: Any, name: str, folder: str | None = None, /) -> Any:
    """The threat that a suite gives an attack, ``{type: lp | edits, ...}``, or the attack's own. ``folder``: the suite's of word data.
    Raises `ConfigError` for what is none."""
    if given is None:
        if not hasattr(attack, "threat"):
            raise ConfigError(f"the attack {name!r} has no threat of its own; give it one: threat: {{type: {' | '.join(Threats)}, ...}}")
        return attack.threat
    settings = dict(given)
    kind = settings.pop("type", None)
    if kind not in Threats:
        raise ConfigError(f"a threat has a 'type' of {', '.join(Threats)}, not {kind!r}.{did_you_mean(str(kind), Threats)}")
    make: Callable[..., Any] = Threats[kind]
    known = list(parameters(make) or ())
    for key in settings:
        if key not in known:
            raise ConfigError(f"threat {kind!r} has no setting {key!r}.{did_you_mean(key, known)} Its settings: {', '.join(known)}")
    try:
        return make(**{**({"folder": folder} if folder and "folder" in known else {}), **settings})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"threat {kind!r} cannot be made from {settings}: {error}") from error
