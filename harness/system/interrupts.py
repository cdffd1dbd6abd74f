"""Which exceptions are the user's Ctrl-C."""

from __future__ import annotations

import signal


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, where this package listens to it: a plain `KeyboardInterrupt` is then a plugin's own."""


def is_interrupt(error: BaseException, /) -> bool:
    """Whether it is the user who ends the process. ``sys.exit()`` in a plugin, a `GeneratorExit`, a cancelled coroutine and the like are
    its errors, and no more than that."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return isinstance(error, KeyboardInterrupt)
    return isinstance(error, Interrupted)
