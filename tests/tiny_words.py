"""Word data in miniature: a WordNet of a few synonym sets in its own file format, word vectors, a tagger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from windtunnel.harness.api.samples import SampleRng

SYNONYMS: Mapping[str, Sequence[Sequence[str]]] = {
    "noun": [("film", "movie", "picture", "motion_picture"), ("plot", "story"), ("year", "twelvemonth"), ("star", "sun")],
    "adj": [("warm", "mild"), ("dull", "dim", "slow"), ("thin", "lean"), ("gorgeous", "lush"), ("strange", "odd")],
    "adv": [("never", "ne'er"), ("again", "anew")],
    "verb": [("care", "worry", "mind")],
}
WORDS = [word for sets in SYNONYMS.values() for words in sets for word in words if "_" not in word]
TAGS = {
    word: {"noun": "NOUN", "adj": "ADJ", "adv": "ADV", "verb": "VERB"}[kind] for kind, sets in SYNONYMS.items() for s in sets for word in s
}


def write_words(folder: Path) -> Path:
    """A resource folder: corpora/wordnet, vectors.txt and tags.json."""
    (folder / "corpora/wordnet").mkdir(parents=True)
    for kind, sets in SYNONYMS.items():
        _write_wordnet(folder / "corpora/wordnet", kind, sets)
    (folder / "corpora/wordnet/index.sense").write_text("")
    (folder / "corpora/wordnet/lexnames").write_text("00\tadj.all\t3\n")
    draws = {word: SampleRng("vector")(words[0]).standard_normal(6) + 0.2 * SampleRng("own")(word).standard_normal(6)
             for sets in SYNONYMS.values() for words in sets for word in words if "_" not in word}  # fmt: skip
    lines = [" ".join([word, *(f"{value:.4f}" for value in values)]) for word, values in draws.items()]
    (folder / "vectors.txt").write_text("\n".join([f"{len(lines)} 6", *lines]) + "\n")
    (folder / "tags.json").write_text(json.dumps(TAGS))
    return folder


def _write_wordnet(folder: Path, kind: str, sets: Sequence[Sequence[str]]) -> None:
    letter = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}[kind]
    data, places = "  1 A toy in the format of WordNet 3.0 Copyright nobody  \n", {}
    for words in sets:
        places[words] = len(data)
        data += f"{len(data):08d} 00 {letter} {len(words):02x} {' '.join(f'{word} 0' for word in words)} 000 | a toy  \n"
    senses = {word: [places[words] for words in sets if word in words] for words in sets for word in words}
    index = [f"{word} {letter} {len(found)} 0 {len(found)} 0 {' '.join(f'{at:08d}' for at in found)}  \n" for word, found in senses.items()]
    (folder / f"data.{kind}").write_text(data)
    (folder / f"index.{kind}").write_text("".join(sorted(index)))
    (folder / f"{kind}.exc").write_text("")


def vectors(folder: Path) -> tuple[list[str], np.ndarray]:
    rows = [line.split() for line in (folder / "vectors.txt").read_text().splitlines()[1:]]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=np.float32)
