"""The interface of a file format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, get_type_hints

from ...api.errors import DataError, suggest_name
from .rows import Contents


class Format(Protocol):
    """A dataclass whose fields are the options of the format."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init__(self, **options: Any) -> None: ...

    def read(self, paths: Sequence[Path], /) -> Contents:
        """Read the rows of these files, in order. Raises `DataError`."""
        ...


def make_format(name: str, kind: type[Format], options: Mapping[str, Any], /) -> Format:
    """Build a format with these options. Raises `DataError` for an unknown option or a value of the wrong type."""
    from pydantic import TypeAdapter, ValidationError

    types = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for option, value in options.items():
        if option not in known:
            raise DataError(
                f"options: a {name} file has no option {option!r}.{suggest_name(str(option), known)} "
                f"Its options: {', '.join(known) or 'none'}."
            )
        try:
            TypeAdapter(types[option]).validate_python(value, strict=True)
        except ValidationError as error:
            raise DataError(f"options: {option}: {error.errors()[0]['msg']}, not {value!r}") from error
    return kind(**options)
