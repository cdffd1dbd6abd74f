"""Read data sets of the Hugging Face Hub. Only this module imports the `datasets` library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ..api.errors import DataError, UserError
from ..identity.digests import digest_file
from ..store import codec
from ..system.offline import is_offline
from .formats.encoded_image import EncodedImage
from .formats.rows import Row, Rows
from .spec import DataSpec

_CONNECT_TIMEOUT_S = 5.0


def read_hub(spec: DataSpec, /) -> Rows:
    """Read the rows of a Hub data set, from the local cache if offline. Raises `DataError`."""
    name = cast(str, spec.hub)
    with _quiet() as datasets, _convert_errors(spec):
        offline = is_offline()
        commit = None if offline else _resolve_commit(spec)
        if commit:
            builder = datasets.load_dataset_builder(name, spec.config, revision=commit, **spec.options)
            builder.download_and_prepare()
        else:
            why = "offline" if offline else f"the Hub did not answer within {_CONNECT_TIMEOUT_S:.0f} s"
            builder = _load_cached_builder(spec, why)
        split = spec.choose_split([str(s) for s in builder.info.splits])
        dataset = builder.as_dataset(split=split)
        # A digest of the content: the library's own fingerprint uses modification times and can miss a changed file.
        fingerprint = codec.digest([split, str(dataset.features), *(digest_file(Path(file["filename"])) for file in dataset.cache_files)])
        if not builder.info.splits[split].num_examples:
            return Rows((), (), fingerprint, source=str(spec))
        names = {column: tuple(f.names) for column, f in dataset.features.items() if type(f).__name__ == "ClassLabel"}
        images = [column for column, f in dataset.features.items() if type(f).__name__ == "Image"]
        for column in images:
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
        rows = _RowsWithImages(dataset, images) if images else dataset
        return Rows(rows, tuple(dataset.column_names), fingerprint, names, str(spec))


class _RowsWithImages(Sequence[Row]):
    """Rows whose images are decoded on access, so that a broken image does not affect the other columns."""

    def __init__(self, dataset: Any, images: Sequence[str]) -> None:
        self._dataset, self._images = dataset, images

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any, /) -> Any:
        row = dict(self._dataset[index])
        return row | {name: EncodedImage.from_struct(row[name], f"{name} of row {index}") for name in self._images if name in row}

    def select_columns(self, columns: list[str]) -> _RowsWithImages:
        return _RowsWithImages(self._dataset.select_columns(columns), self._images)


def _resolve_commit(spec: DataSpec) -> str | None:
    """Return the commit of ``revision``, or None if the Hub is unreachable. Sends one request, without retries.

    Raises `DataError` if the data set needs access or does not exist.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = huggingface_hub.HfApi().dataset_info(cast(str, spec.hub), revision=spec.revision, timeout=_CONNECT_TIMEOUT_S)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise DataError(
                f"{spec} needs access: accept its terms at https://huggingface.co/datasets/{spec.hub} and set HF_TOKEN (or check the name)"
            ) from error
        if status == 404:
            raise DataError(f"the Hub has no {spec} at revision {spec.revision or 'main'}; check the name and the revision") from error
        return None
    except Exception as error:
        # Which HTTP library raises depends on the version of huggingface_hub: requests before 1.0, httpx from 1.0, httpx2 from 2.0.
        if isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            return None
        raise
    return info.sha


def _load_cached_builder(spec: DataSpec, why: str) -> Any:
    """Return the builder of a data set in the local cache.

    why: the reason why the Hub is not used, for the error. Raises `DataError` if the data set is not in the cache.
    """
    from datasets.packaged_modules.cache.cache import Cache

    name = cast(str, spec.hub)
    arguments = ", ".join(repr(a) for a in (name, spec.config) if a) + (f", revision={spec.revision!r}" if spec.revision else "")
    advice = (
        f'on a machine with network access, run: python -c "from datasets import load_dataset; load_dataset({arguments})" '
        "(and share its HF_HOME), or use local files: data: {files: ...}"
    )
    try:
        builder = Cache(
            repo_id=name, dataset_name=name.split("/")[-1], config_name=spec.config, version="auto", hash="auto", **spec.options
        )
    except ValueError as error:
        raise DataError(f"{spec} is not in the local cache ({why}; {' '.join(str(error).split())}); {advice}") from error
    if spec.revision and re.fullmatch("[0-9a-f]{40}", spec.revision) and builder.hash != spec.revision:
        raise DataError(f"{spec}: the local cache holds revision {builder.hash}, not {spec.revision} ({why}); {advice}")
    return builder


def is_cached(spec: DataSpec, /) -> bool:
    """Whether a Hub data set is in the local cache, so that `load` works offline."""
    try:
        with _quiet():
            _load_cached_builder(spec, "offline")
    except DataError:
        return False
    return True


@contextmanager
def _convert_errors(spec: DataSpec) -> Iterator[None]:
    """Convert any exception of `datasets` to a `DataError` that names the innermost cause."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = " ".join(str(cause).split())[:400]
        raise DataError(f"{spec} cannot be read: {type(cause).__name__}: {text}. Check format, options and config.") from error


@contextmanager
def _quiet() -> Iterator[Any]:
    """Yield the `datasets` module with its logs and progress bars off, and restore them afterwards."""
    import datasets.utils
    import huggingface_hub.utils

    verbosity = datasets.logging.get_verbosity()
    shown = [module for module in (datasets.utils, huggingface_hub.utils) if not module.are_progress_bars_disabled()]
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # it also raises every error that it logs
    for module in shown:
        module.disable_progress_bars()
    try:
        yield datasets
    finally:
        datasets.logging.set_verbosity(verbosity)
        for module in shown:
            module.enable_progress_bars()
