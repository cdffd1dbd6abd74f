"""How the command line ends: with an exit code that means what it says, whatever the code does that a verb runs."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec

import typer

from ..api.errors import WindtunnelError
from .console import say

_INTERRUPTED = 130
"""What newer Typers return where older ones raise `typer.Abort`."""

P = ParamSpec("P")


class Unforeseen(Exception):
    """Holds, as its cause, what a verb raised that is none of this package's errors: ``sys.exit(0)`` in a plugin, or one of Click's own
    exceptions, which Click would take for the verb's answer."""


def guard(verb: Callable[P, int | None], /) -> Callable[P, int | None]:
    """A verb that returns its exit code, and otherwise raises this package's errors, `KeyboardInterrupt` or `Unforeseen`."""

    @wraps(verb)
    def work(*args: P.args, **options: P.kwargs) -> int | None:
        try:
            return verb(*args, **options)
        except (WindtunnelError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise Unforeseen from error

    return work


def leave(app: Callable[..., Any], /) -> NoReturn:
    """Run the app and exit. Errors of the user's are one sentence and an exit code, never a traceback, and 1 means a failed gate alone."""
    sys.exit(_choose_exit_code(app))


def _choose_exit_code(app: Callable[..., Any]) -> int:
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except WindtunnelError as error:
        say(f"error: {error.on_command_line()}", err=True)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        say("error: stopped; the same command goes on from there", err=True)
        return 3
    except Unforeseen as unforeseen:
        return _report_unforeseen(unforeseen.__cause__)
    except Exception as error:  # noqa: BLE001 - uncaught, it would exit with 1, which says that a gate failed
        if hasattr(error, "show") and hasattr(error, "format_message"):  # Click's own, which newer Typers hide inside of themselves
            shown = io.StringIO()
            error.show(file=shown)
            say(shown.getvalue().rstrip("\n"), err=True)
            return 2
        return _report_unforeseen(error)


def _report_unforeseen(error: BaseException | None) -> int:
    if isinstance(error, BrokenPipeError):
        # Who read the output has left: what is still to be written at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        say("error: the output could not be written: whoever read it has left", err=True)
        return 3
    say("".join(traceback.format_exception(error)).rstrip("\n"), err=True)
    say("error: this is a bug, in windtunnel or in a plugin that the lines above name; finished records are safe", err=True)
    return 3
