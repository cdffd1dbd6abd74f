"""Few-shot examples: rows of another split, answered, before each question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from ..harness.api.errors import ConfigError, DataError, SampleError
from ..harness.data import DataSpec, Row, Rows, load
from .fields import Field

_EDGE = r"[.,;:!?\"'()\[\]{}‘’“”«»…]+"
_AT_EDGES = re.compile(rf"(?<!\S){_EDGE}|{_EDGE}(?!\S)")


class FewShot:
    """The first ``num`` rows of another split whose questions are not among the evaluated ones: the same examples for every sample.

    An example that is evaluated itself would hand the model its answer, so rows are compared by their content, whatever split they are in.

    Raises `ConfigError` where the examples would come from the evaluated split, `DataError` where there are too few.
    """

    def __init__(self, data: DataSpec, num: int, split: str, header: str) -> None:
        if num < 0:
            raise ConfigError(f"num_fewshot is 0 or more, not {num}")
        if num and split == data.split:
            raise ConfigError(f"fewshot_split: {split!r} is the split that is evaluated; its rows would be their own examples")
        self._data, self._num = data.at(split) if num else data, num
        self._header = Field("header", header, literal=True).text({})
        self.notes: tuple[str, ...] = ()

    def prefix(
        self, evaluated: Callable[[], Iterable[Row]], fields: Sequence[Field], write: Callable[[Row], str], ask: Callable[[Row], str]
    ) -> str:
        """Header and examples, a blank line after each.

        ``evaluated``: the evaluated rows. ``fields``: those that ``write`` reads. ``write``: a row to its example, question and answer.
        ``ask``: a row to its question.
        """
        if not self._num:
            return self._header
        rows = load(self._data)
        rows.require(sorted(set().union(*(f.columns for f in fields))))
        try:
            return self._header + "".join(f"{write(rows.rows[place])}\n\n" for place in self._chosen(rows, evaluated, ask))
        except SampleError as error:
            raise DataError(f"a few-shot example among the first rows of {rows.source} cannot be used: {error}") from error

    def _chosen(self, rows: Rows, evaluated: Callable[[], Iterable[Row]], ask: Callable[[Row], str]) -> list[int]:
        """Places of the examples. The evaluated rows are gone over once, and again where some of the first rows are among them."""
        chosen: list[int] = []
        start, width, num_rows = 0, self._num, len(rows.rows)
        while len(chosen) < self._num and start < num_rows:
            end = min(start + width, num_rows)
            asked = {place: content(ask(rows.rows[place])) for place in range(start, end)}
            known = set(asked.values()) & _contents(evaluated(), ask)
            chosen += [place for place, text in asked.items() if text not in known]
            start, width = end, 2 * width
        chosen = chosen[: self._num]
        num_seen = chosen[-1] + 1 if len(chosen) == self._num else num_rows
        num_passed = num_seen - len(chosen)
        if len(chosen) < self._num:
            among = f", {num_passed} of which are among the evaluated rows; give a split that shares none with them" if num_passed else ""
            raise DataError(f"num_fewshot is {self._num}, and {rows.source} has {num_rows} rows{among}")
        if num_passed:
            seen = f"{num_passed} of the first {num_seen} rows of {rows.source}"
            self.notes = (f"few-shot examples: {seen} are evaluated rows, and passed over",)
        return chosen


def _contents(rows: Iterable[Row], ask: Callable[[Row], str]) -> set[str]:
    found = set()
    for row in rows:
        try:
            found.add(content(ask(row)))
        except SampleError:
            continue  # no question: its own sample says so
    return found


def content(text: str, /) -> str:
    """What makes two texts the same question: not case, spaces, forms of one character, or the punctuation around words.

    >>> content("Who wrote  “Emma”?") == content("who wrote Emma"), content("2*3") == content("2+3")
    (True, False)
    """
    return " ".join(_AT_EDGES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split())
