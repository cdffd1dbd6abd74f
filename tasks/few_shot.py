"""Put few-shot examples, answered rows of another split, before each question."""

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
    """The first rows of another split whose questions are not evaluated; the same examples for every sample.

    An evaluated example would give its answer away, so rows are compared by content, whatever their split.

    data: the evaluated data set.
    num: number of examples.
    split: split of the examples.
    header: text before the examples.

    Raises `ConfigError` if the examples come from the evaluated split, `DataError` if there are too few.
    """

    def __init__(self, data: DataSpec, num: int, split: str, header: str) -> None:
        if num < 0:
            raise ConfigError(f"num_fewshot must be at least 0, not {num}")
        if num and split == data.split:
            raise ConfigError(f"fewshot_split: {split!r} is the evaluated split; its rows would be their own examples")
        self._data, self._num = data.at(split) if num else data, num
        self._header = Field("header", header, literal=True).text({})
        self.notes: tuple[str, ...] = ()

    def prefix(
        self, evaluated: Callable[[], Iterable[Row]], fields: Sequence[Field], write: Callable[[Row], str], ask: Callable[[Row], str]
    ) -> str:
        """Return the header and the examples, each followed by a blank line.

        evaluated: returns the evaluated rows.
        fields: the fields that ``write`` reads.
        write: turns a row into an example, question and answer.
        ask: turns a row into its question.
        """
        if not self._num:
            return self._header
        rows = load(self._data)
        rows.require(sorted(set().union(*(f.columns for f in fields))))
        try:
            return self._header + "".join(f"{write(rows.rows[place])}\n\n" for place in self._choose_rows(rows, evaluated, ask))
        except SampleError as error:
            raise DataError(f"a few-shot example among the first rows of {rows.source} cannot be used: {error}") from error

    def _choose_rows(self, rows: Rows, evaluated: Callable[[], Iterable[Row]], ask: Callable[[Row], str]) -> list[int]:
        """Return the row indices of the examples. Reads the evaluated rows once, and again after each overlap
        with the first rows."""
        chosen: list[int] = []
        start, width, num_rows = 0, self._num, len(rows.rows)
        while len(chosen) < self._num and start < num_rows:
            end = min(start + width, num_rows)
            questions = {place: normalise_question(ask(rows.rows[place])) for place in range(start, end)}
            known = set(questions.values()) & _normalise_questions(evaluated(), ask)
            chosen += [place for place, text in questions.items() if text not in known]
            start, width = end, 2 * width
        chosen = chosen[: self._num]
        num_seen = chosen[-1] + 1 if len(chosen) == self._num else num_rows
        num_skipped = num_seen - len(chosen)
        if len(chosen) < self._num:
            among = f", {num_skipped:,} of which are also evaluated; choose a split that shares no rows with them" if num_skipped else ""
            raise DataError(f"num_fewshot is {self._num}, but {rows.source} has {num_rows:,} rows{among}")
        if num_skipped:
            seen = f"{num_skipped:,} of the first {num_seen:,} rows of {rows.source}"
            self.notes = (f"few-shot examples: {seen} are also evaluated, and were skipped",)
        return chosen


def _normalise_questions(rows: Iterable[Row], ask: Callable[[Row], str]) -> set[str]:
    questions = set()
    for row in rows:
        try:
            questions.add(normalise_question(ask(row)))
        except SampleError:
            continue  # the sample of this row reports the error
    return questions


def normalise_question(text: str, /) -> str:
    """Normalise a question for comparison: ignore case, spaces, Unicode variants and punctuation around words.

    >>> normalise_question("Who wrote  “Emma”?") == normalise_question("who wrote Emma")
    True
    """
    return " ".join(_AT_EDGES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split())
