"""The exception tree. Every message says what was wrong and what to do about it.

WindtunnelError                 base; ``exit_code`` is what the command line returns for it
├── UserError                   2  the user can fix it: wrong name, wrong file, wrong combination
│   ├── ConfigError                a suite, gate, catalog or plugin file says something it cannot say
│   ├── UnknownName                a name the registry does not hold (with the nearest names)
│   ├── CapabilityError            a model was asked for something it cannot do
│   ├── DataError                  a data set is missing, empty or of the wrong shape
│   └── ModelError                 a model cannot be loaded or used as asked
├── IncompleteRun               3  records are missing; the same command goes on where it stopped
├── StoreError                  3  the run store cannot be written or read
│   └── SchemaError                the store was written by another version
└── SampleError                    one request or sample failed; becomes a record, never ends a run
    └── NonFiniteError             the model answered NaN or infinity
"""

from __future__ import annotations

from collections.abc import Sequence

from ..system.interrupts import is_interrupt

_OPTIONS = {"folder": "--out", "plugins": "--plugin"}
"""Options of the command line that are called otherwise than the arguments of `evaluate`."""


class WindtunnelError(Exception):
    """Base of every error this package raises on purpose.

    message: what happened, where, and the fix. argument: the argument of `evaluate` that the fix is about, with which the text
    then ends: ``folder=`` from Python, and on the command line the option of the same meaning, ``--out``.
    """

    exit_code = 3

    def __init__(self, message: str = "", /, *, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument

    def __str__(self) -> str:
        return self._told(f"{self.argument}=")

    def on_command_line(self) -> str:
        """The text in the words of the command line."""
        return self._told(_OPTIONS.get(self.argument, f"--{self.argument}"))

    @property
    def message(self) -> str:
        """The text without the argument."""
        return super().__str__()

    def _told(self, how: str) -> str:
        return f"{self.message} with {how}" if self.argument else self.message


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


def ends_run(error: BaseException, /) -> bool:
    """Where a plugin's code is called, this decides what its exception is: ``except BaseException as error: if ends_run(error): raise``.

    Ctrl-C ends the run. This package's own errors are about the run, and no sample's record; but for a `SampleError`, and for a
    `CapabilityError` that shows only once the model is at work: the other items and models go on. Anything else is a record's error."""
    return is_interrupt(error) or (isinstance(error, WindtunnelError) and not isinstance(error, SampleError | CapabilityError))


def sentence(error: BaseException, /) -> str:
    """What a record says of an error: our own in its words alone, another's with its type."""
    return str(error) if isinstance(error, WindtunnelError) else f"{type(error).__name__}: {error}"


def did_you_mean(name: str, known: object, /) -> str:
    """`` Did you mean 'sst2'?`` with a leading space, or an empty string when nothing is near."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), [str(k) for k in known], n=3, cutoff=0.6)  # type: ignore[attr-defined]
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def check_named(wanted: Sequence[str] | None, known: Sequence[str], what: str) -> None:
    """Raise `UnknownName` for a wanted name that the suite does not have. ``what``: how the sentence begins."""
    for name in wanted or ():
        if name not in known:
            raise UnknownName(f"{what} {name!r}, which the suite does not have.{did_you_mean(name, known)} It has {', '.join(known)}")
