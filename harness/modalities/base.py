"""What a modality is: one kind of thing that a model can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Shown:
    """An input made ready to be looked at. ``kind``: the name of its modality.

    ``text``: for text. ``parts``: (name, text) for pairs, chats and anything with several texts. ``image``: a PNG data URI.
    """

    kind: str
    text: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    image: str = ""


class Modality(Generic[V]):
    """One kind of thing that a model can be shown. A subclass is known as soon as it is defined, in a file of ``--plugin`` as well.

    ``name``: the capability that a model needs to take it, and that a task names in ``requires``. ``type``: the class of its values, which
    are immutable, and compared and hashed by content.
    Raises `TypeError` where another modality has the name or the type.
    """

    name: ClassVar[str]
    type: ClassVar[type[Any]]

    def __init_subclass__(cls) -> None:
        for known in _known:
            # A plugin's file may be executed again: its class then takes the place of the former.
            is_again = type(known).__qualname__ == cls.__qualname__ and known.name == cls.name
            if not is_again and (known.name == cls.name or known.type is cls.type):
                raise TypeError(f"the modality {cls.name!r} of {cls.type.__name__} is there already; give it another name and type")
        _known[:] = [m for m in _known if (m.name, type(m).__qualname__) != (cls.name, cls.__qualname__)]
        _known.append(cls())

    def size(self, value: V, /) -> int:
        """A rough number of positions that a model reads of it, at least 1: enough to sort and pack by."""
        raise NotImplementedError

    def preview(self, value: V, /) -> Shown:
        """What a person looks at in its place. Text in it is hostile; whoever shows it escapes it."""
        return Shown(self.name, text=str(value))

    def to_json(self, value: V, /) -> Any:
        """Its content as text, numbers, lists, mappings and numpy arrays: what a record keeps, and what its identity is. By default the
        fields of a dataclass."""
        return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]

    def from_json(self, facts: Any, /) -> V:
        """The inverse of `to_json`; lists come back as tuples."""
        made: V = self.type(**facts)
        return made


_known: list[Modality[Any]] = []


def modality_of(value: object, /) -> Modality[Any] | None:
    """The modality of a value; None where no modality has its class, or one that it derives from."""
    return next((m for m in _known if type(value) is m.type), None) or next((m for m in _known if isinstance(value, m.type)), None)


def modality_named(name: str, /) -> Modality[Any] | None:
    return next((m for m in _known if m.name == name), None)


def modalities() -> Iterator[Modality[Any]]:
    """Those that are known, the harness's own first."""
    return iter(tuple(_known))


@dataclass(frozen=True, slots=True)
class Unread:
    """What a record keeps of a value whose modality is not known here: the plugin that brings it was not given."""

    modality: str
    facts: Any

    def __str__(self) -> str:
        return f"a value of the modality {self.modality!r}, whose plugin was not given"
