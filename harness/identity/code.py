"""The code of a program: its file, the local files that it imports or names, and the libraries that they import.

Installed files belong to a library, wherever pip put them (``pip install --target``), and a library is identified by its version. Every
other Python file, such as that of an editable project, is local, and is identified by its content, wherever it is.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from .digests import digest_file, digest_parts
from .installed import is_installed

OWN = Path(__file__).resolve().parents[2]
"""The root of Windtunnel, which counts as a library."""

target_folders: list[str] = []
"""Folders added to Python's path for the files of targets, latest first. A file's own folder is searched before them."""

_OWN_PLACES = ("__init__.py", "harness", "tasks", "attacks", "probes", "reports")

_DATA = frozenset({".npz", ".npy", ".pt", ".pth", ".safetensors", ".bin", ".onnx", ".pkl", ".joblib", ".h5", ".gguf", ".parquet", ".model"})
_TEXT = frozenset({".json", ".jsonl", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".jinja", ".ini", ".cfg"})
_WRITES = frozenset({"write", "write_text", "write_bytes", "writelines", "dump", "to_csv", "to_json"})


@dataclass(frozen=True)
class Code:
    """The files and libraries of a program.

    files: local Python files by import name; the first is the program's own.
    named: data files by the string literal in the source that names them.
    libraries: top-level names of the imported libraries.
    writes: whether the source seems to write files.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    named: Mapping[str, Path] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    writes: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 over the content of all files; for a single file, the SHA-256 of the file itself."""
        digests = [(name, digest_file(path)) for name, path in sorted({**self.files, **self.named}.items())]
        return digests[0][1] if len(digests) == 1 else digest_parts(part for pair in digests for part in pair)


@cache
def _list_library_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(dict.fromkeys(Path(paths[key]).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")))


@lru_cache(maxsize=4096)
def is_library(file: Path, /) -> bool:
    """Whether a file is part of Python, of an installed package, or of Windtunnel."""
    resolved = file.resolve()
    if {"site-packages", "dist-packages"} & set(resolved.parts):
        return True
    if any(resolved.is_relative_to(folder) for folder in _list_library_folders()):
        return True
    return any(resolved.is_relative_to(OWN / place) for place in _OWN_PLACES) or is_installed(resolved)


def find_file(obj: Any, /) -> Path | None:
    """Return the file that defines a module, class, function or the class of an object; None if there is none."""
    # For a library's decorator around a user's function, the file of the function counts.
    inner = inspect.unwrap(obj) if isinstance(obj, FunctionType) else obj
    for candidate in (inner, getattr(obj, "func", None), None if isinstance(obj, type) else type(obj)):
        try:
            file = inspect.getsourcefile(candidate) if candidate is not None else None
        except (TypeError, OSError):  # a built-in class, or a class of a notebook
            continue
        if file is not None and Path(file).is_file():
            return Path(file)
    return None


def collect_code(file: Path, package: str = "", /) -> Code:
    """Collect the code of a local file, following its imports. ``package``: the package of its relative imports."""
    search = _search_path(file.resolve().parents[package.count(".") + 1 if package else 0])
    files: dict[str, Path] = {}
    named: dict[str, Path] = {}
    libraries: set[str] = set()
    writes = False
    waiting = [(file.name, file, package)]
    while waiting:
        name, path, parent = waiting.pop()
        if name in files or path.resolve() in {known.resolve() for known in files.values()}:
            continue
        files[name] = path
        if path.suffix != ".py":
            continue
        source = _parse(path.read_bytes())
        named |= {text: place for text in source.texts if (place := find_data_file(text, path.parent, source.writes)) is not None}
        writes |= source.writes
        for imported in source.imports:
            for full, origin, inner in _resolve_import(_make_absolute(imported, parent), search):
                if origin is None:
                    libraries.add(full)
                else:
                    waiting.append((full, origin, inner))
    return Code(files, named, tuple(sorted(libraries)), writes)


def collect_local_code(obj: Any, /) -> Code | None:
    """Collect the code of a local object; None if it belongs to a library or to no file."""
    file = find_file(obj)
    if file is None or is_library(file):
        return None
    module = obj if isinstance(obj, ModuleType) else sys.modules.get(getattr(obj, "__module__", None) or type(obj).__module__)
    return collect_code(file, getattr(module, "__package__", "") or "")


# ── reading source ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Source:
    """Facts of a source file.

    imports: names as written, with leading dots. texts: string literals. writes: whether it seems to write files.
    """

    imports: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    writes: bool = False


@lru_cache(maxsize=1024)
def _parse_cached(digest: bytes, content: bytes) -> _Source:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return _Source()  # importing the file raises the error
    imports: dict[str, None] = {}
    texts: dict[str, None] = {}
    writes = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            imports[base] = None
            imports |= dict.fromkeys(f"{base}{'' if base.endswith('.') else '.'}{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 256:
            texts[node.value] = None
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            if called in ("import_module", "__import__") and isinstance(first, str):
                imports[first] = None
            modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
            opens_to_write = called == "open" and any(isinstance(m, str) and len(m) < 4 and set(m) & set("wax+") for m in modes)
            writes |= called in _WRITES or opens_to_write
    return _Source(tuple(imports), tuple(texts), writes)


def _parse(content: bytes) -> _Source:
    return _parse_cached(hashlib.sha256(content).digest(), content)


def find_data_file(text: str, folder: Path, writes: bool, /) -> Path | None:
    """Return the data file that a string in a program names, if it exists; else None.

    writes: whether the program writes files. If so, its .json or .txt files are skipped, as they may be its output.
    """
    suffix = "." + text.rpartition(".")[2]
    if suffix not in _DATA and (writes or suffix not in _TEXT):
        return None
    try:
        places = [place for place in (folder / text, Path(text)) if place.is_file()]
    except (OSError, ValueError):
        return None
    return places[0] if places else None


def _make_absolute(name: str, package: str) -> str:
    bare = name.lstrip(".")
    level = len(name) - len(bare)
    if not level:
        return name
    parts = package.split(".")[: len(package.split(".")) - level + 1] if package else []
    return ".".join([*parts, *([bare] if bare else [])])


def _search_path(folder: Path) -> list[str]:
    return [*(place for place in sys.path if place not in target_folders), str(folder), *target_folders]


def _resolve_import(name: str, path: Sequence[str]) -> Iterator[tuple[str, Path | None, str]]:
    """Yield (name, file, package) for each local file that an import runs; (top-level name, None, "") for a library."""
    top = name.partition(".")[0]
    if not top or top in sys.stdlib_module_names:
        if name in _CLIENTS:
            yield name, None, ""
        return
    imported = getattr(sys.modules.get(top), "__file__", None)
    if imported is not None and is_library(Path(imported)):
        # Python does not search again for an imported module.
        yield top, None, ""
        return
    search: Sequence[str] | None = path
    full = ""
    for part in name.split("."):
        full = f"{full}.{part}" if full else part
        spec = _find_spec(full, search)
        if spec is None:
            return
        origin = Path(spec.origin) if spec.origin and spec.has_location else None
        search = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
        if origin is not None and is_library(origin):
            yield top, None, ""
            return
        if origin is not None:
            yield full, origin, full if search is not None else full.rpartition(".")[0]
        if search is None:
            return


def _find_spec(name: str, search: Sequence[str] | None) -> importlib.machinery.ModuleSpec | None:
    """Find a module without importing its parent package. Folders are listed anew, to see files that were just written."""
    for place in search or ():
        invalidate = getattr(sys.path_importer_cache.get(place), "invalidate_caches", None)
        if invalidate is not None:
            invalidate()
    for finder in (importlib.machinery.PathFinder, *(f for f in sys.meta_path if f is not importlib.machinery.PathFinder)):
        find = getattr(finder, "find_spec", None)
        try:
            spec: importlib.machinery.ModuleSpec | None = find(name, search) if find is not None else None
        except Exception:  # noqa: BLE001 - an import hook of another library: its errors mean "not found"
            continue
        if spec is not None:
            return spec
    return None


# ── other machines ────────────────────────────────────────────────────────────────────────────────────────────────────

_CLIENTS = frozenset({
    "socket", "http.client", "urllib.request", "requests", "httpx", "aiohttp", "urllib3", "websockets", "grpc", "openai", "anthropic",
    "boto3", "botocore", "litellm", "cohere", "mistralai", "ollama", "groq", "gradio_client", "xmlrpc",
})  # fmt: skip


def list_remote_libraries(code: Code, /) -> tuple[str, ...]:
    """Return the libraries of the code that talk to other machines, whose behaviour no local file determines."""
    return tuple(name for name in code.libraries if name in _CLIENTS)
