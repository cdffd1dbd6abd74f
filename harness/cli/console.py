"""What the verbs print."""

from __future__ import annotations

import typer

from ..api.visible_text import make_visible


def say(text: str, /, *, err: bool = False) -> None:
    """Print a text with everything hostile in it made visible. err: to standard error."""
    typer.echo(make_visible(text), err=err)
