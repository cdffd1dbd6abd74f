"""Formats of data files. A format is a dataclass: its fields are its options, and its `read` returns the rows of files.

A format keeps values as stored: text stays text, and is never parsed as a number, a date or a missing value. Content
that is not a row raises an error with its line, or is counted in the notes.
"""

from __future__ import annotations

from .format import Format
from .image_folder import ImageFolder
from .json_rows import Json
from .parallel import Parallel
from .parquet import Parquet
from .separated import Csv, Tsv
from .squad import Squad
from .tar import WebDataset
from .text import Text

FORMATS: dict[str, type[Format]] = {
    "csv": Csv, "tsv": Tsv, "json": Json, "jsonl": Json, "parquet": Parquet, "text": Text, "parallel": Parallel, "squad": Squad,
    "imagefolder": ImageFolder,
    "webdataset": WebDataset,
}  # fmt: skip

BY_SUFFIX = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet", ".txt": "text",
    ".tar": "webdataset", ".tgz": "webdataset",
}  # fmt: skip
"""Format by file suffix. A folder, and a file with a suffix in `encoded_image.SUFFIXES`, are an ``imagefolder``."""
