"""Prepare samples for the page's explorer: split texts into segments, diff words, overlay attributions.

Texts are split here by code points, because JavaScript counts UTF-16 units and could split an emoji. A segment is
``[mark, text]``. The mark is ``=`` for unchanged, ``-`` for removed and ``+`` for added text. A segment of an
attribution is ``[level, text, value]`` with a level from -9 to 9.
"""

from __future__ import annotations

import base64
import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import takewhile
from operator import itemgetter
from typing import Any

from ..harness.api.scorecard import BaselineAnswer, EachWord, Heat, SampleView, Shown, Twin
from ..harness.api.visible_text import make_visible
from ..harness.modalities.image import Image
from ..harness.scorecard.names import CONTROLS
from .display import clip, format_count, score
from .media import Sound

LEVELS = 9
TEXT_LIMIT = 10_000
"""Maximum number of characters of a text on the page; longer texts have a note."""
NOTE_LIMIT = 2_000
_SAYS = {True: "yes", False: "no", None: "no verdict"}
MOST_PROBABILITIES = 10

Segment = list[Any]


def draw_sample(sample: SampleView, known: str = "", /) -> dict[str, Any]:
    """Return what the page draws of a sample, with its adversarial examples and attributions. Empty parts are left out.

    Pictures and sounds in it are an `Image` or a `Sound`; all else is JSON.

    known: a text that the page has anyway: an input that is this text is left out, too.
    """
    is_known = sample.input == Shown("text", known)
    drawn = {
        "target": _note(sample.target),
        "prediction": _note(sample.prediction),
        "error": _note(sample.error),
        "input": None if is_known else _show_input(sample.input),
        "output": _note(sample.output),
        "note": f"The answer was cut at {format_count(sample.num_tokens, 'token')}." if sample.num_tokens else "",
        "reasoning": clip(make_visible(sample.reasoning), TEXT_LIMIT),
        "calls": [[_note(name), _note(arguments)] for name, arguments in sample.tool_calls],
        "refused": sample.is_refused_by_provider,
        "category": _note(sample.category),
        "slice": _note(sample.slice),
        "group": _note(sample.group),
        "baseline": None if sample.baseline is None else _show_answer(sample.baseline),
        "opinions": [[_note(part) for part in (o.question, o.judge, _SAYS[o.says], o.why)] for o in sample.opinions],
        **_list_probabilities(sample.probabilities),
        "scores": _list_scores(sample.scores),
        "twins": [_show_twin(sample.input, twin) for twin in sample.twins],
        "heats": [_show_heat(sample.input, heat, sample.twins) for heat in sample.heats],
    }
    return {name: value for name, value in drawn.items() if value or (value == "" and name in ("target", "prediction", "output"))}


def judge(sample: SampleView | BaselineAnswer, /) -> str:
    """Return the outcome of a sample in words."""
    if sample.error is not None:
        return "failed"
    return "not judged" if sample.correct is None else "right" if sample.correct else "wrong"


def _show_answer(said: BaselineAnswer) -> dict[str, str | None]:
    """Return the baseline's answer for the page."""
    texts = {"model": said.model, "prediction": said.prediction, "output": said.output}
    return {**{name: _note(text) for name, text in texts.items()}, "answer": judge(said)}


def plain_text(sample: SampleView, /) -> str:
    """Return the texts of a sample's input as one text."""
    return " ".join(text for _, text in _list_texts(sample.input))


@lru_cache(maxsize=256)
def _note(text: str | None) -> str | None:
    """Return a text made visible and clipped; None stays None."""
    return None if text is None else clip(make_visible(text), NOTE_LIMIT)


def _list_scores(scores: Mapping[str, float | None]) -> list[list[str]]:
    """Return pairs of name in words and formatted value."""
    return [[make_visible(name.replace("_", " ")), score(value)] for name, value in scores.items()]


def _list_probabilities(probabilities: Mapping[str, float]) -> dict[str, Any]:
    """Return the most likely labels in decreasing order, and the number of omitted labels."""
    ranked = sorted([(label, p) for label, p in probabilities.items() if math.isfinite(p)], key=itemgetter(1), reverse=True)
    likeliest = ranked[:MOST_PROBABILITIES]
    shown = [[_note(label), round(min(max(p, 0.0), 1.0), 4)] for label, p in likeliest]
    return {"probabilities": shown, "more_probabilities": len(probabilities) - len(shown)}


def _show_input(shown: Shown) -> dict[str, Any]:
    """Return an input's kind, image and texts for the page."""
    texts = [
        [make_visible(name), [["=", make_visible(text[:TEXT_LIMIT])]], _get_picture(image)] for name, text, image in _list_parts(shown)
    ]
    drawn = {"kind": _note(shown.kind), "image": _get_picture(shown.image), "texts": texts, "note": _cut(shown)}
    return drawn | ({"audio": audio} if (audio := _get_sound(shown.audio)) else {})


def _list_parts(shown: Shown, name: str = "") -> Iterator[tuple[str, str, Image | None]]:
    """Yield (name, text, image) of each part of an input. An input that is a single image has no parts.

    name: prefix of the names, for parts of parts.
    """
    if not shown.parts and (shown.text or shown.kind == "text"):
        yield name, shown.text, None
    for own, part in shown.parts:
        label = f"{name} {own}".strip()
        if isinstance(part, Shown):
            yield from [(label, "", part.image)] if part.image is not None else _list_parts(part, label)
        else:
            yield label, part, None


def _list_texts(shown: Shown) -> Sequence[tuple[str, str]]:
    """Return (name, text) of all parts that are texts."""
    return [(name, text) for name, text, image in _list_parts(shown) if image is None]


def _cut(*inputs: Shown) -> str:
    """Return a note about texts that are too long for the page."""
    longest = max((len(text) for shown in inputs for _, text in _list_texts(shown)), default=0)
    return f"Cut for display: the first {TEXT_LIMIT:,} of {longest:,} characters." if longest > TEXT_LIMIT else ""


def _get_picture(image: object) -> Image | str:
    """Return the image; empty for anything else that a plugin gives."""
    return image if isinstance(image, Image) else ""


def _get_sound(uri: str) -> Sound | None:
    """Return the sound if its URI can only be a sound."""
    return Sound(uri) if re.fullmatch(r"data:audio/wav;base64,[A-Za-z0-9+/]+=*", uri) else None


def _show_twin(clean: Shown, twin: Twin) -> dict[str, Any]:
    """Return an adversarial example for the page, with word diffs against the clean input."""
    drawn: dict[str, Any] = {"input": None}
    if twin.input is not None:
        drawn = {"input": {**_show_input(twin.input), "texts": _list_diffs(clean, twin.input), "note": _cut(clean, twin.input)}}
    said = {
        "attack": _note(twin.attack),
        "prediction": _note(twin.prediction),
        "success": twin.success,
        "failed": twin.is_failed,
        "note": _note(twin.note),
    }
    return said | drawn | {"facts": _list_scores(twin.facts)}


def _list_diffs(clean: Shown, perturbed: Shown) -> list[list[Any]]:
    """Return word diffs of the adversarial example's texts against the clean texts at the same index.

    A text without a clean counterpart is marked as added.
    """
    before = [text for _, text, _ in _list_parts(clean)]
    parts = enumerate(_list_parts(perturbed))
    return [
        [make_visible(name), list(diff_words(before[i] if i < len(before) else "", text)), _get_picture(image)]
        for i, (name, text, image) in parts
    ]


def diff_words(before: str, after: str, /) -> Iterator[Segment]:
    """Yield the segments of a word diff of two texts.

    A word is a run of non-space characters, as in `EditBudget`. The common prefix and suffix are split off first.
    difflib's heuristic for frequent words stays enabled, because it bounds the work on a text of one repeated word.

    >>> list(diff("a good film", "a g00d film"))
    [['=', 'a '], ['-', 'good'], ['+', 'g00d'], ['=', ' film']]
    """
    a, b = (re.findall(r"\s+|\S+", text[:TEXT_LIMIT]) for text in (before, after))
    head = _count_common(a, b)
    tail = _count_common(a[head:][::-1], b[head:][::-1])
    old, new = a[head : len(a) - tail], b[head : len(b) - tail]
    steps = [("=", a[:head])]
    for op, i, i_end, j, j_end in SequenceMatcher(None, old, new).get_opcodes():
        steps += [("=", old[i:i_end])] if op == "equal" else [("-", old[i:i_end]), ("+", new[j:j_end])]
    steps.append(("=", a[len(a) - tail :]))
    yield from ([mark, make_visible("".join(words))] for mark, words in steps if words)


def _count_common(a: list[str], b: list[str]) -> int:
    """Return the length of the common prefix of two lists of words."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _show_heat(shown: Shown, heat: Heat, twins: Sequence[Twin] = ()) -> dict[str, Any]:
    """Return an attribution for the page: as a grid, as named parts, or as segments of the input's text.

    shown: preview of the attributed input.
    heat: the attribution.
    twins: adversarial examples of the sample, whose attributions are shown, too.
    """
    drawn: dict[str, Any] = {"segments": None, "grid": None}
    if heat.error is None and heat.shape is not None and heat.shape[0] * heat.shape[1] == len(heat.values):
        drawn["grid"] = {"rows": heat.shape[0], "columns": heat.shape[1], "cells": _encode_cells(heat.values)}
    elif heat.error is None and heat.names:
        drawn["segments"] = list(_name_parts(heat.names, heat.values))
    elif heat.error is None and heat.parts == "words" and heat.spans:
        texts = [text for _, text in _list_texts(shown)]
        # The attribution of a chat covers its last message.
        text = "\n".join(texts[-1:] if shown.kind == "chat" else texts)[:TEXT_LIMIT]
        drawn["segments"] = list(split_heat(text, heat.spans, heat.values))
        if heat.each_word is not None:
            drawn["words"] = _show_each_word(text, heat, heat.each_word)
    said = {"probe": _note(heat.probe), "target": _note(heat.target), "error": _note(heat.error), "image": _get_picture(heat.image)}
    inputs = {twin.attack: twin.input for twin in twins if twin.input is not None}
    moved = [{"attack": _note(name), **_show_heat(inputs[name], found)} for name, found in heat.twins if name in inputs]
    slices = {make_visible(name): is_in for name, is_in in heat.slices.items()}
    return said | drawn | {"scores": _with_controls(heat.scores), "twins": moved, "slices": slices}


def _show_each_word(text: str, heat: Heat, words: EachWord) -> dict[str, Any]:
    """Return the sample's text and the answer in pieces, and a row of values per word of the answer.

    A piece is ``[index of its value, text]``; the index is -1 for text without a value.
    """
    shift = len(heat.spans)
    prompt = [[place, make_visible(piece)] for place, piece in _split_pieces(text, heat.spans)]
    answer = [[place if place < 0 else place + shift, make_visible(piece)] for place, piece in _split_pieces(words.answer, words.spans)]
    return {"prompt": prompt, "answer": answer, "num": shift, "rows": [_encode_cells(row) for row in words.values]}


def _name_parts(names: Sequence[str], values: Sequence[float]) -> Iterator[Segment]:
    """Yield a segment with the name of each part, for parts without a position in a text or an image."""
    for name, value in zip(names, values, strict=False):
        yield [round(_clip_unit(value) * LEVELS), make_visible(clip(name, NOTE_LIMIT)), _clip_unit(value)]
        yield ["=", " "]


def split_heat(text: str, spans: Sequence[tuple[int, int]], values: Sequence[float], /) -> Iterator[Segment]:
    """Yield the segments of a text with the level and value of each span.

    An overlap of two spans belongs to the one that starts first.

    text: the text.
    spans: (start, end) of each value.
    values: attributions in [-1, 1].

    >>> list(heat_segments("so good", [(0, 0), (3, 7)], [0.0, 1.0]))
    [['=', 'so '], [9, 'good', 1.0]]
    """
    for place, piece in _split_pieces(text, spans[: len(values)]):
        if place < 0:
            yield ["=", make_visible(piece)]
        else:
            yield [round(_clip_unit(values[place]) * LEVELS), make_visible(piece), _clip_unit(values[place])]


def _split_pieces(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Yield the text in order as pieces with the index of their span; -1 outside all spans."""
    end = 0
    for (start, stop), place in sorted((span, place) for place, span in enumerate(spans)):
        start, stop = max(start, end), min(stop, len(text))
        if start >= stop:
            continue
        if start > end:
            yield -1, text[end:start]
        yield place, text[start:stop]
        end = stop
    if end < len(text):
        yield -1, text[end:]


def _encode_cells(values: Sequence[float]) -> str:
    """Encode values in [-1, 1] as signed bytes in base64, with 127 for 1.

    As JSON numbers, a map of 32 x 32 values would take 6 kB, and a page has thousands of maps.
    """
    return base64.b64encode(array("b", [round(_clip_unit(value) * 127) for value in values]).tobytes()).decode()


def _clip_unit(value: float) -> float:
    """Clip an attribution to [-1, 1] and round it to three decimals; non-finite values become 0."""
    return round(min(max(value, -1.0), 1.0), 3) if math.isfinite(value) else 0.0


def _name_measured(score: str) -> str:
    """Return the name of the score that a control belongs to; the name itself if it is not a control."""
    return next((score.removesuffix(control) for control in CONTROLS if score.endswith(control)), score)


def _with_controls(scores: Mapping[str, float | None]) -> list[list[str]]:
    """Return (score, value, value of each control) of each score, with a dash for a missing control."""
    own = [name for name in scores if _name_measured(name) == name or _name_measured(name) not in scores]
    values = {name: score(value) for name, value in scores.items()}
    return [[make_visible(name), values[name], *(values.get(f"{name}{control}", "–") for control in CONTROLS)] for name in own]
