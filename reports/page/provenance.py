"""Provenance: what ran, on which data, with which versions, and which warnings belong to the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..display import format_fact, list_statements, make_named_rows
from .rows import Subject
from .sessions import describe_sessions, list_sessions

_SHOWN = ("flags", "skipped", "name", "version", "versions", "seed", "digest", "models", "items", "data", "tasks")
_FIRST = ("windtunnel", "torch", "transformers", "python")


@dataclass(frozen=True, slots=True)
class Part:
    """A folded part. ``rows``: those of a table; ``fact``: a value to show in another way."""

    title: str
    rows: list[dict[str, Any]]
    fact: Any = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What ran.

    facts: (name, fact) of the run: date, command, machine, software, seed and digest.
    flags, skipped: (subject, sentence) of warnings, and of what did not run.
    tasks: (task, sentence) of the samples of each task.
    parts: further facts, folded.
    """

    facts: list[tuple[str, str]]
    flags: list[tuple[str, str]]
    skipped: list[tuple[str, str]]
    tasks: list[tuple[str, str]]
    parts: list[Part]


def make_provenance(subject: Subject, /) -> Provenance:
    """Return the provenance of a scorecard, from its manifest and its sessions."""
    manifest, sessions = subject.card.manifest, subject.card.sessions
    flags, skipped = (list_statements(manifest.get(key)) for key in ("flags", "skipped"))
    parts = list(_list_parts(manifest))
    if len(sessions) > 1:
        parts.append(Part(f"Sessions ({len(sessions):,})", list_sessions(sessions)))
    facts = [*describe_sessions(sessions), *_describe_run(manifest)]
    return Provenance(facts, flags, skipped, list(_describe_tasks(manifest, [said for _, said in flags])), parts)


def _describe_run(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name, fact) of software, devices, seed and digest."""
    versions = manifest.get("versions")
    known = versions if isinstance(versions, Mapping) else {}
    named = [f"{name} {known[name]}" for name in _FIRST if name in known]
    if "version" in manifest and "windtunnel" not in known:
        named.insert(0, f"windtunnel {manifest['version']}")
    if named:
        yield "software", ", ".join(named)
    models = manifest.get("models")
    facts = [fact for fact in models.values() if isinstance(fact, Mapping)] if isinstance(models, Mapping) else []
    devices = sorted(
        {" in ".join(str(fact[key]).removeprefix("torch.") for key in ("device", "dtype") if fact.get(key)) for fact in facts} - {""}
    )
    if devices:
        yield "device", ", ".join(devices)
    yield from ((name, str(manifest[name])) for name in ("seed", "digest") if manifest.get(name) not in (None, ""))


def _describe_tasks(manifest: Mapping[str, Any], warnings: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each task with its number of samples and how they were chosen, without what the warnings say."""
    data, items = manifest.get("data"), manifest.get("items")
    known = data if isinstance(data, Mapping) else {}
    tasks = [i for i in items if isinstance(i, Mapping) and i.get("kind") == "task"] if isinstance(items, list) else []
    for task, num in {str(item.get("task")): item.get("num_samples") for item in tasks}.items():
        facts = known.get(task)
        notes = [*facts.get("cautions", ()), *facts.get("notes", ())] if isinstance(facts, Mapping) else []
        told = [note for note in map(str, notes) if not any(note in warning for warning in warnings)]
        partial = any("are taken" in str(note) for note in notes)
        others = [f"{item['item']} on {item['num_samples']:,}" for item in items or () if isinstance(item, Mapping)
                  and item.get("task") == task and item.get("kind") in ("attack", "probe") and item.get("num_samples") != num]  # fmt: skip
        size = f"{num:,} samples" if isinstance(num, int) else "its samples"
        yield task, "; ".join([*_describe_task(manifest, task), size if partial else f"all {size}", *told, *others])


def _describe_task(manifest: Mapping[str, Any], task: str) -> Iterator[str]:
    """Yield the title and the source of a task's data."""
    tasks = manifest.get("tasks")
    facts = tasks.get(task) if isinstance(tasks, Mapping) else None
    if isinstance(facts, Mapping):
        yield from (str(facts[name]) for name in ("title", "source") if facts.get(name))


def _list_parts(manifest: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the models, the items, the versions and everything else."""
    for key in ("models", "items", "versions"):
        if manifest.get(key):
            rows = make_named_rows(manifest[key], "name")
            yield Part(f"{key.capitalize()} ({len(manifest[key]):,})" if rows else key.capitalize(), rows, None if rows else manifest[key])
    rest = {key: value for key, value in manifest.items() if key not in _SHOWN and value not in (None, "", [], {})}
    for key, value in rest.items():
        rows = make_named_rows(value, "name")
        if rows:
            yield Part(str(key).replace("_", " ").capitalize(), rows)
    facts = {str(key): format_fact(value) for key, value in rest.items() if not make_named_rows(value, "name")}
    if facts:
        yield Part("Run", [], facts)
