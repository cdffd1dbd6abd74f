"""Whether a run folder is what was written, as text."""

from __future__ import annotations

from pathlib import Path

from ..api.errors import StoreError
from ..store import FILE_NAME, Store, codec
from ..store.faults import list_faults


def format_verified(folder: Path, digest: str | None) -> str:
    """What a run that is whole holds. ``digest``: what it should have. Raises `StoreError` with all that is wrong."""
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
        to_be_made = f"; {missing} are still to be made" if missing else ""
        aside = sum(store.count(item) for item, _ in store.set_aside())
        to_be_made += f"; {aside} of what the suite said before were set aside" if aside else ""
        notes = "".join(f"\nnote: {sentence}" for sentence in store.list_unread())
        return f"{count} records of {len(items)} items are whole and unchanged{to_be_made}{notes}\ndigest: {store.digest}"
    finally:
        store.close()
