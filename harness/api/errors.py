"""The exception tree. Every message says what happened, where, and how to fix it.

WindtunnelError                 base; ``exit_code`` is what the command line returns for it
├── UserError                   2  the user can fix it: wrong name, wrong file, wrong combination
│   ├── ConfigError                a suite, gate, catalog or plugin file has an invalid value
│   ├── UnknownName                an unknown name (with the nearest known names)
│   ├── CapabilityError            a model lacks a required capability
│   ├── DataError                  a data set is missing, empty or of the wrong shape
│   └── ModelError                 a model cannot be loaded or used as configured
├── IncompleteRun               3  records are missing; the same command resumes the run
├── StoreError                  3  the run store cannot be written or read
│   └── SchemaError                the store was written by another version
└── SampleError                    one request or sample failed; becomes a record, never ends a run
    ├── NonFiniteError             the model answered NaN or infinity
    ├── TooLong                    the input is longer than the model's context
    └── Withheld                   the provider of a model refused the input, or withheld the answer
"""

from __future__ import annotations

from collections.abc import Sequence

from ..system.interrupts import is_interrupt

_OPTIONS = {"folder": "--out", "plugins": "--plugin", "allow_mismatch": "--allow-mismatch"}
"""Command-line options whose names differ from the arguments of `evaluate`."""


class WindtunnelError(Exception):
    """Base class of the errors that this package raises on purpose.

    message: what happened, where, and the fix.
    argument: the argument of `evaluate` that fixes the error. It ends the text: ``folder=`` in Python, and the corresponding option
        ``--out`` on the command line.
    """

    exit_code = 3

    def __init__(self, message: str = "", /, *, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument

    def __str__(self) -> str:
        return self._add_argument(f"{self.argument}=")

    def on_command_line(self) -> str:
        """Return the text with the command-line option in place of the Python argument."""
        return self._add_argument(_OPTIONS.get(self.argument, f"--{self.argument}"))

    @property
    def message(self) -> str:
        """The text without the argument."""
        return super().__str__()

    def _add_argument(self, argument_text: str) -> str:
        return f"{self.message} with {argument_text}" if self.argument else self.message


class UserError(WindtunnelError):
    exit_code = 2


class ConfigError(UserError):
    pass


class UnknownName(UserError):
    pass


class CapabilityError(UserError):
    pass


class DataError(UserError):
    pass


class ModelError(UserError):
    pass


class IncompleteRun(WindtunnelError):
    pass


class StoreError(WindtunnelError):
    pass


class SchemaError(StoreError):
    pass


class SampleError(WindtunnelError):
    pass


class NonFiniteError(SampleError):
    pass


class TooLong(SampleError):
    pass


class Withheld(SampleError):
    pass


def ends_run(error: BaseException, /) -> bool:
    """Tell whether an exception from a plugin's code ends the run; otherwise it becomes the error of a record.

    Usage: ``except BaseException as error: if ends_run(error): raise``. Ctrl-C and the errors of this package end the run, except for
    `SampleError` and for `CapabilityError`: a model may turn out to lack a capability only while it runs, and other items continue.
    """
    return is_interrupt(error) or (isinstance(error, WindtunnelError) and not isinstance(error, SampleError | CapabilityError))


def describe_error(error: BaseException, /) -> str:
    """Return the text that a record keeps of an error: its message, preceded by its type unless the error is this package's own."""
    return str(error) if isinstance(error, WindtunnelError) else f"{type(error).__name__}: {error}"


def suggest_name(name: str, known: object, /) -> str:
    """Return `` Did you mean 'sst2'?`` with a leading space, or an empty string if no known name is similar."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), [str(k) for k in known], n=3, cutoff=0.6)  # type: ignore[attr-defined]
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def check_named(wanted: Sequence[str] | None, known: Sequence[str], what: str) -> None:
    """Raise `UnknownName` if the suite lacks one of the names. ``what``: the beginning of the error's sentence."""
    for name in wanted or ():
        if name not in known:
            raise UnknownName(f"{what} {name!r}, which the suite does not have.{suggest_name(name, known)} It has {', '.join(known)}")
