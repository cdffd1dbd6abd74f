"""Import Python files: each once per path and content, as one module, whatever refers to it."""

from __future__ import annotations

import hashlib
import importlib.util
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from ..identity.code import Code, collect_code, is_library, target_folders
from ..identity.digests import digest_file
from .errors import ConfigError

PREFIX = "windtunnel_file_"
"""The beginning of the names of the modules that files run as."""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A Python file that this process has imported, and what it defines together with the local modules that it imports.

    path: the absolute path, without links.
    module: the module that the file ran as.
    neighbours: the names by which it imports local modules.
    plugins: (group, name, object) of each plugin of the file, then those of its neighbours.
    classes: the modalities, and the classes of requests and responses, by a description.
    """

    path: Path
    module: ModuleType
    neighbours: tuple[str, ...]
    plugins: tuple[tuple[str, str, object], ...] = ()
    classes: Mapping[str, object] = field(default_factory=dict)


_files: dict[str, ImportedFile] = {}
"""The imported files, by a hash of path and content."""

_running: list[ImportedFile] = []
"""The files that are being executed; a file may import another one."""

_digests: dict[str, str] = {}
"""The digest of each local module's file at the time of its import, by module name."""

_plugins: dict[str, tuple[Mapping[str, object], list[tuple[str, str, object]]]] = {}
"""The plugins that modules defined while a file was executed, by module name: the module's namespace, and the plugins."""


def import_file(path: Path, /) -> ImportedFile:
    """Import a Python file, unless this process has imported the same content from there.

    It runs as a module of its own and can import from its folder. A script, or a module that an ``import`` statement loaded, is not
    executed again, and an ``import`` statement of another file gets the module of the file.

    path: the file. Its content is that of the file and of the local files that it imports.
    Raises `ConfigError` if it is no Python file; exceptions of the file propagate, and remove the module.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    add_to_path(path.resolve().parent)
    code = collect_code(path)
    file = _find_imported(path, code)
    if file is None:
        neighbours = {name: neighbour for name, neighbour in code.files.items() if neighbour != path}
        loaded = _find_loaded(path.resolve())
        if loaded is not None:
            file = ImportedFile(path.resolve(), loaded, tuple(neighbours))
        else:
            for name, neighbour in neighbours.items():
                _prepare_import(name, neighbour)
            file = _execute(path, _make_key(path, code), tuple(neighbours))
        file = _files[_make_key(path, code)] = _collect_definitions(file)
    _register_again(file)
    return file


def record_plugin(group: str, name: str, obj: object, /) -> bool:
    """Record a plugin of the file that is being executed. Returns False if there is none."""
    if not _running:
        return False
    names = _find_namespace(_running[-1])
    module = str(names["__name__"])
    if module not in _plugins or _plugins[module][0] is not names:
        _plugins[module] = (names, [])
    _plugins[module][1].append((group, name, obj))
    return True


def list_classes() -> dict[str, object]:
    """Return the modalities and the classes of requests and responses, which register themselves, by a description."""
    # Not on top: a list of plugins needs no arrays.
    from ..modalities.base import list_modalities
    from .responses import list_classes as list_messages

    messages: dict[str, object] = {f"class {name!r} of a request or response": cls for name, cls in list_messages().items()}
    return messages | {f"modality {modality.name!r}": modality for modality in list_modalities()}


def add_to_path(folder: Path, /) -> None:
    """Append a folder to the import path, before the folders of other targets: each file finds its own neighbours first."""
    folder_path = str(folder)
    if folder_path in sys.path and folder_path not in target_folders:
        return
    if folder_path in target_folders:
        while folder_path in sys.path:
            sys.path.remove(folder_path)
        target_folders.remove(folder_path)
    sys.path.insert(min((sys.path.index(other) for other in target_folders if other in sys.path), default=len(sys.path)), folder_path)
    target_folders.insert(0, folder_path)


# ── modules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_key(path: Path, code: Code) -> str:
    return hashlib.sha256(f"{path.resolve()} {code.digest}".encode()).hexdigest()[:12]


def _find_imported(path: Path, code: Code) -> ImportedFile | None:
    """Return the file with this content if it was imported, and if its module is still there."""
    file = _files.get(_make_key(path, code))
    return file if file is not None and sys.modules.get(file.module.__name__) is file.module else None


def _find_loaded(path: Path) -> ModuleType | None:
    """Return the module that a script or an ``import`` statement loaded from a file; None if there is none, or if the file has changed."""
    for name, module in list(sys.modules.items()):
        file = _find_place(module)
        if file is not None and file.name == path.name and not name.startswith(PREFIX) and file.resolve() == path:
            return module if _is_current(module, path) else None
    return None


def _find_place(module: ModuleType | None) -> Path | None:
    """Return the file of a module. Anything may stand in the table of modules."""
    file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return Path(file) if isinstance(file, str) else None


def _is_current(module: ModuleType, path: Path) -> bool:
    """Tell whether a module was imported with the file's present content."""
    if module.__name__ not in _digests and _is_compiled_otherwise(module, path):
        return False
    return _digests.setdefault(module.__name__, digest_file(path)) == digest_file(path)


def _is_compiled_otherwise(module: ModuleType, path: Path) -> bool:
    """Tell whether an ``import`` statement compiled another version of a file: its bytecode has the file's time and size (PEP 552)."""
    compiled = vars(module).get("__cached__")
    if not isinstance(compiled, str) or not Path(compiled).is_file():
        return False
    flags, modified, size = struct.unpack("<III", Path(compiled).read_bytes()[4:16])
    now = path.stat()
    return bool(flags == 0 and (modified, size) != (int(now.st_mtime) & 0xFFFFFFFF, now.st_size & 0xFFFFFFFF))


def _prepare_import(name: str, path: Path) -> None:
    """Let ``import name`` load a file: unload another module of this name, and offer the module of a file that was imported.

    Modules that imported the other one keep it.
    """
    module = sys.modules.get(name)
    loaded = _find_place(module)
    if module is not None and loaded is not None and not is_library(loaded):
        if loaded.resolve() == path.resolve() and _is_current(module, path):
            return
        del sys.modules[name]
        _digests.pop(name, None)
    if "." not in name and any(file.path == path.resolve() for file in _files.values()):
        file = _find_imported(path, collect_code(path))
        if file is not None:
            sys.modules[name] = file.module
            return
    _digests[name] = digest_file(path)


def _execute(path: Path, key: str, neighbours: tuple[str, ...]) -> ImportedFile:
    """Run a Python file as a module of its own."""
    spec = importlib.util.spec_from_file_location(PREFIX + key, path.absolute())
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    file = ImportedFile(path.resolve(), module, neighbours)
    # It is known while it runs, because it may refer to itself.
    sys.modules[module.__name__], _files[key] = module, file
    _digests[module.__name__] = digest_file(path)
    _running.append(file)
    try:
        # Compile the text, never load a cached .pyc file: the code that runs is the code that was hashed.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__], _files[key]
        raise
    finally:
        _running.pop()
    return file


# ── definitions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _find_namespace(file: ImportedFile) -> Mapping[str, object]:
    """Return the globals of the innermost module that is being executed: of a neighbour, or else of the file."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame.f_globals if frame.f_globals.get("__name__") in file.neighbours else vars(file.module)


def _list_modules(file: ImportedFile) -> Iterator[ModuleType]:
    """Yield the module of a file, then those of its neighbours that are loaded."""
    yield file.module
    yield from (sys.modules[name] for name in file.neighbours if name in sys.modules)


def _collect_definitions(file: ImportedFile) -> ImportedFile:
    modules = list(_list_modules(file))
    kept = [_plugins[module.__name__] for module in modules if module.__name__ in _plugins]
    current = [plugins for names, plugins in kept if any(names is vars(module) for module in modules)]
    own = {module.__name__ for module in modules}
    classes = {what: made for what, made in list_classes().items() if (made if isinstance(made, type) else type(made)).__module__ in own}
    return replace(file, plugins=tuple(plugin for plugins in current for plugin in plugins), classes=classes)


def _register_again(file: ImportedFile) -> None:
    """Register the classes of a file again where another file has replaced them."""
    from ..modalities.base import Modality, register_modality
    from .responses import register_message

    now = list_classes()
    for what, made in file.classes.items():
        if now.get(what) is made:
            continue
        if isinstance(made, Modality):
            register_modality(made)
        elif isinstance(made, type):
            register_message(made)
