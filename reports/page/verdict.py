"""The verdict: whether the model can ship, why, the gate that decides, and what no gate asks about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from markupsafe import Markup

from ...harness.api.comparison import WORSE
from ...harness.api.scorecard import Row
from ...harness.scorecard.gates import exit_code
from ...harness.scorecard.gates.readings import choose_deciding
from ..charts.deciding import draw_deciding
from ..charts.svg import NOTHING
from ..display import format_count, join_names, list_models, list_statements, list_tasks_and_programs, make_finite
from ..values import describe_item, format_bounds, format_estimate, format_percent
from .gate_names import name_row
from .gates import Reading, shorten_caution
from .judged import Judged, get_id
from .rows import Subject, find_row

QUESTION = "Can it ship?"
_ANSWERS = {
    "pass": ("pass", "Yes, by its gates"), "fail": ("fail", "No"), "warn": ("open", "Yes, with a warning"),
    "no_data": ("open", "Cannot say"), "missing": ("open", "Cannot say"), "incomplete": ("open", "Not finished"),
    "none": ("none", "Nothing was asked"),
}  # fmt: skip
_CLEAR_GAP = 0.02
"""A calibration error whose interval lies above it is worth a note."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that no gate asks about. ``link``: (anchor, word) of the section with more; empty for none."""

    icon: str
    sentence: str
    link: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first section of the page.

    icon, answer: the answer to the question, with its icon.
    reason: why, in a sentence; then: what follows.
    facts: what ran, in a line.
    deciding: the gate that decides, with its drawing; None without gates.
    notes: what no gate asks about.
    """

    icon: str
    answer: str
    reason: str
    then: str
    facts: str
    deciding: Reading | None
    drawing: Markup
    notes: tuple[Note, ...]


def make_verdict(subject: Subject, /) -> Verdict:
    """Return the verdict of a scorecard."""
    card, readings = subject.card, subject.readings
    icon, answer = _ANSWERS.get(card.verdict, ("none", card.verdict))
    deciding = choose_deciding(readings)
    if card.verdict == "warn" and deciding is not None and deciding.result.outcome == "inconclusive":
        answer = "Not decided yet"
    drawing = NOTHING
    line = deciding.first if deciding is not None else None
    if deciding is not None and line is not None and line.threshold is not None and line.value:
        what = "change" if line.is_difference else "value"
        label = f"{deciding.title}. The {what} is {line.value}, its interval {line.bounds}. {line.reason}"
        drawing = draw_deciding(line.estimate, line.threshold, line.scale, label)
    return Verdict(
        icon, answer, _give_reason(subject, deciding), " ".join(_tell_rest(subject)), _list_facts(subject), deciding, drawing,
        tuple(_list_notes(subject)),
    )  # fmt: skip


def _give_reason(subject: Subject, deciding: Reading | None) -> str:
    """Return why, in a sentence about the deciding gate."""
    num = len(subject.readings)
    if deciding is None:
        return "This suite has no gates: the page measures and does not judge."
    same = sum(reading.result.outcome == deciding.result.outcome for reading in subject.readings)
    if deciding.result.outcome in ("no_data", "missing"):
        which = f"{same:,} of {num:,} gates {'has' if same == 1 else 'have'} no number to read"
        return f"{which}: {deciding.title}."
    line = deciding.first
    if line is None or line.row is None or not line.value:
        return f"{deciding.word}: {deciding.title}. {deciding.result.detail}."
    what = name_row(line.row, subject.card)
    if deciding.result.outcome == "pass":
        first = "The gate passes" if num == 1 else f"All {num:,} gates pass" if same == num else f"{same:,} of {num:,} gates pass"
        narrow = "" if num == 1 else " The narrowest"
        return f"{first}.{narrow or ' It'} is about {_lower(what)}: {_tell_numbers(line)}."
    verb = {"fail": ("fails", "fail"), "inconclusive": ("is open", "are open")}.get(deciding.result.outcome, ("", ""))[same > 1]
    count = f"{same:,} of {num:,} gates {verb}" if num > 1 else f"The gate {verb}"
    return f"{count}. {_upper(what)}: {_tell_numbers(line)}."


def _tell_numbers(line: Judged) -> str:
    """Return what a row has and what is asked of it; of an open gate, how far its interval reaches."""
    judged, threshold = line.judged, line.threshold
    verb = "changes by" if line.is_difference else "has"
    against = f" against the baseline's {line.baseline}" if line.is_difference else ""
    asked = line.target if line.is_difference else f"{line.target} is asked for"
    end = None if threshold is None else judged.low if threshold.fails_below else judged.high
    if judged.outcome == "inconclusive" and end is not None and threshold is not None:
        way = "down" if threshold.fails_below else "up"
        reaches = f"but the 95 % interval reaches {way} to {line.scale.format(end)}"
        return f"{judged.model} {verb} {line.value}{against} and {asked}, {reaches}"
    bounds = f" ({line.bounds})" if line.bounds else ""
    return f"{judged.model} {verb} {line.value}{bounds}{against}, and {asked}"


def _lower(text: str) -> str:
    """Begin a title in lower case, unless it begins with an abbreviation."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tell_rest(subject: Subject) -> Iterator[str]:
    """Yield what follows: the samples that would decide, the other gates, missing records and the exit code."""
    card = subject.card
    deciding = choose_deciding(subject.readings)
    if deciding is not None and deciding.first is not None and deciding.result.outcome == "inconclusive":
        yield deciding.first.reason
    if not card.complete:
        yield "Some planned samples have no record, so that the numbers describe those that ran; the same command goes on."
    if deciding is not None and deciding.result.outcome not in (deciding.result.verdict, "pass"):
        yield f"This {deciding.result.tier} gate {deciding.counts_as}."
    if deciding is not None and (others := _count_others(subject, deciding)):
        yield f"Of the others {others}."
    if card.mostly_failed:
        yield "More than half of the samples of an item failed, so that its numbers decide nothing."
    code = exit_code(card.verdict)
    if subject.readings or code:
        yield f"CI {'stops' if code else 'goes on'} (exit code {code})."


def _count_others(subject: Subject, deciding: Reading) -> str:
    """Return how many gates have another outcome than the deciding one: ``2 pass and 1 is open``; empty if none has."""
    icons = [reading.icon for reading in subject.readings if reading.result.outcome != deciding.result.outcome]
    verbs = {"fail": ("fails", "fail"), "open": ("is open", "are open"), "pass": ("passes", "pass")}
    return join_names([f"{num:,} {verbs[icon][num > 1]}" for icon in verbs if (num := icons.count(icon))])


def _list_facts(subject: Subject) -> str:
    """Return what ran, in a line: ``3 models · 5 tasks · 3 attacks and 1 probe · 698 samples, 0 failed``."""
    card = subject.card
    tasks, programs = list_tasks_and_programs(card)
    parts = [format_count(len(list_models(card)), "model"), format_count(len(tasks), "task")]
    if programs:
        parts.append(format_count(len(programs), "attack or probe") if len(programs) == 1 else f"{len(programs):,} attacks and probes")
    return " · ".join([*parts, f"{format_count(card.num_samples, 'sample')}, {card.num_failed:,} failed"])


def _list_notes(subject: Subject) -> Iterator[Note]:
    """Yield what no gate asks about: partial data, worse models, the lowest worst case, the largest calibration error, and warnings."""
    for task, sentences in list_cautions(subject).items():
        yield Note("look", f"{task}: {sentences[0]}", ("provenance", "provenance"))
    free = [row for row in subject.card.rows if get_id(row) not in subject.judged and not (row.about or row.slice or row.control)]
    yield from _note_comparisons(subject)
    yield from _note_attacks(subject, free)
    yield from _note_calibration(subject, free)
    cautions = tuple(chain.from_iterable(list_cautions(subject).values()))
    flags = [said for _, said in list_statements(subject.card.manifest.get("flags")) if not any(caution in said for caution in cautions)]
    if flags:
        yield Note("look", f"{format_count(len(flags), 'warning')} about these numbers.", ("flags", "warnings"))


def list_cautions(subject: Subject, /) -> dict[str, list[str]]:
    """Return the sentences on data that is only a part of its set, and not a random one, by task."""
    data = subject.card.manifest.get("data")
    facts = data.items() if isinstance(data, dict) else ()
    found = {str(task): fact.get("cautions") for task, fact in facts if isinstance(fact, dict)}
    return {task: [shorten_caution(str(s)) for s in sentences] for task, sentences in found.items() if sentences}


def _note_comparisons(subject: Subject) -> Iterator[Note]:
    for found in subject.card.comparisons:
        worse = [change.row for change in found.of_verdict(WORSE) if get_id(change.row) not in subject.judged]
        if worse:
            rows = format_count(len(worse), "row")
            sentence = f"{found.candidate} is worse than {found.baseline} in {rows}, first in {_lower(name_row(worse[0], subject.card))}."
            yield Note("look", sentence, ("comparison", "comparison"))
        for remark in found.remarks:
            yield Note("look", f"{found.candidate} against {found.baseline}: {remark}.", ("comparison", "comparison"))


def _note_attacks(subject: Subject, free: list[Row]) -> Iterator[Note]:
    attacked = [(value, row) for row in free if row.metric == "robust_accuracy" and (value := make_finite(row.estimate).value) is not None]
    if attacked:
        value, row = min(attacked, key=lambda pair: pair[0])
        clean = find_row(subject, row, "clean_accuracy")
        was = f", from {subject.format_value(clean)}" if clean is not None else ""
        yield Note("look", f"{_upper(describe_item(row.key))} leaves {row.model} {format_percent(value)} right{was}.",
                   ("robustness", "robustness"))  # fmt: skip


def _note_calibration(subject: Subject, free: list[Row]) -> Iterator[Note]:
    gaps = [(e.value, row) for row in free if row.metric == "ece" and (e := make_finite(row.estimate)).value is not None
            and e.low is not None and e.low > _CLEAR_GAP]  # fmt: skip
    if gaps:
        _, row = max(gaps, key=lambda pair: pair[0] or 0.0)
        by, bounds = format_estimate(row.estimate, False), format_bounds(row.estimate, False)
        sentence = f"The confidence of {row.model} on {row.key.task} misses its accuracy by {by} on average ({bounds})."
        yield Note("look", sentence, ("calibration", "calibration"))
