"""SQuAD's own files: passages with the questions about each, nested in one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...api.errors import DataError
from .json_rows import Json
from .rows import Contents, Row, keep_rows

COLUMNS = ("id", "title", "context", "question", "answers", "is_impossible")


@dataclass(frozen=True, kw_only=True)
class Squad:
    """One row per question, with the columns of the data set on the Hub; ``answers`` is the list of their texts.

    encoding: default UTF-8.
    """

    encoding: str = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        """Read the questions. Raises `DataError` for a file of another shape."""
        articles = Json(field="data", encoding=self.encoding).read(paths)
        return Contents(keep_rows(row for article in articles.rows for row in _list_questions(article, paths)), COLUMNS)


def _list_questions(article: Row, paths: Sequence[Path]) -> Iterator[Row]:
    try:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                yield {
                    "id": asked.get("id"), "title": article.get("title"), "context": paragraph["context"], "question": asked["question"],
                    "answers": _list_texts(asked), "is_impossible": asked.get("is_impossible", False),
                }  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            f"{', '.join(path.name for path in paths)} has not the shape of SQuAD's files ({type(error).__name__}: {error}): data, "
            "paragraphs with context and qas, each with question and answers"
        ) from error


def _list_texts(asked: dict[str, Any]) -> list[str]:
    return [answer["text"] for answer in asked.get("answers", ())]
