"""TextAttack's editable text, with its edits made by splicing.

To change one word, ``textattack.shared.AttackedText`` (0.3.11) writes the whole text anew and splits every word of it into words again,
which is where most of TextAttack's own time goes. Here the text before and after the changed words is taken over as it stands:

    text    It 's   a  well-made  film .           words   It s a well-made film
                       └── deleted                                └── none, or those of the replacement
    new     It 's   a  film .                      words   It s a film

The result is TextAttack's to the letter: text, words, and which of them were modified. Where that cannot be said beforehand (Chinese, whose
words depend on their neighbours, and texts of several parts) the work is TextAttack's own.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import Any

_HAS_NEIGHBOURS = re.compile("[\u4e00-\u9fff]").search
"""What makes TextAttack split a text by a dictionary."""


@cache
def spliced_text(textattack: Any, /) -> Any:
    """The subclass of the package's ``AttackedText`` to begin a search with; what is made from it by edits is of it too."""
    split: str = textattack.shared.AttackedText.SPLIT_TOKEN
    words_of = textattack.shared.utils.words_from_text

    class SplicedText(textattack.shared.AttackedText):  # type: ignore[misc]
        def generate_new_attacked_text(self, new_words: Sequence[str]) -> Any:
            edits = [(i, old, new) for i, (old, new) in enumerate(zip(self.words, new_words, strict=False)) if old != new]
            whole = None if any(map(_HAS_NEIGHBOURS, (new for _, _, new in edits))) else self._spliced(edits)
            return super().generate_new_attacked_text(new_words) if whole is None else whole

        def _spliced(self, edits: Sequence[tuple[int, str, str]]) -> Any:
            """The text with each word ``old`` at index ``i`` replaced, i rising; None where TextAttack must do it."""
            starts = self._word_starts()
            if starts is None:
                return None
            text, done, source = "", 0, self.text
            words, shift = list(self.words), 0
            modified: set[int] = set(self.attack_attrs["modified_indices"])
            newly: set[int] = set()
            origins = self.attack_attrs["original_index_map"].copy()
            for i, old, new in edits:
                text += source[done : starts[i]]
                done = starts[i] + len(old)
                added = words_of(new)
                if not added and done < len(source):
                    # A deleted word takes one space with it: the one before, or after the first word.
                    if i == 0:
                        done += source[done] == " "
                    elif text[-1] == " ":
                        text = text[:-1]
                text += new
                words[i + shift : i + shift + 1] = added
                if more := len(added) - 1:
                    # By the index in the old text, as TextAttack has it, also where an earlier edit has moved it.
                    modified = {index if index < i else index + more for index in modified if index != i}
                    if more == -1:
                        origins[origins == i] = -1
                    origins[origins > i] += more
                    if more > 0 and old != added[0]:
                        origins[origins == i] += more
                touched = range(i + shift, i + shift + len(added))
                modified.update(touched)
                newly.update(touched)
                shift += more
            text += source[done:]
            if split in text:
                return None
            kept = {"label_names": self.attack_attrs["label_names"]} if "label_names" in self.attack_attrs else {}
            attrs = {
                **kept,
                "newly_modified_indices": newly,
                "previous_attacked_text": self,
                "modified_indices": modified,
                "original_index_map": origins,
            }
            return self._made(text, words, attrs)

        def _made(self, text: str, words: list[str], attrs: dict[str, Any]) -> Any:
            """As by the constructor, which would split the text into words."""
            made: Any = object.__new__(type(self))
            made.__dict__.update(
                _text_input=OrderedDict.fromkeys(self._text_input, text),
                _words=words,
                _words_per_input=None,
                _pos_tags=None,
                _ner_tags=None,
                attack_attrs=attrs,
            )
            return made

        def _word_starts(self) -> list[int] | None:
            """Where each word begins in the text, found from left to right; None where edits are not local."""
            if "_starts" not in vars(self):
                self._starts = None if self._is_entangled() else word_starts(self.text, self.words)
            return self._starts

        def _is_entangled(self) -> bool:
            return len(self._text_input) != 1 or split in self.text or _HAS_NEIGHBOURS(self.text) is not None

    return SplicedText


def word_starts(text: str, words: Sequence[str], /) -> list[int]:
    """Where each word begins, found from left to right."""
    starts, end = [], 0
    for word in words:
        starts.append(text.index(word, end))
        end = starts[-1] + len(word)
    return starts
