"""Objects of a Python program as models, tasks, attacks and probes: each gets a name, which is all that a suite holds of it."""

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

    registry: the plugins of this run; nobody else sees what is added. kept: what lives as long as the run, such as folders of checkpoints.
    """

    def __init__(self, registry: Registry, kept: ExitStack) -> None:
        self._registry, self._kept = registry, kept
        self.num = 0
        """How many objects were added."""

    def entries(self, key: str, given: object, /) -> list[dict[str, Any]]:
        """The entries of a suite's ``key``. given: one of these, a list of them, or a mapping of names to them: a text as in a suite, a
        mapping as in a suite whose first key may hold an object, or an object. Raises `ConfigError` for what is none of them."""
        return [self._entry(key, name, value) for name, value in _listed(given, _KEYS[key])]

    def _entry(self, key: str, name: str, value: object) -> dict[str, Any]:
        first = _KEYS[key]
        entry = dict(value) if isinstance(value, Mapping) else {first: value}
        if first not in entry:
            raise ConfigError(
                f"an entry of {key} says {', '.join(map(repr, entry)) or 'nothing'} and no {first!r}; give {{{first!r}: ...}}"
            )
        named = {"name": name} if name else {}
        live = entry[first]
        if isinstance(live, str | Path):
            return {**entry, first: str(live), **named}
        name = name or str(entry.get("name", "")) or _name_of(live)
        self.num += 1
        if first != "model":
            group = f"{first}s"
            # A class is made with the settings of its entry, as one of a plugin file is.
            self._registry.add_object(group, name, live, live if isinstance(live, type) else lambda: live)
            return {**entry, first: name}
        settings = {k: v for k, v in entry.items() if k not in ("model", "name")}
        if _is_checkpoint(live):
            return {"model": f"hf:{self._save(live)}", "name": name, **settings}
        source = self._source(live, name, settings)
        self._registry.add("models", f"object-{self.num}", lambda target: source, name_class(live))
        return {"model": f"object-{self.num}:{name}", "name": name}

    def _save(self, live: Any) -> Path:
        """As a checkpoint: what the adapter reads of a folder (head, prompts, tokenizer) is then read in one way alone. The model's name
        may be any text, so that it names no folder."""
        folder = Path(self._kept.enter_context(TemporaryDirectory(prefix="windtunnel-"))) / "model"
        for part in live:
            part.save_pretrained(folder)
        return folder

    def _source(self, live: Any, name: str, settings: dict[str, Any]) -> Any:
        """A model's source, made with the settings of its kind."""
        if hasattr(live, "inspect") and hasattr(live, "load"):
            if settings:
                raise ConfigError(f"the model {name!r} is made already: it takes no {' and no '.join(map(repr, settings))}")
            return live
        if hasattr(live, "predict_proba") and hasattr(live, "classes_"):
            known = {"labels": [str(label) for label in live.classes_], "outputs": "probabilities"}
            return self._registry.make("models", "callable", target=live.predict_proba, **{**known, **settings})
        if hasattr(live, "save_pretrained") and "labels" not in settings:
            raise ConfigError(f"the model {name!r} of transformers comes alone; give (model, tokenizer) or (model, image processor)")
        if hasattr(live, "state_dict") and hasattr(live, "forward"):
            if "labels" not in settings:
                raise ConfigError(f"the module {name!r} does not name its classes; give {{'model': module, 'labels': [...]}}")
            return self._registry.make("models", "torch", target=live, **settings)
        if callable(live):
            return self._registry.make("models", "callable", target=live, **settings)
        raise ConfigError(
            f"an object of the class {type(live).__name__} is no model: give a text such as 'hf:path', a function, a torch.nn.Module, "
            "a fitted pipeline of scikit-learn with predict_proba, (model, tokenizer) of transformers, or an object with inspect and load"
        )


def _listed(given: Any, first: str) -> Iterator[tuple[str, Any]]:
    """(name or empty, value) of each."""
    if isinstance(given, Mapping) and first not in given:
        yield from ((str(name), value) for name, value in given.items())
    elif isinstance(given, Sequence) and not isinstance(given, str | bytes) and not _is_checkpoint(given):
        yield from (("", value) for value in given)
    else:
        yield "", given


def _is_checkpoint(live: Any) -> bool:
    """Whether it is a model of transformers with its tokenizer or image processor."""
    return isinstance(live, tuple) and len(live) == 2 and all(hasattr(part, "save_pretrained") for part in live)


def _name_of(live: Any) -> str:
    own = getattr(live, "name", None) or getattr(live, "__name__", None)
    return str(own) if isinstance(own, str) and own.isprintable() else type(live[0] if _is_checkpoint(live) else live).__name__
