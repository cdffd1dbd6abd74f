"""What a modality is: one kind of thing that a model can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
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
    Raises `TypeError` where it lacks one of the two, or another modality has it.
    """

    name: ClassVar[str]
    type: ClassVar[type[Any]]

    def __init_subclass__(cls) -> None:
        name, kind = getattr(cls, "name", None), getattr(cls, "type", None)
        if not (isinstance(name, str) and name and name.isprintable()):
            raise TypeError(f"the modality {cls.__name__} has the name {name!a}; give it 'name', a printable text")
        if not isinstance(kind, type) or kind is object:
            raise TypeError(f"the modality {name!r} has the type {kind!r}; give it 'type', the class of its values")
        # A plugin's file may be executed again: its class then takes the place of the former.
        others = [m for m in _known if (m.name, type(m).__qualname__) != (name, cls.__qualname__)]
        if any(other.name == name or other.type is kind for other in others):
            raise TypeError(f"the modality {name!r} of {kind.__name__} is there already; give it another name and type")
        _known[:] = [*others, cls()]

    def size(self, value: V, /) -> int:
        """A rough number of positions that a model reads of it, at least 1: enough to sort and pack by."""
        raise NotImplementedError

    def preview(self, value: V, /) -> Shown:
        """What a person looks at in its place. Text in it is hostile; whoever shows it escapes it."""
        return Shown(self.name, text=str(value))

    def to_json(self, value: V, /) -> Any:
        """Its content as text, numbers, lists, mappings and numpy arrays: what a record keeps, and what its identity is. By default the
        fields of a dataclass."""
        if not is_dataclass(value):
            raise TypeError("it is no dataclass, so that its modality needs to_json and from_json")
        return {field.name: getattr(value, field.name) for field in fields(value)}

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
