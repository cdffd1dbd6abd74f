"""TextAttack's editable text, with edits by splicing.

To change a word, ``textattack.shared.AttackedText`` (0.3.11) rewrites the whole text and splits every word
again, which takes most of TextAttack's own time. Here the text before and after the changed words is copied:

    text    It 's   a  well-made  film .           words   It s a well-made film
                       └── deleted                                └── none, or those of the replacement
    new     It 's   a  film .                      words   It s a film

The result equals TextAttack's: text, words and modified indices. TextAttack's own code handles cases that
cannot be spliced: Chinese, whose words depend on their neighbours, and texts of several parts.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import Any

_HAS_NEIGHBOURS = re.compile("[\u4e00-\u9fff]").search
"""Finds characters for which TextAttack splits a text by a dictionary."""


@cache
def make_spliced_text_class(textattack: Any, /) -> Any:
    """Return the subclass of ``AttackedText`` to start a search with; edits of it return the same class."""
    split: str = textattack.shared.AttackedText.SPLIT_TOKEN
    words_of = textattack.shared.utils.words_from_text

    class SplicedText(textattack.shared.AttackedText):  # type: ignore[misc]
        def generate_new_attacked_text(self, new_words: Sequence[str]) -> Any:
            edits = [(i, old, new) for i, (old, new) in enumerate(zip(self.words, new_words, strict=False)) if old != new]
            whole = None if any(map(_HAS_NEIGHBOURS, (new for _, _, new in edits))) else self._splice(edits)
            return super().generate_new_attacked_text(new_words) if whole is None else whole

        def _splice(self, edits: Sequence[tuple[int, str, str]]) -> Any:
            """Return the text with each word ``old`` at index ``i`` replaced, i increasing; None if
            TextAttack must do it."""
            starts = self._find_word_starts()
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
                    # By the index in the old text, as in TextAttack, even if an earlier edit moved it.
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
            return self._create(text, words, attrs)

        def _create(self, text: str, words: list[str], attrs: dict[str, Any]) -> Any:
            """Create a text without the constructor, which would split it into words."""
            result: Any = object.__new__(type(self))
            result.__dict__.update(
                _text_input=OrderedDict.fromkeys(self._text_input, text),
                _words=words,
                _words_per_input=None,
                _pos_tags=None,
                _ner_tags=None,
                attack_attrs=attrs,
            )
            return result

        def _find_word_starts(self) -> list[int] | None:
            """Return the start of each word, from left to right; None if edits are not local."""
            if "_starts" not in vars(self):
                self._starts = None if self._is_entangled() else find_word_starts(self.text, self.words)
            return self._starts

        def _is_entangled(self) -> bool:
            return len(self._text_input) != 1 or split in self.text or _HAS_NEIGHBOURS(self.text) is not None

    return SplicedText


def find_word_starts(text: str, words: Sequence[str], /) -> list[int]:
    """Return the start of each word, from left to right."""
    starts, end = [], 0
    for word in words:
        starts.append(text.index(word, end))
        end = starts[-1] + len(word)
    return starts
