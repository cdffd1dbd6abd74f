"""The fingerprint of a model that is a Python program: a function, an object, a module of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .code import Code, local_code, remote_libraries
from .digests import of_parts, unknown
from .libraries import answer_code, versions
from .values import Look, changes_itself


def python_fingerprint(
    target: str, parts: Sequence[Any], settings: Iterable[object], version: str, libraries: Iterable[str] = ()
) -> tuple[str, tuple[str, ...]]:
    """The fingerprint, and notes for the reader of a scorecard.

    target: where the program was found; of a file its name alone counts. parts: what is called and what that made. settings: all that
    decides an answer beside it. version: the user's word for what cannot be seen. libraries: imported by the adapter itself.

    What cannot be seen makes the fingerprint `unknown`, but where ``version`` vouches for it.
    """
    code = next((found for part in parts if (found := local_code(part)) is not None), Code())
    look = Look(writes=code.writes)
    seen = [look.digest(part, _name(target)) for part in parts]
    reasons = [f"{where} {why}" for where, why in look.unknown.items()]
    reasons += [f"{_name(target)} {why}" for why in changes_itself(parts[0])]
    reasons += [f"{target.rpartition(':')[0]} imports {name}, so that another machine may answer" for name in remote_libraries(code)]
    if reasons and not version:
        why = unknown(reasons)
        effect = "its answers are not shared, and a stopped run of it does not go on; give it a 'version'"
        return why, (f"not known by content ({'; '.join(reasons)}): {effect}",)
    # Of a file the name alone: the same function in another folder is the same model.
    named = target.replace("\\", "/").rpartition("/")[2]
    used = sorted(versions({*libraries, *code.libraries}).items())
    return of_parts((named, code.digest if code.files else "", *seen), (*settings, version, used, answer_code())), ()


def _name(target: str) -> str:
    return target.rpartition(":")[2]
