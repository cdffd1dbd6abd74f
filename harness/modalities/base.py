"""What a modality is: one kind of thing that a model can be shown."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .words import change_each, cut_out, joined, spans_in

V = TypeVar("V")

Parts: TypeAlias = Sequence[Any] | NDArray[np.intp]
"""What an attribution gives a value each: a sequence of anything, each part by itself; or an array of integers, in whose shape the
attribution's values lie. The parts of an array are many and small (pixels): methods that need few parts take neighbours together."""

_BYTES = 1 << 14
"""About what the tokens of a text take as Python objects."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An input made ready to be looked at. ``kind``: the name of its modality.

    ``text``: for text. ``parts``: (name, text) for pairs, chats and anything with several texts; in a
    text's place may stand a part as its own modality shows it. ``image``: a PNG data URI.
    """

    kind: str
    text: str = ""
    parts: tuple[tuple[str, str | Shown], ...] = ()
    image: str = ""


class Modality(Generic[V]):
    """One kind of thing that a model can be shown. A subclass is known as soon as it is defined, in a file of ``--plugin`` as well.

    ``name``: the capability that a model needs to take it, and that a task names in ``requires``. ``type``: the class of its values, which
    are immutable, and compared and hashed by content.
    ``part_kind``: what `parts` are (words, pixels, time, frames, boxes, or a word of your own, by default ``parts``); empty where values
    have none, and then nothing is removed from them. ``ways``: what "removed" can mean for a part, the plainest first; `without` is given
    one of them. Raises `TypeError` where it lacks name or type, where another modality has one of them, and where it has parts but does
    not say what is left of a value without some of them, or the reverse.
    """

    name: ClassVar[str]
    type: ClassVar[type[Any]]
    part_kind: ClassVar[str] = ""
    ways: ClassVar[tuple[str, ...]] = ("removed",)

    def __init_subclass__(cls) -> None:
        name, kind = getattr(cls, "name", None), getattr(cls, "type", None)
        if not (isinstance(name, str) and name and name.isprintable()):
            raise TypeError(f"the modality {cls.__name__} has the name {name!a}; give it 'name', a printable text")
        if not isinstance(kind, type) or kind is object:
            raise TypeError(f"the modality {name!r} has the type {kind!r}; give it 'type', the class of its values")
        own = cls.parts is not Modality.parts, cls.without is not Modality.without
        if cls.part_kind != "words" and not all(own) and (any(own) or cls.part_kind):
            raise TypeError(f"the modality {name!r} has parts; give it both 'parts' and 'without'")
        cls.part_kind = cls.part_kind or ("parts" if all(own) else "")
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

    def parts(self, value: V, /) -> Parts:
        """Return what an attribution of the value is about, in order. Needed where ``part_kind`` is given; where that is ``words``, they
        are by default those of its texts, as their places in the texts with a line break between them."""
        if self.part_kind != "words":
            raise NotImplementedError(f"the modality {self.name!r} gives no parts")
        return spans_in(self.texts(value))

    def without(self, value: V, parts: Parts, way: str, /) -> V:
        """Return the value without these of its parts. Needed where ``part_kind`` is given; words are by default cut out.

        ``parts``: some of `parts`, in order. ``way``: one of ``ways``.
        """
        if self.part_kind != "words":
            raise NotImplementedError(f"the modality {self.name!r} does not say what is left of a value without some of its parts")
        return self.with_texts(value, change_each(self.texts(value), parts, cut_out))

    def only(self, value: V, shown: Parts, hidden: Parts, way: str, /) -> V:
        """Return the value with the parts ``shown`` alone; ``hidden`` are all others. By default it is `without` those; of words that are
        cut, those that stay have a space between them."""
        if self.part_kind == "words" and way == "cut":
            return self.with_texts(value, change_each(self.texts(value), shown, joined))
        return self.without(value, hidden, way)

    def texts(self, value: V, /) -> tuple[str, ...]:
        """Return the texts that the value consists of; empty where it is no text, or more than that."""
        return ()

    def with_texts(self, value: V, texts: Sequence[str], /) -> V:
        """Return the value with these texts in place of its own (`texts`), as many of them."""
        raise NotImplementedError(f"the modality {self.name!r} has no texts")

    def pixels(self, value: V, /) -> NDArray[np.float32] | None:
        """Return the pixels [H, W, C] in [0, 1]; None where the value is no image."""
        return None

    def noisy(self, value: V, draws: np.random.Generator, radius: float, /) -> V | None:
        """Return the value with uniform noise within ``radius`` of the unit interval; None where noise has no meaning in the value itself
        (that of a text is in a model's embeddings of it)."""
        return None

    def bare(self, value: V, /) -> Any:
        """Return the value in plain Python or numpy, for a function that knows no class of the harness. By default it stays as it is."""
        return value

    def coarse(self, value: V, /) -> V:
        """Return the value in few bytes, good enough to be looked at. By default it stays as it is."""
        return value

    def stack_key(self, value: V, /) -> Hashable:
        """Return what values must have in common to be stacked in one array; None where that is the model's affair."""
        return None

    def num_bytes(self, value: V, /) -> int:
        """Return about how many bytes of memory the value takes, with what a model makes of it."""
        return _BYTES


_known: list[Modality[Any]] = []


def modality_of(value: object, /) -> Modality[Any] | None:
    """The modality of a value; None where no modality has its class, or one that it derives from."""
    return next((m for m in _known if type(value) is m.type), None) or next((m for m in _known if isinstance(value, m.type)), None)


def known_modality(value: object, /) -> Modality[Any]:
    """As `modality_of`. Raises `TypeError` where the value has no modality."""
    known = modality_of(value)
    if known is None:
        names = ", ".join(m.type.__name__ for m in modalities())
        raise TypeError(f"a {type(value).__name__} is no input; inputs are {names}, and those of a `Modality` of your own")
    return known


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
