"""Tell the user's Ctrl-C from other exceptions."""

from __future__ import annotations

import signal


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while this package handles SIGINT. A plain `KeyboardInterrupt` then comes from a plugin."""


def is_interrupt(error: BaseException, /) -> bool:
    """Whether the user interrupts the process.

    ``sys.exit()`` in a plugin, a `GeneratorExit` or a cancelled coroutine are not interrupts, but errors of the plugin.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return isinstance(error, KeyboardInterrupt)
    return isinstance(error, Interrupted)
