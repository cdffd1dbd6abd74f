"""Rows of data sets, as their files have them: no value is guessed, converted or dropped without a word.

`load` reads a `DataSpec`; ``formats/`` has a file for each format of files, ``hub.py`` the data sets of the Hugging Face Hub.
"""

from .encoded_image import EncodedImage
from .hub import is_cached
from .load import load
from .rows import Row, Rows
from .spec import DataSpec

__all__ = ["DataSpec", "EncodedImage", "Row", "Rows", "is_cached", "load"]
