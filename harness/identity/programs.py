"""Fingerprints of models that are Python programs (functions, objects, modules of torch), and origins of other objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .code import Code, collect_local_code, list_remote_libraries
from .digests import digest_parts, make_unknown_fingerprint
from .libraries import answer_code, list_versions
from .values import ObjectDigester, digest_state, find_self_changes


def fingerprint_program(
    target: str, parts: Sequence[Any], settings: Iterable[object], version: str, libraries: Iterable[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """Return the fingerprint of a program, and notes for the reader of a scorecard.

    target: import target of the program; only the name of its file counts.
    parts: the object that is called, and the objects that it returned.
    settings: all other values that affect a response.
    version: version set by the user, which stands for all that cannot be inspected.
    libraries: libraries that the adapter itself imports.

    If a part cannot be inspected and there is no ``version``, the fingerprint is an `make_unknown_fingerprint`.
    """
    code = next((part_code for part in parts if (part_code := collect_local_code(part)) is not None), Code())
    digester = ObjectDigester(writes=code.writes)
    digests = [digester.digest(part, _name(target)) for part in parts]
    reasons = [f"{where} {why}" for where, why in digester.unknown.items()]
    reasons += [f"{_name(target)} {why}" for why in find_self_changes(parts[0])]
    reasons += [
        f"{target.rpartition(':')[0]} imports {name}, so another machine may compute its responses" for name in list_remote_libraries(code)
    ]
    if reasons and not version:
        effect = "its responses are not cached, and its runs cannot be resumed; set 'version' for it"
        return make_unknown_fingerprint(reasons), (f"without a fingerprint ({'; '.join(reasons)}): {effect}",)
    # Only the name of the file: the same function in another folder is the same model.
    named = target.replace("\\", "/").rpartition("/")[2]
    used = sorted(list_versions({*libraries, *code.libraries}).items())
    return digest_parts((named, code.digest if code.files else "", *digests), (*settings, version, used, answer_code())), ()


def name_class(obj: object, /) -> str:
    """Return the module and the name of a class, or of an object's class."""
    named = obj if isinstance(obj, type) else type(obj)
    return f"{named.__module__} {named.__qualname__}"


def name_origin(obj: object, /) -> str:
    """Return the origin of an object of this process, as records name it: its class, and a hash of its state and its code.

    It is an `make_unknown_fingerprint` if a part of the object cannot be inspected.
    """
    digest, reasons = digest_state(obj, name_class(obj))
    return make_unknown_fingerprint(reasons) if reasons else f"{name_class(obj)} sha256:{digest[:12]}"


def _name(target: str) -> str:
    return target.rpartition(":")[2]
