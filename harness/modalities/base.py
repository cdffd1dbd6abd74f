"""Base class and registry of modalities, the kinds of model inputs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .words import change_each, cut_out, join_spans, spans_in

if TYPE_CHECKING:
    from .image import Image

V = TypeVar("V")

Parts: TypeAlias = Sequence[Any] | NDArray[np.intp]
"""The parts of an input that an attribution has values for: a sequence of any objects, or an array of integers.

The attribution's values have the shape of the array. The parts of an array, such as pixels, are many and small; methods
that need few parts group neighbours.
"""

_BYTES = 1 << 14
"""Approximate memory of the tokens of a text as Python objects."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A preview of an input for people.

    kind: name of the input's modality.
    text: the text, if the input is one text.
    parts: (name, content) of each part of a pair, a chat or another input with several parts. The content is a text or
        the preview of a part of another modality.
    image: the image, if the input is one.
    audio: WAV data URI, if the input is a sound that is short enough for a page.
    """

    kind: str
    text: str = ""
    parts: tuple[tuple[str, str | Shown], ...] = ()
    image: Image | None = None
    audio: str = ""


class Modality(Generic[V]):
    """Base class of a kind of model input. A subclass registers itself when it is defined, also in a ``--plugin`` file.

    name: capability that a model needs to accept the modality, and that a task lists in ``requires``.
    type: class of the values, which must be immutable and compared and hashed by content.
    part_kind: kind of the `parts`: words, pixels, time, frames, boxes, or a word of your own; by default ``parts``.
        Empty if values have no parts.
    ways: ways to remove a part, the default first. `without` receives one of them.
    Raises `TypeError` if a subclass has no name or no type, if another modality of the harness or of its module has the same name or
    type, or if it defines only one of `parts` and `without`.
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
        # A changed plugin file, or a cell of a notebook, may be executed again; its class then replaces the earlier one.
        for other in _list_rivals(name, kind):
            if _is_own(other) or (other.__module__ == cls.__module__ and type(other).__qualname__ != cls.__qualname__):
                raise TypeError(f"the modality {name!r} of {kind.__name__} already exists; give it another name and type")
        register_modality(cls())

    def size(self, value: V, /) -> int:
        """Return the approximate number of positions of the value in a model, at least 1, for sorting and batching."""
        raise NotImplementedError

    def preview(self, value: V, /) -> Shown:
        """Return a preview of the value for people. Its text is untrusted; the caller must escape it."""
        return Shown(self.name, text=str(value))

    def to_json(self, value: V, /) -> Any:
        """Return the content of the value as text, numbers, lists, mappings and numpy arrays.

        Records store it, and it determines the identity of the value. By default it is the fields of a dataclass.
        Raises `TypeError` if the value is not a dataclass.
        """
        if not is_dataclass(value):
            raise TypeError("it is no dataclass, so that its modality needs to_json and from_json")
        return {field.name: getattr(value, field.name) for field in fields(value)}

    def from_json(self, facts: Any, /) -> V:
        """Create a value from the result of `to_json`. Lists are passed as tuples."""
        made: V = self.type(**facts)
        return made

    def parts(self, value: V, /) -> Parts:
        """Return the parts of the value that an attribution has values for, in order.

        A subclass with a ``part_kind`` must define it. For ``words`` the default is the (start, end) of each word in
        the value's texts joined by line breaks.
        """
        if self.part_kind != "words":
            raise NotImplementedError(f"the modality {self.name!r} gives no parts")
        return spans_in(self.texts(value))

    def without(self, value: V, parts: Parts, way: str, /) -> V:
        """Return the value without some of its parts.

        A subclass with a ``part_kind`` must define it. For ``words`` the default cuts them out of the texts.

        value: the value.
        parts: parts to remove, a subset of `parts` in order.
        way: one of ``ways``.
        """
        if self.part_kind != "words":
            raise NotImplementedError(f"the modality {self.name!r} does not say what is left of a value without some of its parts")
        return self.with_texts(value, change_each(self.texts(value), parts, cut_out))

    def only(self, value: V, shown: Parts, hidden: Parts, way: str, /) -> V:
        """Return the value with only some of its parts.

        By default it is the value `without` the hidden parts. If words are cut, the shown words are joined by spaces.

        value: the value.
        shown: parts to keep, in order.
        hidden: all other parts, in order.
        way: one of ``ways``.
        """
        if self.part_kind == "words" and way == "cut":
            return self.with_texts(value, change_each(self.texts(value), shown, join_spans))
        return self.without(value, hidden, way)

    def texts(self, value: V, /) -> tuple[str, ...]:
        """Return the texts of the value; empty unless the value consists of texts only."""
        return ()

    def with_texts(self, value: V, texts: Sequence[str], /) -> V:
        """Return the value with its `texts` replaced by equally many others."""
        raise NotImplementedError(f"the modality {self.name!r} has no texts")

    def pixels(self, value: V, /) -> NDArray[np.float32] | None:
        """Return the pixels [H, W, C] in [0, 1]; None if the value is not an image."""
        return None

    def noisy(self, value: V, draws: np.random.Generator, radius: float, /) -> V | None:
        """Return the value with uniform noise; None if noise is not defined for the modality.

        Noise on a text, for example, is added to the model's embeddings instead.

        value: the value.
        draws: random generator.
        radius: largest absolute value of the noise, for values in [0, 1].
        """
        return None

    def bare(self, value: V, /) -> Any:
        """Return the value in plain Python or numpy types, for user functions. By default it is unchanged."""
        return value

    def coarse(self, value: V, /) -> V:
        """Return the value in fewer bytes with enough detail to be viewed. By default it is unchanged."""
        return value

    def stack_key(self, value: V, /) -> Hashable:
        """Return a key that is equal for values that can be stacked in one array; None leaves stacking to the model."""
        return None

    def num_bytes(self, value: V, /) -> int:
        """Return the approximate memory of the value in bytes, including its encoding for a model."""
        return _BYTES


_known: list[Modality[Any]] = []


def _list_rivals(name: str, kind: type) -> list[Modality[Any]]:
    return [m for m in _known if m.name == name or m.type is kind]


def _is_own(modality: Modality[Any]) -> bool:
    return modality.__module__.startswith(f"{__package__}.")


def register_modality(modality: Modality[Any], /) -> None:
    """Register a modality, in place of those with its name or its type."""
    rivals = _list_rivals(modality.name, modality.type)
    _known[:] = [*(m for m in _known if m not in rivals), modality]


def find_modality(value: object, /) -> Modality[Any] | None:
    """Return the modality of a value by its class, or else by a base class; None if there is no such modality."""
    return next((m for m in _known if type(value) is m.type), None) or next((m for m in _known if isinstance(value, m.type)), None)


def require_modality(value: object, /) -> Modality[Any]:
    """Return the modality of a value. Raises `TypeError` if the value has no modality."""
    known = find_modality(value)
    if known is None:
        names = ", ".join(m.type.__name__ for m in list_modalities())
        raise TypeError(f"a {type(value).__name__} is no input; inputs are {names}, and those of a `Modality` of your own")
    return known


def find_modality_by_name(name: str, /) -> Modality[Any] | None:
    """Return the modality with this name; None if there is none."""
    return next((m for m in _known if m.name == name), None)


def list_modalities() -> Iterator[Modality[Any]]:
    """Yield all registered modalities, the built-in ones first."""
    return iter(tuple(_known))


@dataclass(frozen=True, slots=True)
class Unread:
    """A recorded value of an unregistered modality, because its plugin was not given.

    modality: name of the modality.
    facts: recorded content of the value (`Modality.to_json`).
    """

    modality: str
    facts: Any

    def __str__(self) -> str:
        return f"a value of the modality {self.modality!r}, whose plugin was not given"
