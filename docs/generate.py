"""Generate ``reference.md`` from the code, and copy files into pages between ``<!-- file: PATH -->`` and ``<!-- /file -->``.

    python docs/generate.py            write the pages
    python docs/generate.py --check    write nothing; list stale pages and exit with 1 if there are any

The output depends on the working tree alone: plugins are read from ``pyproject.toml``, not from what is installed.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from windtunnel.harness.api.bases import BASES
from windtunnel.harness.api.plugins import get_alternative
from windtunnel.harness.api.registry import GROUPS, list_parameters
from windtunnel.harness.api.threat import Threat
from windtunnel.harness.cli.main import EXIT_CODES, app
from windtunnel.harness.items.kinds import ROWS
from windtunnel.harness.scorecard.gates.entries import GateSpec
from windtunnel.harness.scorecard.measures import MEASURES
from windtunnel.harness.scorecard.names import get_kind
from windtunnel.harness.suite.specs import AttackSpec, ModelSpec, ProbeSpec, Suite, TaskSpec
from windtunnel.tasks.catalog import FAMILIES, list_settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
REFERENCE = ROOT / "docs" / "reference.md"
_SHOWN_FILE = re.compile(r"(<!-- file: (\S+) -->\n).*?(<!-- /file -->)", re.DOTALL)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def main(arguments: list[str]) -> int:
    stale = [page for page, text in render_pages() if not page.is_file() or page.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for page in stale:
            print(f"{page.relative_to(ROOT)} is stale: run python docs/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for page, text in render_pages():
        page.write_text(text, encoding="utf-8")
    return 0


def render_pages() -> Iterator[tuple[Path, str]]:
    """Yield each page with its up-to-date text."""
    yield REFERENCE, "\n".join(render_reference()).rstrip() + "\n"
    for page in PAGES:
        if page != REFERENCE:
            yield page, _SHOWN_FILE.sub(_show_file, page.read_text(encoding="utf-8"))


def _show_file(match: re.Match[str]) -> str:
    path = ROOT / match[2]
    text = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("# mypy: ignore-errors").rstrip()
    return f'{match[1]}```{_LANGUAGES[path.suffix]} title="{path.name}"\n{text}\n```\n{match[3]}'


# ── reference.md ──────────────────────────────────────────────────────────────────────────────────────────────────────


def render_reference() -> Iterator[str]:
    yield "# Reference\n"
    yield "<!-- Written by docs/generate.py. Change the code, not this page. -->\n"
    yield "All commands, suite keys, and built-in plugins with their settings. `windtunnel show NAME` prints the full description of a"
    yield "plugin, including plugins of other packages and `--plugin` files.\n"
    yield from _describe_commands()
    yield from _describe_suite_keys()
    for group in GROUPS:
        yield from _describe_plugins(group)
    yield from _describe_base_classes()
    yield from _describe_rows()


def _describe_commands() -> Iterator[str]:
    yield "## Commands\n"
    yield f"{EXIT_CODES}\n"
    for name, command in sorted(typer.main.get_command(app).commands.items()):  # type: ignore[attr-defined]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        named = [str(p.metavar or p.name.upper()) for p in arguments]
        usage = " ".join([f"windtunnel {name}", *(["[OPTIONS]"] if options else []), *named])
        yield f"### `{usage}`\n"
        yield f"{_join_lines(command.help)}\n"
        if command.params:
            yield from _format_table(
                ("argument or option", "meaning"),
                [(_code(name), p.help or "") for name, p in zip(named, arguments, strict=True)]
                + [(", ".join(map(_code, p.opts)), p.help or "") for p in options],
            )


def _describe_suite_keys() -> Iterator[str]:
    yield "## Keys of a suite\n"
    yield "[Running](running.md) explains each key. In an entry, any other key is a setting of the plugin.\n"
    named: dict[str, type[BaseModel]] = {
        "suite": Suite,
        "models": ModelSpec,
        "tasks": TaskSpec,
        "attacks": AttackSpec,
        "probes": ProbeSpec,
        "gates": GateSpec,
    }
    yield from _format_table(("in", "keys"), [(where, ", ".join(map(_code, spec.model_fields))) for where, spec in named.items()])


def _describe_plugins(group: str) -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"].get(f"windtunnel.{group}", {})
    factories = {name: EntryPoint(name, points[name], f"windtunnel.{group}").load() for name in sorted(points)}
    columns: dict[str, Callable[[Any], str]] = {"description": _summarise}
    if group == "tasks":
        factories.pop("file")  # its settings depend on the file
        columns |= {"family": lambda factory: _code(factory.file.content["family"]), "metrics": _list_metrics}
    if group in ("attacks", "probes"):
        columns |= {"required capabilities": lambda factory: ", ".join(sorted(factory.requires))}
    if group in ("attacks", "probes", "models"):
        columns |= {"settings": lambda factory: _format_settings(list_parameters(factory) or {})}
    if group == "metrics":
        columns |= {"kind of number": lambda factory: factory.kind}
    if group == "reports":
        columns |= {"file": lambda factory: _code(factory.suffix)}
    yield f"## {group.capitalize()}\n"
    rows = [(_code(name), *(column(factory) for column in columns.values())) for name, factory in factories.items()]
    yield from _format_table(("name", *columns), rows)
    if group == "tasks":
        yield "### Families\n"
        yield "Keys of a task file, besides `title`, `description`, `citation`, `license`, `homepage`, `params` and `example`.\n"
        families = [(_code(name), _format_settings(list_settings(name))) for name in FAMILIES]
        yield from _format_table(("family", "settings"), families)


def _describe_base_classes() -> Iterator[str]:
    yield "## Base classes\n"
    yield "What a class of a [plugin](plugins.md) may give, and what it has otherwise.\n"
    for base in (*BASES.values(), Threat):
        yield f"### `{base.__name__}`\n"
        yield from _format_table(("attribute or method", "default", "meaning"), _list_members(base))


def _list_members(base: type) -> Iterator[tuple[str, str, str]]:
    """Yield the attributes and methods of a base class, those of the classes that it derives from first: name, default, meaning."""
    meanings = [pair for part in reversed(base.__mro__[:-1]) for pair in _ATTRIBUTE.findall(" ".join((part.__doc__ or "").split()))]
    for name, meaning in dict(meanings).items():
        default = _format_attribute(getattr(base, name)) if hasattr(base, name) else "none: it must be given"
        yield _code(name), default, _escape(meaning)
    for name, method in inspect.getmembers(base, inspect.isfunction):
        if not name.startswith("_"):
            signature = ", ".join(p for p in inspect.signature(method).parameters if p != "self")
            instead = get_alternative(method)
            is_needed = instead or getattr(method, "__isabstractmethod__", False)
            default = f"none: it or {_code(instead)} must be given" if instead else "none: it must be given" if is_needed else ""
            yield _code(f"{name}({signature})"), default, _escape(" ".join((inspect.getdoc(method) or "").split()))


_ATTRIBUTE = re.compile(r"``(\w+)``: (.+?)(?= ``\w+``: |$)")


def _format_attribute(value: object) -> str:
    return _code(repr(dict(value)) if isinstance(value, Mapping) else repr(value))


def _describe_rows() -> Iterator[str]:
    yield "## Rows\n"
    yield "Rows of items besides a task's metrics. The kind of number determines the interval; its coverage is in the table of"
    yield "[coverage](statistics.md#coverage). Counts have no interval.\n"
    rows = sorted({(get_kind(name) or "counted", kind, name) for kind, names in ROWS.items() for name in names})
    by_kind = {pair: [_code(name) for *first, name in rows if tuple(first) == pair] for pair in dict.fromkeys(row[:2] for row in rows)}
    yield from _format_table(("kind of number", "item", "rows"), [(*pair, ", ".join(names)) for pair, names in by_kind.items()])
    yield "What each row measures, and which way is better. A name that ends in `_random` or `_randomised` is a control of that row,"
    yield "and has no better direction; `_minus_random` is the difference to the control, paired by sample.\n"
    better = {True: "higher", False: "lower", None: "neither"}
    table = [(_code(name), m.title, m.explanation, better[m.higher_is_better]) for name, m in MEASURES.items()]
    yield from _format_table(("row", "title", "meaning", "better"), table)


def _summarise(factory: Any) -> str:
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(factory) or "").split("\n\n")]
    # A catalog task's first paragraph is its title, the second its description.
    is_title = len(paragraphs) > 1 and not paragraphs[0].endswith((".", "?"))
    return _escape(". ".join(paragraphs[:2]) if is_title else paragraphs[0])


def _list_metrics(factory: Any) -> str:
    return ", ".join(map(_code, list_parameters(factory)["metrics"].default))  # type: ignore[index]


def _format_settings(settings: Mapping[str, inspect.Parameter]) -> str:
    shown = [f"{p.name} = {_format_default(p.default)}" if p.default is not p.empty else p.name for p in settings.values()]
    return ", ".join(map(_code, shown))


def _format_default(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ── Markdown ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _format_table(heads: Any, rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def _join_lines(text: str | None) -> str:
    return " ".join((text or "").split())


def _escape(text: str) -> str:
    """Turn double and single backticks of a docstring into code."""
    text = re.sub(r"``(.+?)``", r"`\1`", text)
    return re.sub(r"(?<![\w`])([\[<*_])", r"\\\1", text) if "`" not in text else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
