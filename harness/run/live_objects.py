"""Python objects as models, tasks, attacks and probes: each gets a name, by which the suite refers to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..identity.programs import name_class

_KEYS = {"models": "model", "auxiliary_models": "model", "tasks": "task", "attacks": "attack", "probes": "probe"}


class LiveObjects:
    """Adds objects to a registry, and turns a list of them into the entries of a suite.

    registry: the plugins of this run only. kept: resources that live as long as the run, such as temporary checkpoint folders.
    """

    def __init__(self, registry: Registry, kept: ExitStack) -> None:
        self._registry, self._kept = registry, kept
        self.num = 0
        """The number of added objects."""

    def entries(self, key: str, values: object, /) -> list[dict[str, Any]]:
        """Return the entries of a suite's ``key``.

        values: a value, a list of values, or a mapping from names to values. A value is a text as in a suite, a mapping as in a suite
            whose first key may hold an object, or an object.
        Raises `ConfigError` for any other value.
        """
        return [self._make_entry(key, name, value) for name, value in _list_values(values, _KEYS[key])]

    def _make_entry(self, key: str, name: str, value: object) -> dict[str, Any]:
        first = _KEYS[key]
        entry = dict(value) if isinstance(value, Mapping) else {first: value}
        if first not in entry:
            raise ConfigError(
                f"an entry of {key} has the keys {', '.join(map(repr, entry)) or 'none'} and no {first!r}; add {{{first!r}: ...}}"
            )
        named = {"name": name} if name else {}
        live = entry[first]
        if isinstance(live, str | Path):
            return {**entry, first: str(live), **named}
        name = name or str(entry.get("name", "")) or _name_of(live)
        self.num += 1
        if first != "model":
            group = f"{first}s"
            # A class is instantiated with the settings of its entry, like a class in a plugin file.
            self._registry.add_object(group, name, live, live if isinstance(live, type) else lambda: live)
            return {**entry, first: name}
        settings = {k: v for k, v in entry.items() if k not in ("model", "name")}
        if _is_checkpoint(live):
            return {"model": f"hf:{self._save(live)}", "name": name, **settings}
        source = self._make_source(live, name, settings)
        self._registry.add("models", f"object-{self.num}", lambda target: source, name_class(live))
        return {"model": f"object-{self.num}:{name}", "name": name}

    def _save(self, live: Any) -> Path:
        """Save a transformers pair as a checkpoint, so that the adapter reads head, prompts and tokenizer in one way only.

        The folder is not named for the model, whose name may be any text.
        """
        folder = Path(self._kept.enter_context(TemporaryDirectory(prefix="windtunnel-"))) / "model"
        for part in live:
            part.save_pretrained(folder)
        return folder

    def _make_source(self, live: Any, name: str, settings: dict[str, Any]) -> Any:
        """Create a model's source from an object and the settings of its entry."""
        if hasattr(live, "inspect") and hasattr(live, "load"):
            if settings:
                raise ConfigError(
                    f"the model {name!r} is already a source and takes no settings; remove {' and '.join(map(repr, settings))}"
                )
            return live
        if hasattr(live, "predict_proba") and hasattr(live, "classes_"):
            known = {"labels": [str(label) for label in live.classes_], "outputs": "probabilities"}
            return self._registry.make("models", "callable", target=live.predict_proba, **{**known, **settings})
        if hasattr(live, "save_pretrained") and "labels" not in settings:
            raise ConfigError(
                f"the transformers model {name!r} lacks its preprocessor; pass (model, tokenizer) or (model, image processor)"
            )
        if hasattr(live, "state_dict") and hasattr(live, "forward"):
            if "labels" not in settings:
                raise ConfigError(f"the module {name!r} has no class names; pass {{'model': module, 'labels': [...]}}")
            return self._registry.make("models", "torch", target=live, **settings)
        if callable(live):
            return self._registry.make("models", "callable", target=live, **settings)
        raise ConfigError(
            f"an object of the class {type(live).__name__} is not a model: pass a text such as 'hf:path', a function, a torch.nn.Module, "
            "a fitted scikit-learn pipeline with predict_proba, a transformers pair (model, tokenizer), or an object with inspect and load"
        )


def _list_values(values: Any, first: str) -> Iterator[tuple[str, Any]]:
    """Yield the name (empty if there is none) and the value of each entry."""
    if isinstance(values, Mapping) and first not in values:
        yield from ((str(name), value) for name, value in values.items())
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes) and not _is_checkpoint(values):
        yield from (("", value) for value in values)
    else:
        yield "", values


def _is_checkpoint(live: Any) -> bool:
    """Tell whether an object is a transformers model with its tokenizer or image processor."""
    return isinstance(live, tuple) and len(live) == 2 and all(hasattr(part, "save_pretrained") for part in live)


def _name_of(live: Any) -> str:
    name = getattr(live, "name", None) or getattr(live, "__name__", None)
    return str(name) if isinstance(name, str) and name.isprintable() else type(live[0] if _is_checkpoint(live) else live).__name__
