"""What can go wrong with a request to an endpoint: which faults may be repeated, which belong to the prompt, which end the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ...api.errors import SampleError, TooLong, Withheld
from .keys import Key

_REPEATABLE = {408, 409, 425, 429}
_LONGEST_BODY = 500
_MARKUP = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
"""What is not text in a page, as proxies answer it."""
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "credit balance")
_TOO_LONG = (
    "context_length_exceeded", "maximum context length", "maximum model length", "context window", "context size", "prompt is too long",
    "too many tokens",
)  # fmt: skip
_FILTERED = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "content management policy")


class Fault(Exception):
    """Base class of the faults of a request. The text names no key."""


class Transient(Fault):
    """The request may be repeated: lost connections, time-outs, overload, answers of a wrong shape.

    after_s: seconds after which the server wants to be asked again; None if it does not say. is_throttled: too many requests were sent.
    is_answered: the server answered, in whatever way.
    """

    def __init__(self, message: str, after_s: float | None = None, *, is_throttled: bool = False, is_answered: bool = True) -> None:
        super().__init__(message)
        self.after_s, self.is_throttled, self.is_answered = after_s, is_throttled, is_answered


class Stopped(Fault):
    """The run ends, and no further request is sent."""


class WrongModel(Transient):
    """The answer comes from another model. ``served``: its name."""

    def __init__(self, served: str, expected: str) -> None:
        super().__init__(f"the server answered as the model {served!r}, not as {expected!r}")
        self.served = served


class Refused(Fault):
    """The server refuses this request for good. ``status``: the HTTP status. ``parameter``: the parameter at fault, if it names one."""

    def __init__(self, message: str, status: int, parameter: str = "") -> None:
        super().__init__(message)
        self.status, self.parameter = status, parameter


class Barred(Fault):
    """No request will be answered: the key is refused, the account has no credit, the model is unknown. ``status``: the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def classify_status(status: int, headers: Mapping[str, str], text: str, key: Key) -> Fault | SampleError:
    """Return the fault that an HTTP status other than 200 stands for. ``text``: the body."""
    body = key.hide(text)
    what = f"HTTP {status}: {describe_body(body)}"
    lowered = body.lower()
    if status in (401, 402, 403) or any(word in lowered for word in _NO_CREDIT):
        return Barred(what, status)
    if status in _REPEATABLE or status >= 500:
        return Transient(what, read_retry_after(headers), is_throttled=status == 429 or status == 529)
    if status == 404:
        return Barred(what, status)
    if status == 413 or any(word in lowered for word in _TOO_LONG):
        return TooLong(f"the input is longer than the model's context ({what})")
    if any(word in lowered for word in _FILTERED):
        return Withheld(f"the provider's content filter refused the prompt ({what})")
    return Refused(what, status, _find_parameter(body))


def describe_body(body: str) -> str:
    """Return the message of an error's body in one line: of JSON, of a page, or as it is."""
    try:
        error = json.loads(body)
        error = error.get("error", error) if isinstance(error, dict) else error
        said = error.get("message", error) if isinstance(error, dict) else error
        text = said if isinstance(said, str) else json.dumps(said)
    except (ValueError, RecursionError):
        text = _MARKUP.sub(" ", body) if body.lstrip().startswith("<") else body
    line = " ".join(text.split()) or "no text"
    return line if len(line) <= _LONGEST_BODY else line[:_LONGEST_BODY] + " ..."


def _find_parameter(body: str) -> str:
    try:
        error: Any = json.loads(body)["error"]
        return str(error.get("param") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which the server wants to be asked again (``retry-after-ms``, ``Retry-After``: seconds or a date)."""
    try:
        if (millis := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(millis) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
