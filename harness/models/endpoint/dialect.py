"""What a server accepts, found out by asking it (`capabilities`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .reading import Json

_OPTIONAL = ("temperature", "seed", "stop", "stream_options")
_RENAMED = {"max_tokens": "max_completion_tokens"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """The dialect of a server.

    served: the name by which it calls the model; empty: it gives none.
    refused: optional parameters that it refuses, which are left out. renamed: parameters that it wants under another name.
    """

    served: str = ""
    refused: frozenset[str] = frozenset()
    renamed: frozenset[str] = frozenset()

    def adapt(self, body: Json) -> Json:
        """Return a body with the parameters that the server accepts."""
        return {_RENAMED[name] if name in self.renamed else name: value for name, value in body.items() if name not in self.refused}

    def learn(self, parameter: str, message: str) -> Dialect | None:
        """Return the dialect after the server refused a parameter; None if nothing can be left out or renamed."""
        named = [name for name in (*_RENAMED, *_OPTIONAL) if name == parameter or (not parameter and re.search(rf"\b{name}\b", message))]
        for name in named:
            if name in _RENAMED and name not in self.renamed and _RENAMED[name] in message:
                return replace(self, renamed=self.renamed | {name})
            if name in _OPTIONAL and name not in self.refused:
                return replace(self, refused=self.refused | {name})
        return None
