"""The formats of data files. A format is a dataclass: its fields are its options, its `read` gives the rows of some files.

A format keeps what stands in the file: text stays text, nothing is taken for a number, a date or a missing value. What cannot be a row is
an error that names the line, or is counted in the notes.
"""

from __future__ import annotations

from .format import Format
from .image_folder import ImageFolder
from .json_rows import Json
from .parquet import Parquet
from .separated import Csv, Tsv
from .tar import WebDataset
from .text import Text

FORMATS: dict[str, type[Format]] = {
    "csv": Csv, "tsv": Tsv, "json": Json, "jsonl": Json, "parquet": Parquet, "text": Text, "imagefolder": ImageFolder,
    "webdataset": WebDataset,
}  # fmt: skip

BY_SUFFIX = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet", ".txt": "text",
    ".tar": "webdataset", ".tgz": "webdataset",
}  # fmt: skip
"""Formats of files by suffix; a folder and a file with a suffix of `encoded_image.SUFFIXES` are an ``imagefolder``."""
