"""Whether a run folder is what was written, as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..api.errors import StoreError
from ..api.scorecard import Scorecard
from ..results.baseline import load_baseline
from ..results.baseline_file import FILE_NAME as BASELINE_NAME
from ..results.baseline_file import ChangedBaseline, read_file
from ..results.summarise import load_registry
from ..results.verification.verify import verify_record, verify_reports
from ..store import FILE_NAME, Store, codec
from ..store.faults import list_faults


def format_verified(
    path: Path, digest: str | None, /, plugins: Sequence[str] = (), record: Path | None = None, baseline: Path | None = None,
    baseline_model: str | None = None,
) -> str:  # fmt: skip
    """Return what a run that is whole holds, and which of its reports are what its records give; or what a baseline file holds.

    path: the run folder, or the file. digest: what it should have. plugins: its plugin files.
    record: a record of a verdict about it, with other gates than the suite's.
    baseline, baseline_model: what the gates of the record compare with.
    Raises `StoreError` with all that is wrong.
    """
    # A file beside a run that is not its baseline stands for the run, whose folder is then asked for.
    if path.is_file() and (path.name == BASELINE_NAME or not (path.parent / FILE_NAME).is_file()):
        return _format_baseline(path, digest)
    folder, registry = path, load_registry(path, plugins)  # first, because plugins define modalities of records
    records, kept_digest = _check_records(folder, digest)
    kept = _check_kept_baseline(folder)
    checked = [verify_reports(folder, registry, plugins)]
    if record is not None:
        compared = load_baseline(baseline, registry, baseline_model) if baseline is not None else None
        checked.append(verify_record(folder, record, registry, compared))
    wrong = [sentence for found in checked for sentence in found.differences]
    if wrong:
        raise StoreError(
            f"{folder}: its records are unchanged, and other files differ from what they give:\n  {list_faults(wrong)}\n"
            f"Do not trust these files. If the run went on after they were written, 'windtunnel report {folder}' writes them again"
        )
    same = ", ".join(name for found in checked for name in found.same)
    notes = [f"note: {sentence}" for found in checked for sentence in found.notes]
    return "\n".join([records, *([f"computed again and equal: {same}"] if same else []), *notes, *kept, f"digest: {kept_digest}"])


def _format_baseline(path: Path, digest: str | None) -> str:
    """Return what a baseline file holds. Raises `StoreError` if it was changed, or is about a run with another ``digest``."""
    card = _read_unchanged(path)
    of_run = str(card.manifest["digest"])
    if digest not in (None, of_run):
        raise StoreError(f"{path}: it is about the run with the digest {of_run}, not {digest}")
    return f"{_describe_baseline(card)}\ndigest: {of_run}"


def _check_kept_baseline(folder: Path) -> list[str]:
    """Return a sentence about the baseline that a run folder keeps; empty if it keeps none. Raises `StoreError` if it was changed."""
    path = folder / BASELINE_NAME
    return [f"{BASELINE_NAME}: {_describe_baseline(_read_unchanged(path))}"] if path.exists() else []


def _read_unchanged(path: Path) -> Scorecard:
    try:
        return read_file(path)
    except ChangedBaseline as error:
        raise StoreError(error.message) from error


def _describe_baseline(card: Scorecard) -> str:
    rows = len(card.rows) + len(card.times)
    return f"{rows} numbers of the run {card.manifest.get('name', '')!r} are unchanged since they were written"


def _check_records(folder: Path, digest: str | None) -> tuple[str, str]:
    """Return what the records hold, and their digest."""
    store = Store.open(folder / FILE_NAME, readonly=True, checked=False)
    try:
        wrong = store.verify()
        if not wrong and digest not in (None, store.digest):
            wrong = [f"its digest is {store.digest}, not {digest}: it holds another run, or less or more of it"]
        if wrong:
            raise StoreError(f"{folder} cannot be verified:\n  " + list_faults(wrong))
        items = store.items()
        count = sum(map(store.count, items))
        missing = sum(num_samples for _, _, num_samples in codec.loads(store.suite)["planned"]) - count
        to_be_made = f"; {missing:,} are still to be made" if missing else ""
        aside = sum(store.count(item) for item, _ in store.set_aside())
        to_be_made += f"; {aside:,} of what the suite said before were set aside" if aside else ""
        notes = "".join(f"\nnote: {sentence}" for sentence in store.list_unread())
        return f"{count:,} records of {len(items):,} items are whole and unchanged{to_be_made}{notes}", store.digest
    finally:
        store.close()
