"""Handle the user's Ctrl-C, and tell it from other exceptions."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while this package handles SIGINT. A plain `KeyboardInterrupt` then comes from a plugin."""


def is_interrupt(error: BaseException, /) -> bool:
    """Whether the user interrupts the process.

    ``sys.exit()`` in a plugin, a `GeneratorExit` or a cancelled coroutine are not interrupts, but errors of the plugin.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return isinstance(error, KeyboardInterrupt)
    return isinstance(error, Interrupted)


@contextmanager
def stop_on_interrupt(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop a run. The first Ctrl-C stops the run after the current chunk, the second at once."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise Interrupted
        asked = True
        say("stopping after this chunk; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
