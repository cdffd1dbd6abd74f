"""What language models are asked in the benches, made from the paragraphs of any text file.

choices     5-shot multiple choice, four endings of several tokens
letters     5-shot multiple choice, four letters
endings     0-shot, four long endings
subjects    5-shot in as many subjects as there are questions / 4, each with a header of its own
passages    three questions to a passage, four endings to a question: a tree of two levels
rolling     log-likelihood of whole texts of mixed lengths
generation  5-shot prompts, 64 new tokens

A folder of files NAME_dev.csv and NAME_test.csv (question, choice0 to choice3, answer: its number) gives subjects of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windtunnel.harness.api.requests import Generate, LogLikelihood, RollingLogLikelihood

NUM_SHOTS = 5
SHOT_WORDS = 100


@dataclass(frozen=True, slots=True)
class Work:
    """The same requests for both sides; ``kind`` is the peer's name for them."""

    kind: str
    requests: list[Any]


def paragraphs_of(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    paragraphs = [line for line in lines if len(line.split()) >= SHOT_WORDS]
    if not paragraphs:
        raise SystemExit(f"{path} has no line of {SHOT_WORDS} words or more")
    return paragraphs


def _words(paragraphs: Sequence[str], index: int, start: int, num: int) -> str:
    """Words of a paragraph, from wherever its words end on to the beginning."""
    words = paragraphs[index % len(paragraphs)].split()
    return " ".join(words[(start + i) % len(words)] for i in range(num))


def _header(paragraphs: Sequence[str], at: int, num_words: int = SHOT_WORDS) -> str:
    shots = (f"Question: {_words(paragraphs, at + i, 0, num_words)}\nAnswer: {_words(paragraphs, at + i, 50, 6)}" for i in range(NUM_SHOTS))
    return "\n\n".join(shots) + "\n\n"


def _question(paragraphs: Sequence[str], at: int) -> str:
    return f"Question: {_words(paragraphs, NUM_SHOTS + at, 7 * at, 30 + at % 17)}"


def _endings(paragraphs: Sequence[str], at: int, num_words: int) -> list[str]:
    return [" " + _words(paragraphs, 3 * at + k, 11 * k, num_words + (at + k) % 4) for k in range(4)]


def _choices(paragraphs: Sequence[str], questions: int) -> Work:
    header = _header(paragraphs, 0)
    asked = [
        LogLikelihood(f"{header}{_question(paragraphs, q)}\nAnswer:", ending)
        for q in range(questions)
        for ending in _endings(paragraphs, q, 5)
    ]
    return Work("loglikelihood", asked)


def _letters(paragraphs: Sequence[str], questions: int) -> Work:
    header, asked = _header(paragraphs, 0), []
    for q in range(questions):
        listed = "\n".join(f"{letter}.{ending}" for letter, ending in zip("ABCD", _endings(paragraphs, q, 5), strict=True))
        asked += [LogLikelihood(f"{header}{_question(paragraphs, q)}\n{listed}\nAnswer:", f" {letter}") for letter in "ABCD"]
    return Work("loglikelihood", asked)


def _long_endings(paragraphs: Sequence[str], questions: int) -> Work:
    asked = [
        LogLikelihood(_words(paragraphs, q, 0, 25 + q % 23), ending)
        for q in range(questions)
        for ending in _endings(paragraphs, q, 18 + q % 9)
    ]
    return Work("loglikelihood", asked)


def _subjects(paragraphs: Sequence[str], questions: int) -> Work:
    asked = []
    for subject in range(max(1, questions // 4)):
        header = _header(paragraphs, 7 * subject, 60)
        for q in range(4 * subject, 4 * subject + 4):
            asked += [LogLikelihood(f"{header}{_question(paragraphs, q)}\nAnswer:", f" {letter}") for letter in "ABCD"]
    return Work("loglikelihood", asked)


def subjects_of(folder: Path, questions: int) -> Work:
    """So many questions of each subject in a folder, under five of its own with their answers, as MMLU is asked."""
    asked = []
    for shots in sorted(folder.glob("*_dev.csv")):
        name = shots.name.removesuffix("_dev.csv")
        header = f"The following are multiple choice questions (with answers) about {name.replace('_', ' ')}.\n\n"
        header += "".join(f"{text} {'ABCD'[answer]}\n\n" for text, answer in _rows(shots, NUM_SHOTS))
        for text, _ in _rows(folder / f"{name}_test.csv", questions):
            asked += [LogLikelihood(header + text, f" {letter}") for letter in "ABCD"]
    if not asked:
        raise SystemExit(f"{folder} has no file NAME_dev.csv")
    return Work("loglikelihood", asked)


def _rows(path: Path, most: int) -> Iterator[tuple[str, int]]:
    with path.open(encoding="utf-8", newline="") as file:
        for _, row in zip(range(most), csv.DictReader(file), strict=False):
            listed = "\n".join(f"{letter}. {row[f'choice{i}']}" for i, letter in enumerate("ABCD"))
            yield f"{row['question'].strip()}\n{listed}\nAnswer:", int(row["answer"])


def _passages(paragraphs: Sequence[str], questions: int) -> Work:
    asked = []
    for q in range(questions):
        passage = _words(paragraphs, q // 3, 0, 150)
        asked += [LogLikelihood(f"{passage}\n{_question(paragraphs, q)}\nAnswer:", ending) for ending in _endings(paragraphs, q, 5)]
    return Work("loglikelihood", asked)


def _rolling(paragraphs: Sequence[str], questions: int) -> Work:
    lengths = (40, 90, 300, 700, 1500, 150, 60, 220)
    return Work(
        "loglikelihood_rolling", [RollingLogLikelihood(_long(paragraphs, q, lengths[q % len(lengths)])) for q in range(questions // 3)]
    )


def _long(paragraphs: Sequence[str], at: int, num_words: int) -> str:
    words: list[str] = []
    while len(words) < num_words:
        words += paragraphs[at % len(paragraphs)].split()
        at += 13
    return " ".join(words[:num_words])


def _generation(paragraphs: Sequence[str], questions: int) -> Work:
    header = _header(paragraphs, 0)
    return Work(
        "generate_until",
        [Generate(f"{header}{_question(paragraphs, q)}\nAnswer:", 64, ("\n\nQuestion:",)) for q in range(max(1, questions // 3))],
    )


WORKS: dict[str, Callable[[Sequence[str], int], Work]] = {
    "choices": _choices, "letters": _letters, "endings": _long_endings, "subjects": _subjects, "passages": _passages, "rolling": _rolling,
    "generation": _generation,
}  # fmt: skip
