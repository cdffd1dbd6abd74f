"""Rows of data sets, as their files have them: no value is guessed, converted or dropped without a word.

`load` reads a `DataSpec`; ``formats/`` has a file for each format of files, ``hub.py`` the data sets of the Hugging Face Hub.
"""

from .formats.encoded_image import EncodedImage
from .formats.rows import Row, Rows
from .hub import is_cached
from .load import load
from .spec import DataSpec

__all__ = ["DataSpec", "EncodedImage", "Row", "Rows", "is_cached", "load"]
