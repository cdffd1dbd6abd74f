"""Where the files of a checkpoint are: in a folder, or in the cache of the hub; and reading them with transformers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from ...system.offline import is_offline
from ..checkpoint.files import INDEX, WEIGHTS, check_files, describe_file, read_json
from ..checkpoint.gguf_file import SUFFIX, check_gguf, list_gguf_parts
from ..common.fingerprint import PATTERNS, list_checkpoint_parts


@dataclass(frozen=True, slots=True)
class Place:
    """The files of a checkpoint.

    target: a folder, a GGUF file or a hub name. revision: of the hub name.
    runs_code: whether code from the checkpoint may run.
    """

    target: str
    revision: str | None
    runs_code: bool

    @property
    def is_local(self) -> bool:
        """Whether the target is a path, be it there or not, and no hub name."""
        return Path(self.target).is_dir() or self.target.startswith((".", "/", "~")) or self.target.count("/") > 1

    @property
    def gguf(self) -> Path | None:
        """The GGUF file, if the checkpoint is one."""
        path = Path(self.target)
        return path if path.suffix == SUFFIX and not path.is_dir() else None

    def check(self) -> None:
        """Raise `ModelError` if a local checkpoint is missing or incomplete."""
        path = Path(self.target)
        if self.gguf is not None:
            check_gguf(self.gguf)
            return
        if path.is_file():
            raise ModelError(describe_file(self.target))
        if self.is_local and not path.is_dir():
            raise ModelError(f"there is no model folder {self.target!r}")
        if path.is_dir():
            check_files(self.target, path)

    def folder(self) -> Path | None:
        """Return the folder of the checkpoint; None if the hub's cache does not have its weights yet."""
        if self.gguf is not None:
            return self.gguf.parent
        if Path(self.target).is_dir():
            return Path(self.target)
        if self.is_local:
            return None
        from huggingface_hub import try_to_load_from_cache

        places = (try_to_load_from_cache(self.target, name, revision=self.revision) for name in (WEIGHTS, INDEX))
        return next((Path(place).parent for place in places if isinstance(place, str)), None)

    def find_file(self, name: str, /) -> Path | None:
        """Return the path of a file of the checkpoint, fetched if need be; None if the checkpoint has no such file."""
        folder = self.folder() if self.is_local else None
        if folder is not None:
            path = folder / name
        else:
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

            try:
                path = Path(hf_hub_download(self.target, name, revision=self.revision, local_files_only=is_offline()))
            except (EntryNotFoundError, LocalEntryNotFoundError):
                return None
        return path if path.is_file() else None

    def read_config(self) -> dict[str, Any]:
        """Read config.json without processing by transformers; empty if there is none, or it is not there yet."""
        folder = self.folder() if self.gguf is None else None
        return (read_json(folder / "config.json") if folder else None) or {}

    def pretrained(self, auto: Any, target: str = "", /, **options: Any) -> Any:
        """Call ``auto.from_pretrained`` for this checkpoint, or for another folder. Raises `ModelError`."""
        if self.gguf is not None and not target:
            target, options["gguf_file"] = str(self.gguf.parent), self.gguf.name
        try:
            return auto.from_pretrained(
                target or self.target,
                revision=self.revision,
                trust_remote_code=self.runs_code,
                local_files_only=is_offline(),
                **options,
            )
        except Exception as error:  # the libraries may raise anything for a broken checkpoint
            raise ModelError(self._explain(error)) from error

    def list_parts(self) -> Iterator[str]:
        """Yield one line per file that affects responses, with its name and digest."""
        if self.gguf is not None:
            yield from list_gguf_parts(self.gguf)
            return
        folder = Path(self.target)
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            options: dict[str, Any] = {"allow_patterns": list(PATTERNS), "local_files_only": True}
            folder = Path(snapshot_download(self.target, revision=self.revision, **options))
        yield from list_checkpoint_parts(folder)

    def _explain(self, error: Exception) -> str:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not Path(self.target).is_dir() and is_offline() and isinstance(error, OSError):
            where = "is not in the local cache, and the network is off"
            return f"model {self.target!r} {where}; download it first: hf download {self.target}"
        return f"model {self.target!r} cannot be loaded: {first}"
