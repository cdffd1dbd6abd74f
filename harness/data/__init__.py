"""Rows of data sets, exactly as stored: no value is guessed, converted or silently dropped.

`load` reads a `DataSpec`. ``formats/`` has one module per file format; ``hub.py`` reads data sets of the Hugging Face Hub.
"""

from .formats.encoded_image import EncodedImage
from .formats.rows import Row, Rows
from .hub import is_cached
from .load import load, make_hub_resource
from .spec import DataSpec

__all__ = ["DataSpec", "EncodedImage", "Row", "Rows", "is_cached", "load", "make_hub_resource"]
