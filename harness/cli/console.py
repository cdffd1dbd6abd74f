"""What the verbs print."""

from __future__ import annotations

import typer

from ..api.visible_text import make_loggable, make_visible


def say(text: str, /, *, err: bool = False) -> None:
    """Print a text at once, with everything hostile in it made visible. err: to standard error."""
    typer.echo(make_loggable(text), err=err)


def say_json(text: str, /) -> None:
    """Print JSON at once. Only a string of it can hold a command for the log of a CI system, so that an escape changes no value."""
    typer.echo(make_visible(text).replace("##", "#\\u0023"))
